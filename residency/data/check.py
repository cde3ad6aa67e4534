"""Examining the data: what can be used, what is left out and why, and what the user should know."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from residency.core.collector import without_collector
from residency.core.errors import ResidencyError
from residency.core.recipe import Data
from residency.core.workspace import read_json, read_jsonl, write_json, write_jsonl, write_lines
from residency.data.ceiling import Ceiling, find_ceiling
from residency.data.checks import find_all
from residency.data.checks.label_errors import note_unsearched
from residency.data.duplicates import conflicts, repeats
from residency.data.findings import Finding, Flag, plural
from residency.data.ledger import Checked, Fate
from residency.data.reading.read import list_files, shown_name
from residency.data.reading.sources import naming_roots, sources_of
from residency.data.rows import BATCH, Places, Rows, Store, batches, pack
from residency.data.shapes.preferences import PREFERENCE
from residency.data.twins.find import Twins, find_twins, near_findings
from residency.data.usable import RATED_BAD, Measure, Reading, Refusal, Renderer, check_system

FILES = ("train", "validation", "test")
_TOLD = {"duplicate": "duplicate of", "conflict": "conflict with"}


@dataclass(frozen=True)
class Examination:
    """What the check gives: the rows kept by the file they come from, and the fates of all others."""

    examples: Mapping[str, Rows]
    fates: tuple[Fate, ...]
    findings: tuple[Finding, ...]
    rows: Mapping[str, int]
    """Rows read: `train` and, where the recipe names them, `validation` and `test`."""
    twins: tuple[Twins, ...] = ()
    """Wordings of all files that are nearly the same."""
    stops: tuple[ResidencyError, ...] = ()
    """Why training refuses these rows, if it does; examining them does not stop there."""
    ceiling: Ceiling | None = None
    """What no model can exceed on such rows; None where too few inputs stand more than once to tell."""

    def write(self, folder: Path) -> None:
        """Write `examples.jsonl`, `fates.jsonl`, `twins.jsonl` and `examination.json`."""
        heads = {name: f'{{"of": {json.dumps(name)}, '.encode() for name in FILES}
        kept = (heads[name] + line[1:] for name in FILES for line in self.examples[name].lines())
        write_lines(folder / "examples.jsonl", kept)
        write_jsonl(folder / "fates.jsonl", (fate.to_json() for fate in self.fates))
        write_jsonl(folder / "twins.jsonl", (twins._asdict() for twins in self.twins))
        findings = [finding.to_json() for finding in self.findings]
        stops = [error.to_json() for error in self.stops]
        ceiling = None if self.ceiling is None else self.ceiling.to_json()
        content = {"rows": dict(self.rows), "ceiling": ceiling, "findings": findings, "stops": stops}
        write_json(folder / "examination.json", content)

    @staticmethod
    def read(folder: Path, room: Path | None = None) -> Examination:
        """The examination that `write` wrote; `room` is the folder for its rows as long as they are used."""
        store, roles = Store(room), list[int]()
        for batch in batches(read_jsonl(folder / "examples.jsonl"), BATCH):
            store.add(pack([Checked.from_json(row) for row in batch]))
            roles += [FILES.index(row["of"]) for row in batch]
        rows, role = store.rows(), np.array(roles, np.int8)
        content = read_json(folder / "examination.json")
        return Examination(
            {name: rows.where(role == number) for number, name in enumerate(FILES)},
            tuple(Fate.from_json(row) for row in read_jsonl(folder / "fates.jsonl")),
            tuple(Finding.from_json(finding) for finding in content["findings"]),
            content["rows"],
            tuple(Twins(**twins) for twins in read_jsonl(folder / "twins.jsonl")),
            tuple(ResidencyError(**error) for error in content["stops"]),
            None if content["ceiling"] is None else Ceiling.from_json(content["ceiling"]),
        )


@without_collector()
def examine(
    data: Data, system: str, renderer: Renderer, group: str | None = None, folder: Path | None = None
) -> Examination:
    """Read and check the recipe's files, each on its own: rows in two files are the split's business.

    `group` is the column of `split.group`; `folder` has room for the rows while they are examined.

    Raises:
        ResidencyError: a file cannot be read, or none of its rows can be used.
    """
    check_system(system, renderer)
    measure, store = Measure(data, system, renderer, group), Store(folder)
    sources = sources_of(data)
    roots = naming_roots(sources)
    readings = {name: measure.read(source, roots[name], store) for name, source in sources.items()}
    compared = {name: compare_rows(reading.usable, data) for name, reading in readings.items()}
    refusals = [refusal for reading in readings.values() for refusal in reading.refusals]
    kept = {name: compared[name].rows if name in compared else Rows.of((), folder) for name in FILES}
    usable = store.rows()
    twins = find_twins(usable.take(_among_all(compared.values())), data.near)
    return Examination(
        kept,
        (*(r.fate for r in refusals), *(fate for rows in compared.values() for fate in rows.fates)),
        (
            *refused_rows(refusals),
            *repeated_rows(list(compared.values()), data),
            *near_findings(list(kept.values()), twins),
            *find_all([(rows, _flags_of(name, readings, compared)) for name, rows in kept.items()], data),
            *note_unsearched(kept.values(), data),
            *unused_columns({shown_name(r.source, roots[n]): r.unused for n, r in readings.items()}),
            *passed_over(sources.values()),
            *told_shapes(list(readings.values())),
        ),
        {name: reading.rows for name, reading in readings.items()},
        twins,
        tuple(reading.stop for reading in readings.values() if reading.stop is not None),
        find_ceiling(usable, twins),
    )


@dataclass(frozen=True)
class Comparison:
    """The rows of one file against each other."""

    among: int
    """Rows compared."""
    kept: Places
    rows: Rows
    """Those at the places kept."""
    fates: tuple[Fate, ...]
    duplicates: tuple[Flag, ...]
    conflicts: tuple[Flag, ...]


def compare_rows(rows: Rows, data: Data) -> Comparison:
    """Find rows that repeat or contradict each other, and leave out those the recipe says to drop."""
    kept, among = np.arange(len(rows)), rows
    repeated = repeats(rows.table["id"])
    dropped: list[Fate] = []
    if data.duplicates == "drop":
        kept = _leave_out(rows, kept, "duplicate", repeated, dropped)
        among = rows.take(kept)
    table = among.table
    pairs = conflicts(table["input_id"], table["answer"])
    contradicted = {int(kept[one]): int(kept[other]) for one, other in pairs.items()}
    if data.conflicts == "drop":
        kept = _leave_out(rows, kept, "conflict", contradicted, dropped)
    flags = (_flags(rows, repeated), _flags(rows, contradicted))
    return Comparison(len(rows), kept, rows.take(kept), tuple(dropped), *flags)


def _among_all(compared: Iterable[Comparison]) -> Places:
    """The places of the rows kept, among those of all files one after the other."""
    begin, places = 0, [np.empty(0, np.int64)]
    for comparison in compared:
        places.append(begin + comparison.kept)
        begin += comparison.among
    return np.concatenate(places)


def _flags_of(
    name: str, readings: Mapping[str, Reading], compared: Mapping[str, Comparison]
) -> list[tuple[str, Flag]]:
    """What the row checks found in the rows of a file that are kept."""
    if name not in readings:
        return []
    kept = np.zeros(compared[name].among, bool)
    kept[compared[name].kept] = True
    return [(check, flag) for place, check, flag in readings[name].flags if kept[place]]


def refused_rows(refusals: Sequence[Refusal]) -> list[Finding]:
    """A finding for each check that refused rows."""
    by_check: dict[str, list[Refusal]] = {}
    for refusal in refusals:
        by_check.setdefault(refusal.check, []).append(refusal)
    return [_refused_by(check, fired) for check, fired in by_check.items()]


def repeated_rows(compared: Sequence[Comparison], data: Data) -> list[Finding]:
    """Duplicates and conflicts."""
    duplicates = tuple(row for rows in compared for row in rows.duplicates)
    contradicted = tuple(row for rows in compared for row in rows.conflicts)
    findings = []
    if duplicates:
        done = "left out" if data.duplicates == "drop" else "kept, as data.duplicates = keep says"
        what = f"{plural(len(duplicates), 'row', 'repeats')} an earlier row of the same file exactly: {done}."
        fix = "Remove them, unless repeating is meant: then --set data.duplicates=keep"
        findings.append(Finding("duplicate", "warning", what, duplicates, fix))
    if contradicted:
        done = "all left out" if data.conflicts == "drop" else "kept, as data.conflicts = keep says"
        what = (
            f"{plural(len(contradicted), 'row', 'asks')} exactly what another row of the same file asks, "
            f"and the answers differ: {done}."
        )
        fix = "Decide which answer is right and remove the others."
        findings.append(Finding("conflict", "warning", what, contradicted, fix))
    return findings


def unused_columns(columns: Mapping[str, Iterable[str]]) -> list[Finding]:
    """One note on the columns that nothing was taken from, by the name of what they stand in."""
    told = [f"{name}: {', '.join(unused)}" for name, unused in columns.items() if unused]
    if not told:
        return []
    what = f"Columns that were not used: {'; '.join(told)}."
    fix = "If one of them holds the input or the answer: --set data.input=... --set data.output=..."
    return [Finding("unused-columns", "note", what, (), fix)]


def passed_over(sources: Iterable[Path]) -> list[Finding]:
    """One note on what folders hold beside files with rows."""
    told = [entry for source in sources for entry in list_files(source).passed_over]
    if not told:
        return []
    shown = ", ".join(told[:8]) + (f" and {len(told) - 8:,} more" if len(told) > 8 else "")
    fix = "If there are examples among them, give them the ending of their format."
    return [Finding("unread-files", "note", f"Not read: {shown}.", (), fix)]


def told_shapes(readings: Sequence[Reading]) -> list[Finding]:
    """Notes on files that mix shapes, and on what is learned from preferences."""
    findings = []
    if mixed := [reading for reading in readings if len(reading.shapes) > 1]:
        counts = [", ".join(f"{n:,} {shape}" for shape, n in r.shapes.most_common()) for r in mixed]
        told = "; ".join(f"{r.source.name}: {count}" for r, count in zip(mixed, counts, strict=True))
        fix = "Nothing, if that is meant: each row is read by its own columns."
        findings.append(Finding("mixed-shapes", "note", f"Rows of several shapes: {told}.", (), fix))
    if preferences := sum(reading.shapes[PREFERENCE.name] for reading in readings):
        what = (
            f"{plural(preferences, 'row', 'is')} a choice between two answers: sft learns the one that was "
            "preferred; the other stays on record."
        )
        findings.append(Finding("preferences", "note", what, (), "Nothing is to be done."))
    return findings


def _refused_by(check: str, refusals: Sequence[Refusal]) -> Finding:
    reasons = list(dict.fromkeys(refusal.fate.detail for refusal in refusals))
    shown = "; ".join(reasons[:3]) + ("; and others" if len(reasons) > 3 else "")
    what = f"{plural(len(refusals), 'row')} left out: {shown}."
    mistake = check != RATED_BAD
    return Finding(
        check,
        "error" if mistake else "note",
        what,
        tuple(Flag(r.fate.source, r.fate.detail, suspicion=float(mistake)) for r in refusals),
        refusals[0].fix,
    )


def _leave_out(rows: Rows, kept: Places, fate: str, others: Mapping[int, int], dropped: list[Fate]) -> Places:
    """The places kept without those in `others`, whose fates are added to `dropped`."""
    out = np.isin(kept, np.fromiter(others, np.int64, len(others)))
    dropped += [
        rows.fate(place, fate, f"{_TOLD[fate]} {rows.source(others[place])}") for place in kept[out].tolist()
    ]
    return kept[~out]


def _flags(rows: Rows, pairs: Mapping[int, int]) -> tuple[Flag, ...]:
    return tuple(
        Flag(rows.source(place), other=rows.source(other), suspicion=0.9) for place, other in pairs.items()
    )
