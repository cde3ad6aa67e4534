import numpy as np
import pytest
from scipy import stats

from residency.evals.statistics import foresee_doubling


def curve(*failed, n=10_000):
    """Test rows of a cluster each, of which the first so many fail at each point."""
    return [[i >= k for i in range(n)] for k in failed], [str(i) for i in range(n)]


def test_failures_that_halve_with_each_doubling_halve_once_more():
    found = foresee_doubling((100, 200, 400), *curve(4000, 2000, 1000), 0.95)
    assert found.exponent == pytest.approx(1, abs=0.001)
    assert found.gain == pytest.approx(0.05, abs=0.001)
    assert 0.045 < found.interval.low < 0.05 < found.interval.high < 0.055


def test_the_line_is_scipys():
    found = foresee_doubling((50, 100, 220), *curve(900, 700, 600, n=2000), 0.9)
    line = stats.linregress(np.log([50, 100, 220]), np.log((np.array([900, 700, 600]) + 0.5) / 2001))
    now, doubled = (np.exp(line.intercept + line.slope * np.log(n)) for n in (220, 440))
    assert found.exponent == pytest.approx(-line.slope)
    assert found.gain == pytest.approx(now - doubled)


def test_the_interval_is_that_of_the_same_rows_drawn_for_all_points():
    rng = np.random.default_rng(5)
    hard = rng.normal(size=(400, 1)) + 0.5 * rng.normal(size=(400, 3))
    passes = (hard < [0.4, 0.5, 0.6]).T
    gains = []
    for _ in range(1500):
        drawn = passes[:, rng.integers(400, size=400)]
        line = stats.linregress(np.log([1, 2, 4]), np.log(((~drawn).sum(1) + 0.5) / 401))
        gains.append(np.exp(line.intercept) * (4**line.slope - 8**line.slope))
    found = foresee_doubling((1, 2, 4), passes.tolist(), [str(i) for i in range(400)], 0.9).interval
    low, high = np.quantile(gains, [0.05, 0.95])
    assert found == pytest.approx((low, high), abs=0.1 * (high - low))


def test_rows_of_one_cluster_tell_less():
    passes, alone = curve(40, 30, 20, n=100)
    wide = foresee_doubling((10, 20, 40), passes, [str(i // 10) for i in range(100)], 0.95).interval
    narrow = foresee_doubling((10, 20, 40), passes, alone, 0.95).interval
    assert wide.high - wide.low > narrow.high - narrow.low
    assert foresee_doubling((10, 20, 40), passes, ["one"] * 100, 0.95).interval == (-1, 1)


def test_no_failure_and_no_gain_are_told_without_infinities():
    none = foresee_doubling((10, 20, 40), *curve(0, 0, 0, n=50), 0.95)
    assert (none.gain, *none.interval) == pytest.approx((0, 0, 0))
    worse = foresee_doubling((10, 20, 40), *curve(10, 20, 40, n=50), 0.95)
    assert worse.exponent < 0 and worse.gain == pytest.approx(40.5 / 51 - 1, abs=0.01)


def test_no_more_is_gained_than_failures_are_left():
    assert foresee_doubling((10, 20, 40), *curve(9, 9, 0, n=10), 0.95).gain == 0
