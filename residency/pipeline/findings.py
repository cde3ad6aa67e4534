"""What the check tells: the ledger, one document of all findings, the review's queue and a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from residency.core.collector import without_collector
from residency.core.errors import UnfitData
from residency.core.recipe import Recipe, Split
from residency.core.records import Source
from residency.core.workspace import copy_file, write_json, write_jsonl, write_text
from residency.data.check import Examination
from residency.data.checks.redact import without_secrets
from residency.data.excerpt import excerpt, rows_at, shorten
from residency.data.findings import Finding, Flag
from residency.data.ledger import Checked, Fate, count_fates, with_checks
from residency.data.mending.review import Suspect, queue
from residency.data.reading.read import shown_names
from residency.data.reading.row import Row
from residency.data.reading.sources import naming_roots
from residency.data.split.freeze import Frozen
from residency.data.twins.leaks import find_leaks, leak_findings
from residency.pipeline.inputs import Inputs
from residency.pipeline.project import guess_kind
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
    fates, found, leaks = _outcome(examination, inputs.recipe.split, outcome)
    findings = sorted(found, key=lambda finding: _WORST_FIRST.index(finding.severity))
    roots = naming_roots(inputs.files)
    suspects = _queue(findings, fates, shown_names(inputs.files["train"], roots["train"]))
    shown = {suspect.source for suspect in suspects[:_SHOWN]}
    shown |= {flag.source for finding in findings for flag in finding.rows[:_SHOWN]}
    readings = (rows_at(file, roots[role], shown) for role, file in inputs.files.items())
    told = _Told(inputs.recipe, {source: row for rows in readings for source, row in rows.items()})
    document = {
        "rows": len(fates),
        "files": {role: [file.name, examination.rows[role]] for role, file in inputs.files.items()},
        "fates": count_fates(fates),
        "checks": [told.finding(finding) for finding in findings],
        "ceiling": None if examination.ceiling is None else examination.ceiling.to_json(),
        "leaks": leaks,
        "to_review": len(suspects),
        "labels": _labels(examination.examples["train"]),
        "lengths": _lengths(examination.examples["train"]),
    }
    top = [told.suspect(suspect) for suspect in suspects[:_SHOWN]]
    if frozen is None:
        write_jsonl(folder / "ledger.jsonl", (fate.to_json() for fate in fates))
    else:
        copy_file(frozen / "ledger.jsonl", folder / "ledger.jsonl")
    write_jsonl(folder / "review.jsonl", (suspect.to_json() for suspect in suspects))
    write_json(folder / "check.json", document)
    write_text(folder / "check.html", render_data_page(document, top))


class _Outcome(NamedTuple):
    """What became of the rows, with a split or without."""

    fates: Sequence[Fate]
    findings: Sequence[Finding]
    leaks: int


def _outcome(examination: Examination, split: Split, outcome: Frozen | UnfitData | None) -> _Outcome:
    if isinstance(outcome, Frozen):
        return _Outcome(outcome.fates, outcome.findings, outcome.leaks)
    files, twins = examination.examples, examination.twins
    overlaps = leak_findings(files, twins, split)
    findings = (*examination.findings, *overlaps, *_refusals(outcome))
    kept = (Fate.of(row, role) for role, rows in files.items() for row in rows)
    fates = with_checks((*examination.fates, *kept), findings)
    in_order = sorted(fates, key=lambda fate: (fate.source.file, fate.source.row))
    return _Outcome(in_order, findings, len(find_leaks(files["train"], files["test"], twins)))


def _refusals(refusal: UnfitData | None) -> Iterator[Finding]:
    """Why training refuses the rows, as findings."""
    for error in refusal.errors if refusal else ():
        what = f"Training refuses this data: {error.what} ({error.where})"
        yield Finding("training-refuses", "error", what, (), error.fix)


def _queue(findings: Sequence[Finding], fates: Sequence[Fate], train: Collection[str]) -> list[Suspect]:
    """The rows of the files `train` to look at, of those that can be used."""
    flagged = {flag.source for finding in findings for flag in finding.rows if flag.source.file in train}
    usable = (fate for fate in fates if fate.fate not in ("refused", "over-long"))
    ids = {fate.source: fate.example_id for fate in usable if fate.source in flagged}
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


def _labels(rows: Sequence[Checked]) -> dict[str, int]:
    """How often each answer is given, the most common first, where answers are labels."""
    examples = [row.example for row in rows]
    if not examples or guess_kind(examples) != "classify":
        return {}
    return {shorten(label): n for label, n in Counter(e.answer for e in examples).most_common()}


def _lengths(rows: Sequence[Checked]) -> list[dict[str, int]]:
    """Rows by their length in tokens, in bins of one width."""
    if not rows:
        return []
    longest = max(row.tokens for row in rows)
    width = max(1, -(-longest // _BINS))
    counts = Counter((row.tokens - 1) // width for row in rows)
    return [
        {"from": width * place + 1, "to": width * (place + 1), "rows": counts[place]}
        for place in range(max(counts) + 1)
    ]
