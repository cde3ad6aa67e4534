"""A patch: what was done to which row of a file, enough to take all of it back.

Its first line names both files and their hashes, each other line is an action.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from residency.core.errors import ResidencyError
from residency.core.hub_name import on_hub
from residency.core.records import Source
from residency.core.workspace import write_jsonl
from residency.data.reading.row import unreadable
from residency.data.reading.sources import source_hash

Content = Mapping[str, Any]
"""A row's columns, as JSON holds them."""
PATCH = ".patch.jsonl"
"""Ending of a patch, in place of the mended file's `.jsonl`."""
Verb = Literal["edit", "drop", "merge", "redact", "reformat"]
_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Action:
    """One thing done to one row."""

    source: Source
    example_id: str | None
    """The example in the row before anything was done to it; None where there was none."""
    action: Verb
    check: str
    """The check that asked for it, or `review`."""
    before: Content | None
    """The row's columns; None for a row that could not be read."""
    after: Content | None
    """None where the row was left out."""
    why: str
    position: int
    """The row's place among all rows read, from 1."""

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        content = {key: value for key, value in self.__dict__.items() if key != "source"}
        return {**asdict(self.source), **content}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Action:
        """The action that `to_json` wrote."""
        rest = {key: value for key, value in content.items() if key not in ("file", "row")}
        action = Action(source=Source(content["file"], content["row"]), **rest)
        if action.action not in get_args(Verb):
            raise ValueError(action.action)
        return action


@dataclass(frozen=True)
class Between:
    """The files that a patch stands between."""

    original: str
    """As seen from the patch's folder; the name of a dataset on the hub."""
    original_sha256: str
    mended_sha256: str

    @staticmethod
    def of(data: Path, mended_sha256: str, patch: Path) -> Between:
        """Of the data as it is now, and what is made of it."""
        place = str(data) if on_hub(data) else os.path.relpath(data, patch.parent)
        return Between(place, source_hash(data), mended_sha256)

    def is_original_edited(self, patch: Path) -> bool:
        """Whether the original is there and holds other rows than it did; not asked of one on the hub."""
        original = patch.parent / self.original
        there = not on_hub(Path(self.original)) and original.exists()
        return there and source_hash(original) != self.original_sha256


@dataclass(frozen=True)
class Patch:
    """A mending of a file."""

    between: Between
    actions: tuple[Action, ...]

    def write(self, file: Path) -> None:
        """Write the line on the files, then an action a line."""
        write_jsonl(file, (asdict(self.between), *(action.to_json() for action in self.actions)))

    @staticmethod
    def read(file: Path) -> Patch:
        """The patch that `write` wrote.

        Raises:
            ResidencyError: the file cannot be read, or a line of it was edited.
        """
        lines = read_records(file, "action", _line)
        actions = tuple(line for line in lines if isinstance(line, Action))
        first = next(iter(lines), None)
        if not isinstance(first, Between) or len(actions) != len(lines) - 1:
            fix = "Mend the original again: this patch was edited, or made by another version."
            raise ResidencyError("The first line, and no other, must name the two files.", f"{file}:1", fix)
        return Patch(first, actions)


def first_of(data: Path) -> Path:
    """The data that a chain of mendings began with, as the patches beside each file tell; else the data.

    A patch that is gone or damaged ends the chain; other files than `.jsonl` were never mended.
    """
    seen = {data}
    while not on_hub(data) and data.suffix == ".jsonl" and (patch := data.with_suffix(PATCH)).is_file():
        try:
            with patch.open(encoding="utf-8", errors="surrogatepass") as lines:
                original = Path(Between(**json.loads(next(lines))).original)
        except (OSError, ValueError, TypeError, StopIteration):
            break
        data = original if on_hub(original) else Path(os.path.normpath(patch.parent / original))
        if data in seen:
            break
        seen.add(data)
    return data


def _line(content: Mapping[str, Any]) -> Between | Action:
    return Between(**content) if "original" in content else Action.from_json(content)


def read_records(file: Path, noun: str, parse: Callable[[Any], _Record]) -> list[_Record]:
    """What `parse` makes of each line that is not blank.

    Raises:
        ResidencyError: the file cannot be read, or a line of it holds no `noun`: names the line.
    """
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogatepass").split("\n")
    except OSError as error:
        raise unreadable(file, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise unreadable(file, "not UTF-8") from None
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            records.append(parse(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):  # no JSON, or other keys
            what = f"This line holds no {noun}: it is half written, or was edited."
            fix = "Mend this line or delete it; what it said is then not done."
            raise ResidencyError(what, f"{file}:{number}", fix) from None
    return records


def beside(data: Path, ending: str) -> Path:
    """A file named after the data, beside it; for a dataset on the hub, in the current folder."""
    if on_hub(data):
        return Path.cwd() / f"{data.name.replace(':', '-')}{ending}"
    return data.with_name(f"{data.stem}{ending}")


def undo(rows: Iterable[Content], actions: Sequence[Action]) -> list[Content]:
    """The rows as they were, from those of the new file; a row that could not be read stays lost.

    Raises:
        ResidencyError: the rows are not those that the actions left.
    """
    by_position: dict[int, list[Action]] = {}
    for action in actions:
        by_position.setdefault(action.position, []).append(action)
    left = iter(rows)
    restored: list[Content] = []
    position = 0
    while True:
        position += 1
        done = by_position.pop(position, [])
        current = None
        if not done or done[-1].after is not None:
            current = next(left, None)
            if current is None:
                break
        for action in reversed(done):
            if action.after != current:
                raise _changed(f"the row that was {action.source}")
            current = action.before
        if current is not None:
            restored.append(current)
    if by_position or done:
        raise _changed("rows are missing at its end")
    return restored


def _changed(where: str) -> ResidencyError:
    fix = "Mend the original again; or undo with the file and the patch that one mending wrote."
    return ResidencyError("The new file is not the one that this patch belongs to.", where, fix)
