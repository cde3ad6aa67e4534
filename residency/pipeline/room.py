"""Whether a training fits into memory, and with what changes it would."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from transformers import PreTrainedModel

from residency.core.progress import Reporter
from residency.models.memory import PeakMemory, free_memory, used_memory
from residency.models.out_of_memory import DoesNotFitError
from residency.pipeline.plan import GIB, Line, Memory, advise
from residency.training.gradient_checkpointing import can_checkpoint, gradient_checkpointing
from residency.training.loop import Trainer
from residency.training.probe import Load, measure_activations, sample_load, warm_up


def decide_checkpointing(trainer: Trainer, report: Reporter) -> bool:
    """Whether training checkpoints gradients; tells what it will hold, and what helps if it may not fit.

    A sharded model is not measured: all processes must decide alike, and `auto` is off there.
    """
    if trainer.processes.sharded:
        return trainer.config.gradient_checkpointing == "on"
    try:
        return _foretell(trainer, report)
    except DoesNotFitError:
        report.say("  memory: no forecast, since not even a part of one row fits; training tries by itself")
    choice = trainer.config.gradient_checkpointing
    return choice == "on" or (choice == "auto" and can_checkpoint(trainer.model))


def _foretell(trainer: Trainer, report: Reporter) -> bool:
    load = sample_load(trainer)
    memory = foresee_memory(trainer, load)
    checkpointed = ", with gradient checkpointing" if memory.gradient_checkpointing else ""
    report.say(
        f"  memory: about {memory.total / GIB:.2f} GiB{checkpointed}; {memory.free / GIB:.2f} GiB are free"
    )
    if not memory.fits:
        report.say("  it may not fit; this would help:")
        for change in advise_on(trainer, load, memory):
            report.say(f"    {change}")
    return memory.gradient_checkpointing


def foresee_memory(trainer: Trainer, load: Load) -> Memory:
    """What training will hold, with gradient checkpointing where the recipe or the machine asks for it.

    Raises:
        ResidencyError: the recipe asks for it, and the base cannot do it.
        DoesNotFitError: not even the smallest part of a row can be computed to measure it.
    """
    choice = trainer.config.gradient_checkpointing
    with checkpointing(trainer.model, choice == "on"):
        memory = _measure(trainer, load, choice == "on")
    if choice == "auto" and not memory.fits and can_checkpoint(trainer.model):
        return _with_checkpointing(trainer, load, memory)
    return memory


def advise_on(trainer: Trainer, load: Load, memory: Memory) -> list[str]:
    """What to change where it does not fit."""
    checkpointed = None
    if not (memory.fits or memory.gradient_checkpointing) and can_checkpoint(trainer.model):
        checkpointed = _with_checkpointing(trainer, load, memory)
    longest = max(len(row.ids) for row in trainer.train)
    return advise(memory, longest, checkpointed, trainer.config.method)


def checkpointing(model: PreTrainedModel, on: bool) -> AbstractContextManager[None]:
    """Gradient checkpointing, or nothing."""
    return gradient_checkpointing(model) if on else nullcontext()


def _measure(trainer: Trainer, load: Load, checkpointed: bool) -> Memory:
    device = trainer.model.device
    warm_up(trainer)
    used, free, peak = used_memory(device), free_memory(device), PeakMemory(device)
    small, large = measure_activations(trainer, load.largest, free)
    trained, frozen = (_bytes(trainer.model, trained=trained) for trained in (True, False))
    return Memory(
        program=used - trained - frozen,
        weights=frozen or trained,
        adapter=trained if frozen else 0,
        gradients=trained,
        optimizer=2 * trained,
        activations=Line.through(small, large),
        tokens=load.largest_tokens,
        allocator=max(0, peak.read() - used - trained - large.bytes),
        free=free,
        gradient_checkpointing=checkpointed,
    )


def _with_checkpointing(trainer: Trainer, load: Load, memory: Memory) -> Memory:
    """The allocator's share is kept: what the first measurement left behind would count twice."""
    with checkpointing(trainer.model, True):
        line = Line.through(*measure_activations(trainer, load.largest, memory.free))
    return replace(memory, activations=line, gradient_checkpointing=True)


def _bytes(model: torch.nn.Module, *, trained: bool) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad == trained)
