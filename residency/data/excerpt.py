"""Rows in a few words, for lists and pages; personal data and secrets are not in them."""

from __future__ import annotations

import json

from residency.core.recipe import Data
from residency.core.records import Example
from residency.data.checks.redact import without_secrets
from residency.data.reading.row import Row
from residency.data.shapes import RowError, to_example

LONGEST = 160
"""Characters of an excerpt, about a line and a half."""


def example_in(row: Row, data: Data) -> Example | None:
    """The example in a row, or None where it holds none."""
    try:
        return to_example(row, data.input, data.output)
    except RowError:
        return None


def excerpt(row: Row, data: Data) -> str:
    """Input and answer, or the columns as they are, or what keeps the row from being read."""
    example = example_in(row, data)
    if example is not None:
        asked = next((turn.content for turn in reversed(example.prompt) if turn.role == "user"), "")
        return f"{shorten(asked)} → {shorten(example.answer, LONGEST // 2)}"
    if row.content is not None:
        return shorten(json.dumps(row.content, ensure_ascii=False, default=str))
    return row.problem or ""


def shorten(text: str, longest: int = LONGEST) -> str:
    """One line of at most so many characters; a placeholder stands for what must not be shown."""
    # Redacted whole: of a key cut in two, neither half is known as one.
    line = " ".join(without_secrets(text).split())
    return line if len(line) <= longest else f"{line[: longest - 2].rstrip()} …"
