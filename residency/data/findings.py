"""What the checks found: an id, how bad it is, what it means, the rows, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from residency.core.records import Source

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Flag:
    """One row that a check fired on."""

    source: Source
    detail: str = ""
    """What in this row made the check fire."""
    other: Source | None = None
    """The row it repeats or contradicts, where there is one."""
    suspicion: float = 0.5
    """How likely the row teaches something wrong, from 0 to 1: a review begins with the most suspected."""

    def __str__(self) -> str:
        return str(self.source)

    def to_json(self) -> dict[str, Any]:
        """`file`, `row`, `suspicion` and, where there are any, `detail` and `other`."""
        source, other = self.source, self.other
        content: dict[str, Any] = {"file": source.file, "row": source.row}
        content["suspicion"] = round(self.suspicion, 4)
        if self.detail:
            content["detail"] = self.detail
        if other is not None:
            content["other"] = {"file": other.file, "row": other.row}
        return content

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Flag:
        """The flag that `to_json` wrote."""
        other = content.get("other")
        return Flag(
            Source(content["file"], content["row"]),
            content.get("detail", ""),
            None if other is None else Source(**other),
            content["suspicion"],
        )


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the data, with all rows it concerns."""

    id: str
    severity: Severity
    explanation: str
    rows: tuple[Flag, ...]
    fix: str

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        return {**self.__dict__, "rows": [flag.to_json() for flag in self.rows]}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Finding:
        """The finding that `to_json` wrote."""
        return Finding(**{**content, "rows": tuple(Flag.from_json(row) for row in content["rows"])})


def plural(count: int, noun: str, verb: str = "") -> str:
    """`1 row repeats`, `2 rows repeat`: the verb is given as it follows one row."""
    words = f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
    if not verb:
        return words
    return f"{words} {verb if count == 1 else _PLURALS[verb]}"


_PLURALS = {"repeats": "repeat", "is": "are", "asks": "ask", "stands": "stand", "has": "have", "says": "say"}
