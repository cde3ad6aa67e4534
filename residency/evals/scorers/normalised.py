"""`normalised`: the same words, case, spacing and the punctuation around words aside."""

from __future__ import annotations

import unicodedata

from residency.evals.scorers.registry import scorer
from residency.evals.scorers.score import Score, differs

_AROUND = ".,;:!?…\"'`()[]{}<>“”„‘’‚«»*_"


@scorer("normalised")
def normalised(expected: str, got: str) -> Score:
    """Passes when both texts are the same words.

    Case, white space, compatible forms of a character (NFKC) and marks before and after a word count
    nothing; marks inside a word do, and so do signs: 3.5 is not 35, -1 not 1, C# not C.
    """
    if words(expected) == words(got):
        return Score(1.0, True, "")
    return Score(0.0, False, differs("", expected.strip(), got.strip() or None))


def words(text: str) -> list[str]:
    """The words of a text without case and the marks around them; a text of marks alone is its own word."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [word for part in folded.split() if (word := part.strip(_AROUND))] or folded.split()
