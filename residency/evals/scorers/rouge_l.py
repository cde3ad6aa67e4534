"""`rouge_l`: the longest sequence of words that two texts share in order."""

from __future__ import annotations

import re

from rapidfuzz.distance import LCSseq

from residency.evals.scorers.registry import scorer
from residency.evals.scorers.score import Score, marked

_WORD = re.compile(r"\w+")


@scorer("rouge_l")
def rouge_l(expected: str, got: str, *, pass_mark: float) -> Score:
    """ROUGE-L's F1 of the two texts; passes from `pass_mark` on.

    C.-Y. Lin, ROUGE: a package for automatic evaluation of summaries (2004), equations 2 to 4 with
    beta 1: precision and recall are the longest common subsequence of words by each text's length.
    Case and punctuation count nothing.
    """
    wanted, given = (_WORD.findall(text.casefold()) for text in (expected, got))
    if not wanted and not given:
        return marked("ROUGE-L", float(expected.strip() == got.strip()), pass_mark)
    common = LCSseq.similarity(wanted, given)
    return marked("ROUGE-L", 2 * common / (len(wanted) + len(given)), pass_mark)
