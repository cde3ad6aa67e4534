"""Which configurations a sweep tries, and which of them go on: pure functions of what was tried so far."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from residency.core.errors import ResidencyError
from residency.core.recipe import Sweep
from residency.training.schedule import Plan

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Settings = Mapping[str, int | float]
"""A configuration: the keys of [train] that are varied, and their values."""

_LOGARITHMIC = ("rank", "alpha", "learning_rate")
"""Keys whose ranges are searched by factors: 1e-4 to 1e-3 is as wide as 1e-3 to 1e-2."""


class Tried(NamedTuple):
    """A configuration, and its validation loss on the first rung; infinite where it failed."""

    settings: Settings
    loss: float


def count_configurations(sweep: Sweep) -> int:
    """How many configurations are asked for."""
    return sweep.trials if sweep.search == "optuna" else math.prod(map(len, sweep.varied.values()))


def next_configuration(sweep: Sweep, tried: Sequence[Tried], seed: int) -> Settings:
    """The configuration after those tried: a function of its arguments alone, so that a sweep resumes.

    Raises:
        ResidencyError: the sweep needs optuna, which is not installed.
    """
    if sweep.search == "optuna":
        return _suggest(sweep, tried, seed)
    combination = next(itertools.islice(itertools.product(*sweep.varied.values()), len(tried), None))
    return dict(zip(sweep.varied, combination, strict=True))


def _suggest(sweep: Sweep, tried: Sequence[Tried], seed: int) -> Settings:
    """What the tree-structured Parzen estimator proposes (Bergstra et al. 2011, Algorithms for
    Hyper-Parameter Optimization, section 4), after ten drawn at random; one that failed counts as the worst.
    """
    optuna = require_optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {key: _distribution(key, values) for key, values in sweep.varied.items()}
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed + len(tried)))
    state = optuna.trial.TrialState
    for settings, loss in tried:
        failed = math.isinf(loss)
        study.add_trial(
            optuna.trial.create_trial(
                state=state.PRUNED if failed else state.COMPLETE,
                value=None if failed else loss,
                params=dict(settings),
                distributions=space,
            )
        )
    drawn: Settings = study.ask(space).params
    return drawn


def _distribution(key: str, values: Sequence[int | float]) -> BaseDistribution:
    """Two values are a range; one, or more than two, are choices."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if len(values) != 2:
        return CategoricalDistribution(values)
    low, high = values
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=key in _LOGARITHMIC)
    return FloatDistribution(low, high, log=key in _LOGARITHMIC)


def require_optuna() -> ModuleType:
    """The module.

    Raises:
        ResidencyError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        fix = "pip install 'residency[sweep]', or set sweep.search to \"grid\""
        raise ResidencyError("optuna is not installed.", "sweep.search", fix) from None
    return optuna


def rung_divisors(configurations: int, eta: int) -> list[int]:
    """By what each rung divides a configuration's steps: `[9, 3, 1]` for 9 to 26 configurations at eta 3.

    Successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943, figure 1), with the rungs of
    Li et al. 2018 (arXiv:1603.06560, algorithm 1, one bracket): the last rung is the whole training,
    and there are as many before it as leave it one configuration or more.
    """
    divisors = [1]
    while configurations >= eta:
        configurations //= eta
        divisors.insert(0, divisors[0] * eta)
    return divisors


def rung_step(plan: Plan, divisor: int) -> int:
    """The step at which a rung pauses: the first evaluation after 1/divisor of the plan's steps."""
    steps = math.ceil(plan.steps / divisor)
    return min(plan.steps, math.ceil(steps / plan.evaluate_every) * plan.evaluate_every)


def go_on(losses: Sequence[float], eta: int) -> list[int]:
    """The numbers of those that climb to the next rung: one of eta, at least one, never a failed one."""
    best = sorted(range(len(losses)), key=losses.__getitem__)[: max(1, len(losses) // eta)]
    return sorted(number for number in best if math.isfinite(losses[number]))
