import json

import pytest

from residency.core.errors import ResidencyError
from residency.core.records import Completion, Example, Message, Source
from residency.data.duplicates import wording
from residency.evals.scored import Scored, score_rows
from residency.evals.scorers import get_scorer


def example(answer: str, row: int = 7) -> Example:
    turns = (
        ("system", "Be brief."),
        ("user", "first"),
        ("assistant", "hm"),
        ("user", "second"),
        ("assistant", answer),
    )
    return Example(tuple(Message(role, text) for role, text in turns), Source("tickets.jsonl", row))  # type: ignore[arg-type]


def test_a_scored_row_holds_question_answer_score_and_cost():
    rows = score_rows(
        "tuned",
        "test",
        [example("a: 1\nb: 2")],
        [Completion("a: 1\nb: 3", 40, 6, 0.5, "stop")],
        get_scorer("fields"),
    )
    assert rows == [
        Scored(
            "tuned",
            "test",
            example("a: 1\nb: 2").id,
            "tickets.jsonl:7",
            "second",
            "a: 1\nb: 2",
            "a: 1\nb: 3",
            0.5,
            False,
            "b: expected '2', got '3'",
            40,
            6,
            0.5,
            {"a": True, "b": False},
            wording(example("a: 1\nb: 2")),
        )
    ]
    assert Scored.from_json(json.loads(json.dumps(rows[0].to_json()))) == rows[0]


@pytest.mark.parametrize(
    "text, reason", [("no", "expected 'yes', got 'no'; cut off after 16 tokens"), ("yes", "")]
)
def test_an_answer_cut_off_says_so_where_it_failed(text, reason):
    cut = Completion(text, 40, 16, 0.5, "length")
    assert score_rows("base", "train", [example("yes")], [cut], get_scorer("exact"))[0].reason == reason


def test_a_bad_expected_answer_is_told_with_file_and_row():
    good = Completion("a: 1", 1, 1, 0.1, "stop")
    with pytest.raises(ResidencyError) as caught:
        score_rows("base", "test", [example("a: 1"), example("prose", 9)], [good, good], get_scorer("fields"))
    assert caught.value.where == "tickets.jsonl:9"


def test_each_example_needs_a_completion():
    with pytest.raises(ValueError):
        score_rows("base", "test", [example("a")], [], get_scorer("exact"))
