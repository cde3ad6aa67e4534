"""A training's memory and time from a short measured probe of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from residency.core.errors import ResidencyError
from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.evals.statistics import detectable
from residency.models.memory import PeakMemory
from residency.models.out_of_memory import DoesNotFitError
from residency.models.packed.packing import micro_batches, packed_length
from residency.pipeline.learning_curve import PERCENTS
from residency.pipeline.plan import Forecast, Time
from residency.pipeline.room import advise_on, checkpointing, foresee_memory
from residency.pipeline.tune import Bench
from residency.training.engine import supervised_count
from residency.training.loop import Trainer
from residency.training.probe import Pace, measure_pace, sample_load
from residency.training.schedule import Plan, make_plan

_SECONDS = 8.0
"""How long steps are taken to learn their pace."""
_DISCORDANCES = (0.1, 0.3)
"""Shares of the test rows that only one of two candidates gets right: they are close, they are not."""


def forecast(recipe: Recipe, dtype: str, frozen: Path, workspace: Path, report: Reporter) -> Forecast:
    """Load the base with its adapter, probe the training, and throw both away.

    Checkpoints of the probe go to `workspace`, since another disk would have another pace.
    """
    bench = Bench(recipe, dtype, frozen, workspace)
    with (
        bench.lend(recipe.train) as (_, model),
        TemporaryDirectory(dir=workspace, prefix=".probe-") as folder,
    ):
        return _probe(bench.trainer(model, recipe.train, Path(folder)), report, len(bench.rows.test), recipe)


def _probe(trainer: Trainer, report: Reporter, test_rows: int, recipe: Recipe) -> Forecast:
    load = sample_load(trainer)
    report.say(f"probe, some {_SECONDS:.0f} s of real steps")
    try:
        memory = foresee_memory(trainer, load)
        advice = advise_on(trainer, load, memory)
    except DoesNotFitError as error:
        what = "Not even a part of one row fits into memory."
        fix = 'Set train.gradient_checkpointing = "on", or use a smaller base.model.'
        raise ResidencyError(what, "train, base.model", fix) from error
    peak = PeakMemory(trainer.model.device)
    with checkpointing(trainer.model, memory.gradient_checkpointing):
        pace = measure_pace(trainer, trainer.folder, _SECONDS)
    memory = replace(memory, allocator=memory.allocator + max(0, peak.read() - memory.total))
    plan, validation, confidence = trainer.plan, trainer.validation, recipe.verdict.confidence
    to_validate = sum(map(packed_length, micro_batches(validation, trainer.progress.micro_tokens)))
    return Forecast(
        rows=len(trainer.train),
        validation_rows=len(validation),
        test_rows=test_rows,
        detectable={share: detectable(test_rows, share, confidence) for share in _DISCORDANCES},
        tokens=sum(len(row.ids) for row in trainer.train),
        packed_tokens=round(load.tokens_a_step * plan.steps_per_epoch),
        supervised_tokens=supervised_count(trainer.train),
        steps=plan.steps,
        evaluations=plan.evaluations,
        memory=memory,
        time=replace(
            training_time(plan, load.tokens_a_step, to_validate, pace),
            learning_curve=sum(
                training_time(part, load.tokens_a_step, to_validate, pace).total
                for part in _parts(len(trainer.train), recipe)
            ),
        ),
        advice=tuple(advice),
    )


def training_time(plan: Plan, tokens_a_step: float, to_validate: int, pace: Pace) -> Time:
    """Seconds of steps, and of validations, each of `to_validate` tokens and with a checkpoint."""
    return Time(
        steps=plan.steps * tokens_a_step * pace.step_token,
        validation=plan.evaluations * to_validate * pace.validation_token,
        checkpoints=plan.evaluations * pace.checkpoint,
    )


def _parts(rows: int, recipe: Recipe) -> list[Plan]:
    """The trainings of the learning curve; none where it is not wanted."""
    percents = PERCENTS if recipe.verdict.learning_curve else ()
    return [make_plan(max(1, round(rows * percent / 100)), recipe.train) for percent in percents]
