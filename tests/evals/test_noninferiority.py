import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from residency.evals.noninferiority import noninferiority


def passes(both, lost, gained, neither):
    base = [True] * (both + lost) + [False] * (gained + neither)
    tuned = [True] * both + [False] * lost + [True] * gained + [False] * neither
    return base, tuned


def compare(cells, margin=0.05, confidence=0.95):
    return noninferiority(*passes(*cells), margin, confidence)


def score_by_maximising(gained, lost, n, difference):
    """The score statistic with its restricted likelihood maximised by scipy, not in closed form."""
    low, high = max(0.0, -difference), (1 - difference) / 2

    def loss(q):
        cells = ((gained, q + difference), (lost, q), (n - gained - lost, 1 - 2 * q - difference))
        return -sum(x * math.log(max(p, 1e-300)) for x, p in cells if x)

    q = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return (gained - lost - n * difference) / math.sqrt(n * (2 * q + difference - difference**2))


@pytest.mark.parametrize("cells", [(60, 12, 5, 23), (80, 6, 9, 5), (30, 3, 1, 6), (150, 20, 20, 50)])
def test_bounds_and_p_against_a_maximised_likelihood(cells):
    both, lost, gained, neither = cells
    n = sum(cells)
    found = compare(cells)
    z = stats.norm.ppf(0.95)
    assert score_by_maximising(gained, lost, n, found.low) == pytest.approx(z, abs=1e-4)
    assert score_by_maximising(gained, lost, n, found.high) == pytest.approx(-z, abs=1e-4)
    p = stats.norm.sf(score_by_maximising(gained, lost, n, -0.05))
    assert found.p == pytest.approx(p, abs=1e-6)
    assert (found.base, found.tuned, found.n) == (both + lost, both + gained, n)


def test_no_difference_at_all():
    # Without discordant items the score is -n d / sqrt(n d (1 - d)) at a loss d: d = z2 / (n + z2).
    z2 = stats.norm.ppf(0.95) ** 2
    found = compare((50, 0, 0, 30))
    assert found.low == pytest.approx(-z2 / (80 + z2))
    assert found.high == pytest.approx(z2 / (80 + z2))
    assert found.difference == 0


@pytest.mark.parametrize(
    ("cells", "verdict"),
    [
        ((150, 0, 0, 90), "not worse"),
        ((150, 2, 40, 48), "not worse"),
        ((100, 50, 2, 88), "worse"),
        ((20, 2, 2, 16), "cannot tell"),
        ((0, 40, 0, 0), "worse"),
        ((0, 0, 40, 0), "not worse"),
    ],
)
def test_verdicts(cells, verdict):
    assert compare(cells).verdict == verdict


def test_a_loss_shown_to_be_within_the_margin_is_not_called_worse():
    found = compare((900, 20, 5, 75), margin=0.05)
    assert found.high < 0 and found.low > -0.05
    assert found.verdict == "not worse"


@given(st.tuples(*[st.integers(0, 30)] * 4).filter(any), st.floats(0.6, 0.99))
def test_bounds_enclose_the_difference_and_agree_with_p(cells, confidence):
    found = compare(cells, 0.1, confidence)
    assert -1 <= found.low <= found.difference <= found.high <= 1
    if abs(found.low + 0.1) > 1e-9:
        assert (found.low > -0.1) == (found.p < 1 - confidence)
    if abs(found.high) > 1e-9:
        assert (found.high < 0) == (found.p_no_loss < 1 - confidence)


def test_p_of_no_loss_is_mcnemars_one_sided():
    # of 12 lost and 3 gained: z = (3 - 12) / sqrt(15)
    assert compare((60, 12, 3, 25)).p_no_loss == pytest.approx(stats.norm.cdf(-9 / math.sqrt(15)))


@pytest.mark.parametrize(("lost", "gained"), [(0.10, 0.05), (0.08, 0.03)])
def test_the_level_holds_at_the_margin(lost, gained):
    """Models that lose exactly the margin are called not worse in about one of twenty draws: all counted."""
    n, wrong = 80, 0.0
    for x in range(n + 1):
        of_lost = stats.binom.pmf(x, n, lost)
        for y in range(n + 1 - x):
            chance = of_lost * stats.binom.pmf(y, n - x, gained / (1 - lost))
            if chance > 1e-5 and compare((n - x - y, x, y, 0), lost - gained).verdict == "not worse":
                wrong += chance
    assert 0.03 < wrong < 0.06
