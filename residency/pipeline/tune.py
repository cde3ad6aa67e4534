"""The training stage: from frozen rows to an adapter in PEFT's format."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from residency.chat import Rendered, Renderer
from residency.core.processes import is_main
from residency.core.progress import Reporter
from residency.core.recipe import Recipe, Train
from residency.core.records import with_system
from residency.core.workspace import write_json
from residency.data.ledger import Checked
from residency.data.split import Frozen
from residency.models.adapters import attach_lora, count_trainable, detach_lora, save_adapter
from residency.models.language_model import LocalModel
from residency.models.load import LoadedBase, load_base
from residency.pipeline.watch import watch_score
from residency.training.loop import Side, Trainer
from residency.training.search import rung_step


@dataclass(frozen=True)
class Bench:
    """What every training of a recipe has in common: the base in memory and the rendered rows."""

    recipe: Recipe
    base: LoadedBase
    rows: Frozen
    train: Sequence[Rendered]
    validation: Sequence[Rendered]

    @staticmethod
    def set_up(recipe: Recipe, dtype: str, frozen: Path) -> Bench:
        """Load the base, and render the training and validation rows."""
        rows = Frozen.read(frozen)
        base = load_base(recipe.base, getattr(torch, dtype))
        system = recipe.task.system
        train, validation = (render(base.renderer, side, system) for side in (rows.train, rows.validation))
        return Bench(recipe, base, rows, train, validation)

    def name_row(self, side: Side, number: int) -> str:
        """File and line of a row."""
        rows = {"training": self.rows.train, "validation": self.rows.validation}[side]
        return str(rows[number].example.source)

    def watch(self, model: PreTrainedModel) -> Callable[[], float] | None:
        """What gives the score of the model's answers, if training is to watch it."""
        if self.recipe.train.watch == "loss":
            return None
        answering = LocalModel(model, self.base.renderer, self.recipe.candidates.batch_size)
        return watch_score(self.recipe, answering, [row.example for row in self.rows.validation])


def tune(recipe: Recipe, dtype: str, frozen: Path, folder: Path, report: Reporter) -> None:
    """Train; writes `adapter/` and `training.json`. Checkpoints stand in `checkpoints/` until then."""
    if not (folder / "training.json").is_file():  # else stopped between the last write and the renaming
        training = fit(Bench.set_up(recipe, dtype, frozen), recipe.train, folder, report)
        if not is_main():
            return
        write_json(folder / "training.json", training)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def fit(bench: Bench, settings: Train, folder: Path, report: Reporter, divisor: int = 1) -> dict[str, Any]:
    """Train an adapter through 1/divisor of its plan; returns the content of `training.json`.

    Writes `adapter/`, and `checkpoints/`, from which a later call goes on. The base is left as it was.
    """
    attention = bench.base.model.config._attn_implementation
    model = attach_lora(bench.base.model, settings.rank, settings.alpha, settings.seed)
    try:
        weights = count_trainable(model)
        report.say(
            f"  {settings.method} rank {settings.rank}: {weights.trainable:,} of {weights.total:,} weights "
            f"are trained ({100 * weights.share:.2f} %)"
        )
        trainer = Trainer(
            model, bench.train, bench.validation, settings, folder / "checkpoints", bench.name_row
        )
        trained = trainer.run(report, rung_step(trainer.plan, divisor), bench.watch(model))
        if is_main():
            system = bench.recipe.task.system
            save_adapter(model, folder / "adapter", bench.base, system, trained.weights)
    finally:
        detach_lora(model)
        bench.base.model.set_attn_implementation(attention)
    return {
        "method": settings.method,
        "objective": settings.objective,
        "trainable_parameters": weights.trainable,
        "total_parameters": weights.total,
        "rows": len(bench.train),
        "tokens": sum(len(row.ids) for row in bench.train),
        "supervised_tokens": sum(sum(row.supervised) for row in bench.train),
        "seconds": trained.seconds,
        "steps": trained.steps,
        "best_step": trained.best_step,
        "overfits_since": trained.overfits_since,
        "stopped_early": trained.stopped_early,
        "curve": [asdict(point) for point in trained.curve],
    }


def render(renderer: Renderer, rows: Sequence[Checked], system: str) -> list[Rendered]:
    """The rows as the tuned model sees them: token ids, and which of them it learns."""
    return renderer.render_many([with_system(row.example.messages, system) for row in rows])
