"""What the check tells: the ledger, one document of all findings, the review's queue and a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from residency.core.collector import without_collector
from residency.core.errors import UnfitData
from residency.core.recipe import Recipe, Split
from residency.core.records import Source
from residency.core.workspace import copy_file, write_json, write_jsonl, write_lines, write_text
from residency.data.check import Examination
from residency.data.checks.redact import without_secrets
from residency.data.excerpt import excerpt, shorten
from residency.data.fates import Ledger
from residency.data.findings import Finding, Flag
from residency.data.ledger import Fate
from residency.data.mending.review import Suspect, queue
from residency.data.reading.read import rows_at, shown_names
from residency.data.reading.row import Row
from residency.data.reading.sources import naming_roots
from residency.data.rows import Rows
from residency.data.split.freeze import Frozen
from residency.data.twins.leaks import find_leaks, leak_findings
from residency.pipeline.inputs import Inputs
from residency.pipeline.project import is_chat, is_record
from residency.verdict.data_page import render_data_page

_SHOWN = 20
"""Rows of a finding, and of the queue, that are shown in words."""
_BINS = 12
_WORST_FIRST = ("error", "warning", "note")


@without_collector()
def tell_findings(
    inputs: Inputs,
    examination: Examination,
    outcome: Frozen | UnfitData | None,
    frozen: Path | None,
    folder: Path,
) -> None:
    """Write `ledger.jsonl`, `check.json`, `review.jsonl` and `check.html`.

    `outcome` is the split, written to the folder `frozen`, or why training refuses the rows: their fates are
    then the files they come from.
    """
    ledger, found, leaks = _outcome(examination, inputs.recipe.split, outcome)
    fates = ledger.counts()
    findings = sorted(found, key=lambda finding: _WORST_FIRST.index(finding.severity))
    roots = naming_roots(inputs.files)
    suspects = _queue(findings, ledger.flagged(), shown_names(inputs.files["train"], roots["train"]))
    shown = {suspect.source for suspect in suspects[:_SHOWN]}
    shown |= {flag.source for finding in findings for flag in finding.rows[:_SHOWN]}
    readings = (rows_at(file, roots[role], shown) for role, file in inputs.files.items())
    told = _Told(inputs.recipe, {source: row for rows in readings for source, row in rows.items()})
    document = {
        "rows": sum(fates.values()),
        "files": {role: [file.name, examination.rows[role]] for role, file in inputs.files.items()},
        "fates": fates,
        "checks": [told.finding(finding) for finding in findings],
        "ceiling": None if examination.ceiling is None else examination.ceiling.to_json(),
        "leaks": leaks,
        "to_review": len(suspects),
        "labels": _labels(examination.examples["train"]),
        "lengths": _lengths(examination.examples["train"]),
    }
    top = [told.suspect(suspect) for suspect in suspects[:_SHOWN]]
    if frozen is None:
        write_lines(folder / "ledger.jsonl", ledger.lines())
    else:
        copy_file(frozen / "ledger.jsonl", folder / "ledger.jsonl")
    write_jsonl(folder / "review.jsonl", (suspect.to_json() for suspect in suspects))
    write_json(folder / "check.json", document)
    write_text(folder / "check.html", render_data_page(document, top))


class _Outcome(NamedTuple):
    """What became of the rows, with a split or without."""

    ledger: Ledger
    findings: Sequence[Finding]
    leaks: int


def _outcome(examination: Examination, split: Split, outcome: Frozen | UnfitData | None) -> _Outcome:
    if isinstance(outcome, Frozen):
        return _Outcome(outcome.ledger, outcome.findings, outcome.leaks)
    files, twins = examination.examples, examination.twins
    overlaps = leak_findings(files, twins, split)
    findings = (*examination.findings, *overlaps, *_refusals(outcome))
    leaks = len(find_leaks([files["train"]], files["test"], twins))
    return _Outcome(Ledger(files, examination.fates, findings), findings, leaks)


def _refusals(refusal: UnfitData | None) -> Iterator[Finding]:
    """Why training refuses the rows, as findings."""
    for error in refusal.errors if refusal else ():
        what = f"Training refuses this data: {error.what} ({error.where})"
        yield Finding("training-refuses", "error", what, (), error.fix)


def _queue(findings: Sequence[Finding], flagged: Iterable[Fate], train: Collection[str]) -> list[Suspect]:
    """The rows of the files `train` to look at, of those that can be used."""
    usable = (fate for fate in flagged if fate.fate not in ("refused", "over-long"))
    ids = {fate.source: fate.example_id for fate in usable if fate.source.file in train}
    return queue(findings, {source: id for source, id in ids.items() if id is not None})


class _Told:
    """Findings and suspects as they are told, with the texts of the first rows."""

    def __init__(self, recipe: Recipe, rows: Mapping[Source, Row]) -> None:
        self._data, self._rows = recipe.data, rows

    def finding(self, finding: Finding) -> dict[str, Any]:
        """`id`, `severity`, `explanation`, `fix`, and the `rows`, the first of them with an `excerpt`."""
        rows = [self._flag(flag, number < _SHOWN) for number, flag in enumerate(finding.rows)]
        return {**finding.__dict__, "explanation": without_secrets(finding.explanation), "rows": rows}

    def suspect(self, suspect: Suspect) -> dict[str, Any]:
        """As in `review.jsonl`, with an `excerpt`."""
        return {**suspect.to_json(), "excerpt": self._excerpt(suspect.source)}

    def _flag(self, flag: Flag, shown: bool) -> dict[str, Any]:
        told = flag.to_json()
        if flag.detail:
            told["detail"] = shorten(flag.detail)
        if shown:
            told["excerpt"] = self._excerpt(flag.source)
        return told

    def _excerpt(self, source: Source) -> str:
        row = self._rows.get(source)
        return "" if row is None else excerpt(row, self._data)


def _labels(rows: Rows) -> dict[str, int]:
    """How often each answer is given, the most common first, where answers are labels."""
    if not rows.labels or is_chat(rows.table["turns"].max()) or all(map(is_record, set(rows.labels))):
        return {}
    return {shorten(label): n for label, n in Counter(rows.labels).most_common()}


def _lengths(rows: Rows) -> list[dict[str, int]]:
    """Rows by their length in tokens, in bins of one width."""
    if not rows:
        return []
    tokens = rows.table["tokens"]
    width = max(1, -(-int(tokens.max()) // _BINS))
    counts = np.bincount((tokens - 1) // width)
    return [
        {"from": width * place + 1, "to": width * (place + 1), "rows": count}
        for place, count in enumerate(counts.tolist())
    ]
