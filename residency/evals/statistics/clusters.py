"""Rows that say nearly the same are no independent evidence: how many rows they are worth.

E. L. Korn, B. I. Graubard, Survey Methodology 24 (1998) 193: the rows divided by the design effect, and
by the square of the ratio of t's quantiles for as many clusters and as many rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from scipy import special


def effective_rows(values: Sequence[float], clusters: Sequence[str], confidence: float) -> float:
    """As many independent rows as tell the mean of `values` as well as these rows in clusters do.

    The design effect is the sum over clusters of their squared residuals by that over rows, and at
    least 1. Where all values are the same it is the largest there can be, that of clusters all of whose
    rows agree (L. Kish, Survey Sampling, 1965, section 5.4): the sum of squared sizes by the rows.
    Rows that are a cluster each are worth themselves.
    """
    n = len(values)
    mean = sum(values) / n
    residuals = [value - mean for value in values]
    of_rows = sum(residual**2 for residual in residuals)
    of_clusters = sum(total**2 for total in cluster_sums(residuals, clusters))
    sizes = cluster_sums([1.0] * n, clusters)
    largest = sum(size**2 for size in sizes) / n
    effect = max(1.0, of_clusters / of_rows) if of_rows > 1e-12 * n else largest
    return n / effect * _few_clusters(n, len(sizes), confidence)


def cluster_sums(values: Sequence[float], clusters: Sequence[str]) -> list[float]:
    """The sum of each cluster's values, in the order in which clusters first occur."""
    sums: dict[str, float] = defaultdict(float)
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] += value
    return list(sums.values())


def own_cluster_each(clusters: Iterable[str]) -> list[str]:
    """The clusters, where an empty one stands for a cluster of its own."""
    return [cluster or f"\0{number}" for number, cluster in enumerate(clusters)]


def _few_clusters(n: int, clusters: int, confidence: float) -> float:
    if clusters == n:
        return 1.0
    level = (1 + confidence) / 2
    return float(special.stdtrit(n - 1, level) / special.stdtrit(max(1, clusters - 1), level)) ** 2
