"""What a scorer says of one answer, and the words in which it says what differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

EXPECTED = "the expected answer"
"""Where a mistake is that scored rows tell by file and row."""

_LONGEST_QUOTE = 80


class Score(NamedTuple):
    """What a scorer says of one answer."""

    value: float
    """From 0 to 1."""
    passed: bool
    reason: str
    """Empty when passed, else what differs, e.g. `priority: expected 'high', got 'normal'`."""
    parts: tuple[tuple[str, bool], ...] = ()
    """Each part of the expected answer, such as a field, and whether it was right."""


Rule = Callable[..., Score]
"""A function of the expected answer and the answer got, with keyword-only parameters for what else it reads:
keys of [scoring] by their names, `judge` for the section [judge], `prompt` for the row's last user turn.

Raises ResidencyError where the expected answer itself is not of the rule's form.
"""


def quote(text: str) -> str:
    """`text` in quotes on one line, cut where it is long: for reasons."""
    return repr(text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…")


def differs(place: str, expected: str | None, got: str | None) -> str:
    """One difference in words; `None` stands for nothing at all."""
    words = ["nothing" if text is None else quote(text) for text in (expected, got)]
    return f"{place + ': ' if place else ''}expected {words[0]}, got {words[1]}"


def marked(name: str, value: float, pass_mark: float) -> Score:
    """A likeness that passes from `pass_mark` on."""
    passed = value >= pass_mark
    return Score(value, passed, "" if passed else f"{name} {value:.2f}, below the mark of {pass_mark:g}")
