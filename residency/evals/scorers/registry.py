"""What a scorer is, and the names under which recipes find them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from residency.core.errors import ResidencyError

_LONGEST_QUOTE = 80


class Score(NamedTuple):
    """What a scorer says of one answer."""

    value: float
    """From 0 to 1."""
    passed: bool
    reason: str
    """Empty when passed, else what differs, e.g. `priority: expected 'high', got 'normal'`."""


Scorer = Callable[[str, str], Score]
"""Called with the expected answer and the answer got.

Raises ResidencyError where the expected answer itself is not of the scorer's form.
"""

_SCORERS: dict[str, Scorer] = {}


def scorer(name: str) -> Callable[[Scorer], Scorer]:
    """Register the decorated function as the scorer `name`.

    Raises:
        ValueError: another scorer has that name.
    """

    def register(function: Scorer) -> Scorer:
        if name in _SCORERS:
            raise ValueError(f"There is a scorer '{name}' already.")
        _SCORERS[name] = function
        return function

    return register


def scorer_names() -> list[str]:
    """The names of all scorers, sorted."""
    return sorted(_SCORERS)


def get_scorer(name: str) -> Scorer:
    """The scorer called `name`.

    Raises:
        ResidencyError: there is none.
    """
    if name not in _SCORERS:
        known = ", ".join(scorer_names())
        raise ResidencyError(f"There is no scorer '{name}'.", "task.scorer", f"Use one of: {known}.")
    return _SCORERS[name]


def quote(text: str) -> str:
    """`text` in quotes on one line, cut where it is long: for reasons."""
    return repr(text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…")


def differs(place: str, expected: str | None, got: str | None) -> str:
    """One difference in words; `None` stands for nothing at all."""
    words = ["nothing" if text is None else quote(text) for text in (expected, got)]
    return f"{place + ': ' if place else ''}expected {words[0]}, got {words[1]}"
