"""The training loop: steps, validation, early stopping, checkpoints; it never names an objective."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from residency.chat import Rendered
from residency.core.errors import ResidencyError
from residency.core.progress import Reporter
from residency.core.recipe import Train
from residency.core.workspace import read_json
from residency.training.attention import use_packed_attention
from residency.training.checkpoint import (
    checkpoints,
    keep_only,
    load_trainable,
    read_checkpoint,
    trainable_state,
    write_checkpoint,
)
from residency.training.engine import compute, supervised_count
from residency.training.objectives import Objective, get_objective
from residency.training.packing import micro_batches
from residency.training.schedule import Plan, learning_rate, make_plan, rows_of_step


@dataclass(frozen=True)
class Point:
    """One measurement on the way; losses are nats a supervised token."""

    step: int
    epoch: float
    train_loss: float
    validation_loss: float
    learning_rate: float


@dataclass
class Progress:
    """What a checkpoint carries beside tensors."""

    curve: list[Point] = field(default_factory=list)
    best_step: int = 0
    best_loss: float = math.inf
    without_gain: int = 0
    seconds: float = 0.0
    recent: list[float] = field(default_factory=list)

    def record(self, point: Point) -> bool:
        """Add a measurement; True if it is the best so far."""
        self.curve.append(point)
        self.recent = []
        if point.validation_loss < self.best_loss:
            self.best_step, self.best_loss, self.without_gain = point.step, point.validation_loss, 0
            return True
        self.without_gain += 1
        return False

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads."""
        return {**vars(self), "curve": [vars(p) for p in self.curve], "best_loss": repr(self.best_loss)}

    @staticmethod
    def from_json(state: dict[str, Any]) -> Progress:
        """What `to_json` wrote."""
        names = Progress.__dataclass_fields__
        values = {k: v for k, v in state.items() if k in names}
        curve = [Point(**p) for p in values.pop("curve")]
        return Progress(curve=curve, best_loss=float(values.pop("best_loss")), **values)


@dataclass(frozen=True)
class Trained:
    """What came of it; the model holds the weights of `best_step`."""

    steps: int
    best_step: int
    stopped_early: bool
    curve: tuple[Point, ...]
    seconds: float


class Diverged(ResidencyError):
    """The loss, or its gradient, left the finite numbers in `step`, counted from 0."""

    def __init__(self, what: str, where: str, fix: str, step: int) -> None:
        super().__init__(what, where, fix)
        self.step = step


class Trainer:
    """One run of training: the state that a step, a measurement and a checkpoint share."""

    def __init__(
        self,
        model: PreTrainedModel,
        train: Sequence[Rendered],
        validation: Sequence[Rendered],
        config: Train,
        folder: Path,
    ) -> None:
        """Set up; `folder` receives the checkpoints, and is resumed from if it holds any.

        Raises:
            ResidencyError: a row would train on zero tokens.
        """
        for rows in (train, validation):
            for number, row in enumerate(rows):
                if not any(row.supervised[1:]):
                    fix = "Check the rows with `residency check`; each needs an assistant turn."
                    raise ResidencyError("A row would train on zero tokens.", f"row {number}", fix)
        self.model, self.train, self.validation = model, train, validation
        self.config, self.folder = config, folder
        self.objective: Objective = get_objective(config.objective)
        self.plan: Plan = make_plan(len(train), config)
        self.optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.progress = Progress()

    def run(self, report: Reporter, until: int | None = None) -> Trained:
        """Train until the plan ends or validation stops gaining; keeps the best weights.

        `until` pauses the plan after so many steps, where it evaluates; a later call goes on from there.
        """
        use_packed_attention(self.model)
        first = self._resume(report)
        stopped = self._exhausted()
        end = self.plan.steps if until is None else until
        with report.track("train", (end - first) * self.config.batch_size, "rows") as advance:
            for step in range(first, end):
                if stopped:
                    break
                begun = time.perf_counter()
                loss = self.step(step)
                self.progress.recent.append(loss)
                last = step + 1 == self.plan.steps
                note = f"loss {loss:.3f}"
                if (step + 1) % self.plan.evaluate_every == 0 or last:
                    note = self._measure(step)
                    stopped = self._exhausted()
                self.progress.seconds += time.perf_counter() - begun
                if (step + 1) % self.plan.evaluate_every == 0 or last:
                    self._checkpoint(step + 1)
                advance(self.config.batch_size, note)
        return self._finish(stopped)

    def step(self, step: int) -> float:
        """One optimiser step; returns the objective's loss over its rows.

        Raises:
            Diverged: the loss is not finite; the step's weights are left as they were.
        """
        numbers = rows_of_step(self.plan, step, self.config.batch_size, self.config.seed)
        rows = [self.train[i] for i in numbers]
        supervised = supervised_count(rows)
        total = 0.0
        for part in micro_batches(rows, self.config.micro_tokens):
            loss = self.objective(compute(self.model, part, supervised)).loss
            loss.backward()
            total += loss.item()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm)
        if not (math.isfinite(total) and math.isfinite(norm.item())):
            self.optimizer.zero_grad()
            named = ", ".join(str(i) for i in numbers[:8])
            raise Diverged(
                f"The loss or its gradient is not finite at step {step}.",
                f"training rows {named} (counted from 0)",
                "Lower train.learning_rate, or set base.dtype to float32; look at the rows named.",
                step,
            )
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.plan, self.config)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return total

    @torch.no_grad()
    def validation_loss(self) -> float:
        """The objective on all validation rows, with the weights as they are."""
        supervised = supervised_count(self.validation)
        parts = micro_batches(self.validation, self.config.micro_tokens)
        return sum(self.objective(compute(self.model, part, supervised)).loss.item() for part in parts)

    def _measure(self, step: int) -> str:
        loss = self.validation_loss()
        if not math.isfinite(loss):
            raise Diverged(
                f"The validation loss is not finite after step {step}.",
                "the validation rows",
                "Lower train.learning_rate, or set base.dtype to float32.",
                step,
            )
        recent = self.progress.recent
        point = Point(
            step=step + 1,
            epoch=round((step + 1) / self.plan.steps_per_epoch, 3),
            train_loss=sum(recent) / len(recent),
            validation_loss=loss,
            learning_rate=learning_rate(step, self.plan, self.config),
        )
        better = self.progress.record(point)
        return f"validation loss {loss:.4f}{' (best)' if better else ''}"

    def _exhausted(self) -> bool:
        return self.progress.without_gain >= self.config.patience

    def _checkpoint(self, step: int) -> None:
        write_checkpoint(self.folder, step, self.model, self.optimizer, self.progress.to_json())
        keep_only(self.folder, {step, self.progress.best_step})

    def _resume(self, report: Reporter) -> int:
        whole = checkpoints(self.folder)
        steps = {int(path.name.removeprefix("step-")) for path in whole}
        usable = [path for path in whole if read_json(path / "state.json")["best_step"] in steps]
        if not usable:
            return 0
        state = read_checkpoint(usable[-1], self.model, self.optimizer)
        self.progress = Progress.from_json(state)
        report.say(f"  resumed after step {state['step']} of {self.plan.steps}")
        step: int = state["step"]
        return step

    def _finish(self, stopped: bool) -> Trained:
        best = self.folder / f"step-{self.progress.best_step:08d}" / "weights.safetensors"
        with torch.no_grad():
            device = next(iter(trainable_state(self.model).values())).device
            load_trainable(self.model, load_file(best, device=str(device)))
        return Trained(
            steps=self.progress.curve[-1].step,
            best_step=self.progress.best_step,
            stopped_early=stopped,
            curve=tuple(self.progress.curve),
            seconds=self.progress.seconds,
        )
