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
from pathlib import Path

from filelock import FileLock

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
        names = []
        for name in sorted(file.name for file in self.folder.glob("*.jsonl")):
            if (match := _ENTRY.fullmatch(name)) and match[2] == self.rows:
                break
            names.append(name)
        return tuple(names)

    @property
    def replaces_another(self) -> bool:
        """Whether this is the first freeze with these settings, and there were some with others."""
        task = self.folder.name.rpartition("-")[0]
        others = [other for other in self.folder.parent.glob(f"{task}-*") if other.name != self.folder.name]
        entries = any(self.folder.glob("*.jsonl"))
        return not entries and any(other.name.rpartition("-")[0] == task for other in others)

    def read(self) -> list[Locked]:
        """What was locked before."""
        return [Locked(**row) for name in self.before for row in read_jsonl(self.folder / name)]

    def add(self, stage: Path) -> None:
        """Lock what the freeze in the folder `stage` found new; nothing where that was done before."""
        if not any(self.folder.glob(f"*-{self.rows}.jsonl")):
            number = len(list(self.folder.glob("*.jsonl"))) + 1
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
