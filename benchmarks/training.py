"""Seconds a row of one training step: packed, against plain transformers + PEFT with padding.

Both see the same rows, adapters, number format and threads, in turn; medians are printed, the
relative difference of their losses, and the machine's matrix-product speed in the same run.

    python benchmarks/training.py [--rows 32] [--steps 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model

from residency.chat import Rendered
from residency.core.recipe import Base, Train
from residency.core.records import with_system
from residency.data.read import read_rows
from residency.data.shapes import RowError, to_example
from residency.models.adapters import attach_lora
from residency.models.load import load_base
from residency.models.precision import best_device, measure_speed
from residency.training.attention import use_packed_attention
from residency.training.engine import compute, supervised_count
from residency.training.objectives import get_objective
from residency.training.packing import micro_batches

TICKETS = Path(__file__).parent.parent / "recipes" / "tickets"


def ticket_rows(renderer, system: str) -> list[Rendered]:
    examples = []
    for row in read_rows(TICKETS / "tickets.jsonl"):
        try:
            examples.append(to_example(row, None, None))
        except RowError:
            continue
    rendered = renderer.render_many([with_system(e.messages, system) for e in examples])
    return [row for row in rendered if len(row.ids) < 512]


def packed_step(model, rows: list[Rendered]) -> float:
    supervised, total = supervised_count(rows), 0.0
    for part in micro_batches(rows, 4096):
        loss = get_objective("sft")(compute(model, part, supervised)).loss
        loss.backward()
        total += loss.item()
    return total


def padded_step(model, rows: list[Rendered]) -> float:
    longest = max(len(r.ids) for r in rows)
    ids = torch.tensor([r.ids + [0] * (longest - len(r.ids)) for r in rows])
    mask = torch.tensor([[1] * len(r.ids) + [0] * (longest - len(r.ids)) for r in rows])
    labels = torch.tensor(
        [
            [t if s else -100 for t, s in zip(r.ids, r.supervised, strict=True)]
            + [-100] * (longest - len(r.ids))
            for r in rows
        ]
    )
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=model.dtype == torch.bfloat16):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    return loss.item()


def measure(rows_a_step: int, steps: int) -> dict[str, float]:
    speed = measure_speed(best_device())
    ours = load_base(Base(), speed.faster)
    packed = attach_lora(ours.model, Train(rank=16, alpha=32, seed=0))
    use_packed_attention(packed)
    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    torch.manual_seed(0)
    plain = get_peft_model(load_base(Base(), speed.faster).model, config)
    rows = ticket_rows(ours.renderer, "Tag the support ticket.")
    random.Random(0).shuffle(rows)
    times: dict[str, list[float]] = {"packed": [], "padded": []}
    difference = 0.0
    for step in range(steps + 1):
        chosen = rows[step * rows_a_step : (step + 1) * rows_a_step]
        losses = []
        for name, model, run in (("packed", packed, packed_step), ("padded", plain, padded_step)):
            begun = time.perf_counter()
            losses.append(run(model, chosen))
            if step:  # the first step warms up
                times[name].append((time.perf_counter() - begun) / len(chosen))
            model.zero_grad()
        difference = max(difference, abs(losses[0] - losses[1]) / abs(losses[1]))
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "rows_a_step": rows_a_step,
        "packed_s_per_row": median["packed"],
        "padded_s_per_row": median["padded"],
        "ratio": median["padded"] / median["packed"],
        "loss_difference": difference,
        "gflops_bfloat16": speed.bfloat16,
        "gflops_float32": speed.float32,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.rows, options.steps)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        print(f"{name:>18}  {value:.4g}")


if __name__ == "__main__":
    main()
