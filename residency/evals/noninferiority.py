"""Whether a tuned model is not worse than its base by more than a margin, on the same items.

The difference of two paired shares is judged by its score interval (T. Tango, Stat Med 17 (1998) 891),
whose test against a margin is that of J. Liu et al., Stat Med 21 (2002) 231. It holds its level for few
items and few differing ones, where the textbook's Wald interval does not. Below some fifty it gives way
(10 % wrong of 5 % for 6 rows), so gate and advice test what few rows show exactly: H. Hsueh, J. Liu,
J. J. Chen, Biometrics 57 (2001) 478, whose test is ordered by the same score. Suites go by the score test
at any number of items, so that what is said of one agrees with the bounds shown beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from residency.evals.statistics import holm, least_rows

Regression = Literal["not worse", "worse", "cannot tell"]

_MANY = 100
"""From so many rows on the score test holds its level."""


class NonInferiority(NamedTuple):
    """The tuned model against the base on the same items."""

    n: int
    base: int
    """Items the base passed."""
    tuned: int
    """Items the tuned model passed."""
    gained: int
    """Items that only the tuned model passed."""
    lost: int
    """Items that only the base passed."""
    difference: float
    """Share of tuned minus share of base."""
    low: float
    """One-sided lower bound of `difference`."""
    high: float
    """One-sided upper bound of `difference`."""
    p: float
    """Of the hypothesis that tuned is worse by the margin or more."""
    p_no_loss: float
    """Of the hypothesis that tuned is not worse at all; small where `high` is below 0."""
    verdict: Regression


def noninferiority(
    base: Sequence[bool], tuned: Sequence[bool], margin: float, confidence: float
) -> NonInferiority:
    """Compare passes on the same items, given in the same order.

    `not worse`: the lower bound lies above -margin. `worse`: it does not, and the upper bound lies below
    0, so that there is a loss and it may exceed the margin. Else `cannot tell`. Each bound holds with
    probability `confidence`.
    """
    pairs = list(zip(base, tuned, strict=True))
    n, gained, lost = len(pairs), pairs.count((False, True)), pairs.count((True, False))
    z = float(special.ndtri(confidence))
    low, high = _bound(gained, lost, n, z), -_bound(lost, gained, n, z)
    verdict: Regression = "not worse" if low > -margin else "worse" if high < 0 else "cannot tell"
    p, p_no_loss = p_of_loss(gained, lost, n, margin), p_of_loss(lost, gained, n, 0)
    return NonInferiority(
        n, sum(base), sum(tuned), gained, lost, (gained - lost) / n, low, high, p, p_no_loss, verdict
    )


def corrected(found: Sequence[NonInferiority], confidence: float) -> list[NonInferiority]:
    """With `worse` only where it holds by Holm's correction over all of `found`, else `cannot tell`.

    Of several suites, one is else called worse by chance alone. `not worse` needs no correction: it is said
    of all together only where it holds for each.
    """
    adjusted = holm([one.p_no_loss for one in found])
    return [
        one._replace(verdict="cannot tell") if one.verdict == "worse" and p >= 1 - confidence else one
        for one, p in zip(found, adjusted, strict=True)
    ]


def p_of_loss(gained: float, lost: float, n: float, margin: float) -> float:
    """Of the hypothesis that a share is lower than another by the margin or more (Liu et al. 2002).

    `gained` items pass only in the first, `lost` only in the other; counts may be fractions, where items
    in clusters count less than one each.
    """
    return float(special.ndtr(-_score(gained, lost, n, -margin)))


def exact_p_of_loss(gained: float, lost: float, n: float, margin: float) -> float:
    """`p_of_loss` that holds its level for few rows too; the same from 100 on, where they hardly differ.

    The chance, at most, of rows that speak as clearly against a loss of just the margin, whatever the
    share of gained rows; as many whole rows as `n` holds.
    """
    if n >= _MANY:
        return p_of_loss(gained, lost, n, margin)
    whole = max(math.floor(n), 1)
    outcomes, observed = (
        _outcomes(whole, margin),
        _score(gained * whole / n, lost * whole / n, whole, -margin),
    )
    share_gained = np.linspace(0, (1 - margin) / 2, 101)[:, None]
    extreme = outcomes.score >= observed - 1e-9
    up, down, same = outcomes.gained[extreme], outcomes.lost[extreme], outcomes.same[extreme]
    chances = np.exp(
        outcomes.arrangements[extreme]
        + special.xlogy(up, share_gained)
        + special.xlogy(down, share_gained + margin)
        + special.xlogy(same, np.maximum(1 - margin - 2 * share_gained, 0))
    )
    return min(1.0, float(chances.sum(axis=1).max()))


class _Outcomes(NamedTuple):
    """All that so many rows can show, an entry each."""

    gained: NDArray[np.int64]
    lost: NDArray[np.int64]
    same: NDArray[np.int64]
    arrangements: NDArray[np.float64]
    """Log of the number of orders of the rows."""
    score: NDArray[np.float64]


@lru_cache(maxsize=8)
def _outcomes(n: int, margin: float) -> _Outcomes:
    gained, lost = (counts.astype(np.int64) for counts in np.indices((n + 1, n + 1)).reshape(2, -1))
    possible = gained + lost <= n
    gained, lost = gained[possible], lost[possible]
    same = n - gained - lost
    orders = special.gammaln(n + 1) - special.gammaln([gained + 1, lost + 1, same + 1]).sum(axis=0)
    scores = [_score(up, down, n, -margin) for up, down in zip(gained.tolist(), lost.tolist(), strict=True)]
    return _Outcomes(gained, lost, same, orders, np.array(scores))


def items_to_judge(gained: int, lost: int, n: int, margin: float, confidence: float, suites: int = 1) -> int:
    """About how many items more until tuned is shown not to be worse, or worse, at the observed rates.

    `worse` is reckoned by as many suites' correction, as `corrected` makes it for the clearest of them.
    """
    level = 1 - confidence

    def clears(items: int) -> bool:
        up, down = gained * items / n, lost * items / n
        not_worse = p_of_loss(up, down, items, margin) < level
        return not_worse or p_of_loss(down, up, items, 0) < level / suites

    return least_rows(clears, n) - n


def _score(gained: float, lost: float, n: float, difference: float) -> float:
    """Tango 1998, equation 4: the observed difference less `difference`, by its standard error under it.

    The share of lost items under the hypothesis is its maximum likelihood, a root of Aq² + Bq + C.
    """
    a = 2 * n
    b = -gained - lost + (2 * n - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    q = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = n * (2 * q + difference * (1 - difference))
    excess = gained - lost - n * difference
    if variance <= 0:
        return math.copysign(math.inf, excess) if excess else 0.0
    return excess / math.sqrt(variance)


def _bound(gained: int, lost: int, n: int, z: float) -> float:
    """The lowest difference that the data do not refute: there the score is `z`, which is above 0."""
    from scipy import optimize

    observed = (gained - lost) / n
    lowest = -1 + 1e-12
    if observed <= lowest or _score(gained, lost, n, lowest) <= z:
        return -1.0
    return float(optimize.brentq(lambda d: _score(gained, lost, n, d) - z, lowest, observed))
