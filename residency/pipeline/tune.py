"""The training stage: from frozen rows to an adapter or a model."""

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
from residency.models.artifact import artifact_folder, save_artifact
from residency.models.card import Card
from residency.models.method import count_trainable, open_for_training
from residency.training.loop import Trainer


def tune(recipe: Recipe, dtype: str, frozen: Path, folder: Path, report: Reporter) -> None:
    """Train; writes the artifact and `training.json`. Checkpoints stand in `checkpoints/` until then."""
    if (folder / "training.json").is_file():  # stopped between the last write and the stage's renaming
        return
    rows = Frozen.read(frozen)
    settings = recipe.train
    base, model = open_for_training(recipe.base, settings, getattr(torch, dtype))
    weights = count_trainable(model)
    rank = "" if settings.method == "full" else f" rank {settings.rank}"
    report.say(
        f"  {settings.method}{rank}: {weights.trainable:,} of {weights.total:,} weights "
        f"are trained ({100 * weights.share:.2f} %)"
    )
    system = recipe.task.system
    train = render(base.renderer, rows.train, system)
    validation = render(base.renderer, rows.validation, system)
    trainer = Trainer(model, train, validation, settings, folder / "checkpoints")
    trained = trainer.run(report)
    card = Card(settings.method, base.fingerprint, base.renderer.fingerprint, system, dtype, base.quantised)
    save_artifact(model, artifact_folder(folder, settings.method), base, card)
    write_json(
        folder / "training.json",
        {
            "method": settings.method,
            "objective": settings.objective,
            "trainable_parameters": weights.trainable,
            "total_parameters": weights.total,
            "trainable_share": weights.share,
            "rows": len(train),
            "tokens": sum(len(row.ids) for row in train),
            "supervised_tokens": sum(sum(row.supervised) for row in train),
            "seconds": trained.seconds,
            "steps": trained.steps,
            "best_step": trained.best_step,
            "stopped_early": trained.stopped_early,
            "curve": [asdict(point) for point in trained.curve],
        },
    )
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def render(renderer: Renderer, rows: Sequence[Checked], system: str) -> list[Rendered]:
    """The rows as the tuned model sees them: token ids, and which of them it learns."""
    return renderer.render_many([with_system(row.example.messages, system) for row in rows])
