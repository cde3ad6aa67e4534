"""Freezing the split: which rows are trained on and which are held out, drawn once and locked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np

from residency.core.collector import without_collector
from residency.core.errors import ResidencyError, UnfitData
from residency.core.recipe import Split
from residency.core.records import fingerprint
from residency.core.workspace import read_json, read_jsonl, write_json, write_lines
from residency.data.check import Examination
from residency.data.fates import Ledger
from residency.data.findings import Finding, plural
from residency.data.ledger import Fate, checks_by_row
from residency.data.rows import BATCH, Rows, batches, hex_of
from residency.data.split.lock import LOCKED, Locked
from residency.data.split.sides import SIDES, Bonds, Hold, in_clusters, newly_locked, place
from residency.data.texts import Block, Spool, as_bytes
from residency.data.twins.find import Twins, find_among
from residency.data.twins.leaks import find_leaks, leak_findings, leave_out_twins, require_no_overlap

LEAST = {"train": 8, "validation": 2, "test": 2}
"""Fewer rows than these on a side are an error."""


@dataclass(frozen=True)
class Frozen:
    """The three sides, the fates of the rows on none of them, and the hash that locks the test."""

    train: Rows
    validation: Rows
    test: Rows
    left_out: tuple[Fate, ...]
    """In the order of files and rows."""
    findings: tuple[Finding, ...]
    """What the check found, and what the split leaks."""
    test_hash: str
    leaks: int
    """Test rows that ask what a training row asks, word for word or nearly so."""
    new: Iterable[Locked] = field(default=(), compare=False)
    """The inputs drawn for the first time; of a split that was read, `locked.jsonl` alone has them."""

    @property
    def sides(self) -> dict[str, Rows]:
        """The rows by side."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def ledger(self) -> Ledger:
        """What became of all rows read."""
        return Ledger(self.sides, self.left_out, self.findings)

    def write(self, folder: Path) -> None:
        """Write the rows of each side, `ledger.jsonl`, `locked.jsonl` and `frozen.json`."""
        for side, rows in self.sides.items():
            write_lines(folder / f"{side}.jsonl", rows.lines())
        write_lines(folder / "ledger.jsonl", self.ledger.lines())
        write_lines(folder / LOCKED, (new.line() for new in self.new))
        findings = [finding.to_json() for finding in self.findings]
        content = {"test_hash": self.test_hash, "leaks": self.leaks, "findings": findings}
        write_json(folder / "frozen.json", content)

    @staticmethod
    def read(folder: Path) -> Frozen:
        """The split that `write` wrote.

        Raises:
            ResidencyError: a side is missing or cut off, or the test rows are not those that were frozen.
        """
        content = read_json(folder / "frozen.json")
        train, validation, test = (Rows.read(folder / f"{side}.jsonl") for side in SIDES)
        if hash_test(row.example.id for row in test) != content["test_hash"]:
            what = "The test rows are not those that were frozen."
            fix = f"Delete the folder {folder} and run again."
            raise ResidencyError(what, str(folder / "test.jsonl"), fix)
        fates = map(Fate.from_json, read_jsonl(folder / "ledger.jsonl"))
        left_out = tuple(fate for fate in fates if fate.fate not in SIDES)
        findings = tuple(Finding.from_json(finding) for finding in content["findings"])
        return Frozen(train, validation, test, left_out, findings, content["test_hash"], content["leaks"])


@without_collector()
def freeze(
    examination: Examination,
    split: Split,
    near: float = 0.8,
    locked: Iterable[Locked] = (),
    folder: Path | None = None,
) -> Frozen:
    """Take own test and validation files whole, and draw from the training file what is not there.

    `locked` are the inputs drawn in earlier freezes: they stay on their sides, and new rows at least
    `near` similar to one of them join it, also where that row itself is no longer in the file. Those that
    `split.drop_twins` left out then stay out, whatever it says now, while a twin of theirs is in the test.
    `folder` has room for texts that are compared.

    Raises:
        UnfitData: a side has too few rows, or the test overlaps with the others and may not.
    """
    drawn, twins = examination.examples["train"], examination.twins
    shares = {"test": split.test, "validation": split.validation}
    own = [side for side in shares if side in examination.rows]
    wanted = {side: _count(share, len(drawn)) for side, share in shares.items() if side not in own}
    holds, removed = _take_up(locked, drawn)
    bonds = Bonds((*twins, *_twins_of_removed(drawn, near, holds, removed, folder)), holds)
    sides, fates = place(drawn, wanted, split.seed, bonds)
    placed = {side: rows for side, rows in sides.items() if side not in own}
    sides |= {side: examination.examples[side] for side in own}
    among = None if split.drop_twins else {hold.wording for hold in holds if hold.left_out}
    left_out: list[Fate] = []
    if among is None or among:
        sides, left_out = leave_out_twins(sides, twins, among)
        fates += left_out
    sides["test"] = in_clusters(sides["test"], twins)
    _require_enough(sides, len(drawn))
    require_no_overlap(sides, split)
    findings = (*examination.findings, *leak_findings(sides, twins, split))
    fired = checks_by_row(findings)
    lost = (replace(fate, checks=fired.get(fate.source, ())) for fate in (*examination.fates, *fates))
    return Frozen(
        sides["train"],
        sides["validation"],
        sides["test"],
        tuple(sorted(lost, key=lambda fate: (fate.source.file, fate.source.row))),
        findings,
        hash_test(map(hex_of, sides["test"].table["id"].tolist())),
        len(find_leaks([sides["train"]], sides["test"], twins)),
        newly_locked(placed, {fate.source for fate in left_out}, holds),
    )


def hash_test(ids: Iterable[str]) -> str:
    """Hash over the sorted ids of the test rows."""
    return fingerprint(sorted(ids), length=64)


def _take_up(locked: Iterable[Locked], rows: Rows) -> tuple[list[Hold], dict[int, str]]:
    """What the lock holds, and the words of the inputs among it that are no longer in the file."""
    holds: list[Hold] = []
    removed: dict[int, str] = {}
    present: set[int] = set()
    for entry in locked:
        present = present or set(rows.table["wording"].tolist())
        holds.append(Hold.of(entry))
        if holds[-1].wording not in present:
            removed[holds[-1].wording] = entry.words
    return holds, removed


def _twins_of_removed(
    rows: Rows, near: float, holds: Sequence[Hold], removed: Mapping[int, str], folder: Path | None
) -> tuple[Twins, ...]:
    """Twins of new rows among the locked inputs that are no longer in the file."""
    if not removed:
        return ()
    before = np.fromiter((hold.wording for hold in holds), np.uint64, len(holds))
    wordings, first = np.unique(rows.table["wording"], return_index=True)
    new = ~np.isin(wordings, before)
    if not new.any():
        return ()
    spool = Spool(folder)
    for batch in batches(chain(rows.words.take(first[new]).raw(), map(as_bytes, removed.values())), BATCH):
        spool.add(Block.of(batch))
    gone = np.fromiter(removed, np.uint64, len(removed))
    return find_among(np.concatenate([wordings[new], gone]), spool.texts(), near)


def _count(wanted: float, rows: int) -> int:
    return round(wanted * rows if wanted < 1 else wanted)


def _require_enough(sides: Mapping[str, Rows], drawn: int) -> None:
    for side, least in LEAST.items():
        if len(sides[side]) < least:
            what = (
                f"{plural(len(sides[side]), 'row')} would be left for {side}, and {least} are needed: "
                f"{plural(drawn, 'usable row')} in the training file."
            )
            fix = "Add rows, or set [split] test and validation to numbers that leave enough for each side."
            raise UnfitData([ResidencyError(what, "split", fix)])
