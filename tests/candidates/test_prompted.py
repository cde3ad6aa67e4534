"""What each candidate asks: never the answer, always the row's own system turn."""

from __future__ import annotations

from collections import Counter

import pytest

from residency.candidates.prompted import Prompted, draw_shots
from residency.core.errors import ResidencyError
from residency.core.progress import no_progress
from residency.core.records import Example, Message, Source
from residency.models.scripted import ScriptedModel

ECHO = ScriptedModel(lambda conversation: " ".join(turn.role for turn in conversation))


def example(number: int, answer: str, system: str = "") -> Example:
    turns = [Message("user", f"question {number}"), Message("assistant", answer)]
    if system:
        turns.insert(0, Message("system", system))
    return Example(tuple(turns), Source("rows.jsonl", number))


def asked(candidate: Prompted, row: Example) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in candidate.conversation(row)]


def test_the_tuned_model_is_told_one_line():
    tuned = Prompted("tuned", ECHO, system="Tag it.")
    assert asked(tuned, example(1, "secret")) == [("system", "Tag it."), ("user", "question 1")]
    own = example(1, "secret", system="My own.")
    assert asked(tuned, own) == [("system", "My own."), ("user", "question 1")]


def test_few_shot_shows_rows_between_instructions_and_input():
    shots = (example(2, "two"), example(3, "three", system="Theirs."))
    few = Prompted("few-shot", ECHO, instructions="All the rules.", shots=shots)
    assert asked(few, example(1, "secret", system="My own.")) == [
        ("system", "All the rules.\n\nMy own."),
        ("user", "question 2"),
        ("assistant", "two"),
        ("user", "question 3"),
        ("assistant", "three"),
        ("user", "question 1"),
    ]


def test_few_shot_without_instructions_keeps_the_system_prompt():
    few = Prompted("few-shot", ECHO, system="Tag it.", shots=(example(2, "two"),))
    assert asked(few, example(1, "secret"))[0] == ("system", "Tag it.")
    assert asked(few, example(1, "secret", system="My own."))[0] == ("system", "My own.")


def test_answers_come_in_order_with_their_costs():
    few = Prompted("few-shot", ECHO, system="Tag it.", shots=(example(2, "two"),))
    first, second = few.answer([example(1, "a"), example(4, "b")], 3, no_progress)
    assert first.text == "system user assistant"
    assert (first.finish, first.completion_tokens) == ("length", 3)
    assert first.prompt_tokens == second.prompt_tokens == 2 + 2 + 1 + 2


def test_shots_differ_in_answer_and_are_reproducible():
    rows = [example(i, "common" if i % 4 else f"rare{i}") for i in range(10, 50)]
    shots = draw_shots(rows, 6, seed=3)
    assert shots == draw_shots(rows, 6, seed=3)
    assert Counter(shot.answer for shot in shots).most_common(1)[0][1] == 1
    assert len(draw_shots(rows[:3], 6, seed=3)) <= 3


def test_the_row_whose_prompt_is_too_long_is_named():
    tight = Prompted("zero-shot", ScriptedModel(lambda _: "x", room=8), instructions="All the rules.")
    rows = [example(1, "a"), Example((Message("user", "a b c"), Message("assistant", "a")), Source("f", 7))]
    with pytest.raises(ResidencyError, match="longer than 8 words") as caught:
        tight.answer(rows, 3, no_progress)
    assert caught.value.where == "f:7, asked as zero-shot: the script"
    assert len(tight.answer(rows[:1], 3, no_progress)) == 1
