"""Whether two graders agree beyond chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence


def cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    """Cohen's kappa: (agreement - chance) / (1 - chance), 0 where chance alone makes all agree.

    J. Cohen, Educational and Psychological Measurement 20 (1960) 37.
    """
    n = len(a)
    agreed = sum(x == y for x, y in zip(a, b, strict=True)) / n
    of_a, of_b = Counter(a), Counter(b)
    chance = sum(of_a[word] * of_b[word] for word in of_a) / n**2
    return (agreed - chance) / (1 - chance) if chance < 1 else 0.0
