"""Attention over a packed row, registered under a name in transformers' attention registry.

Every node attends to its ancestors and to itself. No T x T mask is built: nodes of like length
become the rows of padded grids, whose pads lie on the right, where causality hides them. Keys that
many rows share stay where they are; those that few share are copied to each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel

from residency.models.attention import Trunk, attend, require_attention_only, require_plain
from residency.training.layout import Ancestors, Block, Layout, Span
from residency.training.products import PlainProducts

NAME = "residency_packed"


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed_layout: Layout,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend within a packed row.

    Args:
        module: The attention layer, which the registry passes on.
        query: [1, heads, T, D].
        key: [1, key heads, T, D].
        value: [1, key heads, T, D].
        attention_mask: None; the layout says who sees whom.
        packed_layout: Where the nodes lie, and what they see.
        scaling: Factor of the scores; None is 1 / sqrt(D).
        dropout: Must be 0, since a shared node has one dropout mask for all who see it.
        kwargs: What the registry passes to all attention functions.

    Returns:
        [1, T, heads, D] and no weights.

    Raises:
        ResidencyError: the layer asks for something that would silently be left out.
    """
    require_plain(module, dropout, kwargs)
    window = kwargs.get("sliding_window")
    if window is not None and packed_layout.longest <= window:
        window = None
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    q_THD, k_TKD, v_TKD = (x[0].transpose(0, 1) for x in (query, key, value))
    if window is None and query.device.type == "cpu":
        out_THD = PlainProducts.apply(q_THD, k_TKD, v_TKD, packed_layout, scale)  # type: ignore[no-untyped-call]
        return out_THD[None], None
    parts = []
    for block in packed_layout.blocks:
        q, k, v = _to_grid(q_THD, block), _with_ancestors(k_TKD, block), _with_ancestors(v_TKD, block)
        trunk = Trunk(_spans(k_TKD, block.trunk), _spans(v_TKD, block.trunk)) if block.trunk else None
        mask = block.seen_SLA
        if window is not None:
            k, v, mask, trunk = *_before_own(k, v, trunk), _in_window(block, window), None
        attended_SLHD = attend(q, k, v, scale=scale, mask=mask, trunk=trunk)
        parts.append(attended_SLHD.flatten(0, 1).index_select(0, block.place_B))
    return torch.cat(parts)[None], None


def _before_own(k_SAKD: Tensor, v_SAKD: Tensor, trunk: Trunk | None) -> tuple[Tensor, Tensor]:
    """The trunk's keys and values before each row's own."""
    if trunk is None:
        return k_SAKD, v_SAKD
    rows = len(k_SAKD)
    of_trunk = (x.expand(rows, -1, -1, -1) for x in (trunk.keys_CKD, trunk.values_CKD))
    keys, values = (torch.cat(pair, dim=1) for pair in zip(of_trunk, (k_SAKD, v_SAKD), strict=True))
    return keys, values


def _in_window(block: Block, window: int) -> Tensor:
    """[S, L, C + A]: what a query sees of trunk and own keys if it sees no farther back than the window."""
    device = block.depth_S.device
    trunk = sum(stop - start for start, stop in block.trunk)
    above = block.seen_SLA.shape[-1] - block.longest
    length = torch.arange(block.longest, device=device)
    position_SL = block.depth_S[:, None] + length
    shared_SC = torch.arange(trunk + above, device=device).expand(block.rows, -1)
    key_SX = torch.cat((shared_SC, position_SL), dim=1)
    seen_SLX = torch.nn.functional.pad(block.seen_SLA, (trunk, 0), value=True)
    return seen_SLX & (key_SX[:, None] > position_SL[..., None] - window)


def _spans(packed_TKD: Tensor, spans: Sequence[Span]) -> Tensor:
    """The tokens of the spans, one after the other; no copy where there is one."""
    parts = [packed_TKD[start:stop] for start, stop in spans]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _to_grid(packed_TKD: Tensor, block: Block) -> Tensor:
    """The block's tokens as [S, L, K, D], padded with zeros on the right."""
    own = packed_TKD[block.start : block.stop]
    grid = own.new_zeros(block.rows * block.longest, *own.shape[1:])
    return grid.index_copy(0, block.place_B, own).unflatten(0, (block.rows, block.longest))


def _with_ancestors(packed_TKD: Tensor, block: Block) -> Tensor:
    """The block's tokens as [S, A, K, D], each row's own behind those of its ancestors."""
    own = _to_grid(packed_TKD, block)
    if block.ancestors is None:
        return own
    above: Tensor = _Copies.apply(packed_TKD, block.ancestors)  # type: ignore[no-untyped-call]
    return torch.cat((above.unflatten(0, (block.rows, -1)), own), dim=1)


class _Copies(torch.autograd.Function):
    """Rows' ancestors [S x E, K, D]; backward adds run by run, where torch would add token by token."""

    @staticmethod
    def forward(ctx: Any, packed_TKD: Tensor, ancestors: Ancestors) -> Tensor:
        ctx.shape, ctx.ancestors = packed_TKD.shape, ancestors
        return packed_TKD.index_select(0, ancestors.index_X)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad_TKD = grads[0].new_zeros(ctx.shape)
        for row, place, (start, stop) in ctx.ancestors.runs:
            first = row * ctx.ancestors.longest + place
            grad_TKD[start:stop] += grads[0][first : first + stop - start]
        return grad_TKD, None


def use_packed_attention(model: PreTrainedModel) -> None:
    """Let `model` compute packed rows; calls then need `packed_layout`."""
    require_attention_only(model)
    AttentionInterface.register(NAME, packed_attention)
    model.set_attn_implementation(NAME)
