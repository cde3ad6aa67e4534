"""Which shape a row has, and the record that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from residency.core.records import Example, Preference, Rated, Source
from residency.data.reading.row import Row
from residency.data.shapes.answers import INSTRUCTION, PAIRS, TEXT, pair
from residency.data.shapes.preferences import OPENAI_PREFERENCE, PREFERENCE, RATED
from residency.data.shapes.shape import MEND, RowError, Shape
from residency.data.shapes.turns import CONVERSATIONS, MESSAGES
from residency.data.shapes.validate import validate

SHAPES = (
    OPENAI_PREFERENCE,
    PREFERENCE,
    MESSAGES,
    CONVERSATIONS,
    INSTRUCTION,
    RATED,
    *PAIRS,
    TEXT,
)
"""The first that fits is taken: those that say more stand before those that say less."""
_HALVES = {"chosen": PREFERENCE, "rejected": PREFERENCE}
_HALVES |= dict.fromkeys(("preferred_output", "non_preferred_output"), OPENAI_PREFERENCE)


def to_example(row: Row, input: str | None, output: str | None) -> Example:
    """The example in `row`, as `read_row` finds it."""
    return read_row(row, input, output)[0]


def read_row(row: Row, input: str | None, output: str | None) -> tuple[Example, Shape]:
    """The example in `row`, and its shape; `input` and `output` name columns with names of their own.

    Raises:
        RowError: the row cannot be used, with the reason and what to do about it.
    """
    if row.content is None:
        raise RowError(row.problem or "unreadable", MEND, row.check)
    shape = shape_of(row.content, input, output)
    return _record(row.content, row.source, shape), shape


def _record(content: Mapping[str, Any], source: Source, shape: Shape) -> Example:
    draft = shape.read(content)
    validate(draft, content.get("parallel_tool_calls") is not False)
    if draft.rejected is not None:
        return Preference(draft.messages, source, draft.tools, rejected=draft.rejected)
    if draft.good is not None:
        return Rated(draft.messages, source, draft.tools, good=draft.good)
    return Example(draft.messages, source, draft.tools)


def shape_of(content: Mapping[str, Any], input: str | None, output: str | None) -> Shape:
    """The shape the recipe names, else the first one whose columns are all there and filled.

    Raises:
        RowError: no shape fits.
    """
    if input or output:
        return _named(content, input or "input", output or "output")
    there = [shape for shape in _with_columns(tuple(content)) if shape.fits(content)]
    for shape in there:
        if all(content[name] is not None for name in shape.needed):
            return shape
    half = next((name for name in _HALVES if content.get(name) is not None), None)
    if half is not None:
        return _HALVES[half]
    if not there:
        raise _unknown(content)
    return there[0]


@lru_cache(maxsize=1024)
def _with_columns(columns: tuple[str, ...]) -> list[Shape]:
    return [shape for shape in SHAPES if all(name in columns for name in shape.needed)]


def _named(content: Mapping[str, Any], input: str, output: str) -> Shape:
    mapped = pair(input, output)
    if missing := [name for name in mapped.needed if name not in content]:
        columns = _listing(content)
        reason = f"no column {' or '.join(repr(name) for name in missing)}; the columns are: {columns}"
        fix = "Name the right ones: --set data.input=... --set data.output=..."
        raise RowError(reason, fix, "columns")
    return mapped


def _unknown(content: Mapping[str, Any]) -> RowError:
    reason = f"no known shape; the columns are: {_listing(content)}"
    fix = "Say which columns hold the input and the answer: --set data.input=... --set data.output=..."
    if content.get("text") is not None:
        fix += " For plain text leave no column but text."
    return RowError(reason, fix, "columns")


def _listing(columns: Mapping[str, Any]) -> str:
    shown = [name if name.isprintable() else repr(name) for name in list(columns)[:20]]
    return ", ".join(shown) + (" ..." if len(columns) > 20 else "") or "none"
