"""Parquet, and datasets as Hugging Face's `datasets` saves them, by pyarrow: a batch of rows at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from residency.core.records import Source
from residency.data.reading.row import Row, unreadable

BATCH = 256
"""Rows decoded at a time."""
BUFFER = 1 << 20
"""Bytes of a column read at a time."""
STATE = ("state.json", "dataset_info.json")
"""Files by which a folder is known for a dataset that `save_to_disk` wrote."""
Content = tuple[dict[str, Any] | None, str | None]
"""A row's columns, or what is wrong with it."""
Labels = Mapping[str, Sequence[str]]
"""The names of a column's labels, where `datasets` wrote numbers in their place."""


def read_parquet(file: Path, name: str) -> Iterator[Row]:
    """The rows, numbered by their place in the file.

    Raises:
        ResidencyError: the file is no Parquet, or damaged in a way that hides which rows are lost.
    """
    from pyarrow.parquet import ParquetFile

    # Without a buffer, or with pre_buffer, a whole row group is held: often the whole file.
    with _readable(file), ParquetFile(file, buffer_size=BUFFER, pre_buffer=False) as table:
        yield from _numbered(name, _contents(table.iter_batches(BATCH), _labels(table.schema_arrow)))


def read_arrow(files: Iterable[Path], name: str) -> Iterator[Row]:
    """The rows of Arrow streams, numbered through all of them.

    Raises:
        ResidencyError: a file is no Arrow stream, or damaged.
    """
    yield from _numbered(name, (row for file in files for row in _stream(file)))


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    return all((folder / name).is_file() for name in STATE)


def saved_files(folder: Path) -> list[Path]:
    """The Arrow files of a dataset that `save_to_disk` wrote, in order.

    Raises:
        ResidencyError: its `state.json` does not name them.
    """
    file = folder / STATE[0]
    try:
        names = [str(entry["filename"]) for entry in json.loads(file.read_bytes())["_data_files"]]
    except OSError as error:
        raise unreadable(file, error.strerror or str(error)) from error
    except (ValueError, LookupError, TypeError, RecursionError):
        raise unreadable(file, "it does not name the dataset's files") from None
    if outside := [name for name in names if Path(name).name != name]:
        raise unreadable(file, f"it names a file of another folder, {outside[0]!r}")
    return [folder / name for name in names]


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        raise unreadable(file, (str(error).splitlines() or ["damaged"])[0].rstrip(".")) from error


def _stream(file: Path) -> Iterator[Content]:
    from pyarrow import OSFile, ipc

    with _readable(file), OSFile(str(file)) as source, ipc.open_stream(source) as stream:
        yield from _contents(_pieces(stream), _labels(stream.schema))


def _pieces(stream: Iterable[Any]) -> Iterator[Any]:
    for batch in stream:
        batch.validate(full=True)  # offsets in a damaged file may point anywhere
        for start in range(0, batch.num_rows, BATCH):
            yield batch.slice(start, BATCH)


def _numbered(name: str, contents: Iterable[Content]) -> Iterator[Row]:
    for number, (content, problem) in enumerate(contents, 1):
        yield Row(Source(name, number), content, problem)


def _contents(batches: Iterable[Any], labels: Labels) -> Iterator[Content]:
    for batch in batches:
        for content, problem in _decoded(batch):
            for column, names in labels.items():
                if content is not None and content[column] in range(len(names)):
                    content[column] = names[content[column]]
            yield content, problem


def _decoded(batch: Any) -> Iterator[Content]:
    try:
        for content in batch.to_pylist():
            yield content, None
    except (ValueError, OverflowError):
        for place in range(batch.num_rows):
            yield _one_row(batch.slice(place, 1))


def _one_row(batch: Any) -> Content:
    try:
        return batch.to_pylist()[0], None
    except UnicodeDecodeError:
        return None, "not valid UTF-8"
    except (ValueError, OverflowError) as error:
        return None, f"a value that cannot be read: {error}"


def _labels(schema: Any) -> Labels:
    """The names that stand in the schema, for columns of plain labels."""
    try:
        told = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        kinds = {column: told[column] for column in schema.names if column in told}
        return {
            column: [str(name) for name in kind["names"]]
            for column, kind in kinds.items()
            if isinstance(kind, dict) and kind.get("_type") == "ClassLabel"
        }
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
