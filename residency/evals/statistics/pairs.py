"""Two shares of passed rows compared, on the same rows or on different ones.

Newcombe 873:  R. G. Newcombe, Stat Med 17 (1998) 873, method 10: two independent shares.
Newcombe 2635: R. G. Newcombe, Stat Med 17 (1998) 2635, method 10: two paired shares.
McNemar:       Q. McNemar, Psychometrika 12 (1947) 153, with the exact binomial of the discordant pairs.

Counts may be fractions, where rows in clusters count less than one each, or where a size is planned;
hence closed forms where scipy asks for integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from residency.evals.statistics.clusters import cluster_sums, effective_rows
from residency.evals.statistics.intervals import Interval, quantile, wilson_at

Cells = tuple[float, float, float, float]
"""Rows that both passed, only a, only b, neither."""


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
    """Newcombe's interval of the difference; clusters count as the rows that they are worth."""
    p: float
    """Exact two-sided McNemar; of clusters the exact test that turns each one's sign."""
    effective_n: float
    """As many independent rows as these are worth; `n` where each is a cluster of its own."""

    def cells(self, rows: float) -> Cells:
        """The cells that as many rows would have at the observed rates, counted as what they are worth."""
        scale = rows / self.n * self.effective_n / self.n
        return self.both * scale, self.only_a * scale, self.only_b * scale, self.neither * scale


class Unpaired(NamedTuple):
    """Two shares on different rows."""

    difference: float
    """Share of b minus share of a."""
    interval: Interval
    """Newcombe's interval of the difference."""
    p: float
    """Fisher's exact test, two-sided."""


def paired(
    a: Sequence[bool], b: Sequence[bool], confidence: float, clusters: Sequence[str] | None = None
) -> Paired:
    """Compare the passes of `a` and `b` on the same rows, given in the same order.

    Without clusters every row is one of its own.
    """
    pairs = list(zip(a, b, strict=True))
    n = len(pairs)
    both, only_a = pairs.count((True, True)), pairs.count((True, False))
    only_b, neither = pairs.count((False, True)), pairs.count((False, False))
    differences = [float(of_b) - float(of_a) for of_a, of_b in pairs]
    clusters = [str(i) for i in range(n)] if clusters is None else clusters
    worth = effective_rows(differences, clusters, confidence)
    without = Paired(n, both, only_a, only_b, neither, (only_b - only_a) / n, Interval(-1, 1), 1.0, worth)
    return without._replace(
        interval=paired_interval(without.cells(n), quantile(confidence)),
        p=_sign_flips([round(abs(total)) for total in cluster_sums(differences, clusters)], only_b - only_a),
    )


def unpaired(passed_a: int, n_a: int, passed_b: int, n_b: int, confidence: float) -> Unpaired:
    """Compare two shares measured on different rows (Newcombe 873, method 10; Fisher's exact test)."""
    from scipy import stats

    z = quantile(confidence)
    p_a, p_b = passed_a / n_a, passed_b / n_b
    interval = _square_and_add(p_b, wilson_at(p_b, n_b, z), p_a, wilson_at(p_a, n_a, z), phi=0.0)
    table = np.array([[passed_a, n_a - passed_a], [passed_b, n_b - passed_b]])
    return Unpaired(p_b - p_a, interval, float(stats.fisher_exact(table).pvalue))


def paired_interval(cells: Cells, z: float) -> Interval:
    """Newcombe 2635, method 10, of share b minus share a; cells: both, only a, only b, neither."""
    both, only_a, only_b, neither = cells
    n = sum(cells)
    p_a, p_b = (both + only_a) / n, (both + only_b) / n
    marginals = (both + only_b) * (only_a + neither) * (both + only_a) * (only_b + neither)
    excess = both * neither - only_a * only_b
    if excess > 0:
        excess = max(excess - n / 2, 0.0)
    phi = excess / math.sqrt(marginals) if marginals else 0.0
    return _square_and_add(p_b, wilson_at(p_b, n, z), p_a, wilson_at(p_a, n, z), phi)


def _square_and_add(p: float, of_p: Interval, q: float, of_q: Interval, phi: float) -> Interval:
    """The interval of p - q from those of p and q with correlation `phi` between them."""

    def reach(x: float, y: float) -> float:
        return math.sqrt(max(x * x - 2 * phi * x * y + y * y, 0.0))

    low = p - q - reach(p - of_p.low, of_q.high - q)
    high = p - q + reach(of_p.high - p, q - of_q.low)
    return Interval(low, high)


def mcnemar(only_a: int, only_b: int) -> float:
    """Twice the lower binomial tail of the smaller discordant cell, at most 1."""
    from scipy import stats

    n = only_a + only_b
    return min(1.0, 2 * float(stats.binom.cdf(min(only_a, only_b), n, 0.5))) if n else 1.0


def _sign_flips(sizes: Sequence[int], total: int) -> float:
    """P(|sum of ± sizes| >= |total|), every sign as likely as the other: exact, by convolution.

    With sizes of 1 alone this is McNemar's exact test; so it is with clusters what McNemar's is with
    rows: the clusters' differences are exchangeable under the null, the rows within them are not.
    """
    sizes = [size for size in sizes if size]
    if all(size == 1 for size in sizes):
        return mcnemar((len(sizes) - total) // 2, (len(sizes) + total) // 2)
    reach = sum(sizes)
    chances = np.zeros(2 * reach + 1)
    chances[reach] = 1.0
    for size in sizes:
        chances = (np.roll(chances, size) + np.roll(chances, -size)) / 2
    return min(1.0, float(chances[np.abs(np.arange(-reach, reach + 1)) >= abs(total)].sum()))
