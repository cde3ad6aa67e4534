"""Carry-over, gains and the rules of the answer, by hand and by other implementations."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from residency.evals.memorisation import (
    Estimate,
    carry_over,
    excess,
    judge,
    mean_gain,
    sign_of_carry_over,
    sign_of_reciting,
    sign_of_telling,
    sign_of_twins,
    told_apart,
)
from residency.evals.statistics import Interval, unpaired, wilson

YES, HEART, UNKNOWN = "generalises", "memorises", "cannot tell"


def share(passed, n):
    return Estimate(passed / n, wilson(passed, n, 0.95))


def about(value, half):
    return Estimate(value, Interval(value - half, value + half))


def test_a_mean_gain_has_students_interval():
    base, tuned = [3.0, 2.5, 4.0, 3.5], [1.0, 1.5, 1.0, 2.0]
    found = mean_gain(base, tuned, list("abcd"), 0.95)
    gains = np.subtract(base, tuned)
    low, high = stats.t.interval(0.95, 3, gains.mean(), stats.sem(gains))
    assert found.value == 1.875
    assert found.interval == pytest.approx((low, high))
    assert mean_gain([3.0], [1.0], ["a"], 0.95) == (2.0, (-math.inf, math.inf))


def test_rows_of_one_cluster_count_less():
    base, tuned = [3.0, 3.0, 2.0, 2.0, 5.0, 5.0], [1.0] * 6
    alone, alike = mean_gain(base, tuned, list("abcdef"), 0.95), mean_gain(base, tuned, list("aabbcc"), 0.95)
    assert alone.value == alike.value
    assert alike.interval.low < alone.interval.low


def test_the_excess_of_two_shares_has_newcombes_interval():
    found, known = excess(share(45, 50), share(18, 40)), unpaired(18, 40, 45, 50, 0.95)
    assert found.value == pytest.approx(known.difference)
    assert found.interval == pytest.approx(known.interval)


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        (share(45, 50), share(18, 40)),
        (share(20, 20), share(1, 30)),
        (about(2.0, 0.3), about(1.9, 0.2)),
        (about(2.0, 1.9), about(1.5, 0.5)),  # t² < b² in the lower end: the interval is not symmetrical
        (Estimate(1.0, Interval(0.5, 2.5)), about(0.8, 0.1)),
        (about(1.0, 0.2), about(-0.1, 0.3)),
        (about(1.0, 0.2), about(-0.5, 0.3)),
    ],
)
def test_the_carry_over_holds_the_shares_that_the_difference_does_not_refute(train, held_out):
    def holds(r):
        """Whether the interval of held_out - r train, by Zou and Donner 2008, holds 0."""
        scaled = Estimate(r * train.value, Interval(r * train.interval.low, r * train.interval.high))
        low, high = excess(held_out, scaled).interval
        return low <= 0 <= high

    found = carry_over(train, held_out)
    grid = [r for r in np.arange(0, 40, 0.002) if holds(r)]
    expected = (min(grid), max(grid)) if grid else (0, 0)
    assert found.value == pytest.approx(max(held_out.value / train.value, 0))
    assert found.interval == pytest.approx(expected, abs=0.0021)


def test_nothing_carries_over_of_nothing():
    assert carry_over(about(0.1, 0.1), about(0.5, 0.1)) is None
    assert carry_over(about(0.5, 0.1), Estimate(0.5, Interval(-math.inf, math.inf))) is None


def test_the_interval_holds_the_true_share():
    rng, held = np.random.default_rng(0), 0
    for _ in range(600):
        sides = [rng.normal(mean, 0.8, n) for mean, n in ((1.5, 60), (0.6, 40))]
        gains = [mean_gain(side, [0.0] * len(side), list(map(str, range(len(side)))), 0.95) for side in sides]
        low, high = carry_over(*gains).interval
        held += low <= 0.4 <= high
    assert 0.93 <= held / 600 <= 0.975


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.51, 1.2, YES), (0.5, 1.2, UNKNOWN), (0.3, 0.8, UNKNOWN), (0.1, 0.5, UNKNOWN), (0, 0.49, HEART)],
)
def test_more_than_half_must_surely_carry_over_or_less(low, high, said):
    assert sign_of_carry_over(Estimate(0.5, Interval(low, high))) == said
    assert sign_of_carry_over(None) == UNKNOWN


@pytest.mark.parametrize(
    ("low", "high", "said"), [(-0.4, -0.11, HEART), (-0.4, -0.1, UNKNOWN), (-0.01, 0.01, UNKNOWN)]
)
def test_twins_show_only_a_loss(low, high, said):
    assert sign_of_twins(Interval(low, high)) == said


@pytest.mark.parametrize(
    ("over_held_out", "over_base", "said"),
    [(0.11, 0.01, HEART), (0.1, 0.01, UNKNOWN), (0.11, 0.0, UNKNOWN), (-0.2, 0.5, UNKNOWN)],
)
def test_what_is_recited_of_unseen_rows_or_by_the_base_does_not_count(over_held_out, over_base, said):
    assert sign_of_reciting(Interval(over_held_out, 1), Interval(over_base, 1)) == said


@pytest.mark.parametrize(
    ("signs", "gained", "said"),
    [
        ([YES, UNKNOWN], True, YES),
        ([YES, UNKNOWN], False, UNKNOWN),
        ([UNKNOWN, HEART, HEART], True, HEART),
        ([UNKNOWN, HEART], False, HEART),
        ([YES, UNKNOWN, HEART], True, UNKNOWN),
        ([UNKNOWN, UNKNOWN], True, UNKNOWN),
        ([], True, UNKNOWN),
    ],
)
def test_the_answer_is_what_all_signs_say_of_what_was_gained(signs, gained, said):
    assert judge(signs, gained) == said


def test_pairs_told_apart_are_the_area_under_the_curve():
    draw = np.random.default_rng(0)
    train, held_out = draw.normal(0, 1, 40).round(1), draw.normal(1, 1, 70).round(1)  # with ties
    found = told_apart(list(train), list(held_out), (40, 70), 0.95)
    member = [1] * 40 + [0] * 70
    assert found.value == pytest.approx(roc_auc_score(member, -np.concatenate((train, held_out))))
    assert told_apart(list(held_out), list(train), (70, 40), 0.95).value == pytest.approx(1 - found.value)


@pytest.mark.parametrize(("train", "held_out"), [([1, 2], [3, 4, 5]), ([3, 1, 2], [1, 2, 4]), ([5], [1, 2])])
def test_the_interval_of_pairs_holds_the_areas_that_are_not_refused(train, held_out):
    """Every area is tried, by the spread of Hanley and McNeil (1982); m - 1 and n - 1 are (m + n) / 2 - 1."""
    m, n = len(train), len(held_out)
    found = told_apart(train, held_out, (m, n), 0.95)
    areas = np.linspace(0, 1, 100_001)[1:-1]
    q1, q2 = areas / (2 - areas), 2 * areas**2 / (1 + areas)
    of_pairs = areas * (1 - areas) + ((m + n) / 2 - 1) * (q1 + q2 - 2 * areas**2)
    kept = areas[np.abs(found.value - areas) <= stats.norm.ppf(0.975) * np.sqrt(of_pairs / (m * n))]
    assert found.interval == pytest.approx((kept.min(), kept.max()), abs=2e-5)


def test_few_rows_do_not_give_a_model_away():
    assert sign_of_telling(told_apart([0] * 8, [1] * 40, (8, 40), 0.95).interval) == HEART
    assert sign_of_telling(told_apart([0] * 3, [1] * 40, (3, 40), 0.95).interval) == UNKNOWN
