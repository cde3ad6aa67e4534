"""`regex`: what a pattern finds in both texts must agree."""

from __future__ import annotations

import re
from functools import cache

from residency.core.errors import ResidencyError
from residency.evals.scorers.registry import scorer
from residency.evals.scorers.score import EXPECTED, Score, differs

_KEY = "scoring.pattern"


@scorer("regex")
def regex(expected: str, got: str, *, pattern: str) -> Score:
    """Passes when the last match in the answer is the same text as the last one in the expected answer.

    The first group counts where the pattern has one, else the whole match; outer spaces do not.

    Raises:
        ResidencyError: there is no valid pattern, or it finds nothing in the expected answer.
    """
    compiled = _compile(pattern)
    wanted, given = _last_match(compiled, expected), _last_match(compiled, got)
    if wanted is None:
        fix = f"Correct {_KEY}, or the row."
        raise ResidencyError("The pattern finds nothing in the expected answer.", EXPECTED, fix)
    passed = wanted == given
    return Score(float(passed), passed, "" if passed else differs("", wanted, given))


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    fix = "E.g. pattern = 'Answer: (\\w+)' in [scoring]."
    if not pattern:
        raise ResidencyError("The scorer 'regex' needs a pattern.", _KEY, fix)
    try:
        return re.compile(pattern, re.MULTILINE)
    except re.error as error:
        raise ResidencyError(f"The pattern is not valid: {error}.", _KEY, fix) from None


def _last_match(pattern: re.Pattern[str], text: str) -> str | None:
    last = None
    for match in pattern.finditer(text):
        last = match
    if last is None:
        return None
    return (last[1] or "" if pattern.groups else last[0]).strip()
