"""What a shape is, what it gives, and how a row is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from residency.core.records import Message, Tools

MEND = "Mend the row or remove it."


class RowError(Exception):
    """Why a row cannot be used. `check` is the id under which such rows are told together."""

    def __init__(self, reason: str, fix: str, check: str = "malformed") -> None:
        super().__init__(reason, fix, check)
        self.reason, self.fix, self.check = reason, fix, check


class Draft(NamedTuple):
    """What a row says, before it is checked; `rejected` and `good` where the shape has them."""

    messages: tuple[Message, ...]
    tools: Tools = ()
    rejected: Message | None = None
    good: bool | None = None


@dataclass(frozen=True)
class Shape:
    """Columns that make a record: those needed, those that may be there, and how they are read."""

    name: str
    needed: tuple[str, ...]
    optional: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], Draft]
    fits: Callable[[Mapping[str, Any]], bool] = lambda content: True
    """Whether the columns, which are all there, hold what this shape has in them."""


def text_of(value: Any, what: str) -> str:
    """Text as it is; numbers and truth values as JSON writes them."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    missing = isinstance(value, float) and math.isnan(value)  # as pandas writes it
    raise not_text(None if missing else value, what)


def not_text(value: Any, what: str) -> RowError:
    """The refusal of a value that should be text."""
    kind = "null" if value is None else f"a {type(value).__name__}, not text"
    return RowError(f"{what} is {kind}", "Give it as text, or remove the row.", "not-text")


def decoded(value: Any) -> Any:
    """A value that CSV and Parquet files often hold as JSON text, decoded once; else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")
