"""Parquet by pyarrow, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from residency.core.records import Source
from residency.data.rows import Row, unreadable

BATCH = 256
"""Rows decoded at a time."""
BUFFER = 1 << 20
"""Bytes of a column read at a time."""


def read_parquet(file: Path) -> Iterator[Row]:
    """The rows, numbered by their place in the file.

    Raises:
        ResidencyError: the file is no Parquet, or damaged in a way that hides which rows are lost.
    """
    import pyarrow
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        # Without a buffer, or with pre_buffer, a whole row group is held: often the whole file.
        with ParquetFile(file, buffer_size=BUFFER, pre_buffer=False) as table:
            for batch in table.iter_batches(BATCH):
                for content, problem in _batch_rows(batch):
                    number += 1
                    yield Row(Source(file.name, number), content, problem)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise unreadable(file, f"{reason}, after {number:,} rows" if number else reason) from error


def _batch_rows(batch: Any) -> Iterator[tuple[dict[str, Any] | None, str | None]]:
    try:
        for content in batch.to_pylist():
            yield content, None
    except (ValueError, OverflowError):
        for place in range(batch.num_rows):
            yield _one_row(batch.slice(place, 1))


def _one_row(batch: Any) -> tuple[dict[str, Any] | None, str | None]:
    try:
        return batch.to_pylist()[0], None
    except UnicodeDecodeError:
        return None, "not valid UTF-8"
    except (ValueError, OverflowError) as error:
        return None, f"a value that cannot be read: {error}"
