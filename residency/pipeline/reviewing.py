"""A review under way: the rows still to judge, with the rows they are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from residency.core.errors import ResidencyError
from residency.core.recipe import Data
from residency.core.records import Example, Source
from residency.core.workspace import read_jsonl
from residency.data.excerpt import example_in
from residency.data.mending.fix import plain, with_answer
from residency.data.mending.patch import Content
from residency.data.mending.review import (
    Decision,
    Judgement,
    Suspect,
    add_decision,
    decisions_file,
    read_decisions,
)
from residency.data.reading.read import rows_at
from residency.data.reading.row import Row
from residency.data.reading.sources import naming_roots, sources_of


@dataclass(frozen=True)
class Review:
    """The rows to judge, the most suspected first."""

    data: Data
    suspects: tuple[Suspect, ...]
    contents: Mapping[Source, Content]
    examples: Mapping[Source, Example]
    """The suspects' and those of the rows they repeat or contradict."""
    decided_before: int

    @property
    def decisions(self) -> Path:
        """Where decisions are kept."""
        return decisions_file(self.data.train)

    def decide(self, suspect: Suspect, verb: Judgement, answer: str = "", by: str = "judged") -> None:
        """Save a decision at once; `answer` is the new one of an edit.

        Raises:
            ResidencyError: the row would hold no example with that answer.
        """
        source = suspect.source
        new = becomes = None
        if verb == "edit":
            new, edited = answer, self.edited(suspect, answer)
            if edited is None:
                fix = "Give another one, or drop the row."
                raise ResidencyError("The row cannot hold this answer.", str(source), fix)
            becomes = edited.id
        why = ", ".join(dict.fromkeys(reason.check for reason in suspect.reasons))
        decision = Decision(source, suspect.example_id, verb, new, becomes, f"{by}: {why}")
        add_decision(self.decisions, decision)

    def edited(self, suspect: Suspect, answer: str) -> Example | None:
        """The example with another answer, or None where the row cannot hold it."""
        source = suspect.source
        after = with_answer(self.contents[source], self.examples[source], answer, self.data)
        return None if after is None else example_in(Row(source, after, None), self.data)


def open_review(data: Data, findings: Path) -> Review:
    """The review of the training file, of the rows that its check suspects."""
    return review_of(data, [Suspect.from_json(row) for row in read_jsonl(findings / "review.jsonl")])


def review_of(data: Data, queued: Sequence[Suspect]) -> Review:
    """The review of these rows but for those decided before, wherever they stand and as they were edited."""
    decisions = read_decisions(decisions_file(data.train))
    decided = {*decisions, *(decision.becomes for decision in decisions.values())}
    suspects = tuple(suspect for suspect in queued if suspect.example_id not in decided)
    root = naming_roots(sources_of(data))["train"]
    others = {reason.other for suspect in suspects for reason in suspect.reasons if reason.other}
    rows = rows_at(data.train, root, {suspect.source for suspect in suspects} | others)
    found = {source: example_in(row, data) for source, row in rows.items()}
    return Review(
        data,
        suspects,
        {source: plain(row.content) for source, row in rows.items() if row.content is not None},
        {source: example for source, example in found.items() if example is not None},
        len(queued) - len(suspects),
    )
