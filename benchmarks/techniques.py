"""How much longer a training step takes with one technique off and all others on.

    python benchmarks/techniques.py                        all techniques on all three sorts of rows
    python benchmarks/techniques.py --workload long_tail   one sort of rows

A step with the technique off and one with all on take turns on the same rows; told is the median of their
ratios. What is switched off is patched here: the library has no switch for what changes no result.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from training import rows_for
from training_ours import Ours
from training_rows import WORKLOADS

from residency.models.lora_linear import LoraLinear
from residency.models.packed import attention, forward, packing, tree
from residency.models.packed.layout import Layout
from residency.models.precision import best_device, measure_speed
from residency.training import engine

ROWS = 16
Switch = Callable[[Ours], AbstractContextManager[Any]]


class _FusedKernel:
    """Torch's scaled dot product attention on the same grids, as on other devices."""

    @staticmethod
    def apply(q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor, layout: Layout, scale: float) -> Tensor:
        parts = []
        for block in layout.blocks:
            keys, values = (attention._with_ancestors(x, block) for x in (k_TKD, v_TKD))
            q_SLHD = block.grid(q_THD)
            parts.append(
                block.tokens(
                    attention.attend(q_SLHD, keys, values, scale=scale, mask=block.seen_SLA, trunk=None)
                )
            )
        parts.append(q_THD.new_zeros(len(q_THD) - layout.tokens, *q_THD.shape[1:]))
        return torch.cat(parts)


def _pack_all_states(sequences: Any, device: Any) -> packing.Packed:
    """Every packed token's state goes to the head, not only those that foretell something to learn."""
    packed = packing.pack(sequences, device)
    every = torch.arange(packed.layout.tokens, device=device)
    return replace(packed, predict_P=every, state_N=packed.predict_P[packed.state_N])


@contextmanager
def _each_alone(ours: Ours) -> Iterator[None]:
    layers = [module for module in ours.model.modules() if isinstance(module, LoraLinear)]
    siblings = [layer.siblings for layer in layers]
    for layer in layers:
        layer.siblings = None
    try:
        yield
    finally:
        for layer, known in zip(layers, siblings, strict=True):
            layer.siblings = known


OFF: dict[str, Switch] = {
    "nothing off": lambda _: nullcontext(),
    "shared prefixes once": lambda _: patch.object(tree, "_WORTH", 1 << 40),
    "nothing behind the last supervised token": lambda _: patch.object(packing, "_read", lambda s: s.ids),
    "lengths that recur": lambda _: patch.object(packing, "_MULTIPLE", 1),
    "attention by plain products": lambda _: patch.object(attention, "PlainProducts", _FusedKernel),
    "head on supervised states": lambda _: patch.object(engine, "pack", _pack_all_states),
    "head and softmax in chunks": lambda _: patch.object(forward, "linear_head", lambda model: None),
    "layers of one input together": _each_alone,
    "fused LoRA products": lambda _: patch.object(LoraLinear, "plain_adapter", lambda self: None),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workload", choices=list(WORKLOADS), help="default: all")
    parser.add_argument("--pairs", type=int, default=5, help="timed pairs of steps a technique")
    options = parser.parse_args()
    dtype = measure_speed(best_device()).faster
    ours = {dtype: Ours(dtype)}
    if dtype != torch.float32:
        ours[torch.float32] = Ours(torch.float32)
    for workload in [options.workload] if options.workload else list(WORKLOADS):
        rows = [row.rendered for row in rows_for(workload, ROWS * (options.pairs + 1))]
        steps = [rows[begin : begin + ROWS] for begin in range(0, ROWS * (options.pairs + 1), ROWS)]
        print(workload, flush=True)
        for name, switch in OFF.items():
            print(f"  {name:<44}{_longer(ours[dtype], ours[dtype], switch, steps):6.2f} x", flush=True)
        if len(ours) > 1:
            longer = _longer(ours[dtype], ours[torch.float32], OFF["nothing off"], steps)
            print(f"  {'number format by measurement':<44}{longer:6.2f} x", flush=True)


def _longer(on: Ours, off: Ours, switch: Switch, steps: list[Any]) -> float:
    """The median ratio over the steps after the first, which warms up."""
    ratios = []
    for rows in steps:
        with switch(off):
            without = off.step(rows).seconds
        ratios.append(without / on.step(rows).seconds)
    return statistics.median(ratios[1:])


if __name__ == "__main__":
    main()
