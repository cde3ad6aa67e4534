"""The three sides in turn on the same rows, and the figures that come of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

import torch
from training_machine import measure_peak
from training_ours import serve as serve_ours
from training_parity import compare as compare_parity
from training_rows import BLOCK, Row
from training_sides import Round, Side
from training_trl import AS_IT_COMES, Setting, find_best
from training_trl import serve as serve_trl

ROWS_A_STEP = (16, 32, 64)
HELPS = 0.98
"""A larger step must take at most this share of the smaller one's seconds a row."""
MOST = max(ROWS_A_STEP)
PARITY_STRIDE = 10
"""Of a block's rows, ordered by length, every so many are compared."""

Say = Callable[[str], None]


def rows_needed(steps: int, rows_a_step: int | None) -> int:
    """Rows for one round that warms up and `steps` that are timed."""
    return (steps + 1) * max(BLOCK, rows_a_step or MOST)


def find_rows_a_step(rows: list[Row], dtype: torch.dtype, say: Say) -> int:
    """The largest number of rows a step that makes ours faster."""
    rendered = [row.rendered for row in rows[:MOST]]
    best, fastest = ROWS_A_STEP[0], float("inf")
    for number in ROWS_A_STEP:
        with closing(Side(serve_ours, [rendered, rendered], number, dtype)) as side:
            side.ask()
            timed: Round = side.ask()
        seconds = timed.seconds / timed.rows
        say(f"{number} rows a step: {seconds:.4f} s/row")
        if seconds > HELPS * fastest:
            break
        best, fastest = number, seconds
    return best


def parity(rows: list[Row], best: Setting) -> dict[str, Any]:
    """How far the sides are apart in float32, on a few rows: short, middling and long."""
    ordered = sorted(rows[:BLOCK], key=lambda row: len(row.rendered.ids))
    chosen = ordered[PARITY_STRIDE // 2 :: PARITY_STRIDE]
    with closing(Side(compare_parity, chosen, [AS_IT_COMES, best])) as side:
        answer: dict[str, Any] = side.ask()
    return answer


def compare(
    rows: list[Row], steps: int, rows_a_step: int | None, dtype: torch.dtype, say: Say
) -> dict[str, Any]:
    """Search, check and time: what TRL is timed on are the first BLOCK rows of each of our rounds."""
    ours = rows_a_step or find_rows_a_step(rows, dtype, say)
    best = find_best(rows, str(dtype).removeprefix("torch."), say)
    errors = parity(rows, best)
    say(f"parity: {errors}")
    size = max(BLOCK, ours)
    rounds = [rows[number * size : (number + 1) * size] for number in range(steps + 1)]
    same = [chosen[:BLOCK] for chosen in rounds]
    rendered = [[row.rendered for row in chosen] for chosen in rounds]
    accumulated = {"gradient_accumulation_steps": max(1, BLOCK // best["per_device_train_batch_size"])}
    with ExitStack() as stack:
        sides = {
            "ours": Side(serve_ours, rendered, ours, dtype),
            "trl": Side(serve_trl, AS_IT_COMES, same),
            "trl_best": Side(serve_trl, {**best, **accumulated}, same),
        }
        for side in sides.values():
            stack.callback(side.close)
        measured, peaks = _in_turn(sides, len(rounds) - 1, dtype, say)
    return {
        "rows_a_step": ours,
        **_figures(measured, statistics.median(peaks)),
        **errors,
        "gemm_peak_gflops": statistics.median(peaks) / 1e9,
        "gemm_best_gflops": max(peaks) / 1e9,
        "trl_best_setting": best,
    }


def _in_turn(
    sides: dict[str, Side], steps: int, dtype: torch.dtype, say: Say
) -> tuple[dict[str, list[Round]], list[float]]:
    """Rounds of each side in turn, the machine's peak measured before each; the first is not kept."""
    measured: dict[str, list[Round]] = {name: [] for name in sides}
    peaks: list[float] = []
    for number in range(steps + 1):
        for name, side in sides.items():
            peak, timed = measure_peak(dtype), side.ask()
            if number:
                peaks.append(peak)
                measured[name].append(timed)
        if number:
            latest = {name: taken[-1] for name, taken in measured.items()}
            say(", ".join(f"{name} {r.seconds / r.rows:.4f} s/row" for name, r in latest.items()))
    return measured, peaks


def _figures(measured: dict[str, list[Round]], peak: float) -> dict[str, float]:
    """Medians over the rounds, under names that begin with the side's."""
    figures: dict[str, float] = {}
    for name, rounds in measured.items():
        own = "" if name == "ours" else f"{name}_"
        figures |= {
            f"{name}_s_per_row": statistics.median(r.seconds / r.rows for r in rounds),
            f"{own}tokens_per_s": statistics.median(r.tokens / r.seconds for r in rounds),
            f"{own}executed_tokens_per_row": sum(r.executed for r in rounds) / sum(r.rows for r in rounds),
            f"{own}supervised_tokens_per_row": sum(r.supervised for r in rounds)
            / sum(r.rows for r in rounds),
            f"{own}gemm_share": statistics.median(r.flop / (r.seconds * peak) for r in rounds),
            f"{own}peak_rss_gib": max(r.peak_rss_gib for r in rounds),
        }
    return figures
