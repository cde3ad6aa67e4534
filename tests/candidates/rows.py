"""Small rows for the candidates' tests."""

from __future__ import annotations

from residency.core.records import Example, Message, Source


def row(number: int, asked: str, answer: str, system: str = "") -> Example:
    turns = [Message("user", asked), Message("assistant", answer)]
    if system:
        turns.insert(0, Message("system", system))
    return Example(tuple(turns), Source("rows.jsonl", number))
