"""Rows from wherever they are: a file by its ending, a folder of files, a dataset saved or on the hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from residency.core.errors import ResidencyError
from residency.core.hub_name import HubName, on_hub
from residency.core.records import Source
from residency.data.reading.arrow_file import is_saved, read_arrow, read_parquet, saved_files
from residency.data.reading.csv_file import read_csv
from residency.data.reading.hub import hub_files
from residency.data.reading.json_file import read_json, read_jsonl
from residency.data.reading.packed import PACKED
from residency.data.reading.row import Row, no_rows, unreadable

__all__ = ["Listing", "Row", "list_files", "read_rows", "rows_at", "shown_name", "shown_names"]

_TEXT: dict[str, Callable[[Path, str], Iterator[Row]]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": partial(read_csv, separator="\t"),
}
_READERS = {
    **_TEXT,
    **{ending + packed: reader for ending, reader in _TEXT.items() for packed in PACKED},
    ".parquet": read_parquet,
}
_ENDINGS = f"{', '.join(_TEXT)} (also with {' or '.join(PACKED)}) or .parquet"


@dataclass(frozen=True)
class Listing:
    """What a source of rows consists of."""

    root: Path
    """The folder from which its files are named."""
    files: tuple[Path, ...]
    """Files with rows, in the order in which they are read; a saved dataset is one, its folder."""
    passed_over: tuple[str, ...] = ()
    """What else a folder holds, each with the reason why it is not read."""


def read_rows(source: Path, root: Path | None = None) -> Iterator[Row]:
    """All rows of `source`, each with its file's name as seen from `root` and its number there.

    A row that cannot be read comes with its problem, so that the rows given are the rows there are.

    Raises:
        ResidencyError: a file of which nothing can be read, or none at all.
    """
    listing = list_files(source)
    for file in listing.files:
        rows = 0
        for row in _reader(file)(file, shown_name(file, root or listing.root)):
            rows += 1
            yield row
        if not rows:
            raise no_rows(file, "The file holds no rows.")


def rows_at(source: Path, root: Path, places: Collection[Source]) -> dict[Source, Row]:
    """The rows of a source that stand at these places, named from `root`; nothing is read behind the last."""
    found: dict[Source, Row] = {}
    for file in list_files(source).files:
        name = shown_name(file, root)
        wanted = {place.row for place in places if place.file == name}
        reader = _reader(file)
        rows = read_jsonl(file, name, wanted) if reader is read_jsonl else reader(file, name)
        while wanted and (row := next(rows, None)) is not None:
            if row.source.row in wanted:
                wanted.remove(row.source.row)
                found[row.source] = row
    return found


def list_files(source: Path) -> Listing:
    """What `source` consists of: a folder is gone through to its depths, without following links.

    Raises:
        ResidencyError: there is nothing that can be read.
    """
    if on_hub(source):
        return Listing(Path(), (source,))
    source = source.absolute()
    try:
        mode = source.stat().st_mode
        if S_ISREG(mode):
            _reader(source)
            return Listing(source.parent, (source,))
        if not S_ISDIR(mode):
            raise unreadable(source, "it is no file but a device or a pipe")
        if is_saved(source):
            return Listing(source.parent, (source,))
        return _list_folder(source)
    except OSError as error:
        raise unreadable(Path(error.filename or source), error.strerror or str(error)) from error


def shown_name(file: Path, root: Path) -> str:
    """The name by which a user is told of `file`; bytes that are not UTF-8 are written out."""
    name = file.name if file == root else file.relative_to(root).as_posix()
    return os.fsencode(name).decode(errors="backslashreplace")


def shown_names(source: Path, root: Path) -> set[str]:
    """The names of all files with rows that `source` consists of, as seen from `root`."""
    return {shown_name(file, root) for file in list_files(source).files}


def _ending(file: Path) -> str:
    suffixes = [suffix.lower() for suffix in file.suffixes]
    return "".join(suffixes[-2:] if suffixes and suffixes[-1] in PACKED else suffixes[-1:])


def _reader(file: Path) -> Callable[[Path, str], Iterator[Row]]:
    if on_hub(file):
        return lambda hub, name: read_arrow(hub_files(HubName.parse(hub)), name)
    if file.is_dir():
        return lambda folder, name: read_arrow(saved_files(folder), name)
    if reader := _READERS.get(_ending(file)):
        return reader
    fix = f"Give it one of the endings {_ENDINGS}."
    raise ResidencyError(f"Files ending in '{_ending(file)}' cannot be read.", str(file), fix)


def _list_folder(source: Path) -> Listing:
    files: list[Path] = []
    passed_over: list[str] = []
    folders = [source]
    while folders:
        folder = folders.pop()
        _require_one_split(folder)
        with os.scandir(folder) as entries:
            for entry in entries:
                path = Path(entry.path)
                is_folder = entry.is_dir(follow_symlinks=False)
                if reason := _why_not(entry, is_folder):
                    passed_over.append(f"{shown_name(path, source)} ({reason})")
                elif is_folder and not is_saved(path):
                    folders.append(path)
                else:
                    files.append(path)
    if not files:
        fix = f"Put files with examples in it: {_ENDINGS}."
        raise ResidencyError("The folder holds no file that can be read.", str(source), fix)
    return Listing(source, tuple(sorted(files)), tuple(sorted(passed_over)))


def _why_not(entry: os.DirEntry[str], is_folder: bool) -> str | None:
    """Why an entry of a folder is passed over, if it is."""
    if entry.name.startswith("."):
        return "hidden"
    if entry.is_symlink():
        return "a link"
    if not is_folder and not entry.is_file(follow_symlinks=False):
        return "no file"
    if not is_folder and _ending(Path(entry.name)) not in _READERS:
        return "its ending is unknown"
    return None


def _require_one_split(folder: Path) -> None:
    """Refuse a dataset saved with its splits, which would be taken for one: training rows and test rows."""
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(path for path in folder.iterdir() if is_saved(path))
        if len(splits) > 1:
            fix = f"Name one: {', '.join(str(path) for path in splits)}"
            raise ResidencyError(f"The dataset has {len(splits)} splits.", str(folder), fix)
