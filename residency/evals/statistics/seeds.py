"""Several trainings that differ by their seed alone: what of the spread is the seed's, what the test's.

Scores of S seeds on the same n rows are a mean, a seed's effect, a row's effect and a rest, all random:
the crossed two-way model (S. R. Searle, G. Casella, C. E. McCulloch, Variance Components, 1992, section 4.3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from residency.evals.statistics.intervals import Interval


class SeedSpread(NamedTuple):
    """The mean over seeds and where its uncertainty comes from."""

    seeds: int
    n: int
    mean: float
    interval: Interval
    """Of the mean over all seeds and all rows there might be."""
    seed_deviation: float
    """Standard deviation of a seed's own score, had it answered all rows there might be."""
    test_deviation: float
    """Standard deviation of one seed's measured score over draws of the test rows."""


def seed_spread(
    scores: Sequence[Sequence[float]], confidence: float, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> SeedSpread:
    """Take apart the scores of each seed (outer) on each row (inner); at least two seeds and two rows.

    By the mean squares of seeds, rows and rest, of which the expectations are n s² + e², S r² + e² and
    e² for the variances s² of seeds, r² of rows and e² of the rest. The variance of the mean is
    s²/S + r²/n + e²/(S n); its degrees of freedom are Satterthwaite's (Biometrics Bulletin 2 (1946) 110).
    The interval ends at the `bounds` of a score. Where all scores are the same nothing varies, and it holds
    what n rows leave open: the share of other rows at most (C. J. Clopper, E. S. Pearson, Biometrika 26
    (1934) 404), as far from the mean as the bounds let them be.
    """
    table = np.array(scores, dtype=float)
    seeds, n = table.shape
    mean, of_seeds, of_rows = table.mean(), table.mean(axis=1), table.mean(axis=0)
    rest = table - of_seeds[:, None] - of_rows[None, :] + mean
    square_seeds = n * float(((of_seeds - mean) ** 2).sum()) / (seeds - 1)
    square_rows = seeds * float(((of_rows - mean) ** 2).sum()) / (n - 1)
    square_rest = float((rest**2).sum()) / ((seeds - 1) * (n - 1))
    by_seed = max(0.0, (square_seeds - square_rest) / n)
    by_row = max(0.0, (square_rows - square_rest) / seeds)
    variance = by_seed / seeds + by_row / n + square_rest / (seeds * n)
    parts = (
        (square_seeds if by_seed else 0.0, seeds - 1),
        (square_rows, n - 1),
        (square_rest, (seeds - 1) * (n - 1)),
    )
    below = sum((square / (seeds * n)) ** 2 / freedom for square, freedom in parts)
    freedom = max(1.0, variance**2 / below) if below else 1.0
    half = float(special.stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(variance)
    low, high = float(mean) - half, float(mean) + half
    if not np.ptp(table):
        others = 1 - ((1 - confidence) / 2) ** (1 / n)
        low, high = (float(mean) + others * (bound - float(mean)) for bound in bounds)
    return SeedSpread(
        seeds,
        n,
        float(mean),
        Interval(max(low, bounds[0]), min(high, bounds[1])),
        math.sqrt(by_seed),
        math.sqrt((by_row + square_rest) / n),
    )
