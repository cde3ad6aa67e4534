"""The training stage: from frozen rows to an adapter in PEFT's format."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from residency.chat import Rendered, Renderer
from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.core.records import with_system
from residency.core.workspace import write_json
from residency.data.ledger import Checked
from residency.data.split import Frozen
from residency.models.adapters import attach_lora, count_trainable, save_adapter
from residency.models.load import LoadedBase, load_base
from residency.models.memory import PeakMemory, used_memory
from residency.models.precision import best_device
from residency.pipeline.plan import GIB, Memory, gib
from residency.pipeline.room import advise_on, checkpointing, foresee_memory
from residency.training.loop import Trainer
from residency.training.probe import sample_load


def tune(recipe: Recipe, dtype: str, frozen: Path, folder: Path, report: Reporter) -> None:
    """Train; writes `adapter/` and `training.json`. Checkpoints stand in `checkpoints/` until then."""
    if (folder / "training.json").is_file():  # stopped between the last write and the stage's renaming
        return
    before = used_memory(best_device())
    settings, system = recipe.train, recipe.task.system
    base, trainer = set_up(recipe, dtype, Frozen.read(frozen), folder / "checkpoints")
    model, train = trainer.model, trainer.train
    weights = count_trainable(model)
    report.say(
        f"  {settings.method} rank {settings.rank}: {weights.trainable:,} of {weights.total:,} weights "
        f"are trained ({100 * weights.share:.2f} %)"
    )
    memory = _tell_memory(trainer, report)
    with checkpointing(trainer, memory.gradient_checkpointing):
        peak = PeakMemory(model.device)
        trained = trainer.run(report)
        peak_memory = peak.read()
    save_adapter(model, folder / "adapter", base, system)
    write_json(
        folder / "training.json",
        {
            "method": settings.method,
            "objective": settings.objective,
            "trainable_parameters": weights.trainable,
            "total_parameters": weights.total,
            "rows": len(train),
            "tokens": sum(len(row.ids) for row in train),
            "supervised_tokens": sum(sum(row.supervised) for row in train),
            "seconds": trained.seconds,
            "peak_memory_gib": gib(peak_memory),
            "memory_before_gib": gib(before),
            "gradient_checkpointing": memory.gradient_checkpointing,
            "steps": trained.steps,
            "best_step": trained.best_step,
            "stopped_early": trained.stopped_early,
            "curve": [asdict(point) for point in trained.curve],
        },
    )
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def set_up(recipe: Recipe, dtype: str, rows: Frozen, checkpoints: Path) -> tuple[LoadedBase, Trainer]:
    """The base in memory, and the training of it that the recipe describes."""
    settings, system = recipe.train, recipe.task.system
    base = load_base(recipe.base, getattr(torch, dtype))
    model = attach_lora(base.model, settings.rank, settings.alpha, settings.seed)
    train, validation = (render(base.renderer, side, system) for side in (rows.train, rows.validation))
    return base, Trainer(model, train, validation, settings, checkpoints)


def _tell_memory(trainer: Trainer, report: Reporter) -> Memory:
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
    return memory


def render(renderer: Renderer, rows: Sequence[Checked], system: str) -> list[Rendered]:
    """The rows as the tuned model sees them: token ids, and which of them it learns."""
    return renderer.render_many([with_system(row.example.messages, system) for row in rows])
