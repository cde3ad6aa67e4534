"""`edit`: how few characters must change to make one text the other."""

from __future__ import annotations

from rapidfuzz.distance import Levenshtein

from residency.evals.scorers.registry import scorer
from residency.evals.scorers.score import Score, marked


@scorer("edit")
def edit(expected: str, got: str, *, pass_mark: float) -> Score:
    """1 less Levenshtein's distance by the longer text's length; passes from `pass_mark` on."""
    return marked("likeness", Levenshtein.normalized_similarity(expected.strip(), got.strip()), pass_mark)
