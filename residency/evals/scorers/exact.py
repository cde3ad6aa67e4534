"""`exact`: the same text, line ends and trailing spaces aside."""

from __future__ import annotations

from itertools import zip_longest

from residency.evals.scorers.registry import scorer
from residency.evals.scorers.score import Score, differs


@scorer("exact")
def exact(expected: str, got: str) -> Score:
    """Passes when both texts are equal, line ends, outer white space and trailing spaces aside."""
    wanted, given = _lines(expected), _lines(got)
    if wanted == given:
        return Score(1.0, True, "")
    several = len(wanted) > 1 or len(given) > 1
    for number, (a, b) in enumerate(zip_longest(wanted, given), start=1):
        if a != b:
            return Score(0.0, False, differs(f"line {number}" if several else "", a, b))
    raise AssertionError("two texts that differ have a line that differs")


def _lines(text: str) -> list[str]:
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    return [line.rstrip() for line in text.split("\n")]
