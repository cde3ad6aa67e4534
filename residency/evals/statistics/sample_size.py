"""How many rows tell what: before running, the difference that can be told; after, the rows that would."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from residency.evals.statistics.intervals import quantile, wilson_at
from residency.evals.statistics.pairs import Paired, mcnemar, paired_interval

POWER = 0.8
"""How often a difference is found that is said to be detectable."""


class _Design(NamedTuple):
    """What the test does for each number of discordant rows there may be."""

    discordance: float
    m: NDArray[np.int64]
    """Numbers of discordant rows."""
    chances: NDArray[np.float64]
    """Of each number."""
    most_a: NDArray[np.float64]
    """Rows that a alone may pass for b to be shown above it; -1 where no number will do."""

    def power(self, difference: float) -> float:
        """How often b is shown above a, where its share is higher by `difference`."""
        from scipy import stats

        share_a = (self.discordance - difference) / (2 * self.discordance)
        return float(self.chances @ stats.binom.cdf(self.most_a, self.m, share_a))


def _design(n: float, discordance: float, confidence: float) -> _Design:
    from scipy import stats

    rows = round(n)
    low, high = stats.binom.interval(1 - 1e-12, rows, discordance)
    m = np.arange(int(low), int(high) + 1)
    most_a = stats.binom.ppf((1 - confidence) / 2, m, 0.5) - 1
    chances = stats.binom.pmf(m, rows, discordance)
    return _Design(discordance, m, np.asarray(chances), np.asarray(most_a))


def power(n: float, discordance: float, difference: float, confidence: float) -> float:
    """How often exact McNemar on `n` rows shows b above a, where b's share is higher by `difference`.

    `discordance` is the share of rows that only one of the two passes, above 0. Summed over all numbers
    of discordant rows: their binomial chance times that of as few rows for a as the test needs (S. W.
    Duffy, Biometrics 40 (1984) 1005).
    """
    return _design(n, discordance, confidence).power(difference)


def detectable(n: float, discordance: float, confidence: float) -> float | None:
    """The least difference of two shares that `n` rows show `POWER` of the time; none where no one is.

    The difference is at most `discordance`, where b gains on every row on which they differ.
    """
    design = _design(n, discordance, confidence)
    if design.power(discordance) < POWER:
        return None
    low, high = 0.0, discordance
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (low, middle) if design.power(middle) >= POWER else (middle, high)
    return high


def rows_to_tell(pair: Paired, margin: float, confidence: float) -> int | None:
    """About how many test rows more until the interval of the difference clears `margin`.

    The cells grow to k times their size, so that the observed rates hold; the answer is the least
    (k - 1) * n at which Newcombe's paired interval of the grown cells lies above the margin, or at
    or below it. None where the observed difference is exactly the margin: then no number will do.
    """
    if math.isclose(pair.difference, margin, abs_tol=1e-12):
        return None
    z = quantile(confidence)

    def clears(rows: int) -> bool:
        low, high = paired_interval(pair.cells(rows), z)
        return low > margin or high <= margin

    return least_rows(clears, pair.n) - pair.n


def rows_to_significance(pair: Paired, level: float) -> int | None:
    """About how many test rows more until McNemar's exact p is below `level`, at the observed rates.

    The discordant cells grow in proportion and are rounded. None where both are the same size.
    """
    if pair.only_a == pair.only_b:
        return None

    def clears(rows: int) -> bool:
        _, only_a, only_b, _ = pair.cells(rows)
        return mcnemar(round(only_a), round(only_b)) < level

    return least_rows(clears, pair.n) - pair.n


def rows_to_clear(share: float, n: int, worth: float, limit: float, confidence: float) -> int | None:
    """About how many test rows more until Wilson's interval of the share leaves `limit` out.

    `n` rows are worth `worth` independent ones. The share stays as observed. None where it is exactly
    the limit.
    """
    if math.isclose(share, limit, abs_tol=1e-12):
        return None
    z = quantile(confidence)

    def clears(rows: int) -> bool:
        low, high = wilson_at(share, rows * worth / n, z)
        return low > limit or high < limit

    return least_rows(clears, n) - n


def least_rows(clears: Callable[[int], bool], start: int) -> int:
    """The least number of rows from `start` on that clears, by doubling and halving."""
    if clears(start):
        return start
    low, high = start, 2 * start
    while not clears(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if clears(middle) else (middle, high)
    return high
