"""What the machine gives: its matrix products' speed, and how much of it a training step uses."""

from __future__ import annotations

import resource
import sys
import time
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

SHAPES = ((1024, 1024, 1024), (2048, 2048, 2048), (2048, 576, 1536), (2048, 1536, 576), (1024, 576, 576))
"""Rows, inner size and columns: two large squares, and the products of the packaged base."""


def measure_peak(dtype: torch.dtype) -> float:
    """The best rate of matrix products in `dtype` over SHAPES, in FLOP/s; takes about 0.2 seconds."""
    best = 0.0
    for rows, inner, columns in SHAPES:
        a, b = torch.ones(rows, inner, dtype=dtype), torch.ones(columns, inner, dtype=dtype)
        for _ in range(4):
            begun = time.perf_counter()
            torch.nn.functional.linear(a, b)
            best = max(best, 2 * rows * inner * columns / (time.perf_counter() - begun))
    return best


class Size(NamedTuple):
    """Weights by the part they play in a step.

    Attributes:
        trunk: Of the linear layers in the decoder.
        head: Vocabulary x hidden.
        adapter: Trained.
    """

    trunk: int
    head: int
    adapter: int

    def step_flop(self, packed: int, supervised: int) -> int:
        """The matrix products that a step needs, attention's left out.

        A frozen weight costs a product forwards and one backwards, 2 FLOP each; a trained one a third
        product for its own gradient (Kaplan et al. 2020, arXiv:2001.08361, section 2.1).
        """
        return 4 * self.trunk * packed + 4 * self.head * supervised + 6 * self.adapter * packed


def size_of(model: PreTrainedModel) -> Size:
    """Count the weights of a model with an adapter."""
    head = model.get_output_embeddings()
    linear = [m for m in model.modules() if type(m) is torch.nn.Linear and m is not head]
    trunk = sum(m.weight.numel() for m in linear if not m.weight.requires_grad)
    return Size(trunk, head.weight.numel(), sum(p.numel() for p in model.parameters() if p.requires_grad))


class TokenCounter:
    """Counts the positions that a model computes, pads included, by what goes into its embedding."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.tokens = 0
        model.get_input_embeddings().register_forward_hook(self._count)

    def _count(self, module: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        self.tokens += inputs[0].numel()

    def take(self) -> int:
        """The positions since the last call."""
        tokens, self.tokens = self.tokens, 0
        return tokens


def peak_rss_gib() -> float:
    """The most memory that this process has held, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20
