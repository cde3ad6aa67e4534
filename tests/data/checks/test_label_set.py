import random
from collections import Counter

import pytest

from residency.data.checks.label_set import label_set, misspellings, outweighs
from tests.data.checks.rows import DATA, checked

LABELS = ("card_arrival", "card_stolen", "refund_not_showing", "top_up_failed", "exchange_rate")


def found(answers):
    flags = label_set(checked((f"row {i}", answer) for i, answer in enumerate(answers)), DATA)
    return [(id, flag.source.row, flag.detail, flag.other and flag.other.row) for id, flag in flags]


SPOILS = [
    str.upper,
    lambda label: label.replace("_", " "),
    lambda label: label.replace("_", "-").title(),
    lambda label: f"'{label}.'",
    lambda label: label[:3] + label[4:],
    lambda label: label[:4] + "x" + label[5:],
    lambda label: label[:4] + label[5] + label[4] + label[6:],
]


@pytest.mark.parametrize("spoil", SPOILS)
def test_planted_spellings_are_found_and_nothing_else(spoil):
    rng = random.Random(5)
    answers = [LABELS[i % 5] for i in range(200)]
    planted = set(rng.sample(range(200), 3))
    answers = [spoil(answer) if i in planted else answer for i, answer in enumerate(answers)]
    fired = found(answers)
    assert {row - 1 for id, row, _, _ in fired if id == "label-spelling"} == planted
    assert {row - 1 for _, row, _, _ in fired} == planted


def test_a_spelling_names_the_usual_one_and_its_first_row():
    answers = ["Refund", *["refund"] * 20, *["return"] * 20]
    assert found(answers) == [("label-spelling", 1, "'Refund'; 20 rows say 'refund'", 2)]


def test_labels_that_differ_in_earnest_are_left_alone():
    pairs = {"level 1": 50, "level 2": 3, "C": 50, "C#": 3, "-1": 50, "1": 3, "A-": 9, "A": 30, "yes": 50}
    assert misspellings(dict(sorted(pairs.items(), key=lambda pair: -pair[1]))) == {}
    assert misspellings({"dispute": 20, "disputes": 3}) == {}  # not ten times as many
    assert misspellings({"dispute": 30, "disputes": 3}) == {"disputes": "dispute"}
    assert misspellings({"dispute": 300, "disputes": 5}) == {}  # five rows are a label


def test_rare_labels_and_imbalance_are_notes():
    answers = ["spam"] * 90 + ["ham"] * 10 + ["eggs"] * 4
    assert found(answers) == [
        *[("rare-labels", row, "'eggs' has 4 rows", None) for row in (101, 102, 103, 104)],
        ("imbalance", 1, "'spam' has 90 of 104 rows, one of 3 labels", None),
    ]


def test_what_outweighs():
    assert outweighs(Counter(a=80, b=20)) and not outweighs(Counter(a=79, b=21))
    even = Counter({f"{i}": 10 for i in range(50)})
    assert not outweighs(even)
    assert outweighs(even | Counter({"0": 123})) and not outweighs(even | Counter({"0": 122}))


def test_files_without_labels_or_with_one_are_silent():
    assert found([f"answer {i}" for i in range(50)]) == []
    assert found(["yes"] * 50) == []
    assert found(["yes", "Yes"] * 9) == []  # too few rows
