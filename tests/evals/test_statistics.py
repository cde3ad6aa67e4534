import itertools
import math
import random

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from residency.evals.statistics import (
    bootstrap_difference,
    cohen_kappa,
    detectable,
    effective_rows,
    holm,
    kappa_interval,
    own_cluster_each,
    paired,
    power,
    rows_to_clear,
    rows_to_significance,
    rows_to_tell,
    rule_of_three,
    seed_spread,
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
    more = rows_to_clear(0.8, 20, 20, 0.7, 0.95)
    assert more is not None
    n = next(
        n
        for n in range(20, 1000, 5)
        if stats.binomtest(n * 4 // 5, n).proportion_ci(method="wilson").low > 0.7
    )
    assert n - 5 < 20 + more <= n
    assert rows_to_clear(0.7, 20, 20, 0.7, 0.95) is None


def test_statsmodels_says_the_same():
    rng = random.Random(2)
    for _ in range(50):
        n = rng.randint(1, 400)
        passed = rng.randint(0, n)
        theirs = proportion_confint(passed, n, 0.05, method="wilson")
        assert wilson(passed, n, 0.95) == pytest.approx(theirs, abs=1e-9)
        cells = [rng.randint(0, 30) for _ in range(4)]
        cells[0] += 1
        both, only_a, only_b, neither = cells
        exact = mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue
        assert paired(*pairs(*cells), 0.95).p == pytest.approx(exact, abs=1e-9)
        p_values = [rng.random() ** 3 for _ in range(rng.randint(1, 6))]
        assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), abs=1e-9)


def clustered(rng, groups, largest=5):
    """Clusters' names, and values that rows of a cluster tend to share."""
    names, values = [], []
    for group in range(groups):
        rate = rng.choice((0.2, 0.9))
        for _ in range(rng.randint(1, largest)):
            names.append(f"g{group}")
            values.append(float(rng.random() < rate))
    return names, values


def test_effective_rows_have_anovas_correlation_within_clusters():
    rng = random.Random(7)
    for _ in range(10):
        names, values = clustered(rng, 40)
        n, sizes = len(values), [names.count(name) for name in dict.fromkeys(names)]
        theirs = anova_lm(ols("y ~ C(g)", data=pd.DataFrame({"y": values, "g": names})).fit())["mean_sq"]
        between, within = theirs["C(g)"], theirs["Residual"]
        # Donner 1986: m0 is the mean size less the variance of sizes by their sum.
        m0 = np.mean(sizes) - np.var(sizes, ddof=1) / n
        correlation = (between - within) / (between + (m0 - 1) * within)
        effect = 1 + (sum(m * m for m in sizes) / n - 1) * min(1, max(0, correlation))
        t = stats.t.ppf(0.975, n - 1) / stats.t.ppf(0.975, len(sizes) - 1)
        assert effective_rows(values, names, 0.95) == pytest.approx(n / effect * t**2, rel=1e-9)


def test_effective_rows_of_rows_on_their_own_and_of_rows_that_all_agree():
    assert effective_rows([0, 1, 1, 0, 1], own_cluster_each([""] * 5), 0.95) == 5
    assert effective_rows([1, 1, 1], list("abc"), 0.95) == 3
    # Clusters of 3 and 1, no failure: 16 / (9 + 1) rows, and t of 1 by t of 3 degrees of freedom.
    t = stats.t.ppf(0.975, 3) / stats.t.ppf(0.975, 1)
    assert effective_rows([1, 1, 1, 1], list("aaab"), 0.95) == pytest.approx(1.6 * t**2)
    assert effective_rows([1, 0, 1, 0], ["a"] * 4, 0.95) < 1


def test_a_row_repeated_tells_no_more_than_once():
    rng = random.Random(9)
    a, b = ([rng.random() < rate for _ in range(60)] for rate in (0.4, 0.7))
    once = paired(a, b, 0.95)
    names = [str(i) for i in range(60)] * 2
    twice = paired(a * 2, b * 2, 0.95, names)
    assert twice.p == pytest.approx(once.p)
    t = stats.t.ppf(0.975, 119) / stats.t.ppf(0.975, 59)
    assert twice.effective_n == pytest.approx(60 * t**2)
    assert twice.interval == pytest.approx(once.interval, abs=0.002)
    assert twice.p > paired(a * 2, b * 2, 0.95).p


def test_p_of_clusters_is_that_of_all_turns_of_their_signs():
    rng = random.Random(11)
    for _ in range(10):
        names, a = clustered(rng, 9, largest=3)
        b = [rng.random() < 0.7 for _ in a]
        sums = {name: 0.0 for name in names}
        for name, of_a, of_b in zip(names, a, b, strict=True):
            sums[name] += of_b - of_a
        turned = [
            sum(s * x for s, x in zip(signs, sums.values(), strict=True))
            for signs in itertools.product((1, -1), repeat=len(sums))
        ]
        extreme = [abs(total) >= abs(sum(sums.values())) for total in turned]
        assert paired([bool(x) for x in a], b, 0.95, names).p == pytest.approx(sum(extreme) / len(extreme))


def test_power_by_all_outcomes():
    # Every table of 12 rows, by its multinomial chance.
    n, discordance, difference = 12, 0.6, 0.4
    chances = (discordance + difference) / 2, (discordance - difference) / 2, 1 - discordance
    total = 0.0
    for b in range(n + 1):
        for a in range(n + 1 - b):
            shown = b > a and stats.binomtest(a, a + b).pvalue < 0.05
            total += shown * stats.multinomial.pmf([b, a, n - a - b], n, chances)
    assert power(n, discordance, difference, 0.95) == pytest.approx(total, abs=1e-9)


def test_the_detectable_difference_has_the_power_it_says():
    for n, discordance in ((130, 0.1), (130, 0.3), (1000, 0.1)):
        least = detectable(n, discordance, 0.95)
        assert power(n, discordance, least, 0.95) >= 0.8 > power(n, discordance, least - 1e-4, 0.95)
    # The normal approximation: (1.96 sqrt(d) + 0.84 sqrt(d - x2)) / sqrt(n), close where n is large.
    assert detectable(10_000, 0.2, 0.95) == pytest.approx((1.96 + 0.8416) * math.sqrt(0.2 / 10_000), rel=0.03)
    assert detectable(20, 0.1, 0.95) is None


def test_the_bootstrap_is_near_the_normal_interval_and_draws_clusters_whole():
    rng = np.random.default_rng(1)
    a, b = rng.random(400), rng.random(400) + 0.1
    names = [str(i) for i in range(400)]
    low, high = bootstrap_difference(list(a), list(b), names, 0.95)
    d = b - a
    half = 1.96 * d.std() / 20
    assert (low, high) == pytest.approx((d.mean() - half, d.mean() + half), abs=0.1 * half)
    assert bootstrap_difference(list(a), list(b), names, 0.95) == (low, high)
    whole = bootstrap_difference([*a, *a], [*b, *b], names * 2, 0.95)
    assert whole == pytest.approx((low, high), abs=0.1 * half)
    assert bootstrap_difference([0.5, 0.0], [1.0, 0.5], ["a", "b"], 0.95) == (0.5, 0.5)


def test_seed_spread_has_anovas_mean_squares():
    rng = np.random.default_rng(3)
    table = rng.normal(size=(1, 12)) + 0.8 * rng.normal(size=(4, 1)) + 0.5 * rng.normal(size=(4, 12))
    told = seed_spread(table.tolist(), 0.95)
    data = {
        "y": table.ravel(),
        "seed": np.repeat(list("abcd"), 12),
        "row": np.tile([f"r{i}" for i in range(12)], 4),
    }
    theirs = anova_lm(ols("y ~ C(seed) + C(row)", data=pd.DataFrame(data)).fit())
    squares = theirs["mean_sq"]
    assert told.seed_deviation**2 == pytest.approx((squares["C(seed)"] - squares["Residual"]) / 12, rel=1e-9)
    of_test = (squares["C(row)"] - squares["Residual"]) / 4 + squares["Residual"]
    assert told.test_deviation**2 == pytest.approx(of_test / 12, rel=1e-9)


def test_seed_spread_finds_what_was_put_in_and_covers():
    # 400 draws of 5 seeds on 50 rows; variances: seeds 0.04, rows 1, rest 0.25.
    rng = np.random.default_rng(5)
    by_seed, by_test, misses = [], [], 0
    for _ in range(400):
        table = rng.normal(0, 0.2, (5, 1)) + rng.normal(0, 1, (1, 50)) + rng.normal(0, 0.5, (5, 50))
        told = seed_spread(table, 0.95)
        by_seed.append(told.seed_deviation**2)
        by_test.append(told.test_deviation**2)
        misses += not told.interval.low <= 0 <= told.interval.high
    assert np.mean(by_seed) == pytest.approx(0.04, rel=0.15)
    assert np.mean(by_test) == pytest.approx(1.25 / 50, rel=0.05)
    assert misses <= 36  # a correct 95 % interval misses more with a chance below 0.001


def test_seeds_that_make_no_difference():
    rng = np.random.default_rng(6)
    rows = rng.integers(0, 2, 40)
    told = seed_spread([rows, rows, rows], 0.95)
    assert told.seed_deviation == 0
    # Then it is the interval of a mean over rows: t with 39 degrees of freedom.
    half = stats.t.ppf(0.975, 39) * rows.std(ddof=1) / math.sqrt(40)
    assert told.interval.high - told.mean == pytest.approx(half)


def test_scores_that_are_all_the_same_leave_open_what_so_few_rows_do():
    none_of_ten = stats.binomtest(0, 10).proportion_ci(0.95, "exact").high
    assert seed_spread([[0] * 10] * 2, 0.95, (0, 1)).interval == pytest.approx((0, none_of_ten))
    assert seed_spread([[1] * 10] * 2, 0.95, (0, 1)).interval == pytest.approx((1 - none_of_ten, 1))
    # Ten rows on which nothing is gained leave as many open that gain 1 or lose 1; ten lost ones that gain 1.
    ends = (-none_of_ten, none_of_ten)
    assert seed_spread([[0] * 10] * 2, 0.95, (-1, 1)).interval == pytest.approx(ends)
    assert seed_spread([[-1] * 10] * 2, 0.95, (-1, 1)).interval == pytest.approx((-1, -1 + 2 * none_of_ten))


def test_the_interval_over_seeds_ends_at_the_bounds_of_a_score():
    nearly = [[1] * 19 + [0], [1] * 20]
    assert seed_spread(nearly, 0.95).interval.high > 1
    assert seed_spread(nearly, 0.95, (0, 1)).interval.high == 1


def test_kappa_is_sklearns():
    rng = random.Random(8)
    a = [rng.choice("xyz") for _ in range(50)]
    b = [word if rng.random() < 0.6 else rng.choice("xyz") for word in a]
    assert cohen_kappa(a, b) == pytest.approx(cohen_kappa_score(a, b), abs=1e-9)
    assert cohen_kappa(["x"] * 3, ["x"] * 3) == 0


@pytest.mark.parametrize("right", [0.6, 0.9])
def test_kappas_interval_is_that_of_statsmodels(right):
    rng = random.Random(9)
    a = [rng.choice("xxyz") for _ in range(60)]
    b = [word if rng.random() < right else rng.choice("xyzw") for word in a]
    table = np.array(
        [[sum(pair == (i, j) for pair in zip(a, b, strict=True)) for j in "wxyz"] for i in "wxyz"]
    )
    theirs = cohens_kappa(table)
    half = stats.norm.ppf(0.95) * theirs.std_kappa
    low, high = kappa_interval(a, b, 0.9)
    assert low == pytest.approx(theirs.kappa - half, abs=1e-9)
    assert high == pytest.approx(min(1, theirs.kappa + half), abs=1e-9)


def test_kappas_interval_where_all_agree_is_not_a_point():
    grades = ["pass", "fail"] * 10
    # chance is 1/2, and the rule of three lets 1 - 0.05 ** (1 / 20), about -ln(0.05) / 20, differ
    assert kappa_interval(grades, grades, 0.95) == pytest.approx((1 - 2 * -math.log(0.05) / 20, 1))
    assert kappa_interval(["x"] * 5, ["x"] * 5, 0.95) == (-1, 1)
    assert kappa_interval(["x", "y"], ["y", "x"], 0.95)[0] == -1
