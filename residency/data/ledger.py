"""The row ledger: what became of every row read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from residency.core.records import Example, Source
from residency.data.findings import Finding

FATES = ("train", "validation", "test", "duplicate", "conflict", "twin", "over-long", "refused")
OF_REPLAY = ("replay", "spare")
"""Fates of general rows: mixed into training, or not needed; told only where there are such rows."""


@dataclass(frozen=True, slots=True)
class Checked:
    """An example that can be used, with its tokens, system prompt included."""

    example: Example
    tokens: int
    supervised_tokens: int

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        return {**self.example.to_json(), "tokens": self.tokens, "supervised_tokens": self.supervised_tokens}

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Checked:
        """The row that `to_json` wrote."""
        return Checked(Example.from_json(row), row["tokens"], row["supervised_tokens"])


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one row: one of `FATES` or `OF_REPLAY`, and why."""

    source: Source
    fate: str
    detail: str
    example_id: str | None = None
    tokens: int = 0
    supervised_tokens: int = 0
    checks: tuple[str, ...] = ()
    """The ids of the checks that fired on the row, whatever became of it."""

    @staticmethod
    def of(row: Checked, fate: str, detail: str = "") -> Fate:
        """The fate of a row that could be used."""
        return Fate(row.example.source, fate, detail, row.example.id, row.tokens, row.supervised_tokens)

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        return {
            "source": {"file": self.source.file, "row": self.source.row},
            "fate": self.fate,
            "detail": self.detail,
            "example_id": self.example_id,
            "tokens": self.tokens,
            "supervised_tokens": self.supervised_tokens,
            "checks": self.checks,
        }

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Fate:
        """The fate that `to_json` wrote."""
        return Fate(**{**row, "source": Source(**row["source"]), "checks": tuple(row["checks"])})


def checks_by_row(findings: Iterable[Finding]) -> dict[Source, tuple[str, ...]]:
    """The ids of the checks that fired on each row, each once, in the order of the findings."""
    fired: dict[Source, list[str]] = {}
    for finding in findings:
        for source in dict.fromkeys(flag.source for flag in finding.rows):
            fired.setdefault(source, []).append(finding.id)
    return {source: tuple(ids) for source, ids in fired.items()}


def in_order(counts: Counter[str]) -> dict[str, int]:
    """Counts by fate, all of `FATES` in order, then any of `OF_REPLAY`."""
    told = (*FATES, *(fate for fate in OF_REPLAY if counts[fate]))
    return {fate: counts[fate] for fate in told}
