"""Attention over a packed row by plain matrix products, forward and backward written out.

On a CPU this beats torch's fused kernel, whose backward pass is slow there, and autograd, which would
fill a buffer of all T tokens with zeros for every block. Queries go in chunks, so that keys behind a
chunk cost nothing; the softmax's weights are kept for the backward pass, up to a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from residency.models.packed.layout import Block, Layout

_CHUNK = 128
"""Queries of a row that are computed at once."""

HELD = 1 << 24
"""Weights of the softmax that a layer keeps for the backward pass; more are computed a second time."""


class PlainProducts(torch.autograd.Function):
    """Softmax of scaled products times values, block by block; what no block computes is 0."""

    @staticmethod
    def forward(
        ctx: Any, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor, layout: Layout, scale: float
    ) -> Tensor:
        """[T, H, D]."""
        out_THD = q_THD.new_zeros(q_THD.shape)
        kept: list[Tensor] = []
        held = 0
        for block in layout.blocks:
            grid = _gather(q_THD, k_TKD, v_TKD, block, scale)
            out_SKGLD = torch.empty_like(grid.q_SKGLD)
            for chunk in _chunks(block):
                weights = _weights(grid, block, chunk)
                out = weights @ grid.v_SKAD[:, :, : weights.shape[-1]]
                out_SKGLD[..., chunk, :] = out.unflatten(2, (grid.groups, -1))
                held += weights.numel()
                if held <= HELD:
                    kept.append(weights)
                else:
                    kept.clear()
            _scatter(out_THD, out_SKGLD, block)
        ctx.save_for_backward(q_THD, k_TKD, v_TKD, *kept)
        ctx.layout, ctx.scale = layout, scale
        return out_THD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for queries, keys and values; those of shared keys are summed in float32."""
        q_THD, k_TKD, v_TKD, *kept = ctx.saved_tensors
        dq_THD = torch.zeros_like(q_THD)
        dk_TKD = torch.zeros(k_TKD.shape, dtype=torch.float32, device=k_TKD.device)
        dv_TKD = torch.zeros_like(dk_TKD)
        weights = iter(kept)
        for block in ctx.layout.blocks:
            grid = _gather(q_THD, k_TKD, v_TKD, block, ctx.scale)
            dout_SKGLD = _to_heads(block.grid(grads[0]), grid.groups)
            dq_SKGLD = torch.empty_like(grid.q_SKGLD)
            dk_SKAD, dv_SKAD = (torch.zeros_like(x, dtype=torch.float32) for x in (grid.k_SKAD, grid.v_SKAD))
            for chunk in _chunks(block):
                dout = dout_SKGLD[..., chunk, :].flatten(2, 3)
                w = next(weights) if kept else _weights(grid, block, chunk)
                seen = slice(w.shape[-1])
                dscores = torch._softmax_backward_data(dout @ grid.v_SKAD[:, :, seen].mT, w, -1, w.dtype)
                dq = dscores @ grid.k_SKAD[:, :, seen]
                dq_SKGLD[..., chunk, :] = dq.unflatten(2, (grid.groups, -1))
                dk_SKAD[:, :, seen] += dscores.mT @ grid.q_SKGLD[..., chunk, :].flatten(2, 3)
                dv_SKAD[:, :, seen] += w.mT @ dout
            _scatter(dq_THD, dq_SKGLD.mul_(ctx.scale), block)
            _add_to_keys(dk_TKD, dk_SKAD, block)
            _add_to_keys(dv_TKD, dv_SKAD, block)
        return dq_THD, dk_TKD.to(k_TKD.dtype), dv_TKD.to(v_TKD.dtype), None, None


class _Grid(NamedTuple):
    """A block's scaled queries, and the keys and values of its rows behind those of their ancestors."""

    q_SKGLD: Tensor
    k_SKAD: Tensor
    v_SKAD: Tensor

    @property
    def groups(self) -> int:
        return self.q_SKGLD.shape[2]


def _chunks(block: Block) -> Iterator[slice]:
    for begin in range(0, block.longest, _CHUNK):
        yield slice(begin, min(begin + _CHUNK, block.longest))


def _weights(grid: _Grid, block: Block, chunk: slice) -> Tensor:
    """Softmax [S, K, Q, keys up to the chunk's last query]."""
    above = block.ancestors.longest if block.ancestors else 0
    q_SKQD = grid.q_SKGLD[..., chunk, :].flatten(2, 3)
    scores = q_SKQD @ grid.k_SKAD[:, :, : above + chunk.stop].mT
    scores_SKGLA = scores.unflatten(2, (grid.groups, -1))
    lowest = torch.finfo(scores.dtype).min
    if block.ancestors and block.ancestors.fewest < above:  # their places are filled alike for all queries
        some = slice(block.ancestors.fewest, above)
        scores_SKGLA[..., some].masked_fill_(~block.seen_SLA[:, None, None, :1, some], lowest)
    ahead_LL = ~block.seen_SLA[0, chunk, above + chunk.start : above + chunk.stop]
    scores_SKGLA[..., above + chunk.start :].masked_fill_(ahead_LL, lowest)
    return scores.softmax(-1)


def _gather(q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor, block: Block, scale: float) -> _Grid:
    q_SKGLD = _to_heads(block.grid(q_THD), q_THD.shape[1] // k_TKD.shape[1]) * scale
    return _Grid(q_SKGLD, _keys(k_TKD, block), _keys(v_TKD, block))


def _to_heads(x_SLHD: Tensor, groups: int) -> Tensor:
    """[S, L, H, D] -> [S, K, G, L, D], in that order in memory."""
    return x_SLHD.unflatten(2, (-1, groups)).permute(0, 2, 3, 1, 4).contiguous()


def _keys(packed_TKD: Tensor, block: Block) -> Tensor:
    """[S, K, A, D]: each row's own tokens behind those of its ancestors."""
    own = block.grid(packed_TKD).transpose(1, 2)
    if block.ancestors is None:
        return own.contiguous()
    return torch.cat((block.ancestors.copies(packed_TKD).transpose(1, 2), own), dim=2)


def _scatter(packed_THD: Tensor, x_SKGLD: Tensor, block: Block) -> None:
    """Write a grid back to the block's packed tokens."""
    x_SLHD = x_SKGLD.permute(0, 3, 1, 2, 4).flatten(2, 3)
    packed_THD[block.start : block.stop] = block.tokens(x_SLHD)


def _add_to_keys(sums_TKD: Tensor, own_SKAD: Tensor, block: Block) -> None:
    """Add the gradients of a block's keys where they stand in the packed row."""
    above_SEKD, own_SLKD = own_SKAD.transpose(1, 2).tensor_split([own_SKAD.shape[2] - block.longest], dim=1)
    sums_TKD[block.start : block.stop] += block.tokens(own_SLKD)
    if block.ancestors:
        block.ancestors.add_copies(sums_TKD, above_SEKD)
