"""Answers to every checked item of `general`: two that do as asked, and two that do not."""

import json
from pathlib import Path

import pytest

from residency.evals.suites.load import load_suite
from residency.evals.suites.score import grade_answer

ANSWERS = [
    json.loads(line)
    for line in Path(__file__).with_name("general_golden.jsonl").read_text("utf-8").splitlines()
]
ITEMS = {item.id: item for item in load_suite("general").items if item.check}


def test_every_checked_item_has_two_right_and_two_wrong_answers():
    assert [known["id"] for known in ANSWERS] == list(ITEMS)
    for known in ANSWERS:
        assert len(set(known["right"])) == len(set(known["wrong"])) == 2, known["id"]


@pytest.mark.parametrize("known", ANSWERS, ids=lambda known: known["id"])
def test_what_does_as_asked_passes_and_nothing_else(known):
    item = ITEMS[known["id"]]
    assert [text for text in known["right"] if not grade_answer(item, text).passed] == []
    assert [text for text in known["wrong"] if grade_answer(item, text).passed] == []
