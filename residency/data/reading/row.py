"""A row as it was read, and reading text files line by line in bounded memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from residency.core.errors import ResidencyError
from residency.core.records import Source
from residency.data.reading.packed import open_bytes

MAX_ROW = 16 * 1024 * 1024
"""Longest row in characters; a longer one is passed over piece by piece and told as a problem."""
TOO_LONG = "longer than {:,} characters"


class Row(NamedTuple):
    """One row of a file: its columns, or the problem that kept them from being read."""

    source: Source
    content: Mapping[str, Any] | None
    problem: str | None = None
    check: str = "malformed"
    """The id under which rows with such a problem are told together."""


class Line(NamedTuple):
    """One line, counted from 1, and what is wrong with its characters."""

    number: int
    text: str
    problem: str | None


@contextmanager
def open_text(file: Path) -> Iterator[TextIO]:
    """`file`, unpacked, as UTF-8 with or without a BOM; bytes that are not UTF-8 become lone surrogates.

    Raises:
        ResidencyError: the file cannot be opened or unpacked, or is UTF-16.
    """
    try:
        with open_bytes(file) as raw:
            start = raw.peek(3)[:3]
            if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                fix = "Save it as UTF-8, e.g. iconv -f UTF-16 -t UTF-8 OLD > NEW"
                raise ResidencyError("The file is UTF-16, not UTF-8.", str(file), fix)
            if start == codecs.BOM_UTF8:
                raw.read(3)
            with TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
                yield stream
    except OSError as error:
        raise unreadable(file, error.strerror or str(error)) from error


def unreadable(file: Path, reason: str) -> ResidencyError:
    """The user's error for a file of which nothing can be read."""
    fix = "Correct the path or mend the file."
    return ResidencyError(f"The file cannot be read: {reason}.", str(file), fix)


def no_rows(file: Path, what: str) -> ResidencyError:
    """The user's error for a file without rows."""
    return ResidencyError(what, str(file), "Name a file with examples in it.")


def read_lines(stream: TextIO) -> Iterator[Line]:
    """Lines with their numbers. One longer than `MAX_ROW` comes with an empty text and a problem."""
    number = 0
    while text := stream.readline(MAX_ROW + 1):
        number += 1
        if len(text) <= MAX_ROW or text.endswith("\n"):
            yield Line(number, text, damage(text))
            continue
        del text
        while (rest := stream.readline(_PIECE)) and not rest.endswith("\n"):
            pass
        yield Line(number, "", TOO_LONG.format(MAX_ROW))


_PIECE = 1 << 20
"""Characters of a line too long that are passed over at a time."""


def damage(text: str) -> str | None:
    """What is wrong with the characters of `text`, if anything."""
    if "\0" in text:
        return f"a NUL character at character {text.index(chr(0)) + 1}"
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"not valid UTF-8 at character {error.start + 1}"
    return None
