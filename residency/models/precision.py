"""Which number format is faster on this machine: measured, not guessed."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import torch
from transformers import PreTrainedModel


class Speed(NamedTuple):
    """Matrix products a second in two formats, in GFLOP/s."""

    bfloat16: float
    float32: float

    @property
    def faster(self) -> torch.dtype:
        """bfloat16 only where it gains at least a tenth: it costs precision."""
        return torch.bfloat16 if self.bfloat16 > 1.1 * self.float32 else torch.float32


def best_device() -> torch.device:
    """The first GPU where there is one, under torchrun the process' own; else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    """`cpu`, or the GPU's own name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def measure_speed(device: torch.device, size: int = 1024) -> Speed:
    """Time products of two size x size matrices; takes about a tenth of a second."""
    return Speed(_gflops(device, torch.bfloat16, size), _gflops(device, torch.float32, size))


def _gflops(device: torch.device, dtype: torch.dtype, size: int) -> float:
    a = torch.ones(size, size, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(4):
        synchronise(device)
        begun = time.perf_counter()
        a @ a
        synchronise(device)
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best / 1e9


def synchronise(device: torch.device) -> None:
    """Wait until what a GPU was given is computed."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compute_in(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Let the model's products run in `dtype` on its float32 weights, whoever calls it.

    Autocast is entered at each forward pass and left after it: it keeps the weights it has cast, and
    a longer stretch would go on with those of the step before. The backward pass follows the formats
    of the forward one.
    """
    entered: list[torch.autocast] = []

    def enter(*_: object) -> None:
        entered.append(torch.autocast(model.device.type, dtype=dtype))
        entered[-1].__enter__()

    def leave(*_: object) -> None:
        entered.pop().__exit__(None, None, None)

    model.register_forward_pre_hook(enter)
    model.register_forward_hook(leave, always_call=True)
