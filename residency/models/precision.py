"""Which number format is faster on this machine: measured, not guessed."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import torch
from torch import Tensor
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


_SECONDS = 0.3
"""Time after which no further round of products is begun; the first is not counted, as it warms up."""


def measure_speed(device: torch.device, size: int = 1024) -> Speed:
    """Time products of two size x size matrices, the formats in turn; takes about a third of a second.

    The best of each counts: other work on the machine slows some products, and seldom all of a format.
    """
    matrices = [torch.ones(size, size, dtype=t, device=device) for t in (torch.bfloat16, torch.float32)]
    rounds = [[_seconds(matrix) for matrix in matrices]]
    begun = time.perf_counter()
    while len(rounds) == 1 or time.perf_counter() - begun < _SECONDS:
        rounds.append([_seconds(matrix) for matrix in matrices])
    return Speed(*(2 * size**3 / min(of_format) / 1e9 for of_format in zip(*rounds[1:], strict=True)))


def _seconds(matrix: Tensor) -> float:
    """The time that a product of the matrix with itself takes."""
    synchronise(matrix.device)
    begun = time.perf_counter()
    matrix @ matrix
    synchronise(matrix.device)
    return time.perf_counter() - begun


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
