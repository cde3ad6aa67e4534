"""Rows from a file, in order, by the file's ending; memory does not grow with the file except for .json."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from residency.core.errors import ResidencyError
from residency.core.records import Source
from residency.data.read_csv import read_csv
from residency.data.read_parquet import read_parquet
from residency.data.rows import Row, no_rows, open_text, read_lines, unreadable

__all__ = ["Row", "read_rows"]


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of a .jsonl, .json, .csv or .parquet file, each with its source.

    A row that cannot be read comes with its problem, so that the rows given are the rows there are.

    Raises:
        ResidencyError: nothing at all can be read from the file.
    """
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        fix = f"Give it one of the endings {', '.join(_READERS)}."
        raise ResidencyError(f"Files ending in '{file.suffix}' cannot be read.", str(file), fix)
    rows = 0
    for row in reader(file):
        rows += 1
        yield row
    if not rows:
        raise no_rows(file, "The file holds no rows.")


def read_jsonl(file: Path) -> Iterator[Row]:
    """One row a line; blank lines are none."""
    with open_text(file) as stream:
        for line in read_lines(stream):
            if line.problem or line.text.strip(" \t\r\n"):
                yield _json_row(Source(file.name, line.number), line.text.rstrip("\r\n"), line.problem)


def read_json(file: Path) -> Iterator[Row]:
    """The objects of a list, or of the list under `data`."""
    with open_text(file) as stream:
        text = stream.read()
    if not text.strip():
        raise no_rows(file, "The file is empty.")
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise _not_json(file, text, error) from None
    except (ValueError, RecursionError) as error:
        raise unreadable(file, _decoding_problem(error)) from None
    items = content.get("data") if isinstance(content, dict) else content
    if not isinstance(items, list):
        fix = 'Write [{...}, {...}] or {"data": [{...}, {...}]}; or one object a line in a .jsonl file.'
        raise ResidencyError("The file holds no list of objects.", str(file), fix)
    for number, item in enumerate(items, 1):
        yield _object_row(Source(file.name, number), item)


def _json_row(source: Source, text: str, problem: str | None) -> Row:
    if problem:
        return Row(source, None, problem)
    try:
        return _object_row(source, json.loads(text))
    except (ValueError, RecursionError) as error:
        return Row(source, None, _decoding_problem(error))


def _object_row(source: Source, item: Any) -> Row:
    if isinstance(item, dict):
        return Row(source, item, None)
    return Row(source, None, f"a {type(item).__name__}, not an object with named columns")


def _decoding_problem(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg} at column {error.colno}"
    return f"not valid JSON: {error}"


def _not_json(file: Path, text: str, error: json.JSONDecodeError) -> ResidencyError:
    fix = "Mend that place."
    if error.msg == "Extra data" and text[error.pos] == "{":
        fix = f"It seems to hold one object a line: rename it to {file.stem}.jsonl."
    return ResidencyError(f"The file is not valid JSON: {error.msg}.", f"{file}:{error.lineno}", fix)


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".parquet": read_parquet,
}
