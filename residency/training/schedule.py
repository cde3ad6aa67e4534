"""How many steps there are, their learning rates, and which rows each one sees."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from residency.core.recipe import Train


@dataclass(frozen=True)
class Plan:
    """The steps of a run, fixed before it starts.

    Attributes:
        rows: Training rows.
        steps: Optimiser steps.
        steps_per_epoch: Steps in which every row is seen once; the last of them may be smaller.
        evaluate_every: Steps between two measurements of the validation loss.
    """

    rows: int
    steps: int
    steps_per_epoch: int
    evaluate_every: int

    def evaluates_after(self, step: int) -> bool:
        """Whether the validation loss is measured after `step`, counted from 0: always after the last."""
        return (step + 1) % self.evaluate_every == 0 or step + 1 == self.steps

    @property
    def evaluations(self) -> int:
        """How often it is measured."""
        return sum(map(self.evaluates_after, range(self.steps)))


def make_plan(rows: int, config: Train) -> Plan:
    """The plan for `rows` rows."""
    per_epoch = math.ceil(rows / config.batch_size)
    steps = max(1, round(config.epochs * per_epoch))
    return Plan(rows, steps, per_epoch, math.ceil(per_epoch / config.evaluations_per_epoch))


def rows_of_step(plan: Plan, step: int, batch_size: int, seed: int) -> list[int]:
    """The rows of a step, counted from 0: a new random order every epoch, each row once in it.

    The order depends on seed and epoch alone, so that a resumed run sees the same rows.
    """
    epoch, place = divmod(step, plan.steps_per_epoch)
    generator = torch.Generator().manual_seed((seed << 20) + epoch)
    order: list[int] = torch.randperm(plan.rows, generator=generator).tolist()
    return order[place * batch_size : (place + 1) * batch_size]


_DECAY: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}


def learning_rate(step: int, plan: Plan, config: Train) -> float:
    """Rises linearly over the warm-up, then falls towards 0 by the schedule; steps count from 0."""
    warmup = max(1, round(config.warmup * plan.steps))
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, plan.steps - warmup)
    return config.learning_rate * _DECAY[config.schedule](done)
