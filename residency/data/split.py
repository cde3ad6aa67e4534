"""Freezing the split: which rows are trained on and which are held out, drawn once and locked by hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from residency.core.errors import ResidencyError
from residency.core.recipe import Split
from residency.core.records import Example, fingerprint
from residency.core.workspace import read_json, read_jsonl, write_json, write_jsonl
from residency.data.check import Examination
from residency.data.duplicates import wording
from residency.data.findings import Finding, Flag, plural
from residency.data.ledger import Checked, Fate

SIDES = ("train", "validation", "test")
LEAST = {"train": 10, "validation": 2, "test": 2}
"""Fewer rows than these on a side are an error."""


@dataclass(frozen=True)
class Frozen:
    """The three sides, the fates of all rows read, and the hash that locks the test."""

    train: tuple[Checked, ...]
    validation: tuple[Checked, ...]
    test: tuple[Checked, ...]
    fates: tuple[Fate, ...]
    findings: tuple[Finding, ...]
    """What the check found, and the overlap that `split.allow_overlap` let pass."""
    test_hash: str

    def write(self, folder: Path) -> None:
        """Write `train.jsonl`, `validation.jsonl`, `test.jsonl`, `ledger.jsonl` and `frozen.json`."""
        for side, rows in zip(SIDES, (self.train, self.validation, self.test), strict=True):
            write_jsonl(folder / f"{side}.jsonl", (row.to_json() for row in rows))
        write_jsonl(folder / "ledger.jsonl", (fate.to_json() for fate in self.fates))
        findings = [finding.to_json() for finding in self.findings]
        write_json(folder / "frozen.json", {"test_hash": self.test_hash, "findings": findings})

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
        return Frozen(train, validation, test, fates, findings, content["test_hash"])


def freeze(examination: Examination, split: Split, has_test: bool, has_validation: bool) -> Frozen:
    """Take own test and validation files whole, and draw from the training file what is not there.

    Raises:
        ResidencyError: a side has too few rows, or the test overlaps with the others and may not.
    """
    drawn = examination.examples["train"]
    wanted = {} if has_test else {"test": _count(split.test, len(drawn))}
    if not has_validation:
        wanted["validation"] = _count(split.validation, len(drawn))
    sides = draw(drawn, wanted, split.seed)
    for side, own_file in (("test", has_test), ("validation", has_validation)):
        if own_file:
            sides[side] = list(examination.examples[side])
    _require_enough(sides, len(drawn))
    findings = _find_overlap(sides, split)
    fates = [Fate.of(row, side) for side in SIDES for row in sides[side]]
    return Frozen(
        tuple(sides["train"]),
        tuple(sides["validation"]),
        tuple(sides["test"]),
        tuple(sorted((*examination.fates, *fates), key=lambda fate: (fate.source.file, fate.source.row))),
        (*examination.findings, *findings),
        hash_test(sides["test"]),
    )


def draw(rows: Sequence[Checked], wanted: Mapping[str, int], seed: int) -> dict[str, list[Checked]]:
    """Rows by side, in their order: as many on each side as `wanted`, or as close below as groups permit.

    Rows with the same wording are one group and stay together. Groups are taken in the order of a
    hash of seed and wording, so that rows added later move few of the others.
    """
    groups: dict[str, int] = {}
    keys = [wording(row.example) for row in rows]
    for key in keys:
        groups[key] = groups.get(key, 0) + 1
    room = dict(wanted)
    side_of: dict[str, str] = {}
    for key in sorted(groups, key=lambda key: fingerprint([seed, key], length=32)):
        side_of[key] = next((side for side in room if groups[key] <= room[side]), "train")
        if side_of[key] in room:
            room[side_of[key]] -= groups[key]
    sides: dict[str, list[Checked]] = {side: [] for side in SIDES}
    for row, key in zip(rows, keys, strict=True):
        sides[side_of[key]].append(row)
    return sides


def overlap(train: Sequence[Example], test: Sequence[Example]) -> list[tuple[Example, Example]]:
    """Each test row whose input stands in `train` word for word, with the first row there that has it.

    Case, spacing and punctuation do not count: a model that has learned the one knows the other.
    """
    known: dict[str, Example] = {}
    for example in train:
        known.setdefault(wording(example), example)
    return [(known[key], example) for example in test if (key := wording(example)) in known]


def hash_test(rows: Sequence[Checked]) -> str:
    """Hash over the sorted ids of the test rows."""
    return fingerprint(sorted(row.example.id for row in rows), length=64)


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
            raise ResidencyError(what, "split", fix)


def _find_overlap(sides: Mapping[str, Sequence[Checked]], split: Split) -> list[Finding]:
    train, validation, test = ([row.example for row in sides[side]] for side in SIDES)
    findings = []
    if pairs := overlap(train + validation, test):
        what = f"{plural(len(pairs), 'test row', 'stands')} word for word in the training or validation rows."
        if not split.allow_overlap:
            raise _overlap_error(what, pairs)
        findings.append(
            _overlap_finding("test-overlap", f"{what} split.allow_overlap lets this pass.", pairs)
        )
    if pairs := overlap(train, validation):
        what = f"{plural(len(pairs), 'validation row', 'stands')} word for word in the training rows."
        findings.append(_overlap_finding("validation-overlap", what, pairs))
    return findings


def _overlap_finding(check: str, what: str, pairs: Sequence[tuple[Example, Example]]) -> Finding:
    fix = "Remove these rows from one of the files; scores on them say nothing of new inputs."
    return Finding(
        check,
        "warning",
        what,
        tuple(Flag(held_out.source, other=known.source, suspicion=1) for known, held_out in pairs),
        fix,
    )


def _overlap_error(what: str, pairs: Sequence[tuple[Example, Example]]) -> ResidencyError:
    shown = ", ".join(f"{held_out.source} = {known.source}" for known, held_out in pairs[:5])
    more = f" and {len(pairs) - 5:,} more" if len(pairs) > 5 else ""
    fix = "Remove them from one of the files; or go on, and have it reported: --set split.allow_overlap=true"
    return ResidencyError(what, f"{shown}{more}", fix)
