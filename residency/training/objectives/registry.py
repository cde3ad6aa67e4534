"""The interface of an objective and the registry that finds it by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from residency.core.errors import ResidencyError

if TYPE_CHECKING:
    from torch import Tensor


class Batch(NamedTuple):
    """What the engine computed of a micro-batch with N supervised tokens.

    Attributes:
        logprobs_N: Log-probability of each supervised token, float32, with gradient.
        sequence_N: Which sequence each token belongs to.
        supervised_in_step: Supervised tokens of the whole optimiser step, of which this micro-batch
            is a part: dividing by it makes accumulation exact.
    """

    logprobs_N: Tensor
    sequence_N: Tensor
    supervised_in_step: int


class Loss(NamedTuple):
    """The loss to differentiate (summed over the step's micro-batches) and figures to log."""

    loss: Tensor
    metrics: Mapping[str, float]


Objective = Callable[[Batch], Loss]
_REGISTRY: dict[str, Objective] = {}


def objective(name: str) -> Callable[[Objective], Objective]:
    """Register a function as the objective `name`."""

    def register(function: Objective) -> Objective:
        _REGISTRY[name] = function
        return function

    return register


def get_objective(name: str) -> Objective:
    """The objective called `name`.

    Raises:
        ResidencyError: there is none; the known ones are named.
    """
    package = importlib.import_module("residency.training.objectives")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    if name not in _REGISTRY:
        fix = f"Use one of: {', '.join(sorted(_REGISTRY))}."
        raise ResidencyError(f"There is no objective '{name}'.", "train.objective", fix)
    return _REGISTRY[name]
