"""The training loop: steps, validation, early stopping, checkpoints; it never names an objective."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from residency.chat import Rendered
from residency.core.errors import ResidencyError
from residency.core.progress import Reporter, Silent
from residency.core.recipe import Train
from residency.core.workspace import read_json
from residency.models.out_of_memory import DoesNotFitError, give_back, within_memory
from residency.models.packed.attention import use_packed_attention
from residency.models.packed.packing import micro_batches, packed_length
from residency.training.checkpoint import (
    checkpoints,
    keep_only,
    load_trainable,
    optimizer_state,
    read_checkpoint,
    trainable_state,
    write_checkpoint,
)
from residency.training.curve import Point, Progress, best_of, lowest_loss, overfits_since
from residency.training.distribution import connect, whole
from residency.training.engine import compute, supervised_count
from residency.training.gradient_checkpointing import without_checkpointing
from residency.training.memory import TooLarge
from residency.training.objectives import Objective, get_objective
from residency.training.optimizer import make_optimizer, set_learning_rate
from residency.training.schedule import Plan, learning_rate, make_plan, rows_of_step

Side = Literal["training", "validation"]
RowName = Callable[[Side, int], str]
"""What a row is called in errors, by its side and its number counted from 0."""

_NAMED = 8
"""Rows named in an error at most."""
_SMALLER = 'Use a smaller base.model, or train.method = "qlora".'


def numbered(side: Side, number: int) -> str:
    """A row's name where its file and line are not known."""
    return f"{side} row {number}"


@dataclass(frozen=True)
class Trained:
    """What came of it; the model holds the weights of `best_step`."""

    steps: int
    best_step: int
    overfits_since: int | None
    stopped_early: bool
    curve: tuple[Point, ...]
    seconds: float
    weights: Mapping[str, Tensor]


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
        name_row: RowName = numbered,
    ) -> None:
        """Set up; `folder` receives the checkpoints, and is resumed from if it holds any.

        Raises:
            ResidencyError: a row would train on zero tokens.
        """
        self.model, self.train, self.validation = model, train, validation
        self.config, self.folder, self.name_row = config, folder, name_row
        for row in (*train, *validation):
            if not any(row.supervised[1:]):
                fix = "Check the rows with `residency check`; each needs an assistant turn."
                raise ResidencyError("A row would train on zero tokens.", self._name(row), fix)
        self.objective: Objective = get_objective(config.objective)
        self.plan: Plan = make_plan(len(train), config)
        self.processes = connect(config.distribution)
        self.processes.prepare(model)
        self.optimizer = make_optimizer(model, config)
        self.progress = Progress(config.micro_tokens, keeps_last=config.watch == "nothing")
        self.report: Reporter = Silent()
        self._score: Callable[[], float] | None = None
        self._attention = model.config._attn_implementation
        self._written = time.monotonic()

    def run(
        self, report: Reporter, until: int | None = None, score: Callable[[], float] | None = None
    ) -> Trained:
        """Train until the plan ends or validation stops gaining; keeps the best weights.

        Args:
            report: Told how it goes.
            until: Pauses the plan after so many steps, where it evaluates; a later call goes on from there.
            score: The mean score of the model's answers as it is now; where it is given, the best
                step and early stopping go by it.
        """
        if score and self.processes.sharded:
            fix = 'Set train.watch = "loss", or train.distribution = "ddp".'
            what = "A model that is sharded over processes cannot answer rows during training."
            raise ResidencyError(what, "train.watch", fix)
        self.report, self._score = report, score
        use_packed_attention(self.model)
        first = self._resume()
        self._written = time.monotonic()
        stopped = self._exhausted()
        end = self.plan.steps if until is None else until
        with report.track("train", (end - first) * self.config.batch_size, "rows") as advance:
            for step in range(first, end):
                if stopped:
                    break
                begun = time.perf_counter()
                loss = self.step(step)
                self.progress.recent.append(loss)
                note, due = f"loss {loss:.3f}", self.plan.evaluates_after(step)
                if due:
                    note = self._measure(step)
                    stopped = self._exhausted()
                self.progress.seconds += time.perf_counter() - begun
                overdue = time.monotonic() - self._written > 60 * self.config.checkpoint_minutes
                if due or self.processes.tell(overdue):
                    self._checkpoint(step + 1)
                advance(self.config.batch_size, note)
        return self._finish(stopped)

    def step(self, step: int) -> float:
        """One optimiser step; returns the objective's loss over its rows.

        Raises:
            Diverged: the loss is not finite; the weights are left as they were before the step.
            TooLarge: a row alone, or the optimiser's state, does not fit into memory; likewise.
        """
        rows = [
            self.train[i] for i in rows_of_step(self.plan, step, self.config.batch_size, self.config.seed)
        ]
        loss = self.accumulate(rows, learn=True)["loss"]
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.processes.sum_gradients(parameters)
        norm = whole(torch.nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm))
        if not (math.isfinite(loss) and math.isfinite(norm.item())):
            self.optimizer.zero_grad()
            raise self._diverged(f"The loss or its gradient is not finite at step {step}.", rows, step)
        set_learning_rate(self.optimizer, learning_rate(step, self.plan, self.config))
        try:
            with within_memory(rows):
                self.optimizer.step()
        except DoesNotFitError as error:
            what = "The optimiser's state does not fit into memory beside the model."
            raise TooLarge(what, "train.method, base.model", _SMALLER, step) from error
        self.optimizer.zero_grad()
        return loss

    def validate(self) -> dict[str, float]:
        """The objective's loss and metrics on all validation rows, with the weights as they are."""
        return self.accumulate(self.validation, learn=False)

    def accumulate(self, rows: Sequence[Rendered], *, learn: bool) -> dict[str, float]:
        """Loss and metrics summed over the parts of `rows`, which get smaller where memory runs out.

        With `learn`, the gradients of this process' rows are added up as well. How the rows are cut
        changes rounding alone.
        """
        while True:
            try:
                sums = self._in_parts(rows, learn)
                break
            except DoesNotFitError as error:
                part = error.rows
            # Here, since only after the handler nothing holds the failed computation's tensors.
            self.optimizer.zero_grad()
            give_back(self.model.device)
            self._compute_fewer(part)
        return self.processes.sum(sums)

    def _in_parts(self, rows: Sequence[Rendered], learn: bool) -> dict[str, float]:
        supervised = supervised_count(rows)
        sums: dict[str, float] = {"loss": 0.0}
        share = self.processes.share(rows)
        own = micro_batches(share, self.progress.micro_tokens) if share else ()
        for part, counts in self.processes.in_step(own, rows):
            with within_memory(part), torch.set_grad_enabled(learn):
                loss, metrics = self.objective(compute(self.model, part, supervised))
                if not counts:
                    loss, metrics = loss * 0.0, {}
                if learn:
                    self.processes.backward(loss)
                for name, value in {**metrics, "loss": loss.item()}.items():
                    sums[name] = sums.get(name, 0.0) + value
        return sums

    def _compute_fewer(self, part: Sequence[Rendered]) -> None:
        """Halve what is computed at a time, since `part` did not fit.

        Raises:
            TooLarge: it is a single row.
            ResidencyError: the model is sharded.
        """
        tokens = packed_length(part)
        if len(part) == 1:
            what = f"A row of {tokens:,} tokens does not fit into memory on its own."
            fix = f"Lower data.max_tokens. {_SMALLER}"
            raise TooLarge(what, self._name(part[0]), fix, self.progress.steps)
        fewer = min(self.progress.micro_tokens, tokens) // 2
        if self.processes.sharded:
            what = f"{tokens:,} tokens at a time do not fit into the memory of one of the processes."
            raise ResidencyError(what, "train.micro_tokens", f"Lower it: --set train.micro_tokens={fewer}")
        self.progress.micro_tokens = fewer
        self.report.say(
            f"  {tokens:,} tokens at a time do not fit into memory: going on with at most "
            f"{self.progress.micro_tokens:,} (train.micro_tokens is {self.config.micro_tokens:,})"
        )

    def _diverged(self, what: str, rows: Sequence[Rendered], step: int) -> Diverged:
        """The error that names those of `rows` whose own loss is not finite, or all if none is."""
        with torch.no_grad():
            guilty = [
                row
                for row in rows
                if not math.isfinite(
                    self.objective(compute(self.model, [row], supervised_count([row]))).loss.item()
                )
            ]
        named = guilty or list(rows)
        more = f" and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
        fix = "Lower train.learning_rate, or set base.dtype to float32; look at the rows named."
        return Diverged(what, ", ".join(self._name(row) for row in named[:_NAMED]) + more, fix, step)

    def _name(self, row: Rendered) -> str:
        """What a row of this run is called."""
        for number, other in enumerate(self.train):
            if other is row:
                return self.name_row("training", number)
        return self.name_row("validation", next(i for i, r in enumerate(self.validation) if r is row))

    def _measure(self, step: int) -> str:
        sums = self.validate()
        loss = sums.pop("loss")
        if not math.isfinite(loss):
            what = f"The validation loss is not finite after step {step}."
            raise self._diverged(what, self.validation, step)
        progress, already = self.progress, overfits_since(self.progress.curve)
        point = Point(
            step=step + 1,
            epoch=round((step + 1) / self.plan.steps_per_epoch, 3),
            train_loss=sum(progress.recent) / len(progress.recent),
            validation_loss=loss,
            learning_rate=learning_rate(step, self.plan, self.config),
            score=self._answer() if self._score else None,
            metrics=sums,
        )
        progress.curve.append(point)
        progress.recent = []
        since = overfits_since(progress.curve)
        if since is not None and already is None:
            self.report.say(
                f"  overfits since step {since}: the training loss falls on, the validation loss rose "
                f"from {lowest_loss(progress.curve).validation_loss:.3f} to {loss:.3f}; "
                f"step {best_of(progress.curve).step} is the best so far"
            )
        scored = "" if point.score is None else f", score {point.score:.3f}"
        return f"validation loss {loss:.4f}{scored}{' (best)' if best_of(progress.curve) is point else ''}"

    def _answer(self) -> float:
        """The score, under the model's own attention, which knows no packed rows."""
        assert self._score is not None
        self.model.set_attn_implementation(self._attention)
        with without_checkpointing(self.model):
            score: float = self.processes.tell(self._score() if self.processes.main else None)
        use_packed_attention(self.model)
        return score

    def _exhausted(self) -> bool:
        return self.progress.without_gain >= self.config.patience

    def _checkpoint(self, step: int) -> None:
        weights, moments = trainable_state(self.model), optimizer_state(self.optimizer)
        if self.processes.main:
            write_checkpoint(self.folder, step, weights, moments, self.progress.to_json())
        self._keep_only(step)
        self.processes.wait()
        self._written = time.monotonic()

    def _resume(self) -> int:
        whole = checkpoints(self.folder)
        known = {int(path.name.removeprefix("step-")) for path in whole} | {None}
        usable = [path for path in whole if read_json(path / "state.json")["best_step"] in known]
        if not usable:
            return 0
        state = read_checkpoint(usable[-1], self.model, self.optimizer)
        self.progress = Progress.from_json(state)
        self.progress.micro_tokens = min(self.progress.micro_tokens, self.config.micro_tokens)
        self.report.say(f"  resumed after step {state['step']} of {self.plan.steps}")
        step: int = state["step"]
        self.processes.wait()
        self._keep_only(step)  # it may have been killed between writing and tidying up
        return step

    def _keep_only(self, step: int) -> None:
        if self.processes.main:
            keep_only(self.folder, {step, self.progress.best_step or step})

    def _finish(self, stopped: bool) -> Trained:
        best_step = self.progress.best_step
        assert best_step is not None, "the last step is always measured"
        best = self.folder / f"step-{best_step:08d}" / "weights.safetensors"
        weights = load_file(best, device=str(next(self.model.parameters()).device))
        with torch.no_grad():
            load_trainable(self.model, weights)
        return Trained(
            steps=self.progress.curve[-1].step,
            best_step=best_step,
            overfits_since=overfits_since(self.progress.curve),
            stopped_early=stopped and self.progress.curve[-1].step < self.plan.steps,
            curve=tuple(self.progress.curve),
            seconds=self.progress.seconds,
            weights=weights,
        )
