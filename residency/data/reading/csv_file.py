"""CSV, and TSV as spreadsheets write it, by the standard library's strict parser, with care for quotes.

A quote that is never closed makes the parser swallow the rows after it. So when a record breaks,
each of its lines becomes a row with a problem, and parsing starts afresh after them: nothing of
doubtful shape is trained on, and every line has its fate.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from residency.core.errors import ResidencyError
from residency.core.records import Source
from residency.data.reading.row import MAX_ROW, TOO_LONG, Line, Row, no_rows, open_text, read_lines

_SEPARATORS = {",": "commas", "\t": "tabs"}


class _Feed:
    """Gives the parser its lines and keeps count of those that belong to the record under way."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self.begin()

    def begin(self) -> None:
        """Forget the record before."""
        self.first = self.last = 0
        self.problem: str | None = None
        self.characters = 0
        self.quotes = 0

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.first, self.last = self.first or line.number, line.number
        self.problem = self.problem or line.problem
        self.quotes += line.text.count('"')
        self.characters += len(line.text)
        if self.characters > MAX_ROW:
            raise csv.Error(TOO_LONG.format(MAX_ROW))
        return line.text


def read_csv(file: Path, name: str, separator: str = ",") -> Iterator[Row]:
    """The records under the header, each numbered by the line on which it begins; blank lines are none.

    Raises:
        ResidencyError: there is no header, or it cannot be read.
    """
    csv.field_size_limit(MAX_ROW)  # the module's own limit of 131,072 characters is not ours
    with open_text(file) as stream:
        feed = _Feed(read_lines(stream))
        records = csv.reader(feed, delimiter=separator, strict=True)
        header = _read_header(file, feed, records, separator)
        torn: int | None = None
        while True:
            feed.begin()
            try:
                fields = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                torn = feed.first
                yield from _broken_record(name, feed.first, feed.last, str(error))
                continue
            problem = feed.problem
            if feed.quotes and torn is not None:
                # The first quotes after a broken record: an odd number of them closes what broke.
                if feed.quotes % 2:
                    problem = problem or f"broken quotes, like the record on line {torn}"
                torn = None
            if not problem and len(header) > 1 and len(fields) <= 1 and not "".join(fields).strip(" \t"):
                continue
            if not problem and len(fields) != len(header):
                problem = f"{len(fields)} fields where the header has {len(header)}"
            content = None if problem else dict(zip(header, fields, strict=True))
            yield Row(Source(name, feed.first), content, problem)


def _broken_record(name: str, first: int, last: int, error: str) -> Iterator[Row]:
    yield Row(Source(name, first), None, f"broken quotes: {error}")
    for number in range(first + 1, last + 1):
        yield Row(Source(name, number), None, f"swallowed by the broken quotes on line {first}")


def _read_header(file: Path, feed: _Feed, records: Iterator[list[str]], separator: str) -> list[str]:
    try:
        header = next((fields for fields in records if fields), [])
    except csv.Error as error:
        raise _bad_header(file, str(error), "Mend the first line.") from None
    if feed.problem:
        raise _bad_header(file, feed.problem, "Mend the first line.")
    if not header:
        raise no_rows(file, "The file is empty.")
    names = [name.strip() for name in header]
    if twice := {name for name in names if name and names.count(name) > 1}:
        raise _bad_header(file, f"two columns are called '{min(twice)}'", "Rename one of them.")
    for mark in (";", "\t", ","):
        if len(names) == 1 and mark in names[0]:
            fix = f"Save the file with {_SEPARATORS[separator]} between the columns."
            raise _bad_header(file, f"columns are separated by {mark!r}", fix)
    return names


def _bad_header(file: Path, reason: str, fix: str) -> ResidencyError:
    return ResidencyError(f"The header cannot be read: {reason}.", f"{file}:1", fix)
