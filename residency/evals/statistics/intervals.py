"""Intervals of one share of passed rows.

Wilson:         E. B. Wilson, J Am Stat Assoc 22 (1927) 209.
Rule of three:  J. A. Hanley, A. Lippman-Hand, JAMA 249 (1983) 1743.

Counts may be fractions, where rows in clusters count less than one each, or where a size is planned.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy import special


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def quantile(confidence: float) -> float:
    """The normal quantile of a two-sided interval: 1.96 at 0.95."""
    return float(special.ndtri((1 + confidence) / 2))


def wilson(passed: float, n: float, confidence: float) -> Interval:
    """Wilson's score interval of the share `passed / n`."""
    return wilson_at(passed / n, n, quantile(confidence))


def wilson_at(share: float, n: float, z: float) -> Interval:
    """Wilson 1927: (2np + z² ± z sqrt(z² + 4npq)) / 2(n + z²)."""
    centre = 2 * n * share + z * z
    half = z * math.sqrt(z * z + 4 * n * share * (1 - share))
    low, high = (centre - half) / (2 * (n + z * z)), (centre + half) / (2 * (n + z * z))
    # At the ends the limits are exactly 0 and 1; rounding must not say otherwise.
    return Interval(0.0 if share == 0 else low, 1.0 if share == 1 else high)


def rule_of_three(n: float, confidence: float) -> float:
    """Highest failure rate that fits no failure in `n` rows: -ln(1 - confidence) / n, 3 / n at 95 %."""
    return min(1.0, -math.log1p(-confidence) / n)
