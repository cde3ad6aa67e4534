"""A text of which only the part around a cursor is held in memory."""

from __future__ import annotations

import re
from typing import TextIO

_CHUNK = 1 << 18
_SPACE = re.compile(r"[ \t\r\n]*")
_IN_STRING = re.compile(r'"|\\.', re.DOTALL)
_OUTSIDE = re.compile(r'["\[\]{},]')


class Window:
    """The text held, and the cursor `at` which it is read."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines = 1  # the number of the line on which the text held begins
        self.held, self.at, self.ended = "", 0, False

    def more(self, most: int = 1 << 60) -> bool:
        """Drop what lies before the cursor and read on, so that up to `most` characters are held.

        As much again as is held is read, so that a long value is looked at a few times and not many.
        """
        rest = len(self.held) - self.at
        wanted = min(max(_CHUNK, rest), most - rest)
        if wanted <= 0 or self.ended:
            return False
        new = self._stream.read(wanted)
        if not new:
            self.ended = True
            return False
        self._lines = self.line(self.at)
        self.held, self.at = self.held[self.at :] + new, 0
        return True

    def peek(self) -> str:
        """Move to the next character that is no white space, and give it; empty at the end."""
        while True:
            found = _SPACE.match(self.held, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.held):
                return self.held[self.at]
            if not self.more():
                return ""

    def line(self, at: int) -> int:
        """The number of the line that holds a place of the text held."""
        return self._lines + self.held.count("\n", 0, at)

    def pass_over_value(self) -> bool:
        """Move to the comma or bracket after a JSON value, whatever it holds; False if the text ends."""
        depth, in_string = 0, False
        while True:
            found = (_IN_STRING if in_string else _OUTSIDE).search(self.held, self.at)
            if found is None:
                # a backslash at the very end belongs to a character not read yet
                self.at = len(self.held) - (in_string and self.held.endswith("\\", self.at))
                if not self.more():
                    return False
                continue
            mark = found.group()
            if not in_string and depth == 0 and mark in ",]}":
                self.at = found.start()
                return True
            self.at = found.end()
            if mark == '"':
                in_string = not in_string
            elif not in_string:
                depth += (mark in "[{") - (mark in "]}")
