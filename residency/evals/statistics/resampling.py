"""Drawing test rows again, the same ones for all that is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from residency.evals.statistics.intervals import Interval

_RESAMPLES = 1999
_SEED = 0
_AT_A_TIME = 250


def bootstrap(
    sums: Sequence[NDArray[np.float64]],
    statistic: Callable[..., NDArray[np.float64]],
    confidence: float,
    method: Literal["BCa", "percentile"],
) -> Interval:
    """The interval of a statistic over 1,999 draws of clusters with a fixed seed.

    Args:
        sums: What each cluster adds up to, an array a quantity; all are drawn alike.
        statistic: Of the arrays, along `axis`.
        confidence: Of the interval.
        method: How it is taken from the draws.
    """
    from scipy import stats

    drawn = stats.bootstrap(
        sums,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=_RESAMPLES,
        batch=_AT_A_TIME,
        confidence_level=confidence,
        method=method,
        rng=np.random.default_rng(_SEED),
    )
    low, high = drawn.confidence_interval
    return Interval(float(low), float(high))
