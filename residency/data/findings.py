"""What the checks found: an id, how bad it is, what it means, the rows, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from residency.core.records import Source

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the data, with all rows it concerns."""

    id: str
    severity: Severity
    explanation: str
    rows: tuple[Source, ...]
    fix: str

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        return asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Finding:
        """The finding that `to_json` wrote."""
        return Finding(**{**content, "rows": tuple(Source(**row) for row in content["rows"])})


def plural(count: int, noun: str, verb: str = "") -> str:
    """`1 row repeats`, `2 rows repeat`: the verb is given as it follows one row."""
    words = f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
    if not verb:
        return words
    return f"{words} {verb if count == 1 else _PLURALS[verb]}"


_PLURALS = {"repeats": "repeat", "is": "are", "asks": "ask", "stands": "stand"}
