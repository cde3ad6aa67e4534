"""The difference of two mean scores on the same rows, where scores give part marks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from residency.evals.statistics.clusters import cluster_sums
from residency.evals.statistics.intervals import Interval
from residency.evals.statistics.resampling import bootstrap


def bootstrap_difference(
    a: Sequence[float], b: Sequence[float], clusters: Sequence[str], confidence: float
) -> Interval:
    """The BCa interval of the mean of b minus a, row by row; whole clusters are drawn.

    B. Efron, J Am Stat Assoc 82 (1987) 171, with 1,999 draws of a fixed seed. Where every cluster
    differs by the same there is nothing to draw from, and the interval is that one value.
    """
    differences = [of_b - of_a for of_a, of_b in zip(a, b, strict=True)]
    totals = np.array(cluster_sums(differences, clusters))
    sizes = np.array(cluster_sums([1.0] * len(differences), clusters))
    ratios = totals / sizes
    if len(totals) < 2 or np.ptp(ratios) < 1e-12:
        return Interval(float(ratios[0]), float(ratios[0]))
    return bootstrap(
        (totals, sizes), lambda totals, sizes, axis: totals.sum(axis) / sizes.sum(axis), confidence, "BCa"
    )
