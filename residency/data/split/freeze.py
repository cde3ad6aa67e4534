"""Freezing the split: which rows are trained on and which are held out, drawn once and locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from residency.core.collector import without_collector
from residency.core.errors import ResidencyError, UnfitData
from residency.core.recipe import Split
from residency.core.records import fingerprint
from residency.core.workspace import read_json, read_jsonl, write_json, write_jsonl
from residency.data.check import Examination
from residency.data.duplicates import words
from residency.data.findings import Finding, plural
from residency.data.ledger import Checked, Fate, with_checks
from residency.data.split.lock import LOCKED, Locked
from residency.data.split.sides import SIDES, Bonds, New, in_clusters, newly_locked, place
from residency.data.twins.find import Twins, find_twin_words
from residency.data.twins.leaks import find_leaks, leak_findings, leave_out_twins, require_no_overlap

LEAST = {"train": 8, "validation": 2, "test": 2}
"""Fewer rows than these on a side are an error."""


@dataclass(frozen=True)
class Frozen:
    """The three sides, the fates of all rows read, and the hash that locks the test."""

    train: tuple[Checked, ...]
    validation: tuple[Checked, ...]
    test: tuple[Checked, ...]
    fates: tuple[Fate, ...]
    findings: tuple[Finding, ...]
    """What the check found, and what the split leaks."""
    test_hash: str
    leaks: int
    """Test rows that ask what a training row asks, word for word or nearly so."""
    new: tuple[New, ...] = field(default=(), compare=False)
    """The inputs drawn for the first time; of a split that was read, `locked.jsonl` alone has them."""

    def write(self, folder: Path) -> None:
        """Write the rows of each side, `ledger.jsonl`, `locked.jsonl` and `frozen.json`."""
        for side, rows in zip(SIDES, (self.train, self.validation, self.test), strict=True):
            write_jsonl(folder / f"{side}.jsonl", (row.to_json() for row in rows))
        write_jsonl(folder / "ledger.jsonl", (fate.to_json() for fate in self.fates))
        write_jsonl(folder / LOCKED, (new.locked.to_json() for new in self.new))
        findings = [finding.to_json() for finding in self.findings]
        content = {"test_hash": self.test_hash, "leaks": self.leaks, "findings": findings}
        write_json(folder / "frozen.json", content)

    @staticmethod
    def read(folder: Path) -> Frozen:
        """The split that `write` wrote.

        Raises:
            ResidencyError: the test rows are not those that were frozen.
        """
        content = read_json(folder / "frozen.json")
        train, validation, test = (
            tuple(Checked.from_json(row) for row in read_jsonl(folder / f"{side}.jsonl")) for side in SIDES
        )
        if hash_test(test) != content["test_hash"]:
            what = "The test rows are not those that were frozen."
            fix = f"Delete the folder {folder} and run again."
            raise ResidencyError(what, str(folder / "test.jsonl"), fix)
        fates = tuple(Fate.from_json(row) for row in read_jsonl(folder / "ledger.jsonl"))
        findings = tuple(Finding.from_json(finding) for finding in content["findings"])
        return Frozen(train, validation, test, fates, findings, content["test_hash"], content["leaks"])


@without_collector()
def freeze(
    examination: Examination, split: Split, near: float = 0.8, locked: Sequence[Locked] = ()
) -> Frozen:
    """Take own test and validation files whole, and draw from the training file what is not there.

    `locked` are the inputs drawn in earlier freezes: they stay on their sides, and new rows at least
    `near` similar to one of them join it, also where that row itself is no longer in the file. Those that
    `split.drop_twins` left out then stay out, whatever it says now, while a twin of theirs is in the test.

    Raises:
        UnfitData: a side has too few rows, or the test overlaps with the others and may not.
    """
    drawn = examination.examples["train"]
    shares = {"test": split.test, "validation": split.validation}
    own = [side for side in shares if side in examination.rows]
    wanted = {side: _count(share, len(drawn)) for side, share in shares.items() if side not in own}
    removed = _twins_of_removed(drawn, near, locked)
    sides, fates = place(drawn, wanted, split.seed, Bonds((*examination.twins, *removed), locked))
    placed = {side: rows for side, rows in sides.items() if side not in own}
    sides |= {side: list(examination.examples[side]) for side in own}
    among = None if split.drop_twins else {fingerprint(known.words) for known in locked if known.left_out}
    left_out: list[Fate] = []
    if among is None or among:
        sides, left_out = leave_out_twins(sides, examination.twins, among)
        fates += left_out
    sides["test"] = in_clusters(sides["test"], examination.twins)
    _require_enough(sides, len(drawn))
    require_no_overlap(sides, split)
    findings = (*examination.findings, *leak_findings(sides, examination.twins, split))
    fates += [Fate.of(row, side) for side in SIDES for row in sides[side]]
    fates = with_checks((*examination.fates, *fates), findings)
    return Frozen(
        tuple(sides["train"]),
        tuple(sides["validation"]),
        tuple(sides["test"]),
        tuple(sorted(fates, key=lambda fate: (fate.source.file, fate.source.row))),
        findings,
        hash_test(sides["test"]),
        len(find_leaks(sides["train"], sides["test"], examination.twins)),
        tuple(newly_locked(placed, {fate.source for fate in left_out}, locked)),
    )


def hash_test(rows: Sequence[Checked]) -> str:
    """Hash over the sorted ids of the test rows."""
    return fingerprint(sorted(row.example.id for row in rows), length=64)


def _twins_of_removed(rows: Sequence[Checked], near: float, locked: Sequence[Locked]) -> tuple[Twins, ...]:
    """Twins of new rows among the locked inputs that are no longer in the file."""
    present = {row.wording for row in rows}
    before = {fingerprint(known.words): known.words for known in locked}
    removed = {wording: text for wording, text in before.items() if wording not in present}
    if not removed:
        return ()
    new = {row.wording: words(row.example) for row in rows if row.wording not in before}
    return find_twin_words(new | removed, near) if new else ()


def _count(wanted: float, rows: int) -> int:
    return round(wanted * rows if wanted < 1 else wanted)


def _require_enough(sides: Mapping[str, Sequence[Checked]], drawn: int) -> None:
    for side, least in LEAST.items():
        if len(sides[side]) < least:
            what = (
                f"{plural(len(sides[side]), 'row')} would be left for {side}, and {least} are needed: "
                f"{plural(drawn, 'usable row')} in the training file."
            )
            fix = "Add rows, or set [split] test and validation to numbers that leave enough for each side."
            raise UnfitData([ResidencyError(what, "split", fix)])
