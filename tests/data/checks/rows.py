"""Rows for checks, one a line of a file."""

from collections.abc import Iterable

from residency.core.recipe import Data
from residency.core.records import Example, Message, Source
from residency.data.ledger import Checked
from residency.data.rows import Rows

DATA = Data(train="train.jsonl")


def checked(pairs: Iterable[tuple[str, str]], system: Iterable[str] = ()) -> Rows:
    """Rows of input and answer, and of a system prompt where there is one for the row."""
    systems = list(system)
    rows = []
    for number, (question, answer) in enumerate(pairs, 1):
        turns = (Message("user", question), Message("assistant", answer))
        if systems and systems[number - 1]:
            turns = (Message("system", systems[number - 1]), *turns)
        rows.append(Checked(Example(turns, Source("train.jsonl", number)), 1, 1))
    return Rows.of(rows)
