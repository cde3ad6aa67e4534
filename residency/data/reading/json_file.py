"""JSON by the standard library's parser: a row a line, or the objects of one list, one at a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from residency.core.errors import ResidencyError
from residency.core.records import Source
from residency.data.reading.row import MAX_ROW, TOO_LONG, Row, no_rows, open_text, read_lines, unreadable
from residency.data.reading.window import Window

_CUT_OFF = 16
"""A value may be read wrongly only this near to the end of the text held, or as a string without an end."""


def read_jsonl(file: Path, name: str, only: Container[int] | None = None) -> Iterator[Row]:
    """One row a line; blank lines are none, nor are those that are not among `only`."""
    decoder = RowDecoder()
    with open_text(file) as stream:
        for number, text, problem in read_lines(stream):
            if only is not None and number not in only:
                continue
            if problem:
                yield Row(Source(name, number), None, problem)
            elif text.strip(" \t\r\n"):
                source = Source(name, number)
                decoder.twice = None
                try:
                    item = decoder.decode(text.rstrip("\r\n"))
                except (ValueError, RecursionError) as error:
                    yield Row(source, None, _decoding_problem(error))
                else:
                    yield decoder.row(source, item)


def read_json(file: Path, name: str) -> Iterator[Row]:
    """The objects of a list, or of the list under `data`; a row is numbered by its place in the list.

    Raises:
        ResidencyError: the file is not valid JSON: rows after that place cannot be told apart.
    """
    with open_text(file) as stream:
        document = _Document(file, name, Window(stream))
        yield from document.rows()


class RowDecoder(json.JSONDecoder):
    """A decoder that notes a key standing twice in one object, of which the plain one drops the first."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=self._object)
        self.twice: str | None = None

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            self.twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        return content

    def row(self, source: Source, item: Any) -> Row:
        """The row of `item`, which was just decoded."""
        if self.twice is not None:
            problem = f"the key {self.twice[:80]!r} stands twice in one object"
            return Row(source, None, problem, "duplicate-keys")
        if isinstance(item, dict):
            return Row(source, item)
        return Row(source, None, f"a {type(item).__name__}, not an object with named columns")


def _decoding_problem(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg} at column {error.colno}"
    return f"not valid JSON: {error}"


class _Document:
    """A JSON text with a list of rows in it."""

    def __init__(self, file: Path, name: str, text: Window) -> None:
        self.file, self.name, self.text = file, name, text
        self.decoder = RowDecoder()

    def rows(self) -> Iterator[Row]:
        """The rows, wherever the list stands."""
        first = self.text.peek()
        if not first:
            raise no_rows(self.file, "The file is empty.")
        found = False
        if first == "[":
            found = True
            yield from self._list()
        elif first == "{":
            for key in self._keys():
                if key == "data" and self.text.peek() == "[":
                    if found:
                        raise self._broken("the key 'data' stands twice")
                    found = True
                    yield from self._list()
                else:
                    self._value()
        else:
            self._value()
        if more := self.text.peek():
            fix = f"It seems to hold one object a line: rename it to {self.file.stem}.jsonl."
            raise self._broken("Extra data", fix if more == "{" else "Mend that place.")
        if not found:
            fix = 'Write [{...}, {...}] or {"data": [{...}, {...}]}; or one object a line in a .jsonl file.'
            raise ResidencyError("The file holds no list of objects.", str(self.file), fix)

    def _list(self) -> Iterator[Row]:
        for number, _ in enumerate(self._parts("]"), 1):
            yield self._row(Source(self.name, number))

    def _keys(self) -> Iterator[Any]:
        """The keys of an object; the caller takes the value after each."""
        for _ in self._parts("}"):
            if self.text.peek() != '"':
                raise self._broken("Expecting property name enclosed in double quotes")
            key, _ = self._value()
            if self.text.peek() != ":":
                raise self._broken("Expecting ':' delimiter")
            self.text.at += 1
            yield key

    def _parts(self, end: str) -> Iterator[None]:
        """One for each part of a list or an object; the caller takes what it consists of."""
        self.text.at += 1
        mark = self.text.peek()
        while mark != end:
            yield
            mark = self.text.peek()
            if mark not in (",", end):
                raise self._broken("Expecting ',' delimiter")
            if mark == ",":
                self.text.at += 1
        self.text.at += 1

    def _row(self, source: Source) -> Row:
        item, problem = self._value()
        return Row(source, None, problem) if problem else self.decoder.row(source, item)

    def _value(self) -> tuple[Any, str | None]:
        """The value under the cursor, or what is wrong with it."""
        text = self.text
        text.peek()
        while True:
            self.decoder.twice = None
            try:
                value, end = self.decoder.raw_decode(text.held, text.at)
            except json.JSONDecodeError as error:
                near = error.pos > len(text.held) - _CUT_OFF
                if not near and not error.msg.startswith("Unterminated string"):
                    raise self._broken(error.msg, at=error.pos) from None
                if text.more(MAX_ROW + 1):
                    continue
                if text.ended:
                    raise self._broken(error.msg, at=error.pos) from None
                return None, self._pass_over(TOO_LONG.format(MAX_ROW))
            except (ValueError, RecursionError) as error:
                return None, self._pass_over(_decoding_problem(error))
            if end > len(text.held) - _CUT_OFF and text.more(MAX_ROW + 1):
                continue  # a number may go on: 1 is the beginning of 1.5e+3
            if end - text.at > MAX_ROW:
                return None, self._pass_over(TOO_LONG.format(MAX_ROW))
            text.at = end
            return value, None

    def _pass_over(self, problem: str) -> str:
        if not self.text.pass_over_value():
            raise unreadable(self.file, problem)
        return problem

    def _broken(self, what: str, fix: str = "Mend that place.", at: int | None = None) -> ResidencyError:
        line = self.text.line(self.text.at if at is None else at)
        return ResidencyError(f"The file is not valid JSON: {what}.", f"{self.file}:{line}", fix)
