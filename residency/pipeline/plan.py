"""The arithmetic of a plan: from a few measured figures to memory, time and advice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from residency.core.recipe import Method

GIB = 1024**3
ROOM = 0.9
"""Share of the free memory that a plan may take: others need some too, and none is exact."""


def gib(memory: float) -> float:
    """Bytes in GiB, to a thousandth."""
    return round(memory / GIB, 3)


@dataclass(frozen=True)
class Line:
    """Bytes that a micro-batch holds, by its tokens: `fixed` + `per_token` x tokens."""

    fixed: float
    per_token: float

    @staticmethod
    def through(small: tuple[int, int], large: tuple[int, int]) -> Line:
        """The line through two measurements (tokens, bytes); through the origin if they do not rise."""
        (fewer, less), (more, most) = small, large
        per_token = (most - less) / (more - fewer) if more > fewer and most > less else most / more
        return Line(most - per_token * more, per_token)

    def at(self, tokens: float) -> int:
        """Bytes of so many tokens."""
        return max(0, round(self.fixed + self.per_token * tokens))

    def tokens_in(self, memory: float) -> int:
        """The most tokens that hold at most `memory` bytes."""
        return max(0, math.floor((memory - self.fixed) / self.per_token))


@dataclass(frozen=True)
class Memory:
    """Bytes at the height of a training step.

    Attributes:
        program: What the process holds beside the model.
        weights: The base's weights.
        adapter: Weights that are added to them and trained; 0 where the base's own are trained.
        gradients: One number a trained weight.
        optimizer: AdamW's two moments of each (Loshchilov and Hutter 2019, arXiv:1711.05101).
        activations: What the backward pass of a micro-batch needs, by its tokens.
        tokens: Tokens of the largest micro-batch.
        allocator: What the allocator held beyond the tensors when this was measured.
        free: What could be taken beside program, weights and adapter.
        gradient_checkpointing: Whether `activations` is with it.
    """

    program: int
    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: Line
    tokens: int
    allocator: int
    free: int
    gradient_checkpointing: bool

    @property
    def to_take(self) -> int:
        """What training takes beyond what is there before its first step."""
        return self.gradients + self.optimizer + self.activations.at(self.tokens) + self.allocator

    @property
    def total(self) -> int:
        """All that the process holds then."""
        return self.program + self.weights + self.adapter + self.to_take

    @property
    def fits(self) -> bool:
        """Whether it leaves a tenth of the free memory to others."""
        return self.to_take <= ROOM * self.free

    def tokens_that_fit(self) -> int:
        """The largest micro-batch that fits."""
        beside = self.gradients + self.optimizer + self.allocator
        return self.activations.tokens_in(ROOM * self.free - beside)

    def with_tokens(self, tokens: int) -> int:
        """`total` with micro-batches of at most so many tokens."""
        return self.total - self.activations.at(self.tokens) + self.activations.at(tokens)

    def to_json(self) -> dict[str, Any]:
        """In GiB."""
        parts = ("program", "weights", "adapter", "gradients", "optimizer", "allocator", "free")
        return {
            **{f"{name}_gib": gib(getattr(self, name)) for name in parts},
            "activations_gib": gib(self.activations.at(self.tokens)),
            "peak_gib": gib(self.total),
            "micro_batch_tokens": self.tokens,
            "gradient_checkpointing": self.gradient_checkpointing,
            "fits": self.fits,
        }


@dataclass(frozen=True)
class Time:
    """Seconds of a training that is not stopped early; `learning_curve`: of those on parts of the rows."""

    steps: float
    validation: float
    checkpoints: float
    learning_curve: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.steps + self.validation + self.checkpoints + self.learning_curve

    def cost(self, price: float) -> float:
        """At a price an hour."""
        return self.total / 3600 * price

    def to_json(self) -> dict[str, float]:
        """In seconds."""
        return {**asdict(self), "total": self.total}


def advise(memory: Memory, longest: int, checkpointed: Memory | None, method: Method) -> list[str]:
    """What to change where a plan does not fit, each with what it would come to.

    Args:
        memory: The plan.
        longest: Tokens of the longest row, which is never cut.
        checkpointed: The plan with gradient checkpointing, where that is a change.
        method: What is trained.
    """
    if memory.fits:
        return []
    advice = []
    if checkpointed is not None and checkpointed.to_take < memory.to_take:
        advice.append(f'train.gradient_checkpointing = "on": {_amount(checkpointed.total)}, slower')
        memory = checkpointed
    tokens = memory.tokens_that_fit()
    if not memory.fits and tokens >= longest:
        advice.append(f"train.micro_tokens = {tokens}: {_amount(memory.with_tokens(tokens))}, as exact")
    elif not memory.fits and tokens >= 16:
        advice += _smaller_method(memory, method)
        what = f"{_amount(memory.with_tokens(tokens))}; longer rows are left out"
        advice.append(f"data.max_tokens = {tokens} and train.micro_tokens = {tokens}: {what}")
    elif not memory.fits:
        advice += _smaller_method(memory, method)
        least = memory.with_tokens(longest)
        advice.append(f"a smaller base.model: one row of {longest:,} tokens takes {_amount(least)} already")
    return advice


def _smaller_method(memory: Memory, method: Method) -> list[str]:
    """The method that holds less than `method`, if there is one."""
    if method == "full":
        beside = _amount(memory.gradients + memory.optimizer)
        return [f'train.method = "lora": gradients and moments of an adapter, instead of {beside}']
    if method == "lora":
        return [f'train.method = "qlora": the base in 4 bits, instead of {_amount(memory.weights)}']
    return []


def _amount(memory: int) -> str:
    return f"{memory / GIB:.2f} GiB"


@dataclass(frozen=True)
class Forecast:
    """A training told before it is begun.

    Attributes:
        rows: Training rows.
        validation_rows: Validation rows.
        test_rows: Test rows.
        detectable: The least difference that the test tells, by the share of its rows that only one of
            two candidates gets right; none where it tells no such difference.
        tokens: Tokens of the training rows.
        packed_tokens: Tokens that an epoch computes, those that rows of a micro-batch share once.
        supervised_tokens: Tokens of the training rows that are learned.
        steps: Optimiser steps at most.
        evaluations: Validations and checkpoints at most.
        memory: At its height.
        time: At most.
        advice: What to change where it does not fit.
    """

    rows: int
    validation_rows: int
    test_rows: int
    detectable: Mapping[float, float | None]
    tokens: int
    packed_tokens: int
    supervised_tokens: int
    steps: int
    evaluations: int
    memory: Memory
    time: Time
    advice: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Memory in GiB, time in seconds."""
        plain = {name: value for name, value in vars(self).items() if name not in ("memory", "time")}
        return {**plain, "memory": self.memory.to_json(), "seconds": self.time.to_json()}
