"""Which configurations a sweep tries, and which go on."""

from __future__ import annotations

import math
import statistics

import pytest

from residency.core.recipe import Sweep
from residency.training.schedule import Plan
from residency.training.search import (
    Tried,
    count_configurations,
    go_on,
    next_configuration,
    rung_divisors,
    rung_step,
)


def walk(sweep: Sweep, count: int, loss, seed: int = 0) -> list[Tried]:
    """The first `count` configurations with their losses."""
    tried: list[Tried] = []
    for _ in range(count):
        settings = next_configuration(sweep, tried, seed)
        tried.append(Tried(settings, loss(settings)))
    return tried


def test_a_grid_is_every_combination():
    sweep = Sweep(rank=[8, 16], learning_rate=[1e-3, 1e-4, 1e-5])
    assert count_configurations(sweep) == 6
    found = [settings for settings, _ in walk(sweep, 6, lambda settings: 1.0)]
    assert found == [
        {"rank": 8, "learning_rate": 1e-3},
        {"rank": 8, "learning_rate": 1e-4},
        {"rank": 8, "learning_rate": 1e-5},
        {"rank": 16, "learning_rate": 1e-3},
        {"rank": 16, "learning_rate": 1e-4},
        {"rank": 16, "learning_rate": 1e-5},
    ]


OPTUNA = Sweep(search="optuna", trials=40, learning_rate=[1e-6, 1.0], rank=[4, 8, 16], alpha=[2, 64])


def far_from_a_thousandth(settings) -> float:
    """In factors of ten."""
    return abs(math.log10(settings["learning_rate"]) + 3)


def test_optuna_stays_within_ranges_and_choices():
    assert count_configurations(OPTUNA) == 40
    tried = walk(OPTUNA, 30, far_from_a_thousandth)
    assert {settings["rank"] for settings, _ in tried} == {4, 8, 16}
    assert all(1e-6 <= settings["learning_rate"] <= 1 for settings, _ in tried)
    assert all(type(settings["alpha"]) is int and 2 <= settings["alpha"] <= 64 for settings, _ in tried)
    # the range is searched by factors: half of the draws at random lie below 1e-3
    assert 5 <= sum(settings["learning_rate"] < 1e-3 for settings, _ in walk(OPTUNA, 20, lambda s: 1.0)) <= 15


def test_optuna_learns_from_the_losses():
    losses = [loss for _, loss in walk(OPTUNA, 40, far_from_a_thousandth)]
    assert statistics.mean(losses[20:]) < 0.6 * statistics.mean(losses[:10])


def test_optuna_turns_away_from_configurations_that_failed():
    """All above 1e-4 fail, and the others are equally good."""

    def loss(settings) -> float:
        return math.inf if settings["learning_rate"] > 1e-4 else 1.0

    failed = [math.isinf(loss) for _, loss in walk(OPTUNA, 40, loss)]
    assert sum(failed[-20:]) < sum(failed[:20])


def test_what_optuna_draws_follows_from_seed_and_losses_alone():
    first, again = (walk(OPTUNA, 14, far_from_a_thousandth) for _ in range(2))
    assert first == again
    assert next_configuration(OPTUNA, first[:12], 0) == first[12].settings
    assert walk(OPTUNA, 3, far_from_a_thousandth, seed=1) != first[:3]


@pytest.mark.parametrize(
    ("configurations", "eta", "divisors"),
    [
        (81, 3, [81, 27, 9, 3, 1]),  # the first bracket of table 1 in arXiv:1603.06560
        (26, 3, [9, 3, 1]),
        (4, 2, [4, 2, 1]),
        (2, 3, [1]),
    ],
)
def test_rungs(configurations, eta, divisors):
    assert rung_divisors(configurations, eta) == divisors


@pytest.mark.parametrize(("divisor", "step"), [(9, 16), (3, 40), (1, 100)])
def test_a_rung_pauses_at_the_next_evaluation(divisor, step):
    """A ninth of 100 steps is 12, a third 34; the evaluations are at 8, 16, ..., 96, 100."""
    assert rung_step(Plan(rows=400, steps=100, steps_per_epoch=25, evaluate_every=8), divisor) == step


@pytest.mark.parametrize(
    ("losses", "eta", "numbers"),
    [
        ([3, 1, math.inf, 2, 5, 4], 3, [1, 3]),
        ([2, 1, 1], 2, [1]),
        ([math.inf, 2], 3, [1]),
        ([math.inf, math.inf], 2, []),
        ([], 2, []),
    ],
)
def test_who_goes_on(losses, eta, numbers):
    assert go_on(losses, eta) == numbers
