"""A training measured before it begins: what its steps compute, hold and take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch

from residency.chat import Rendered
from residency.models.memory import most_held_by
from residency.models.out_of_memory import DoesNotFitError, give_back, within_memory
from residency.models.packed.attention import use_packed_attention
from residency.models.packed.packing import micro_batches, packed_length
from residency.models.precision import synchronise
from residency.training.checkpoint import optimizer_state, trainable_state, write_checkpoint
from residency.training.engine import compute, supervised_count
from residency.training.loop import Trainer
from residency.training.schedule import rows_of_step

_SAMPLE = 128
"""Steps looked at for their tokens: all of a short run, evenly spread ones of a long run."""


class Load(NamedTuple):
    """What a training computes.

    Attributes:
        tokens_a_step: Packed tokens of an optimiser step, the mean of a sample.
        largest: The rows of the largest micro-batch of the sample.
    """

    tokens_a_step: float
    largest: list[Rendered]

    @property
    def largest_tokens(self) -> int:
        """Packed tokens of the largest micro-batch."""
        return packed_length(self.largest)


def sample_load(trainer: Trainer) -> Load:
    """Pack steps without computing them."""
    stride = -(-trainer.plan.steps // _SAMPLE)
    steps = [_micro_batches(trainer, step) for step in range(0, trainer.plan.steps, stride)]
    tokens = sum(packed_length(part) for parts in steps for part in parts)
    return Load(tokens / len(steps), max((part for parts in steps for part in parts), key=packed_length))


class Held(NamedTuple):
    """Bytes that a micro-batch of so many packed tokens holds at most."""

    tokens: int
    bytes: int


def warm_up(trainer: Trainer) -> None:
    """Compute the shortest row: weights that were mapped from a file are in memory from then on.

    Raises:
        DoesNotFitError: memory ran out.
    """
    use_packed_attention(trainer.model)
    shortest = [min(trainer.train, key=lambda row: len(row.ids))]
    with torch.no_grad(), within_memory(shortest):
        compute(trainer.model, shortest, 1)


def measure_activations(trainer: Trainer, largest: Sequence[Rendered], free: int) -> tuple[Held, Held]:
    """What two micro-batches hold: a part of the largest, and the largest itself.

    Where the largest might not fit into `free` bytes, the second is twice the first; each is halved
    until it fits, so that both may be the same. The model must be warmed up.

    Raises:
        DoesNotFitError: not even the smallest part fits.
    """
    small = _hold_most(trainer, largest, 0.25)
    foreseen = small.bytes * packed_length(largest) / small.tokens
    return small, _hold_most(trainer, largest, 1.0 if 2 * foreseen <= free else 0.5)


def _hold_most(trainer: Trainer, largest: Sequence[Rendered], share: float) -> Held:
    """What a share of the rows holds, or the largest half of a half of it that fits."""
    rows = _part(largest, share)
    while (held := _hold(trainer, rows)) is None:
        share /= 2
        fewer = _part(largest, share)
        if _tokens(fewer) == _tokens(rows):
            raise DoesNotFitError(rows)
        rows = fewer
    return held


def _tokens(rows: Sequence[Rendered]) -> int:
    return sum(len(row.ids) for row in rows)


def _part(rows: Sequence[Rendered], share: float) -> list[Rendered]:
    """A share of the rows; of a few rows, a share of each one's tokens, the answer's included."""
    if len(rows) >= 4:
        return list(rows[: max(1, round(len(rows) * share))])
    lengths = [max(2, round(len(row.ids) * share)) for row in rows]
    return [Rendered(r.ids[-n:], r.supervised[-n:]) for r, n in zip(rows, lengths, strict=True)]


def _hold(trainer: Trainer, rows: list[Rendered]) -> Held | None:
    """What these rows hold beside the gradients; None where memory runs out."""
    held = None
    with suppress(DoesNotFitError), within_memory(rows):
        held = _hold_beside_gradients(trainer, rows)
    # Here, since nothing holds the tensors of a failed computation any more.
    trainer.optimizer.zero_grad()
    if held is None:
        give_back(trainer.model.device)
    return held


def _hold_beside_gradients(trainer: Trainer, rows: list[Rendered]) -> Held:
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:  # there already when a later micro-batch is computed
            parameter.grad = torch.zeros_like(parameter)
    supervised = supervised_count(rows)

    def work() -> None:
        trainer.objective(compute(trainer.model, rows, supervised)).loss.backward()

    return Held(packed_length(rows), most_held_by(work, trainer.model.device))


class Pace(NamedTuple):
    """Seconds of a packed token in a step and in a validation, and of writing a checkpoint."""

    step_token: float
    validation_token: float
    checkpoint: float


def measure_pace(trainer: Trainer, folder: Path, seconds: float) -> Pace:
    """Take real steps for about `seconds`, validate one micro-batch, write one checkpoint.

    The trainer's weights are not those of the base afterwards. The first step, which warms up, is
    not counted where there is time for a second. The model must be warmed up.
    """
    taken, tokens = 0.0, 0
    begun = time.perf_counter()
    for number in range(trainer.plan.steps + 1):
        step = number % trainer.plan.steps
        before = time.perf_counter()
        trainer.step(step)
        synchronise(trainer.model.device)
        now = time.perf_counter()
        if number or now - begun > seconds:
            taken += now - before
            tokens += sum(map(packed_length, _micro_batches(trainer, step)))
        if now - begun > seconds:
            break
    begun = time.perf_counter()
    weights, moments = trainable_state(trainer.model), optimizer_state(trainer.optimizer)
    write_checkpoint(folder, 0, weights, moments, trainer.progress.to_json())
    checkpoint = time.perf_counter() - begun
    return Pace(taken / tokens, _validation_pace(trainer), checkpoint)


def _validation_pace(trainer: Trainer) -> float:
    part = max(micro_batches(trainer.validation, trainer.progress.micro_tokens), key=packed_length)
    begun = time.perf_counter()
    trainer.accumulate(part, learn=False)
    return (time.perf_counter() - begun) / packed_length(part)


def _micro_batches(trainer: Trainer, step: int) -> list[list[Rendered]]:
    config = trainer.config
    numbers = rows_of_step(trainer.plan, step, config.batch_size, config.seed)
    return list(micro_batches([trainer.train[i] for i in numbers], trainer.progress.micro_tokens))
