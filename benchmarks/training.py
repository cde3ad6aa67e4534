"""Seconds a row of our training step, and the share of the machine's matrix products that it uses.

python benchmarks/training.py --quick                             our step alone, all workloads
python benchmarks/training.py --quick --workload shared_prompt    our step alone, one workload
python benchmarks/training.py --profile --workload long_tail      its operations by time
"""

from __future__ import annotations

import argparse
import json

from training_ours import Ours, profile, quick
from training_rows import WORKLOADS, Row, describe, make_rows

from residency.chat import Renderer
from residency.core.recipe import Base
from residency.models.load import load_tokenizer
from residency.models.precision import best_device, measure_speed
from residency.models.source import locate


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workload", choices=list(WORKLOADS), help="default: all")
    parser.add_argument("--steps", type=int, default=3, help="timed steps, after one that warms up")
    parser.add_argument("--rows", type=int, default=16, help="rows a step of ours")
    parser.add_argument("--quick", action="store_true", help="ours only, in under 40 seconds")
    parser.add_argument("--profile", action="store_true", help="ours only: operations by time")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def rows_for(workload: str, number: int) -> list[Row]:
    tokenizer = load_tokenizer(locate(Base()))
    return make_rows(workload, number, Renderer(tokenizer), lambda text: len(tokenizer.tokenize(text)))


def print_quick(workload: str, rows: list[Row], result: dict[str, float]) -> None:
    print(f"{workload}: {describe(rows)}")
    for name, value in result.items():
        print(f"  {name:<24} {value:.4g}")


def main() -> None:
    options = read_options()
    ours = Ours(measure_speed(best_device()).faster)
    results = []
    for workload in [options.workload] if options.workload else WORKLOADS:
        rows = rows_for(workload, options.rows * (options.steps + 1))[: options.rows * (options.steps + 1)]
        rendered = [row.rendered for row in rows]
        if options.profile:
            print(f"{workload}: {describe(rows)}\n{profile(ours, rendered, options.rows)}", flush=True)
            continue
        result = quick(ours, rendered, options.rows)
        results.append({"workload": workload, "rows_a_step": options.rows, **result})
        if not options.json:
            print_quick(workload, rows, result)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
