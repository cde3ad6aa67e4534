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
from residency.pipeline.plan import Forecast, Time
from residency.pipeline.room import advise_on, checkpointing, foresee_memory
from residency.pipeline.tune import Bench
from residency.training.engine import supervised_count
from residency.training.loop import Trainer
from residency.training.memory import DoesNotFitError
from residency.training.packing import micro_batches, packed_length
from residency.training.probe import measure_pace, sample_load

_SECONDS = 8.0
"""How long steps are taken to learn their pace."""
_DISCORDANCES = (0.1, 0.3)
"""Shares of the test rows that only one of two candidates gets right: they are close, they are not."""


def forecast(recipe: Recipe, dtype: str, frozen: Path, workspace: Path, report: Reporter) -> Forecast:
    """Load the base with its adapter, probe the training, and throw both away.

    Checkpoints of the probe go to `workspace`, since another disk would have another pace.
    """
    bench = Bench(recipe, dtype, frozen)
    with (
        bench.lend(recipe.train) as (_, model),
        TemporaryDirectory(dir=workspace, prefix=".probe-") as folder,
    ):
        tests = len(bench.rows.test), recipe.verdict.confidence
        return _probe(bench.trainer(model, recipe.train, Path(folder)), report, *tests)


def _probe(trainer: Trainer, report: Reporter, test_rows: int, confidence: float) -> Forecast:
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
    with checkpointing(trainer, memory.gradient_checkpointing):
        pace = measure_pace(trainer, trainer.folder, _SECONDS)
    memory = replace(memory, allocator=memory.allocator + max(0, peak.read() - memory.total))
    plan, validation = trainer.plan, trainer.validation
    evaluations = sum(map(plan.evaluates_after, range(plan.steps)))
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
        evaluations=evaluations,
        memory=memory,
        time=Time(
            steps=plan.steps * load.tokens_a_step * pace.step_token,
            validation=evaluations * to_validate * pace.validation_token,
            checkpoints=evaluations * pace.checkpoint,
        ),
        advice=tuple(advice),
    )
