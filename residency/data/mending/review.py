"""The review: rows in the order of suspicion, and what a person decided about them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal, get_args

from residency.core.records import Source
from residency.core.workspace import unwritable
from residency.data.excerpt import shorten
from residency.data.findings import Finding
from residency.data.mending.patch import beside, read_records

MENDED_ANYWAY = ("duplicate",)
"""Checks whose rows a mending settles without a judgement: nobody need look at them."""
Judgement = Literal["keep", "drop", "edit"]
_MENDED = re.compile(r"(\.fixed|\.mended-[0-9a-f]{6})+$")


@dataclass(frozen=True)
class Reason:
    """Why a row is suspected."""

    check: str
    detail: str
    """Without personal data and secrets, as it is shown."""
    other: Source | None


@dataclass(frozen=True)
class Suspect:
    """A row to look at."""

    source: Source
    example_id: str
    suspicion: float
    reasons: tuple[Reason, ...]
    answer: str | None = None
    """The answer that is suggested for it, where there is one."""

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        return {
            "example_id": self.example_id,
            **asdict(self.source),
            "suspicion": round(self.suspicion, 4),
            "reasons": [asdict(reason) for reason in self.reasons],
            **({} if self.answer is None else {"answer": self.answer}),
        }

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Suspect:
        """The row that `to_json` wrote."""
        reasons = tuple(
            Reason(reason["check"], reason["detail"], Source(**reason["other"]) if reason["other"] else None)
            for reason in row["reasons"]
        )
        source = Source(row["file"], row["row"])
        return Suspect(source, row["example_id"], row["suspicion"], reasons, row.get("answer"))


@dataclass(frozen=True)
class Decision:
    """What a person decided about a row; it holds wherever the row stands."""

    source: Source
    """Where the row stood."""
    example_id: str
    action: Judgement
    answer: str | None
    """The new one, of an edit."""
    becomes: str | None
    """The example's id then."""
    why: str
    """The checks that fired on the row."""

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        content = {key: value for key, value in self.__dict__.items() if key != "source"}
        return {**asdict(self.source), **content}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Decision:
        """The decision that `to_json` wrote.

        Raises:
            ValueError: it is none.
        """
        rest = {key: value for key, value in content.items() if key not in ("file", "row")}
        decision = Decision(source=Source(content["file"], content["row"]), **rest)
        is_edit = decision.action == "edit"
        if decision.action not in get_args(Judgement) or is_edit != isinstance(decision.answer, str):
            raise ValueError(decision.action)
        return decision


def queue(findings: Iterable[Finding], ids: Mapping[Source, str]) -> list[Suspect]:
    """The rows in `ids` that a check fired on, the most suspected first.

    The flags on a row are taken as independent signs: 1 - prod(1 - s) is the chance that at least one
    of them is right (a noisy or; Pearl, Probabilistic Reasoning in Intelligent Systems, 1988, 4.3.2).
    """
    doubts: dict[Source, list[float]] = {}
    reasons: dict[Source, list[Reason]] = {}
    for finding in findings:
        for flag in finding.rows:
            if flag.source in ids and finding.id not in MENDED_ANYWAY:
                doubts.setdefault(flag.source, []).append(1 - flag.suspicion)
                reasons.setdefault(flag.source, []).append(
                    Reason(finding.id, shorten(flag.detail), flag.other)
                )
    suspects = [
        Suspect(source, ids[source], 1 - prod(doubts[source]), tuple(why)) for source, why in reasons.items()
    ]
    return sorted(suspects, key=lambda s: (-s.suspicion, s.source.file, s.source.row))


def original(data: Path) -> Path:
    """The file of examples that a mended one was made from; another one is its own."""
    return data.with_stem(_MENDED.sub("", data.stem))


def decisions_file(data: Path) -> Path:
    """Where the decisions on a file of examples are kept: beside it, and shared with its mended ones."""
    return beside(original(data), ".decisions.jsonl")


def read_decisions(file: Path) -> dict[str, Decision]:
    """The last decision on each example, by its id; none where there is no such file.

    Raises:
        ResidencyError: a line of it holds no decision.
    """
    if not file.is_file():
        return {}
    found = read_records(file, "decision", Decision.from_json)
    return {decision.example_id: decision for decision in found}


def add_decision(file: Path, decision: Decision) -> None:
    """Append a decision, on the disk before this returns."""
    try:
        with file.open("a", encoding="utf-8", errors="surrogatepass", newline="\n") as out:
            out.write(json.dumps(decision.to_json(), ensure_ascii=False) + "\n")
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise unwritable(file, error) from error
