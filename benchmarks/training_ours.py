"""Our side of the training benchmark: packing, forward, backward, clipping and AdamW are one step."""

from __future__ import annotations

import statistics
import time
from multiprocessing.connection import Connection

import torch
from training_machine import Size, TokenCounter, measure_peak, size_of
from training_sides import Round

from residency.chat import Rendered
from residency.core.recipe import Base, Train
from residency.models.adapters import attach_lora
from residency.models.load import load_base
from residency.models.packed.attention import use_packed_attention
from residency.models.packed.packing import micro_batches
from residency.training.engine import compute, supervised_count
from residency.training.objectives import get_objective

RANK, ALPHA = 16, 32
_CONFIG = Train(rank=RANK, alpha=ALPHA)


class Ours:
    """The packaged base under a LoRA adapter, its optimiser, and a step."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.model = attach_lora(load_base(Base(), dtype).model, _CONFIG)
        use_packed_attention(self.model)
        self.size: Size = size_of(self.model)
        self._counter = TokenCounter(self.model)
        self._objective = get_objective("sft")
        self._trained = [p for p in self.model.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(self._trained, lr=_CONFIG.learning_rate)

    def step(self, rows: list[Rendered]) -> Round:
        """One optimiser step, as the training loop takes it."""
        begun = time.perf_counter()
        supervised = supervised_count(rows)
        for part in micro_batches(rows, _CONFIG.micro_tokens):
            loss = self._objective(compute(self.model, part, supervised)).loss
            loss.backward()
            loss.item()
        torch.nn.utils.clip_grad_norm_(self._trained, _CONFIG.max_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return Round.of(rows, self.size, time.perf_counter() - begun, self._counter.take())


def serve(connection: Connection, rounds: list[list[Rendered]], rows_a_step: int, dtype: torch.dtype) -> None:
    """Train on the rounds in turn, each when asked; of the first, which warms up, only one step is taken."""
    ours = Ours(dtype)
    for rows in [rounds[0][:rows_a_step], *rounds[1:]]:
        connection.recv()
        steps = [ours.step(rows[begin : begin + rows_a_step]) for begin in range(0, len(rows), rows_a_step)]
        seconds, executed = sum(s.seconds for s in steps), sum(s.executed for s in steps)
        connection.send(Round.of(rows, ours.size, seconds, executed))


def quick(ours: Ours, rows: list[Rendered], rows_a_step: int) -> dict[str, float]:
    """Seconds a row and the share of the machine's peak, measured between the steps; one step warms up."""
    steps, peaks = [], []
    for begin in range(0, len(rows), rows_a_step):
        peaks.append(measure_peak(ours.model.dtype))
        steps.append(ours.step(rows[begin : begin + rows_a_step]))
    timed, peak = steps[1:], statistics.median(peaks)
    shares = [s.flop / (s.seconds * peak) for s in timed]
    seconds = [s.seconds / s.rows for s in timed]
    return {
        "ours_s_per_row": statistics.median(seconds),
        "fastest_s_per_row": min(seconds),
        "gemm_share": statistics.median(shares),
        "tokens_per_s": sum(s.tokens for s in timed) / sum(s.seconds for s in timed),
        "executed_tokens_per_row": sum(s.executed for s in timed) / sum(s.rows for s in timed),
        "gemm_peak_gflops": peak / 1e9,
        "gemm_best_gflops": max(peaks) / 1e9,
    }


def profile(ours: Ours, rows: list[Rendered], rows_a_step: int) -> str:
    """Torch's table of the operations that take the most time in a step, after one that warms up."""
    ours.step(rows[:rows_a_step])
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        ours.step(rows[rows_a_step : 2 * rows_a_step])
    averages = profiler.key_averages()
    return str(averages.table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=48))
