import random

import pytest
from scipy import stats

from residency.evals.statistics import (
    holm,
    paired,
    rows_to_clear,
    rows_to_significance,
    rows_to_tell,
    rule_of_three,
    unpaired,
    wilson,
)


def pairs(both, only_a, only_b, neither):
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return a, b


@pytest.mark.parametrize(
    "passed, n", [(0, 1), (0, 20), (1, 29), (15, 148), (81, 263), (150, 150), (2831, 3080)]
)
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_wilson_equals_scipy(passed, n, confidence):
    theirs = stats.binomtest(passed, n).proportion_ci(confidence, method="wilson")
    assert wilson(passed, n, confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_ends_exactly_at_the_ends():
    assert wilson(0, 7, 0.95).low == 0 and wilson(7, 7, 0.95).high == 1


# Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017), ch. 8: complete response
# before and after consolidation therapy (Cavo 2012), and airway hyper-responsiveness (Bentur 2009).
# The third is worked by hand from the formula: shares 48/50 and 38/50, Wilson 0.8654 to 0.9890 and
# 0.6259 to 0.8570, phi = -24 / sqrt(48 * 2 * 38 * 12) = -0.1147.
@pytest.mark.parametrize(
    "cells, difference, low, high",
    [
        ((59, 16, 6, 80), -0.0621, -0.1186, -0.0046),
        ((1, 7, 1, 12), -0.2857, -0.5069, -0.0256),
        ((36, 2, 12, 0), 0.2, 0.0569, 0.3404),
    ],
)
def test_paired_difference_has_newcombes_interval(cells, difference, low, high):
    result = paired(*pairs(*cells), 0.95)
    assert (result.n, *result[1:5]) == (sum(cells), *cells)
    assert result.difference == pytest.approx(difference, abs=5e-5)
    assert result.interval == pytest.approx((low, high), abs=6e-5)


def test_paired_p_is_the_exact_binomial_of_the_discordant_pairs():
    assert paired(*pairs(59, 16, 6, 80), 0.95).p == pytest.approx(stats.binomtest(6, 22).pvalue, abs=1e-12)
    assert paired(*pairs(5, 3, 3, 5), 0.95).p == 1
    assert paired(*pairs(5, 0, 0, 5), 0.95).p == 1
    assert paired(*pairs(0, 0, 5, 0), 0.95).p == pytest.approx(2 / 32)


def test_swapping_a_and_b_mirrors_the_result():
    a, b = pairs(20, 3, 11, 6)
    there, back = paired(a, b, 0.9), paired(b, a, 0.9)
    assert there.p == back.p
    assert there.interval == pytest.approx((-back.interval.high, -back.interval.low))


def test_paired_interval_is_wide_without_any_discordant_pair():
    low, high = paired(*pairs(0, 0, 0, 50), 0.95).interval
    # Both shares 0 of 50: Wilson's high end z2 / (50 + z2) = 0.0713; phi is 0.
    assert (low, high) == pytest.approx((-0.0713, 0.0713), abs=5e-5)


def test_the_paired_interval_covers():
    # 400 draws of 60 pairs with true difference 0.2; a correct 95 % interval misses 20 of them on average,
    # and more than 36 with a chance below 0.001.
    rng = random.Random(5)
    misses = 0
    for _ in range(400):
        drawn = rng.choices([(True, True), (True, False), (False, True), (False, False)], [5, 1, 3, 1], k=60)
        low, high = paired([a for a, _ in drawn], [b for _, b in drawn], 0.95).interval
        misses += not low <= 0.2 <= high
    assert misses <= 36


def test_unpaired_difference_has_newcombes_interval_and_fishers_p():
    # Newcombe 1998 (873), Table II, example (a): 56/70 - 48/80, method 10: 0.0524 to 0.3339.
    result = unpaired(48, 80, 56, 70, 0.95)
    assert result.difference == pytest.approx(0.2)
    assert result.interval == pytest.approx((0.0524, 0.3339), abs=5e-5)
    # Fisher's p by its definition: all tables with the same margins that are not likelier than this one.
    table = stats.hypergeom(150, 104, 80)
    probabilities = [table.pmf(k) for k in range(34, 81)]
    assert result.p == pytest.approx(sum(p for p in probabilities if p <= table.pmf(48) * (1 + 1e-9)))


def test_holm_by_hand():
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1 gives 0.03, 0.06, 0.04, and the last may not fall below 0.06.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]


def test_rule_of_three():
    assert rule_of_three(300, 0.95) == pytest.approx(0.01, rel=2e-3)
    assert rule_of_three(1, 0.95) == 1


def test_rows_to_tell_is_the_least_number_that_clears():
    pair = paired(*pairs(10, 4, 8, 18), 0.95)
    assert pair.interval.low < 0 < pair.interval.high
    more = rows_to_tell(pair, 0.0, 0.95)
    # The normal approximation: N = z2 (p01 + p10 - d2) / d2 with p01 = 0.2, p10 = 0.1, d = 0.1.
    assert more is not None and 40 + more == pytest.approx(3.8415 * (0.3 - 0.01) / 0.01, rel=0.1)
    # Whole multiples of the cells enclose it: 80 rows do not tell, 120 do.
    twice, thrice = paired(*pairs(20, 8, 16, 36), 0.95), paired(*pairs(30, 12, 24, 54), 0.95)
    assert twice.interval.low < 0 < thrice.interval.low
    assert 80 < 40 + more <= 120


def test_rows_to_tell_where_it_is_clear_already_and_where_it_never_will_be():
    pair = paired(*pairs(10, 0, 80, 10), 0.95)
    assert rows_to_tell(pair, 0.0, 0.95) == 0
    assert rows_to_tell(pair, 0.8, 0.95) is None
    below = rows_to_tell(pair, 0.9, 0.95)
    assert below is not None and rows_to_tell(pair, 0.85, 0.95) >= below


def test_rows_to_significance():
    # 4 to 0 gives p = 2 / 16; 6 to 0 is the first below 0.05 (2 / 64); 10 rows hold 4, so 14 hold 5.6.
    pair = paired(*pairs(3, 0, 4, 3), 0.95)
    assert rows_to_significance(pair, 0.05) == 4
    assert rows_to_significance(pair, 0.2) == 0
    assert rows_to_significance(paired(*pairs(3, 2, 2, 3), 0.95), 0.05) is None


def test_rows_to_clear_against_scipy():
    more = rows_to_clear(16, 20, 0.7, 0.95)
    assert more is not None
    n = next(
        n
        for n in range(20, 1000, 5)
        if stats.binomtest(n * 4 // 5, n).proportion_ci(method="wilson").low > 0.7
    )
    assert n - 5 < 20 + more <= n
    assert rows_to_clear(14, 20, 0.7, 0.95) is None
