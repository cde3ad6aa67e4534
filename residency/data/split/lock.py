"""The lock of a split: on which side each input was put, kept in the workspace through changes of the data.

    .residency/splits/<task>-<project>-<split settings>/0001-<rows>.jsonl

One file a freeze: the inputs that were new to it, with their sides. The lock of some rows is what stands in
the files before their own, so that the same rows find the same lock again, whatever came after. A project is
the place of its training file, so that two tasks of one name are apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path

from residency.core.errors import ResidencyError
from residency.core.held import held
from residency.core.workspace import copy_file, read_jsonl, unwritable
from residency.data.texts import as_bytes

LOCKED = "locked.jsonl"
"""File of a freeze's folder with the inputs that were new to it."""
_encode = json.JSONEncoder(ensure_ascii=False).encode
_ENTRY = re.compile(r"(\d+)-([0-9a-f]+)\.jsonl")


@dataclass(frozen=True, slots=True)
class Locked:
    """An input by its words, the side it is on, and a group it belongs to; of several groups, one each."""

    words: str
    side: str
    group: str = ""
    left_out: bool = False
    """Whether `split.drop_twins` left it out of its side: it stays out while a twin of it is in the test."""

    def line(self) -> bytes:
        """The entry as it is written: a line of JSON whose keys are the fields."""
        words, group, out = _encode(self.words), _encode(self.group), "true" if self.left_out else "false"
        return as_bytes(f'{{"words": {words}, "side": "{self.side}", "group": {group}, "left_out": {out}}}\n')


@dataclass(frozen=True)
class Lock:
    """The lock's folder, and the hash of the rows that are to be frozen."""

    folder: Path
    rows: str

    @cached_property
    def before(self) -> tuple[str, ...]:
        """Names of the entries that bind these rows: those before their own."""
        others = takewhile(lambda entry: entry[2] != self.rows, self._entries())
        return tuple(entry.string for entry in others)

    def _entries(self) -> list[re.Match[str]]:
        """The entries in the order in which they were made; other files of the folder are none."""
        found = filter(None, (_ENTRY.fullmatch(file.name) for file in self.folder.glob("*.jsonl")))
        return sorted(found, key=lambda entry: int(entry[1]))

    @property
    def news(self) -> str:
        """What is to be told where rows are drawn anew that a former lock may have held; else nothing."""
        if self._entries():
            return ""
        project, _, settings = self.folder.name.rpartition("-")
        task = project.rpartition("-")[0]
        others = [other.name for other in self.folder.parent.glob(f"{task}-*") if other != self.folder]
        if any(other.rpartition("-")[0] == project for other in others):
            return "the settings of the split changed: a new draw, with another test"
        named = re.compile(f"{re.escape(task)}(-[0-9a-f]{{6}})?-{settings}")
        if apart := sorted(filter(named.fullmatch, others)):
            kept = f"to keep that of data moved or renamed, put its folder in the place of {self.folder}"
            return f"a new draw, apart from {' and '.join(apart)} of the same task's name; {kept}"
        return ""

    def read(self) -> Iterator[Locked]:
        """What was locked before.

        Raises:
            ResidencyError: an entry is damaged.
        """
        for name in self.before:
            yield from _read(self.folder / name)

    def add(self, stage: Path) -> None:
        """Lock what the freeze in the folder `stage` found new; nothing where that was done before."""
        entries = self._entries()
        if all(entry[2] != self.rows for entry in entries):
            number = max((int(entry[1]) for entry in entries), default=0) + 1
            copy_file(stage / LOCKED, self.folder / f"{number:04d}-{self.rows}.jsonl")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from freezing under the same lock."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        with held(self.folder / "held.lock", "the split", self.folder) as sign:
            sign()
            yield


def _read(entry: Path) -> Iterator[Locked]:
    try:
        for row in read_jsonl(entry):
            yield Locked(**row)
    except (ValueError, TypeError):  # no JSON, or other keys
        fix = (
            "Put back a copy of it. Or delete it: its inputs are then drawn anew, and scores compare no more."
        )
        raise ResidencyError("The lock of the split is damaged.", str(entry), fix) from None
