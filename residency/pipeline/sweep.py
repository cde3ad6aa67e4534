"""The training stage of a recipe with [sweep]: many configurations over one base, the best one kept.

Only training and validation rows are read here: the test rows have no part in the choice.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from residency.core.errors import ResidencyError
from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.core.records import fingerprint
from residency.core.workspace import read_json, write_json
from residency.models.artifact import artifact_folder
from residency.pipeline.tune import Bench, fit
from residency.training.loop import Diverged
from residency.training.memory import TooLarge
from residency.training.search import (
    Settings,
    Tried,
    count_configurations,
    go_on,
    next_configuration,
    rung_divisors,
)
from residency.verdict.figures import configuration


@dataclass(frozen=True)
class Trial:
    """A configuration after its last rung, which counts from 1."""

    settings: Settings
    rung: int
    steps: int
    seconds: float
    training: dict[str, Any] | None = None
    """What `training.json` would hold; None where it failed."""
    reason: str = ""
    """Why it failed."""

    @property
    def loss(self) -> float:
        """The validation loss of its best step, in nats a supervised token; infinite where it failed."""
        if self.training is None:
            return math.inf
        losses = {point["step"]: float(point["validation_loss"]) for point in self.training["curve"]}
        return losses[self.training["best_step"]]

    def row(self, rungs: int, chosen: bool) -> dict[str, Any]:
        """The trial in the sweep's table."""
        finished = "finished" if self.rung == rungs else "stopped"
        return {
            "settings": dict(self.settings),
            "status": finished if self.training else "failed",
            "rung": self.rung,
            "steps": self.steps,
            "validation_loss": self.loss if self.training else None,
            "seconds": self.seconds,
            "reason": self.reason,
            "chosen": chosen,
        }


def sweep(recipe: Recipe, dtype: str, frozen: Path, folder: Path, report: Reporter) -> None:
    """Train every configuration; writes the best one's artifact and `training.json`, with the table.

    Trials stand in `sweep/` until then; one that is done is not repeated, one under way goes on.

    Raises:
        ResidencyError: every configuration failed.
    """
    if not (folder / "training.json").is_file():  # else stopped between the last write and the renaming
        bench = Bench(recipe, dtype, frozen, folder)
        bench.note_replay(folder, report)
        runner = _Runner(recipe, bench, folder / "sweep", report)
        trials = runner.run()
        best = min(trials, key=lambda trial: trial.loss)
        if best.training is None:
            what = f"All {len(trials)} configurations of the sweep failed; the first: {best.reason}"
            fix = "Try lower values of sweep.learning_rate, or what the reason asks for."
            raise ResidencyError(what, "sweep", fix)
        rows = [trial.row(len(runner.divisors), trial is best) for trial in trials]
        report.say(f"  chosen by validation loss, {best.loss:.4f}: {configuration(best.settings)}")
        source, target = (
            artifact_folder(place, recipe.train.method) for place in (runner.place(best.settings), folder)
        )
        shutil.copytree(source, target, dirs_exist_ok=True)
        write_json(folder / "training.json", {**best.training, "sweep": rows})
    shutil.rmtree(folder / "sweep", ignore_errors=True)


class _Runner:
    """Trains trials in `folder`, one after the other over the same base."""

    def __init__(self, recipe: Recipe, bench: Bench, folder: Path, report: Reporter) -> None:
        self.recipe, self.bench, self.folder, self.report = recipe, bench, folder, report
        self.count = count_configurations(recipe.sweep)
        self.divisors = rung_divisors(self.count, recipe.sweep.eta) if recipe.sweep.halving else [1]

    def run(self) -> list[Trial]:
        """Every configuration on the first rung, then on each rung those that climb to it."""
        asked: list[Trial] = []
        for number in range(self.count):
            tried = [Tried(trial.settings, trial.loss) for trial in asked]
            settings = next_configuration(self.recipe.sweep, tried, self.recipe.train.seed)
            asked.append(self.train(settings, 1, f"configuration {number + 1} of {self.count}"))
        trials = {self.place(trial.settings): trial for trial in asked}  # one asked twice is one trial
        running = list(trials.values())
        for rung in range(2, len(self.divisors) + 1):
            running = self._climb(running, rung)
            trials |= {self.place(trial.settings): trial for trial in running}
        return list(trials.values())

    def _climb(self, running: list[Trial], rung: int) -> list[Trial]:
        """The best of those running, trained further; the others' checkpoints go."""
        kept = go_on([trial.loss for trial in running], self.recipe.sweep.eta)
        self._forget(trial for number, trial in enumerate(running) if number not in kept)
        title = f"rung {rung} of {len(self.divisors)}"
        return [self.train(running[number].settings, rung, title) for number in kept]

    def train(self, settings: Settings, rung: int, title: str) -> Trial:
        """Train a configuration up to `rung`; one that was there before is read."""
        place = self.place(settings)
        done = place / f"rung-{rung}.json"
        if done.is_file():
            return Trial(**read_json(done))
        self.report.say(f"  {title}: {configuration(settings)}")
        place.mkdir(parents=True, exist_ok=True)
        config = self.recipe.train.model_copy(update=dict(settings))
        begun = time.perf_counter()
        try:
            training = fit(self.bench, config, place, self.report, self.divisors[rung - 1])
            trial = Trial(settings, rung, training["steps"], training["seconds"], training)
        except (Diverged, TooLarge) as error:
            self.report.say(f"  failed: {error.what}")
            trial = Trial(settings, rung, error.step, time.perf_counter() - begun, reason=error.what)
        write_json(done, asdict(trial))
        if rung == len(self.divisors) or trial.training is None:
            self._forget([trial])
        return trial

    def place(self, settings: Settings) -> Path:
        """The folder of a configuration."""
        return self.folder / fingerprint(dict(settings))

    def _forget(self, trials: Iterable[Trial]) -> None:
        """Remove the checkpoints of trials that do not go on."""
        for trial in trials:
            shutil.rmtree(self.place(trial.settings) / "checkpoints", ignore_errors=True)
