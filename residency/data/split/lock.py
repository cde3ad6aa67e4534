"""The lock of a split: on which side each input was put, kept in the workspace through changes of the data.

    .residency/splits/<task>-<split settings>/0001-<rows>.jsonl

One file a freeze: the inputs that were new to it, with their sides. The lock of some rows is what stands in
the files before their own, so that the same rows find the same lock again, whatever came after.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path

from filelock import FileLock

from residency.core.errors import ResidencyError
from residency.core.workspace import copy_file, read_jsonl, unwritable

LOCKED = "locked.jsonl"
"""File of a freeze's folder with the inputs that were new to it."""
_ENTRY = re.compile(r"(\d+)-([0-9a-f]+)\.jsonl")


@dataclass(frozen=True)
class Locked:
    """An input by its words, the side it is on, and the group it belongs to."""

    words: str
    side: str
    group: str = ""


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
    def replaces_another(self) -> bool:
        """Whether this is the first freeze with these settings, and there were some with others."""
        task = self.folder.name.rpartition("-")[0]
        others = [other for other in self.folder.parent.glob(f"{task}-*") if other.name != self.folder.name]
        return not self._entries() and any(other.name.rpartition("-")[0] == task for other in others)

    def read(self) -> list[Locked]:
        """What was locked before.

        Raises:
            ResidencyError: an entry is damaged.
        """
        return [locked for name in self.before for locked in _read(self.folder / name)]

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
        with FileLock(self.folder / "held.lock"):
            yield


def _read(entry: Path) -> list[Locked]:
    try:
        return [Locked(**row) for row in read_jsonl(entry)]
    except (ValueError, TypeError):  # no JSON, or other keys
        fix = (
            "Put back a copy of it. Or delete it: its inputs are then drawn anew, and scores compare no more."
        )
        raise ResidencyError("The lock of the split is damaged.", str(entry), fix) from None
