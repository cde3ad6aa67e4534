"""The training curve: which measurement is the best, and from where on the model overfits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeVar

_RISE_THAT_COUNTS = 0.05
"""A validation loss that rose by less than this share of its lowest value is noise, not overfitting."""


@dataclass(frozen=True)
class Point:
    """One measurement on the way; losses are nats a supervised token."""

    step: int
    epoch: float
    train_loss: float
    validation_loss: float
    learning_rate: float
    score: float | None = None
    """Mean score of the answers to validation rows, where they are watched."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What the objective tells of the validation rows beside its loss."""


class Measured(Protocol):
    """A point of a curve, here or in a report."""

    @property
    def step(self) -> int:
        """Optimiser steps done."""

    @property
    def train_loss(self) -> float | None:
        """Mean loss since the point before."""

    @property
    def validation_loss(self) -> float:
        """Loss on the validation rows."""

    @property
    def score(self) -> float | None:
        """Mean score, where it is watched."""


Measurement = TypeVar("Measurement", bound=Measured)


def best_of(curve: Sequence[Measurement]) -> Measurement:
    """The highest score where there are scores, else the lowest loss; loss decides ties, then the earlier."""
    return max(curve, key=lambda point: (point.score or 0.0, -point.validation_loss))


def lowest_loss(curve: Sequence[Measurement]) -> Measurement:
    """The point of the lowest validation loss, the first of equals."""
    return min(curve, key=lambda point: point.validation_loss)


def overfits_since(curve: Sequence[Measured]) -> int | None:
    """The step since which the model overfits: what it learns of the training rows costs on others.

    Since then every training loss is below, and every validation loss by more than a twentieth
    above, what it was at the lowest validation loss.
    """
    if not curve:
        return None
    lowest, since = lowest_loss(curve), None
    for point in reversed(curve):
        if lowest.train_loss is None or point.train_loss is None or point.train_loss >= lowest.train_loss:
            break
        if point.validation_loss <= lowest.validation_loss * (1 + _RISE_THAT_COUNTS):
            break
        since = point.step
    return since


@dataclass
class Progress:
    """How far training is: what a checkpoint carries beside tensors.

    Attributes:
        micro_tokens: Tokens computed at a time; halved where they do not fit into memory.
        curve: The measurements so far.
        recent: The losses of the steps since the last one.
        seconds: Time taken.
        keeps_last: Whether the last measurement counts as the best, whatever came before.
    """

    micro_tokens: int
    curve: list[Point] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    seconds: float = 0.0
    keeps_last: bool = False

    @property
    def steps(self) -> int:
        """Steps taken."""
        return (self.curve[-1].step if self.curve else 0) + len(self.recent)

    @property
    def best_step(self) -> int | None:
        """The step of the best measurement; none before the first."""
        if not self.curve:
            return None
        return (self.curve[-1] if self.keeps_last else best_of(self.curve)).step

    @property
    def without_gain(self) -> int:
        """Measurements since the best one."""
        return sum(point.step > (self.best_step or 0) for point in self.curve)

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads."""
        return {**asdict(self), "best_step": self.best_step}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Progress:
        """What `to_json` wrote."""
        names = Progress.__dataclass_fields__
        values = {name: value for name, value in state.items() if name in names}
        return Progress(**{**values, "curve": [Point(**point) for point in values["curve"]]})
