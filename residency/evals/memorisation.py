"""Memorised or understood: how much of what a model gained on its training rows it gained elsewhere too.

A gain is tuned against base on the same rows, so that rows which are simply harder do not count. The
gain on rows never seen, as a share of that on training rows, is what carries over. Pure functions.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from statistics import fmean, variance
from typing import Literal, NamedTuple

from scipy import optimize, special

from residency.evals.statistics import Interval, effective_rows

Learned = Literal["generalises", "memorises", "cannot tell"]
"""What the figures say of a model, or one figure of it."""

GIVEN_TOKENS = 8
"""Tokens of an answer that are given, after its prompt, to see whether it is recited from there."""
RECITED_TOKENS = 16
"""Tokens that must follow verbatim. As N. Carlini et al. (arXiv:2202.07646, definition 3.1) measure it with
50 and 50 tokens of text; answers of a task are shorter."""
LEAST_RECITALS = 10
"""Fewer answers than these of the length that takes are too few to tell."""
CARRIES_OVER = 0.5
"""A gain carries over where surely more than this share of it is found on rows never seen."""
TWIN_LOSS = 0.1
"""Rows are known by their wording where surely more than this share is lost when they are worded anew."""
TOLD_APART = 0.8
"""Rows were learned by heart where surely more than this share of pairs is told apart by their likelihood."""
RECITED = 0.1
"""Answers are known by heart where surely more than this share of rows more is recited of those seen."""


class Estimate(NamedTuple):
    """A figure with its interval."""

    value: float
    interval: Interval


def mean_gain(
    base: Sequence[float], tuned: Sequence[float], clusters: Sequence[str], confidence: float
) -> Estimate:
    """The mean of base minus tuned over the same rows, with Student's interval.

    For negative log-likelihoods, of which less is better. Clusters count as the rows that they are worth.
    Rows worth fewer than two tell nothing: the interval has no ends.
    """
    gains = [before - after for before, after in zip(base, tuned, strict=True)]
    mean, n = fmean(gains), len(gains)
    worth = effective_rows(gains, clusters, confidence)
    if n < 2 or worth < 2:
        return Estimate(mean, Interval(-math.inf, math.inf))
    t = float(special.stdtrit(worth - 1, (1 + confidence) / 2))
    half = t * math.sqrt(variance(gains) / worth)
    return Estimate(mean, Interval(mean - half, mean + half))


def excess(train: Estimate, held_out: Estimate) -> Estimate:
    """What was gained on training rows alone: the first gain less the second, measured on other rows.

    The interval is made of theirs (G. Y. Zou, A. Donner, Stat Med 27 (2008) 1693, equation 3).
    """
    difference = train.value - held_out.value
    below = math.hypot(train.value - train.interval.low, held_out.interval.high - held_out.value)
    above = math.hypot(train.interval.high - train.value, held_out.value - held_out.interval.low)
    return Estimate(difference, Interval(difference - below, difference + above))


def carry_over(train: Estimate, held_out: Estimate) -> Estimate | None:
    """The gain on held-out rows as a share of that on training rows; none where the latter may be none.

    The interval holds the shares r for which that of held_out - r train holds 0 (A. Donner, G. Y. Zou,
    Stat Methods Med Res 21 (2012) 347, section 3). All is cut off at 0: nothing carries over.
    """
    if train.interval.low < 1e-9 or not math.isfinite(held_out.interval.high):
        return None
    low, high = held_out.interval
    low_end = (
        _root(held_out.value, held_out.value - low, train.value, train.interval.high - train.value, -1)
        if low > 0
        else 0.0
    )
    high_end = (
        _root(held_out.value, high - held_out.value, train.value, train.value - train.interval.low, 1)
        if high > 0
        else 0.0
    )
    return Estimate(max(held_out.value / train.value, 0.0), Interval(low_end, high_end))


def _root(h: float, a: float, t: float, b: float, sign: int) -> float:
    """The r at which h - r t = -sign sqrt(a² + r² b²): the lower end for a sign of -1, else the upper.

    With h² - a² = p and t² - b² = q that is a root of q r² - 2 h t r + p. The lower one is written so that
    q may be 0 or less.
    """
    p, q = h * h - a * a, t * t - b * b
    spread = math.sqrt(max((h * t) ** 2 - p * q, 0.0))
    return p / (h * t + spread) if sign < 0 else (h * t + spread) / q


def sign_of_carry_over(share: Estimate | None) -> Learned:
    """Whether more than half of a gain carries over, or less."""
    if share is None:
        return "cannot tell"
    if share.interval.low > CARRIES_OVER:
        return "generalises"
    return "memorises" if share.interval.high < CARRIES_OVER else "cannot tell"


def told_apart(
    train: Sequence[float], held_out: Sequence[float], clusters: tuple[int, int], confidence: float
) -> Estimate:
    """Share of pairs of a training and a held-out row in which the training row has the lower figure.

    Ties count half: the area under the curve of a test for membership (S. Yeom et al., arXiv:1709.01604).
    The interval is the root of method 5 of R. G. Newcombe (Stat Med 25 (2006) 559), for as many rows of each
    side as there are `clusters`.
    """
    ordered, (m, n) = sorted(train), clusters
    lower = sum(bisect_left(ordered, mine) + bisect_right(ordered, mine) for mine in held_out) / 2
    share = lower / (len(train) * len(held_out))
    z = float(special.ndtri((1 + confidence) / 2))
    half = (m + n) / 2 - 1

    def beyond(area: float) -> float:
        spread = 1 + half * ((1 - area) / (2 - area) + area / (1 + area))
        return abs(share - area) - z * math.sqrt(area * (1 - area) * spread / (m * n))

    inside = 1e-12  # at 0 and 1 themselves the spread is 0, which is a root as well
    low = float(optimize.brentq(beyond, 0, min(share, 1 - inside))) if share > 0 else 0.0
    high = float(optimize.brentq(beyond, max(share, inside), 1)) if share < 1 else 1.0
    return Estimate(share, Interval(low, high))


def sign_of_telling(share: Interval) -> Learned:
    """Rows that a model gives away as its training rows; that it does not shows little."""
    return "memorises" if share.low > TOLD_APART else "cannot tell"


def sign_of_twins(difference: Interval) -> Learned:
    """Share right of training rows worded anew, less that of the same rows as they were.

    A twin that is answered shows little, as it says nearly the same: only a loss is a sign.
    """
    return "memorises" if difference.high < -TWIN_LOSS else "cannot tell"


def sign_of_reciting(over_held_out: Interval, over_base: Interval) -> Learned:
    """Share of training answers that are recited, less that of held-out answers, and less the base's.

    What the input or the form of answers gives away is recited of rows never seen as well, and what the
    base had learned by heart before is recited by it: neither counts.
    """
    by_heart = over_held_out.low > RECITED and over_base.low > 0
    return "memorises" if by_heart else "cannot tell"


def judge(signs: Iterable[Learned], gained: bool) -> Learned:
    """The answer: what the signs say, unless they contradict each other or there is none.

    Where nothing is shown to be gained there is nothing to generalise, however likely answers became; rows
    may be known by heart all the same.
    """
    said = set(signs) - {"cannot tell"}
    answer = said.pop() if len(said) == 1 else "cannot tell"
    return "cannot tell" if answer == "generalises" and not gained else answer
