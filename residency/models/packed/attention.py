"""Attention over a packed row, registered under a name in transformers' attention registry.

Every node attends to its ancestors and to itself. No T x T mask is built: nodes of like length
become the rows of padded grids, whose pads lie on the right, where causality hides them. The keys of
a row's ancestors are copied to it: keys are narrow, and the scores that they enter are not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from residency.models.attention import attend, require_plain, use_attention
from residency.models.packed.layout import Ancestors, Block, Layout
from residency.models.packed.products import PlainProducts

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
    # Under autocast, rotary positions leave queries and keys in float32 beside values that are not.
    q_THD, k_TKD, v_TKD = (x[0].transpose(0, 1).to(value.dtype) for x in (query, key, value))
    if window is None and query.device.type == "cpu":
        out_THD = PlainProducts.apply(q_THD, k_TKD, v_TKD, packed_layout, scale)  # type: ignore[no-untyped-call]
        return out_THD[None], None
    parts = []
    for block in packed_layout.blocks:
        q, k, v = block.grid(q_THD), _with_ancestors(k_TKD, block), _with_ancestors(v_TKD, block)
        mask = block.seen_SLA if window is None else _in_window(block, window)
        attended_SLHD = attend(q, k, v, scale=scale, mask=mask, trunk=None)
        parts.append(block.tokens(attended_SLHD))
    pads = query.shape[2] - packed_layout.tokens
    parts.append(q_THD.new_zeros(pads, *parts[0].shape[1:]))
    return torch.cat(parts)[None], None


def _in_window(block: Block, window: int) -> Tensor:
    """[S, L, A]: what a query sees if it sees no farther back than the window."""
    device = block.depth_S.device
    position_SL = block.depth_S[:, None] + torch.arange(block.longest, device=device)
    above_SE = torch.arange(block.seen_SLA.shape[-1] - block.longest, device=device).expand(block.rows, -1)
    key_SA = torch.cat((above_SE, position_SL), dim=1)
    return block.seen_SLA & (key_SA[:, None] > position_SL[..., None] - window)


def _with_ancestors(packed_TKD: Tensor, block: Block) -> Tensor:
    """The block's tokens as [S, A, K, D], each row's own behind those of its ancestors."""
    own = block.grid(packed_TKD)
    if block.ancestors is None:
        return own
    above: Tensor = _Copies.apply(packed_TKD, block.ancestors)  # type: ignore[no-untyped-call]
    return torch.cat((above, own), dim=1)


class _Copies(torch.autograd.Function):
    """`Ancestors.copies`, with `Ancestors.add_copies` for its gradient."""

    @staticmethod
    def forward(ctx: Any, packed_TKD: Tensor, ancestors: Ancestors) -> Tensor:
        ctx.shape, ctx.ancestors = packed_TKD.shape, ancestors
        return ancestors.copies(packed_TKD)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad_TKD = grads[0].new_zeros(ctx.shape)
        ctx.ancestors.add_copies(grad_TKD, grads[0])
        return grad_TKD, None


def use_packed_attention(model: PreTrainedModel) -> None:
    """Let `model` compute packed rows; calls then need `packed_layout`."""
    use_attention(model, NAME, packed_attention)
