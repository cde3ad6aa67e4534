"""Leaks: test rows that ask what a training row asks, word for word or nearly so."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from residency.core.errors import ResidencyError, UnfitData
from residency.core.recipe import Split
from residency.data.findings import Finding, Flag, plural
from residency.data.ledger import Checked, Fate
from residency.data.twins.find import Twins, neighbours, told

Sides = Mapping[str, Sequence[Checked]]


class Leak(NamedTuple):
    """A held-out row, the row elsewhere most like it, and how similar they are."""

    held_out: Checked
    known: Checked
    similarity: float

    @property
    def exact(self) -> bool:
        """Whether the two have the same words in the same order."""
        return self.held_out.wording == self.known.wording


def find_leaks(known: Sequence[Checked], held_out: Sequence[Checked], twins: Sequence[Twins]) -> list[Leak]:
    """Each held-out row that has a twin among `known`, with the most similar one.

    Case, spacing and punctuation do not count: a model that has learned the one knows the other.
    """
    first: dict[str, Checked] = {}
    for row in known:
        first.setdefault(row.wording, row)
    near = neighbours(twins)
    leaks = []
    for row in held_out:
        alike = ((1.0, row.wording), *near.get(row.wording, ()))
        leaks += [Leak(row, first[wording], share) for share, wording in alike if wording in first][:1]
    return leaks


def leave_out_twins(
    sides: Sides, twins: Sequence[Twins], among: Collection[str] | None = None
) -> tuple[dict[str, list[Checked]], list[Fate]]:
    """The sides without the training and validation rows that are twins of test rows, and their fates.

    `among` are the wordings that are looked at; None for all.
    """
    kept, fates = {"test": list(sides["test"])}, []
    for side in ("train", "validation"):
        asked = [row for row in sides[side] if among is None or row.wording in among]
        leaks = {leak.held_out.example.source: leak for leak in find_leaks(sides["test"], asked, twins)}
        kept[side] = [row for row in sides[side] if row.example.source not in leaks]
        fates += [Fate.of(leak.held_out, "twin", _like(leak)) for leak in leaks.values()]
    return kept, fates


def require_no_overlap(sides: Sides, split: Split) -> None:
    """Raise UnfitData where test rows stand elsewhere word for word, unless the recipe allows it."""
    exact = find_leaks([*sides["train"], *sides["validation"]], sides["test"], ())
    if exact and not split.allow_overlap:
        raise _overlap_error(_stand_elsewhere(exact), exact)


def leak_findings(sides: Sides, twins: Sequence[Twins], split: Split) -> list[Finding]:
    """What is told of leaks into the test, and from the training to the validation rows."""
    train, validation, test = (sides[side] for side in ("train", "validation", "test"))
    leaks = find_leaks([*train, *validation], test, twins)
    exact = [leak for leak in leaks if leak.exact]
    near = [leak for leak in find_leaks(train, test, twins) if not leak.exact]
    findings = []
    if exact:
        lets = " split.allow_overlap lets this pass." if split.allow_overlap else ""
        findings.append(_finding("leak", f"{_stand_elsewhere(exact)}{lets}", exact))
    if near:
        what = f"{plural(len(near), 'test row', 'is')} nearly the same as a training row."
        findings.append(_finding("near-leak", what, near))
    if repeated := find_leaks(train, validation, ()):
        what = f"{plural(len(repeated), 'validation row', 'stands')} word for word in the training rows."
        findings.append(_finding("validation-leak", what, repeated))
    return findings


def _stand_elsewhere(leaks: Sequence[Leak]) -> str:
    return f"{plural(len(leaks), 'test row', 'stands')} word for word in the training or validation rows."


def _like(leak: Leak) -> str:
    if leak.exact:
        return f"same words as {leak.known.example.source}"
    return f"{told(leak.similarity)} to {leak.known.example.source}"


_DROP = "Leave the training rows out: --set split.drop_twins=true"


def _finding(check: str, what: str, leaks: Sequence[Leak]) -> Finding:
    fix = "Remove these rows from one of the files; scores on them say nothing of new inputs."
    if check != "validation-leak":
        fix = f"{_DROP}. Scores on such rows say little of new inputs."
    return Finding(check, "warning", what, tuple(_flag(leak) for leak in leaks), fix)


def _flag(leak: Leak) -> Flag:
    detail = "" if leak.exact else told(leak.similarity)
    other = leak.known.example.source
    return Flag(leak.held_out.example.source, detail, other, suspicion=leak.similarity)


def _overlap_error(what: str, leaks: Sequence[Leak]) -> UnfitData:
    shown = ", ".join(f"{leak.held_out.example.source} = {leak.known.example.source}" for leak in leaks[:5])
    more = f" and {len(leaks) - 5:,} more" if len(leaks) > 5 else ""
    fix = f"{_DROP}; or go on, and have it reported: --set split.allow_overlap=true"
    return UnfitData([ResidencyError(what, f"{shown}{more}", fix)])
