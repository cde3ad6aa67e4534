"""Leaks: test rows that ask what a training row asks, word for word or nearly so."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from residency.core.errors import ResidencyError, UnfitData
from residency.core.recipe import Split
from residency.core.records import Source
from residency.data.findings import Finding, Flag, plural
from residency.data.ledger import Fate
from residency.data.rows import Rows
from residency.data.twins.find import Twins, near_hashes, told

Sides = Mapping[str, Rows]


class Leak(NamedTuple):
    """A held-out row, the row elsewhere most like it, and how similar they are."""

    place: int
    """Of the held-out row, among those that were looked at."""
    held_out: Source
    known: Source
    similarity: float
    exact: bool
    """Whether the two have the same words in the same order."""


def find_leaks(known: Iterable[Rows], held_out: Rows, twins: Sequence[Twins]) -> list[Leak]:
    """Each held-out row that has a twin among `known`, with the most similar one.

    Case, spacing and punctuation do not count: a model that has learned the one knows the other.
    """
    near, wordings = near_hashes(twins), held_out.table["wording"]
    sought = np.concatenate([wordings, np.fromiter(near, np.uint64, len(near))])
    first: dict[int, Source] = {}
    for rows in known:
        there, at = np.unique(rows.table["wording"], return_index=True)
        among = np.isin(there, sought)
        for wording, place in zip(there[among].tolist(), at[among].tolist(), strict=True):
            if wording not in first:
                first[wording] = rows.source(place)
    leaks = []
    asked = np.isin(wordings, np.fromiter((*first, *near), np.uint64, len(first) + len(near)))
    for place in np.flatnonzero(asked).tolist():
        own = int(wordings[place])
        for alike, wording in ((1.0, own), *near.get(own, ())):
            if wording in first:
                leaks.append(Leak(place, held_out.source(place), first[wording], alike, wording == own))
                break
    return leaks


def leave_out_twins(
    sides: Sides, twins: Sequence[Twins], among: Collection[int] | None = None
) -> tuple[dict[str, Rows], list[Fate]]:
    """The sides without the training and validation rows that are twins of test rows, and their fates.

    `among` are the wordings that are looked at; None for all.
    """
    kept, fates = {"test": sides["test"]}, list[Fate]()
    for side in ("train", "validation"):
        rows = sides[side]
        left = np.ones(len(rows), bool)
        for leak in find_leaks([sides["test"]], rows, twins):
            if among is None or int(rows.table["wording"][leak.place]) in among:
                left[leak.place] = False
                fates.append(rows.fate(leak.place, "twin", _like(leak)))
        kept[side] = rows.where(left)
    return kept, fates


def require_no_overlap(sides: Sides, split: Split) -> None:
    """Raise UnfitData where test rows stand elsewhere word for word, unless the recipe allows it."""
    exact = find_leaks([sides["train"], sides["validation"]], sides["test"], ())
    if exact and not split.allow_overlap:
        raise _overlap_error(_stand_elsewhere(exact), exact)


def leak_findings(sides: Sides, twins: Sequence[Twins], split: Split) -> list[Finding]:
    """What is told of leaks into the test, and from the training to the validation rows."""
    train, validation, test = (sides[side] for side in ("train", "validation", "test"))
    leaks = find_leaks([train, validation], test, twins)
    exact = [leak for leak in leaks if leak.exact]
    near = [leak for leak in find_leaks([train], test, twins) if not leak.exact]
    findings = []
    if exact:
        lets = " split.allow_overlap lets this pass." if split.allow_overlap else ""
        findings.append(_finding("leak", f"{_stand_elsewhere(exact)}{lets}", exact))
    if near:
        what = f"{plural(len(near), 'test row', 'is')} nearly the same as a training row."
        findings.append(_finding("near-leak", what, near))
    if repeated := find_leaks([train], validation, ()):
        what = f"{plural(len(repeated), 'validation row', 'stands')} word for word in the training rows."
        findings.append(_finding("validation-leak", what, repeated))
    return findings


def _stand_elsewhere(leaks: Sequence[Leak]) -> str:
    return f"{plural(len(leaks), 'test row', 'stands')} word for word in the training or validation rows."


def _like(leak: Leak) -> str:
    if leak.exact:
        return f"same words as {leak.known}"
    return f"{told(leak.similarity)} to {leak.known}"


_DROP = "Leave the training rows out: --set split.drop_twins=true"


def _finding(check: str, what: str, leaks: Sequence[Leak]) -> Finding:
    fix = "Remove these rows from one of the files; scores on them say nothing of new inputs."
    if check != "validation-leak":
        fix = f"{_DROP}. Scores on such rows say little of new inputs."
    return Finding(check, "warning", what, tuple(_flag(leak) for leak in leaks), fix)


def _flag(leak: Leak) -> Flag:
    detail = "" if leak.exact else told(leak.similarity)
    return Flag(leak.held_out, detail, leak.known, suspicion=leak.similarity)


def _overlap_error(what: str, leaks: Sequence[Leak]) -> UnfitData:
    shown = ", ".join(f"{leak.held_out} = {leak.known}" for leak in leaks[:5])
    more = f" and {len(leaks) - 5:,} more" if len(leaks) > 5 else ""
    fix = f"{_DROP}; or go on, and have it reported: --set split.allow_overlap=true"
    return UnfitData([ResidencyError(what, f"{shown}{more}", fix)])
