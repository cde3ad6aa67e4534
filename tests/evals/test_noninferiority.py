import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from residency.evals.noninferiority import exact_p_of_loss, items_to_judge, noninferiority, p_of_loss


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


def test_few_items_of_a_suite_go_by_the_score_test_as_their_bounds_do():
    """3 of 3 gained: exactly 0.475 ** 3 = 0.107, yet the lower bound lies above the margin."""
    found = compare((0, 0, 3, 0))
    assert exact_p_of_loss(3, 0, 3, 0.05) > 0.05 > found.p == p_of_loss(3, 0, 3, 0.05)
    assert found.low > -0.05 and found.verdict == "not worse"


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


@pytest.mark.parametrize(("n", "margin"), [(3, 0.03), (4, 0.03), (6, 0.03), (6, 0.1)])
def test_all_rows_gained_are_as_unlikely_as_half_of_them_less_the_margin(n, margin):
    """Nothing speaks more clearly, and it is likeliest where every row differs: ((1 - margin) / 2) ** n."""
    assert exact_p_of_loss(n, 0, n, margin) == pytest.approx(((1 - margin) / 2) ** n)


def test_no_row_that_differs_is_likeliest_where_none_is_gained():
    """Then a row is lost with the chance of the margin, and whatever speaks more clearly has gained rows."""
    assert exact_p_of_loss(0, 0, 20, 0.1) == pytest.approx(0.9**20)


@pytest.mark.parametrize(("n", "margin", "level"), [(4, 0.03, 0.05), (6, 0.03, 0.05), (8, 0.1, 0.05)])
def test_few_rows_hold_the_level_where_the_score_test_does_not(n, margin, level):
    """All that n rows can show, with its chance: how often each test is wrong at the worst share gained."""
    cells = [(up, down) for up in range(n + 1) for down in range(n + 1 - up)]

    def wrong(p):
        shown = [(up, down, n - up - down) for up, down in cells if p(up, down, n, margin) < level] or [
            (0, 0, 0)
        ]
        shares = [k / 200 * (1 - margin) / 2 for k in range(200)]
        of_rows = [(share, share + margin, 1 - margin - 2 * share) for share in shares]
        return max(sum(stats.multinomial.pmf(shown, n, chances)) for chances in of_rows)

    assert wrong(exact_p_of_loss) <= level < wrong(p_of_loss)


def test_from_many_rows_on_the_score_test_is_taken_and_clusters_count_as_whole_rows():
    assert exact_p_of_loss(3, 5, 100, 0.05) == p_of_loss(3, 5, 100, 0.05)
    assert exact_p_of_loss(3, 5, 99, 0.05) == pytest.approx(p_of_loss(3, 5, 99, 0.05), rel=0.15)
    assert exact_p_of_loss(0, 0, 20.9, 0.1) == pytest.approx(0.9**20)
    assert exact_p_of_loss(0.4, 0, 0.4, 0.1) == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("gained", "lost", "n"), [(0, 0, 10), (2, 2, 40), (1, 3, 40), (3, 0, 20), (0, 2, 30)]
)
def test_with_so_many_more_items_the_verdict_is_clear_and_with_fewer_not(gained, lost, n):
    def is_clear(items):
        up, down = gained * items / n, lost * items / n
        return min(p_of_loss(up, down, items, 0.05), p_of_loss(down, up, items, 0)) < 0.05

    more = items_to_judge(gained, lost, n, 0.05, 0.95)
    assert is_clear(n + more) and (more == 0 or not is_clear(n + more - 1))
