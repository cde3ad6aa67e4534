"""Whether two graders agree beyond chance.

Kappa:           J. Cohen, Educational and Psychological Measurement 20 (1960) 37.
Standard error:  J. L. Fleiss, J. Cohen, B. S. Everitt, Psychological Bulletin 72 (1969) 323.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

from residency.evals.statistics.intervals import Interval, quantile, rule_of_three


def cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    """Cohen's kappa: (agreement - chance) / (1 - chance), 0 where chance alone makes all agree."""
    agreed, chance = _agreed(a, b), _chance(a, b)
    return (agreed - chance) / (1 - chance) if chance < 1 else 0.0


def kappa_interval(a: Sequence[Hashable], b: Sequence[Hashable], confidence: float) -> Interval:
    """The interval of Cohen's kappa, by its standard error in large samples.

    With p_ij the share of rows that are i by a and j by b, and k kappa, the error's square is

        [ sum_i p_ii (1 - (p_i. + p_.i) (1 - k))^2 + (1 - k)^2 sum_{i != j} p_ij (p_.i + p_j.)^2
          - (k - chance (1 - k))^2 ] / (n (1 - chance)^2)

    Where all agree that is 0 and says nothing: then the rule of three bounds how often they may not.
    """
    n, chance = len(a), _chance(a, b)
    if chance == 1:
        return Interval(-1.0, 1.0)
    if _agreed(a, b) == 1:
        return Interval(max(-1.0, 1 - rule_of_three(n, confidence) / (1 - chance)), 1.0)
    of_a, of_b, kappa = Counter(a), Counter(b), cohen_kappa(a, b)
    alike = other = 0.0
    for (i, j), rows in Counter(zip(a, b, strict=True)).items():
        if i == j:
            alike += rows / n * (1 - (of_a[i] + of_b[i]) / n * (1 - kappa)) ** 2
        else:
            other += rows / n * ((of_b[i] + of_a[j]) / n) ** 2
    variance = alike + (1 - kappa) ** 2 * other - (kappa - chance * (1 - kappa)) ** 2
    half = quantile(confidence) * math.sqrt(max(0.0, variance) / n) / (1 - chance)
    return Interval(max(-1.0, kappa - half), min(1.0, kappa + half))


def _agreed(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    return sum(x == y for x, y in zip(a, b, strict=True)) / len(a)


def _chance(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    of_a, of_b = Counter(a), Counter(b)
    return sum(of_a[word] * of_b[word] for word in of_a) / len(a) ** 2
