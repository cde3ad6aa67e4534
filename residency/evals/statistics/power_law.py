"""How the share of failures falls with the training rows, and what doubling them would bring.

failures = a n^-b for n training rows, the form of J. Hestness et al., arXiv:1712.00409, section 2, without
the floor that they add: three points would not determine it. T. Viering, M. Loog, arXiv:2103.10948, tell
where such laws fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from residency.evals.statistics.clusters import cluster_sums
from residency.evals.statistics.intervals import Interval
from residency.evals.statistics.resampling import bootstrap


class Doubling(NamedTuple):
    """What twice the rows of the last point would bring."""

    exponent: float
    """b of failures = a n^-b; below 0 more rows did harm."""
    gain: float
    """The fall of the share of failures from the last point's rows to twice as many."""
    interval: Interval
    """Of `gain`, from the test rows drawn; it holds neither other seeds nor other training rows."""


def foresee_doubling(
    rows: Sequence[int], passes: Sequence[Sequence[bool]], clusters: Sequence[str], confidence: float
) -> Doubling:
    """Fit the law through the points, `passes` of the same test rows at each number of training rows.

    Least squares in logarithms, with half a failure added to each point so that none is infinite. The gain
    is that of the fitted curve, which is steadier than from the last point observed, and at most the
    failures that are left. The interval is the percentiles' of 1,999 draws of whole clusters of test rows,
    the same ones for all points, so that their correlation is kept; where there is but one cluster to draw
    from, it is as wide as can be.
    """
    logs = np.log(rows)
    sums = [np.array(cluster_sums([float(not p) for p in of_point], clusters)) for of_point in passes]
    sums.append(np.array(cluster_sums([1.0] * len(clusters), clusters)))

    def gain(*drawn: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        *failed, tested = (of_cluster.sum(axis) for of_cluster in drawn)
        slope, level = _fit(logs, failed, tested)
        now, doubled = (np.minimum(np.exp(level + slope * at), 1) for at in (logs[-1], logs[-1] + np.log(2)))
        return np.minimum(now - doubled, failed[-1] / tested)

    slope, _ = _fit(logs, [of_cluster.sum() for of_cluster in sums[:-1]], sums[-1].sum())
    if len(sums[-1]) < 2:
        return Doubling(-float(slope), float(gain(*sums)), Interval(-1.0, 1.0))
    return Doubling(-float(slope), float(gain(*sums)), bootstrap(sums, gain, confidence, "percentile"))


def _fit(
    logs: NDArray[np.float64], failed: Sequence[NDArray[np.float64]], tested: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slope and level of the line through the logarithms, for each draw: `failed` a point, of `tested`."""
    slope, level = np.polyfit(logs, np.log((np.stack(failed) + 0.5) / (tested + 1)), 1)
    return slope, level
