"""The training stage: from frozen rows to an adapter or a model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from residency.chat import TODAY, Rendered, Renderer
from residency.core.processes import is_main
from residency.core.progress import Reporter
from residency.core.recipe import Recipe, Train
from residency.core.records import with_system
from residency.core.workspace import write_json, write_jsonl
from residency.data.ledger import Checked
from residency.data.split.freeze import Frozen
from residency.data.split.parts import part_of
from residency.models.adapters import detach_lora
from residency.models.artifact import artifact_folder, save_artifact
from residency.models.card import Card
from residency.models.language_model import LocalModel
from residency.models.load import LoadedBase
from residency.models.memory import PeakMemory, used_memory
from residency.models.method import Trainable, count_trainable, load_for_training, make_trainable
from residency.models.precision import best_device
from residency.models.source import locate
from residency.models.tokenizer import load_tokenizer
from residency.pipeline.askable import askable, require_askable
from residency.pipeline.constraint import constraint_of
from residency.pipeline.learning_curve import PartOfRows
from residency.pipeline.plan import gib
from residency.pipeline.replay import draw_replay
from residency.pipeline.room import checkpointing, decide_checkpointing
from residency.pipeline.watch import watch_score
from residency.training.loop import Side, Trained, Trainer
from residency.training.search import rung_step


class Bench:
    """What every training of a recipe has in common: the base in memory and the rendered rows."""

    def __init__(self, recipe: Recipe, dtype: str, frozen: Path, folder: Path, share: float = 1.0) -> None:
        """Render that share of the training rows, and the validation rows; the base is loaded when lent.

        `folder` has room for general rows while they are looked through.
        """
        self.recipe, self.dtype, self.rows = recipe, dtype, part_of(Frozen.read(frozen), share)
        renderer, system = Renderer(load_tokenizer(locate(recipe.base))), recipe.task.system
        self.replay = draw_replay(recipe, self.rows, renderer, folder)
        self.train = render(renderer, self.rows.train, system) + render(renderer, self.replay.rows, "")
        self.validation = render(renderer, self.rows.validation, system)
        self._base: LoadedBase | None = None
        self.memory_before = 0
        """Bytes held before the base was loaded."""

    @contextmanager
    def lend(self, settings: Train) -> Iterator[tuple[LoadedBase, PreTrainedModel]]:
        """The base, and the model that is trained, for one training.

        An adapter is taken off afterwards and the base kept; where its own weights were trained, the
        next training loads it anew.
        """
        dtype = getattr(torch, self.dtype)
        if self._base is None:
            self.memory_before = used_memory(best_device())
        base = self._base or load_for_training(self.recipe.base, settings.method, dtype)
        attention = base.model.config._attn_implementation
        model = make_trainable(base.model, settings, dtype)
        self._base = None
        try:
            yield base, model
        finally:
            if settings.method != "full":
                detach_lora(model)
                base.model.set_attn_implementation(attention)
                self._base = base

    def trainer(self, model: PreTrainedModel, settings: Train, checkpoints: Path) -> Trainer:
        """The training of `model` on the recipe's rows."""
        return Trainer(model, self.train, self.validation, settings, checkpoints, self.name_row)

    def name_row(self, side: Side, number: int) -> str:
        """File and line of a row."""
        trained = (*self.rows.train, *self.replay.rows)
        rows = {"training": trained, "validation": self.rows.validation}[side]
        return str(rows[number].example.source)

    def note_replay(self, folder: Path, report: Reporter) -> None:
        """Say what is mixed in, if anything, and write `replay.jsonl`, the fates of general rows."""
        if not self.recipe.train.replay or not is_main():
            return
        drawn, wanted = len(self.replay.rows), self.replay.wanted
        share = drawn / len(self.train)
        fewer = f"; {wanted:,} were asked for" if drawn < wanted else ""
        report.say(f"  replay: {drawn:,} general rows, {100 * share:.1f} % of those trained on{fewer}")
        write_jsonl(folder / "replay.jsonl", (fate.to_json() for fate in self.replay.fates))

    def watch(self, model: PreTrainedModel, renderer: Renderer) -> Callable[[], float] | None:
        """What gives the score of the model's answers, if training is to watch it."""
        if self.recipe.train.watch != "score":
            return None
        constraint = constraint_of(self.recipe.task, askable([row.example for row in self.rows.train]))
        answering = LocalModel(model, renderer, self.recipe.candidates.batch_size, constraint)
        validation = askable([row.example for row in self.rows.validation])
        require_askable(validation, renderer)
        return watch_score(self.recipe, answering, validation)

    def card(self, base: LoadedBase, settings: Train) -> Card:
        """What the artifact of a training is to be loaded with."""
        system = self.recipe.task.system
        renderer = base.renderer.fingerprint
        return Card(settings.method, base.fingerprint, renderer, system, self.dtype, base.quantised)


def tune(
    recipe: Recipe, dtype: str, frozen: Path, folder: Path, report: Reporter, part: PartOfRows | None = None
) -> None:
    """Train on all the rows or on a part of them; writes the artifact and `training.json`.

    Checkpoints stand in `checkpoints/` until then.
    """
    if not (folder / "training.json").is_file():  # else stopped between the last write and the renaming
        bench = Bench(recipe, dtype, frozen, folder, part.share if part else 1.0)
        bench.note_replay(folder, report)
        training = fit(bench, recipe.train, folder, report, checkpointed=part and part.checkpointed)
        if not is_main():
            return
        write_json(folder / "training.json", training)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def fit(
    bench: Bench,
    settings: Train,
    folder: Path,
    report: Reporter,
    divisor: int = 1,
    checkpointed: bool | None = None,
) -> dict[str, Any]:
    """Train through 1/divisor of the plan; returns the content of `training.json`.

    Memory is measured, unless it is known whether gradients are to be checkpointed. Writes the artifact,
    and `checkpoints/`, from which a later call goes on. Of many processes the main one writes.
    """
    with bench.lend(settings) as (base, model):
        weights = count_trainable(model)
        rank = "" if settings.method == "full" else f" rank {settings.rank}"
        report.say(
            f"  {settings.method}{rank}: {weights.trainable:,} of {weights.total:,} weights "
            f"are trained ({100 * weights.share:.2f} %)"
        )
        if base.renderer.is_dated:
            report.say(f"  the chat template writes today's date; in all prompts here it is {TODAY:%d %b %Y}")
        trainer = bench.trainer(model, settings, folder / "checkpoints")
        if checkpointed is None or trainer.processes.sharded:
            checkpointed = decide_checkpointing(trainer, report)
        score = bench.watch(model, base.renderer)
        with checkpointing(model, checkpointed):
            peak = PeakMemory(model.device)
            trained = trainer.run(report, rung_step(trainer.plan, divisor), score)
            memory = {"peak_memory_gib": gib(peak.read()), "memory_before_gib": gib(bench.memory_before)}
        if is_main():
            artifact, card = artifact_folder(folder, settings.method), bench.card(base, settings)
            sharded = trained.weights if trainer.processes.sharded else None
            save_artifact(model, artifact, base, card, sharded)
    told = {**_told(trainer, weights, trained), "replay_rows": len(bench.replay.rows)}
    return {**told, **memory, "gradient_checkpointing": checkpointed}


def _told(trainer: Trainer, weights: Trainable, trained: Trained) -> dict[str, Any]:
    return {
        "method": trainer.config.method,
        "objective": trainer.config.objective,
        "trainable_parameters": weights.trainable,
        "total_parameters": weights.total,
        "trainable_share": weights.share,
        "rows": len(trainer.train),
        "tokens": sum(len(row.ids) for row in trainer.train),
        "supervised_tokens": sum(sum(row.supervised) for row in trainer.train),
        "seconds": trained.seconds,
        "steps": trained.steps,
        "best_step": trained.best_step,
        "overfits_since": trained.overfits_since,
        "stopped_early": trained.stopped_early,
        "curve": [asdict(point) for point in trained.curve],
    }


def render(renderer: Renderer, rows: Sequence[Checked], system: str) -> list[Rendered]:
    """The rows as the tuned model sees them: token ids, and which of them it learns."""
    return renderer.render_many([with_system(row.example.conversation, system) for row in rows])
