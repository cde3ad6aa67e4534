"""Rows that say nearly the same are no independent evidence: how many rows they are worth.

The design effect of a mean over clusters of m rows, 1 + (sum m² / n - 1) r (L. Kish, Survey Sampling,
1965, section 5.4), with r the correlation within clusters, estimated from mean squares (A. Donner, Int
Stat Rev 54 (1986) 67); and for few clusters the square of the ratio of t's quantiles for as many clusters
and as many rows (E. L. Korn, B. I. Graubard, Survey Methodology 24 (1998) 193). An effect from the
clusters' residuals alone is too small where few rows fail: see docs/evidence.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from scipy import special


def effective_rows(values: Sequence[float], clusters: Sequence[str], confidence: float) -> float:
    """As many independent rows as tell the mean of `values` as well as these rows in clusters do.

    Rows that are a cluster each are worth themselves.
    """
    n = len(values)
    sizes = cluster_sums([1.0] * n, clusters)
    if len(sizes) == n:
        return n
    mean_size = sum(size**2 for size in sizes) / n
    effect = 1 + (mean_size - 1) * _correlation(values, clusters, sizes)
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


def _correlation(values: Sequence[float], clusters: Sequence[str], sizes: Sequence[float]) -> float:
    """Of rows within a cluster, from 0 to 1; 1 where all values are the same and nothing tells.

    (B - W) / (B + (m - 1) W) for the mean squares B between and W within clusters, and the mean size m
    that Donner calls m0.
    """
    n, groups = len(values), len(sizes)
    if groups == 1:
        return 1.0
    mean = sum(values) / n
    means = [total / size for total, size in zip(cluster_sums(values, clusters), sizes, strict=True)]
    of_means = sum(size * (m - mean) ** 2 for m, size in zip(means, sizes, strict=True))
    of_rows = sum((value - mean) ** 2 for value in values)
    if of_rows < 1e-12 * n:
        return 1.0
    between, within = of_means / (groups - 1), (of_rows - of_means) / (n - groups)
    size = (n - sum(size**2 for size in sizes) / n) / (groups - 1)
    return min(1.0, max(0.0, (between - within) / (between + (size - 1) * within)))


def _few_clusters(n: int, clusters: int, confidence: float) -> float:
    level = (1 + confidence) / 2
    return float(special.stdtrit(n - 1, level) / special.stdtrit(max(1, clusters - 1), level)) ** 2
