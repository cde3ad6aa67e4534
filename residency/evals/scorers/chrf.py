"""`chrf`: n-grams of characters that two texts share, for free text in any language."""

from __future__ import annotations

from collections import Counter

from residency.evals.scorers.registry import scorer
from residency.evals.scorers.score import Score, marked

_ORDERS = range(1, 7)
_BETA = 2


@scorer("chrf")
def chrf(expected: str, got: str, *, pass_mark: float) -> Score:
    """chrF2 of the two texts, from 0 to 1; passes from `pass_mark` on."""
    return marked("chrF", likeness(expected, got), pass_mark)


def likeness(expected: str, got: str) -> float:
    """chrF2: M. Popovic, chrF: character n-gram F-score for automatic MT evaluation (2015), WMT.

    Precision and recall are means over orders 1 to 6, white space left out; orders longer than one of
    the texts count nothing. F = (1 + b²) P R / (b² P + R) with b = 2: recall weighs twice.
    """
    wanted, given = "".join(expected.split()), "".join(got.split())
    if wanted == given:
        return 1.0
    precisions, recalls = [], []
    for order in _ORDERS:
        ours, theirs = _grams(given, order), _grams(wanted, order)
        if ours and theirs:
            shared = (ours & theirs).total()
            precisions.append(shared / ours.total())
            recalls.append(shared / theirs.total())
    precision, recall = sum(precisions), sum(recalls)
    if not precision:
        return 0.0
    precision, recall = precision / len(precisions), recall / len(recalls)
    return (1 + _BETA**2) * precision * recall / (_BETA**2 * precision + recall)


def _grams(text: str, order: int) -> Counter[str]:
    return Counter(text[i : i + order] for i in range(len(text) - order + 1))
