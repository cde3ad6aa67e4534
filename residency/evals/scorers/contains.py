"""`contains`: the expected text stands somewhere in the answer."""

from __future__ import annotations

import unicodedata

from residency.core.errors import ResidencyError
from residency.evals.scorers.registry import scorer
from residency.evals.scorers.score import EXPECTED, Score, differs


@scorer("contains")
def contains(expected: str, got: str) -> Score:
    """Passes when the expected text stands in the answer; case, spacing and how marks are written aside.

    Raises:
        ResidencyError: the expected answer is empty, which every answer contains.
    """
    folded = (unicodedata.normalize("NFC", text).casefold() for text in (expected, got))
    wanted, given = (" ".join(text.split()) for text in folded)
    if not wanted:
        fix = "Write what the answer must contain, or leave the row out."
        raise ResidencyError("The expected answer is empty.", EXPECTED, fix)
    passed = wanted in given
    return Score(float(passed), passed, "" if passed else differs("", expected.strip(), got.strip() or None))
