from collections.abc import Sequence
from pathlib import Path

import pytest

from residency.core.recipe import Data
from residency.core.records import Example, Message, Source
from residency.data.checks.cut import cut_answers, open_mark
from residency.data.checks.knowledge import knowledge
from residency.data.ledger import Checked
from residency.data.rows import Rows


def rows(pairs: Sequence[tuple[str, str]]) -> Rows:
    messages = [(Message("user", ask), Message("assistant", tell)) for ask, tell in pairs]
    return Rows.of(Checked(Example(turns, Source("f", place)), 1, 1) for place, turns in enumerate(messages))


DATA = Data(train=Path("f"))
WHOLE = [("a", "The parcel leaves our store in Graz today.")] * 30


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("f(x", "("),
        ("see [1, 2", "["),
        ('{"a": [1, 2]', "{"),
        ("```python\nx", "```"),
        ('He said "yes', '"'),
        ("He said “yes", "“"),
        ("sad :( but a) fine (x) [y]", None),
        ('27" wide, 5\'11"', None),
        ('print(")")', None),
        ("„schön“ „gut”", None),
    ],
)
def test_what_is_left_open(text: str, mark: str | None) -> None:
    assert open_mark(text) == mark


def test_an_answer_that_breaks_off_among_whole_ones_is_told() -> None:
    cut = [
        ("b", "The parcel leaves our sto"),
        ("c", "We send it to the"),
        ("d", "First unplug it, then wait,"),
    ]
    flags = list(cut_answers(rows([*WHOLE, *cut]), DATA))
    assert [(flag.source.row, flag.detail) for flag in flags] == [
        (30, "ends with 'sto', which no other answer holds as a word"),
        (31, "ends with 'the'"),
        (32, "ends with ','"),
    ]


def test_a_file_that_writes_so_has_none() -> None:
    assert not list(cut_answers(rows([("a", "we send it to the")] * 20 + WHOLE), DATA))
    assert not list(cut_answers(rows([("a", "list (of")] * 9 + WHOLE), DATA))
    assert not list(cut_answers(rows([("a", "refund")] * 30), DATA))
    assert not list(cut_answers(rows([*WHOLE, ("b", "You find it all in the store")]), DATA))


def test_knowledge_is_what_the_input_has_no_trace_of() -> None:
    facts = [("How long?", f"It is covered for {n} months from the day.") for n in range(24, 34)]
    told = [("Bought 3 March 2024 for 1,299 €", "You bought it on 2024-03-03 and paid 1299 for it.")] * 20
    flags = list(knowledge(rows([*told, *facts]), DATA))
    assert [flag.source.row for flag in flags] == list(range(20, 30))
    assert flags[0].detail == "not in the input: 24"


def test_few_facts_standing_phrases_labels_and_fields_are_no_knowledge() -> None:
    facts = [("How long?", "It is covered for 24 months from the day.")]
    assert not list(knowledge(rows([*WHOLE * 2, *facts * 4]), DATA))
    assert not list(knowledge(rows([*facts * 40, *WHOLE]), DATA)), "the same words in most answers"
    assert not list(knowledge(rows([("a", "code 4711")] * 20), DATA))
    assert not list(
        knowledge(rows([("a", f"price: {n}\ncurrency: EUR and so on it goes") for n in range(20)]), DATA)
    )
