"""Intervals, tests and sample sizes for shares of passed rows.

Wilson:        E. B. Wilson, J Am Stat Assoc 22 (1927) 209.
Newcombe 873:  R. G. Newcombe, Stat Med 17 (1998) 873, method 10: two independent shares.
Newcombe 2635: R. G. Newcombe, Stat Med 17 (1998) 2635, method 10: two paired shares.
McNemar:       Q. McNemar, Psychometrika 12 (1947) 153, with the exact binomial of the discordant pairs.
Holm:          S. Holm, Scand J Stat 6 (1979) 65.

Counts may be fractions where a sample size is planned, hence closed forms where scipy asks for integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class Paired(NamedTuple):
    """Two candidates on the same rows."""

    n: int
    both: int
    only_a: int
    only_b: int
    neither: int
    difference: float
    """Share of b minus share of a."""
    interval: Interval
    """Newcombe's interval of the difference."""
    p: float
    """Exact two-sided McNemar."""


class Unpaired(NamedTuple):
    """Two shares on different rows."""

    difference: float
    """Share of b minus share of a."""
    interval: Interval
    """Newcombe's interval of the difference."""
    p: float
    """Fisher's exact test, two-sided."""


def wilson(passed: int, n: int, confidence: float) -> Interval:
    """Wilson's score interval of the share `passed / n`."""
    return _wilson(passed / n, n, _quantile(confidence))


def paired(a: Sequence[bool], b: Sequence[bool], confidence: float) -> Paired:
    """Compare the passes of `a` and `b` on the same rows, given in the same order."""
    pairs = list(zip(a, b, strict=True))
    both, only_a = pairs.count((True, True)), pairs.count((True, False))
    only_b, neither = pairs.count((False, True)), pairs.count((False, False))
    cells = (both, only_a, only_b, neither)
    difference = (only_b - only_a) / len(pairs)
    interval = _paired_interval(cells, _quantile(confidence))
    return Paired(len(pairs), *cells, difference, interval, _mcnemar(only_a, only_b))


def unpaired(passed_a: int, n_a: int, passed_b: int, n_b: int, confidence: float) -> Unpaired:
    """Compare two shares measured on different rows (Newcombe 873, method 10; Fisher's exact test)."""
    z = _quantile(confidence)
    p_a, p_b = passed_a / n_a, passed_b / n_b
    interval = _square_and_add(p_b, _wilson(p_b, n_b, z), p_a, _wilson(p_a, n_a, z), phi=0.0)
    table = np.array([[passed_a, n_a - passed_a], [passed_b, n_b - passed_b]])
    return Unpaired(p_b - p_a, interval, float(stats.fisher_exact(table).pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: the i-th smallest of m times m - i + 1, never falling."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def rule_of_three(n: int, confidence: float) -> float:
    """Highest failure rate that fits no failure in `n` rows: -ln(1 - confidence) / n, 3 / n at 95 %.

    J. A. Hanley, A. Lippman-Hand, JAMA 249 (1983) 1743.
    """
    return min(1.0, -math.log1p(-confidence) / n)


def rows_to_tell(pair: Paired, margin: float, confidence: float) -> int | None:
    """About how many test rows more until the interval of the difference clears `margin`.

    The cells grow to k times their size, so that the observed rates hold; the answer is the least
    (k - 1) * n at which Newcombe's paired interval of the grown cells lies above the margin, or at
    or below it. None where the observed difference is exactly the margin: then no number will do.
    """
    if math.isclose(pair.difference, margin, abs_tol=1e-12):
        return None
    z = _quantile(confidence)

    def clears(rows: int) -> bool:
        k = rows / pair.n
        cells = (pair.both * k, pair.only_a * k, pair.only_b * k, pair.neither * k)
        low, high = _paired_interval(cells, z)
        return low > margin or high <= margin

    return _least(clears, pair.n) - pair.n


def rows_to_significance(pair: Paired, level: float) -> int | None:
    """About how many test rows more until McNemar's exact p is below `level`, at the observed rates.

    The discordant cells grow in proportion and are rounded. None where both are the same size.
    """
    if pair.only_a == pair.only_b:
        return None

    def clears(rows: int) -> bool:
        k = rows / pair.n
        return _mcnemar(round(pair.only_a * k), round(pair.only_b * k)) < level

    return _least(clears, pair.n) - pair.n


def rows_to_clear(passed: int, n: int, limit: float, confidence: float) -> int | None:
    """About how many test rows more until Wilson's interval of the share leaves `limit` out.

    The share stays as observed. None where it is exactly the limit.
    """
    share = passed / n
    if math.isclose(share, limit, abs_tol=1e-12):
        return None
    z = _quantile(confidence)

    def clears(rows: int) -> bool:
        low, high = _wilson(share, rows, z)
        return low > limit or high < limit

    return _least(clears, n) - n


def _quantile(confidence: float) -> float:
    return float(special.ndtri((1 + confidence) / 2))


def _wilson(share: float, n: float, z: float) -> Interval:
    """Wilson 1927: (2np + z² ± z sqrt(z² + 4npq)) / 2(n + z²)."""
    centre = 2 * n * share + z * z
    half = z * math.sqrt(z * z + 4 * n * share * (1 - share))
    low, high = (centre - half) / (2 * (n + z * z)), (centre + half) / (2 * (n + z * z))
    # At the ends the limits are exactly 0 and 1; rounding must not say otherwise.
    return Interval(0.0 if share == 0 else low, 1.0 if share == 1 else high)


def _paired_interval(cells: tuple[float, float, float, float], z: float) -> Interval:
    """Newcombe 2635, method 10, of share b minus share a; cells: both, only a, only b, neither."""
    both, only_a, only_b, neither = cells
    n = sum(cells)
    p_a, p_b = (both + only_a) / n, (both + only_b) / n
    marginals = (both + only_b) * (only_a + neither) * (both + only_a) * (only_b + neither)
    excess = both * neither - only_a * only_b
    if excess > 0:
        excess = max(excess - n / 2, 0.0)
    phi = excess / math.sqrt(marginals) if marginals else 0.0
    return _square_and_add(p_b, _wilson(p_b, n, z), p_a, _wilson(p_a, n, z), phi)


def _square_and_add(p: float, of_p: Interval, q: float, of_q: Interval, phi: float) -> Interval:
    """The interval of p - q from those of p and q with correlation `phi` between them."""

    def reach(x: float, y: float) -> float:
        return math.sqrt(max(x * x - 2 * phi * x * y + y * y, 0.0))

    low = p - q - reach(p - of_p.low, of_q.high - q)
    high = p - q + reach(of_p.high - p, q - of_q.low)
    return Interval(low, high)


def _mcnemar(only_a: int, only_b: int) -> float:
    """Twice the lower binomial tail of the smaller discordant cell, at most 1."""
    n = only_a + only_b
    return min(1.0, 2 * float(stats.binom.cdf(min(only_a, only_b), n, 0.5))) if n else 1.0


def _least(clears: Callable[[int], bool], start: int) -> int:
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
