"""Our training step against TRL's SFTTrainer with PEFT, on the packaged base and the CPU.

    python benchmarks/training.py                                     the comparison, about half an hour
    python benchmarks/training.py --workload long_tail --steps 5      one workload
    python benchmarks/training.py --quick                             our step alone, under a minute
    python benchmarks/training.py --profile --workload long_tail      its operations by time

Both sides see the same rows, learn the same tokens (which is checked), train the same adapter and use
the same number of threads. TRL is timed as it comes and with the best setting that a search finds.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import torch
from training_ours import Ours, profile, quick
from training_rows import WORKLOADS, Row, describe, make_rows

from residency.chat import Renderer
from residency.core.recipe import Base
from residency.models.precision import best_device, measure_speed
from residency.models.source import locate
from residency.models.tokenizer import load_tokenizer

QUICK_ROWS = 16
SIDES = {"ours": "ours", "trl": "TRL as it comes", "trl_best": "TRL at its best"}


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workload", choices=list(WORKLOADS), help="default: all")
    parser.add_argument("--steps", type=int, help="timed rounds, after one that warms up; default 5, quick 3")
    parser.add_argument("--rows", type=int, help="rows a step of ours; default: what helps, quick 16")
    parser.add_argument("--quick", action="store_true", help="ours only")
    parser.add_argument("--profile", action="store_true", help="ours only: operations by time")
    parser.add_argument("--json", action="store_true", help="a list of objects, one a workload")
    return parser.parse_args()


def rows_for(workload: str, number: int) -> list[Row]:
    tokenizer = load_tokenizer(locate(Base()))
    return make_rows(workload, number, Renderer(tokenizer), lambda text: len(tokenizer.tokenize(text)))


def say(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


def print_quick(result: dict[str, Any]) -> None:
    for name, value in result.items():
        print(f"  {name:<24} {value if isinstance(value, str) else format(value, '.4g')}")


def print_table(result: dict[str, Any]) -> None:
    print(f"\n{result['workload']}: {result['lengths']}")
    heads = ("s/row", "x ours", "tokens/s", "computed/row", "GEMM share", "peak GiB")
    print(f"  {'':<16}" + "".join(f"{head:>13}" for head in heads))
    for side, title in SIDES.items():
        own = "" if side == "ours" else f"{side}_"
        seconds = result[f"{side}_s_per_row"]
        cells = [
            f"{seconds:.4f}",
            f"{seconds / result['ours_s_per_row']:.2f}",
            f"{result[f'{own}tokens_per_s']:.0f}",
            f"{result[f'{own}executed_tokens_per_row']:.0f}",
            f"{result[f'{own}gemm_share']:.1%}",
            f"{result[f'{own}peak_rss_gib']:.2f}",
        ]
        print(f"  {title:<16}" + "".join(f"{cell:>13}" for cell in cells))
    print(f"  ours: {result['rows_a_step']} rows a step; TRL at its best: {result['trl_best_setting']}")
    trl = " and ".join(f"{error:.1e}" for error in result["trl_parity_errors"])
    print(
        f"  in float32 against plain transformers and PEFT: loss {result['loss_error']:.1e} and gradient"
        f" {result['gradient_error']:.1e} (relative; the larger of TRL's: {trl}),"
        f" a log-probability {result['logprob_error']:.1e}"
    )
    median, best = result["gemm_peak_gflops"], result["gemm_best_gflops"]
    print(f"  matrix products: {median:.0f} GFLOP/s (median), {best:.0f} (best)", flush=True)


def alone(options: argparse.Namespace, workloads: list[str], dtype: torch.dtype) -> None:
    """Our step without TRL: its figures, or where its time goes."""
    ours, results = Ours(dtype), []
    number = options.rows or QUICK_ROWS
    total = number * ((options.steps or 3) + 1)
    for workload in workloads:
        rows = [row.rendered for row in rows_for(workload, total)[:total]]
        if options.profile:
            print(f"{workload}\n{profile(ours, rows, number)}", flush=True)
            continue
        results.append({"workload": workload, "rows_a_step": number, **quick(ours, rows, number)})
        if not options.json:
            print_quick(results[-1])
    if options.json:
        print(json.dumps(results, indent=2))


def main() -> None:
    options = read_options()
    workloads = [options.workload] if options.workload else list(WORKLOADS)
    if torch.cuda.is_available():
        sys.exit("This benchmark compares the two on a CPU: set CUDA_VISIBLE_DEVICES= to hide the GPU.")
    dtype = measure_speed(best_device()).faster
    if options.quick or options.profile:
        alone(options, workloads, dtype)
        return
    from training_compare import compare, rows_needed  # loads TRL, which our side alone does without

    results = []
    for workload in workloads:
        steps = options.steps or 5
        rows = rows_for(workload, rows_needed(steps, options.rows))
        say(f"{workload}: {describe(rows)}")
        figures = compare(rows, steps, options.rows, dtype, say)
        results.append({"workload": workload, "lengths": describe(rows), **figures})
        if not options.json:
            print_table(results[-1])
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
