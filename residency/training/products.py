"""Attention over a packed row by plain matrix products, forward and backward written out.

On a CPU this beats torch's fused kernel, whose backward pass is slow there, and autograd, which would
fill a buffer of all T tokens with zeros for every block. Queries go in chunks, so that keys behind a
chunk cost nothing; the softmax's weights are kept for the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from residency.training.layout import Block, Layout, Span

_CHUNK = 128
"""Queries of a row that are computed at once."""


class PlainProducts(torch.autograd.Function):
    """Softmax of scaled products times values, block by block."""

    @staticmethod
    def forward(
        ctx: Any, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor, layout: Layout, scale: float
    ) -> Tensor:
        out_THD = q_THD.new_empty(q_THD.shape)
        kept: list[Tensor] = []
        for block in layout.blocks:
            grid = _gather(q_THD, k_TKD, v_TKD, block, scale)
            out_SKGLD = torch.empty_like(grid.q_SKGLD)
            for chunk in _chunks(block):
                weights = _weights(grid, block, chunk)
                out_SKGLD[..., chunk, :] = _mix(grid, weights, chunk.stop).unflatten(2, (grid.groups, -1))
                kept.append(weights)
            _scatter(out_THD, out_SKGLD, block)
        ctx.save_for_backward(q_THD, k_TKD, v_TKD, *kept)
        ctx.layout, ctx.scale = layout, scale
        return out_THD

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q_THD, k_TKD, v_TKD, *kept = ctx.saved_tensors
        dq_THD = torch.empty_like(q_THD)
        dk_TKD = torch.zeros(k_TKD.shape, dtype=torch.float32, device=k_TKD.device)
        dv_TKD = torch.zeros_like(dk_TKD)
        weights = iter(kept)
        for block in ctx.layout.blocks:
            grid = _gather(q_THD, k_TKD, v_TKD, block, ctx.scale)
            dout_SKGLD = _to_heads(_grid(grads[0], block), grid.groups)
            dq_SKGLD = torch.empty_like(grid.q_SKGLD)
            sums = _KeyGrads.zeros(grid)
            for chunk in _chunks(block):
                dout = dout_SKGLD[..., chunk, :].flatten(2, 3)
                dq = _chunk_backward(grid, next(weights), dout, chunk, sums)
                dq_SKGLD[..., chunk, :] = dq.unflatten(2, (grid.groups, -1))
            _scatter(dq_THD, dq_SKGLD.mul_(ctx.scale), block)
            _add_to_keys(dk_TKD, sums.own_k, sums.trunk_k, block)
            _add_to_keys(dv_TKD, sums.own_v, sums.trunk_v, block)
        return dq_THD, dk_TKD.to(k_TKD.dtype), dv_TKD.to(v_TKD.dtype), None, None


class _Grid(NamedTuple):
    """A block's scaled queries, its rows' own keys and values, and those of its trunk (C may be 0)."""

    q_SKGLD: Tensor
    k_SKAD: Tensor
    v_SKAD: Tensor
    trunk_k_KCD: Tensor
    trunk_v_KCD: Tensor

    @property
    def groups(self) -> int:
        return self.q_SKGLD.shape[2]

    @property
    def above(self) -> int:
        """Keys of ancestors that stand before each row's own."""
        return self.k_SKAD.shape[2] - self.q_SKGLD.shape[3]


class _KeyGrads(NamedTuple):
    """Sums over the chunks of a block."""

    own_k: Tensor
    own_v: Tensor
    trunk_k: Tensor
    trunk_v: Tensor

    @staticmethod
    def zeros(grid: _Grid) -> _KeyGrads:
        return _KeyGrads(*(torch.zeros_like(x) for x in (grid.k_SKAD, grid.v_SKAD, *grid[3:])))


def _chunks(block: Block) -> Iterator[slice]:
    for begin in range(0, block.longest, _CHUNK):
        yield slice(begin, min(begin + _CHUNK, block.longest))


def _weights(grid: _Grid, block: Block, chunk: slice) -> Tensor:
    """Softmax [S, K, Q, C + keys seen by the chunk] over trunk and own keys."""
    q_SKQD = grid.q_SKGLD[..., chunk, :].flatten(2, 3)
    seen = grid.above + chunk.stop
    own = q_SKQD @ grid.k_SKAD[:, :, :seen].mT
    own_SKGLA = own.unflatten(2, (grid.groups, -1))
    lowest = torch.finfo(own.dtype).min
    if grid.above:  # which of its ancestors' places a row has filled does not depend on the query
        empty_SE = ~block.seen_SLA[:, 0, : grid.above]
        own_SKGLA[..., : grid.above].masked_fill_(empty_SE[:, None, None, None], lowest)
    ahead = torch.ones(chunk.stop - chunk.start, chunk.stop - chunk.start, dtype=torch.bool).triu(1)
    own_SKGLA[..., grid.above + chunk.start :].masked_fill_(ahead.to(own.device), lowest)
    if not grid.trunk_k_KCD.shape[1]:
        return own.softmax(-1)
    shared = _by_row(_by_head(q_SKQD) @ grid.trunk_k_KCD.mT, len(q_SKQD))
    return torch.cat((shared, own), dim=-1).softmax(-1)


def _mix(grid: _Grid, weights: Tensor, stop: int) -> Tensor:
    """Values [S, K, Q, D] in the softmax's weights."""
    trunk = grid.trunk_v_KCD.shape[1]
    out = weights[..., trunk:] @ grid.v_SKAD[:, :, : grid.above + stop]
    if trunk:
        out += _by_row(_by_head(weights[..., :trunk]) @ grid.trunk_v_KCD, len(weights))
    return out


def _chunk_backward(grid: _Grid, weights: Tensor, dout: Tensor, chunk: slice, sums: _KeyGrads) -> Tensor:
    """Gradient for the chunk's scaled queries [S, K, Q, D]; those for the keys are added to `sums`."""
    rows, trunk, seen = len(dout), grid.trunk_k_KCD.shape[1], grid.above + chunk.stop
    q_SKQD = grid.q_SKGLD[..., chunk, :].flatten(2, 3)
    dweights = dout @ grid.v_SKAD[:, :, :seen].mT
    sums.own_v[:, :, :seen] += weights[..., trunk:].mT @ dout
    if trunk:
        dout_KXD = _by_head(dout)
        dweights = torch.cat((_by_row(dout_KXD @ grid.trunk_v_KCD.mT, rows), dweights), dim=-1)
        sums.trunk_v.add_(_by_head(weights[..., :trunk]).mT @ dout_KXD)
    dscores = torch._softmax_backward_data(dweights, weights, -1, weights.dtype)
    dq = dscores[..., trunk:] @ grid.k_SKAD[:, :, :seen]
    sums.own_k[:, :, :seen] += dscores[..., trunk:].mT @ q_SKQD
    if trunk:
        dscores_KXC = _by_head(dscores[..., :trunk])
        dq += _by_row(dscores_KXC @ grid.trunk_k_KCD, rows)
        sums.trunk_k.add_(dscores_KXC.mT @ _by_head(q_SKQD))
    return dq


def _by_head(x_SKQY: Tensor) -> Tensor:
    """[S, K, Q, Y] -> [K, S x Q, Y]: all rows in one product with the trunk."""
    return x_SKQY.transpose(0, 1).flatten(1, 2)


def _by_row(x_KXY: Tensor, rows: int) -> Tensor:
    """The way back."""
    return x_KXY.unflatten(1, (rows, -1)).transpose(0, 1)


def _gather(q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor, block: Block, scale: float) -> _Grid:
    q = _to_heads(_grid(q_THD, block), q_THD.shape[1] // k_TKD.shape[1]) * scale
    keys = [_own_keys(x, block) for x in (k_TKD, v_TKD)]
    trunks = [_spans(x, block.trunk).transpose(0, 1).contiguous() for x in (k_TKD, v_TKD)]
    return _Grid(q, keys[0], keys[1], trunks[0], trunks[1])


def _to_heads(x_SLHD: Tensor, groups: int) -> Tensor:
    """[S, L, H, D] -> [S, K, G, L, D], in that order in memory."""
    return x_SLHD.unflatten(2, (-1, groups)).permute(0, 2, 3, 1, 4).contiguous()


def _own_keys(packed_TKD: Tensor, block: Block) -> Tensor:
    """[S, K, A, D]: each row's own tokens behind those of its ancestors."""
    own = _grid(packed_TKD, block).transpose(1, 2)
    if block.ancestors is None:
        return own.contiguous()
    above = packed_TKD.index_select(0, block.ancestors.index_X).unflatten(0, (block.rows, -1))
    return torch.cat((above.transpose(1, 2), own), dim=2)


def _spans(packed_TKD: Tensor, spans: Sequence[Span]) -> Tensor:
    return torch.cat([packed_TKD[:0], *(packed_TKD[start:stop] for start, stop in spans)])


def _is_full(block: Block) -> bool:
    """Whether the grid has no pads."""
    return block.stop - block.start == block.rows * block.longest


def _grid(packed_THD: Tensor, block: Block) -> Tensor:
    """The block's tokens as [S, L, H, D], padded with zeros on the right."""
    own = packed_THD[block.start : block.stop]
    if not _is_full(block):
        padded = own.new_zeros(block.rows * block.longest, *own.shape[1:])
        own = padded.index_copy_(0, block.place_B, own)
    return own.unflatten(0, (block.rows, block.longest))


def _scatter(packed_THD: Tensor, x_SKGLD: Tensor, block: Block) -> None:
    """Write a grid back to the block's packed tokens."""
    x_SLHD = x_SKGLD.permute(0, 3, 1, 2, 4).flatten(2, 3)
    packed_THD[block.start : block.stop] = _tokens(x_SLHD, block)


def _tokens(x_SLHD: Tensor, block: Block) -> Tensor:
    """[S, L, H, D] -> the block's tokens, without the pads."""
    flat = x_SLHD.flatten(0, 1)
    return flat if _is_full(block) else flat.index_select(0, block.place_B)


def _add_to_keys(sums_TKD: Tensor, own_SKAD: Tensor, trunk_KCD: Tensor, block: Block) -> None:
    """Add the gradients of a block's keys where they stand in the packed row."""
    above = own_SKAD.shape[2] - block.longest
    sums_TKD[block.start : block.stop] += _tokens(own_SKAD[:, :, above:].transpose(1, 2), block)
    for row, place, (start, stop) in block.ancestors.runs if block.ancestors else ():
        sums_TKD[start:stop] += own_SKAD[row, :, place : place + stop - start].transpose(0, 1)
    place = 0
    for start, stop in block.trunk:
        sums_TKD[start:stop] += trunk_KCD[:, place : place + stop - start].transpose(0, 1)
        place += stop - start
