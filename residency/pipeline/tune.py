"""The training stage: from frozen rows to an adapter in PEFT's format."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from residency.chat import Rendered, Renderer
from residency.core.processes import is_main
from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.core.records import with_system
from residency.core.workspace import write_json
from residency.data.ledger import Checked
from residency.data.split import Frozen
from residency.models.adapters import attach_lora, count_trainable, save_adapter
from residency.models.language_model import LocalModel
from residency.models.load import load_base
from residency.pipeline.watch import watch_score
from residency.training.loop import Side, Trainer


def tune(recipe: Recipe, dtype: str, frozen: Path, folder: Path, report: Reporter) -> None:
    """Train; writes `adapter/` and `training.json`. Checkpoints stand in `checkpoints/` until then."""
    rows = Frozen.read(frozen)
    base = load_base(recipe.base, getattr(torch, dtype))
    settings = recipe.train
    model = attach_lora(base.model, settings.rank, settings.alpha, settings.seed)
    weights = count_trainable(model)
    report.say(
        f"  {settings.method} rank {settings.rank}: {weights.trainable:,} of {weights.total:,} weights "
        f"are trained ({100 * weights.share:.2f} %)"
    )
    system = recipe.task.system
    train = render(base.renderer, rows.train, system)
    validation = render(base.renderer, rows.validation, system)

    def name_row(side: Side, number: int) -> str:
        return str({"training": rows.train, "validation": rows.validation}[side][number].example.source)

    trainer = Trainer(model, train, validation, settings, folder / "checkpoints", name_row)
    score = None
    if settings.watch == "score":
        asked = [row.example for row in rows.validation]
        score = watch_score(recipe, LocalModel(model, base.renderer, recipe.candidates.batch_size), asked)
    trained = trainer.run(report, score)
    if not is_main():
        return
    save_adapter(model, folder / "adapter", base, system, trained.weights)
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
            "steps": trained.steps,
            "best_step": trained.best_step,
            "overfits_since": trained.overfits_since,
            "stopped_early": trained.stopped_early,
            "curve": [asdict(point) for point in trained.curve],
        },
    )
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def render(renderer: Renderer, rows: Sequence[Checked], system: str) -> list[Rendered]:
    """The rows as the tuned model sees them: token ids, and which of them it learns."""
    return renderer.render_many([with_system(row.example.messages, system) for row in rows])
