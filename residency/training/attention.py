"""Attention over a packed row, registered under a name in transformers' attention registry.

The trunk attends to itself; each branch attends to the trunk and to itself. No T x T mask is
built: branches become the rows of padded grids, whose pads lie on the right, where causality
hides them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel

from residency.core.errors import ResidencyError
from residency.models.attention import Trunk, attend, causal, require_attention_only, require_plain
from residency.training.packing import Block, Layout

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
        packed_layout: Where trunk and branches lie.
        scaling: Factor of the scores; None is 1 / sqrt(D).
        dropout: Must be 0, since a shared trunk has one dropout mask for all its branches.
        kwargs: What the registry passes to all attention functions.

    Returns:
        [1, T, heads, D] and no weights.

    Raises:
        ResidencyError: the layer asks for something that would silently be left out.
    """
    layout = packed_layout
    longest = layout.trunk + max(block.longest for block in layout.blocks)
    require_plain(module, dropout, kwargs)
    window = kwargs.get("sliding_window")
    if window is not None and longest > window:
        raise ResidencyError(
            f"A row of {longest} tokens is longer than the model's sliding window of {window}.",
            type(module).__name__,
            f"Set data.max_tokens to {window} or less, or use a base without a sliding window.",
        )
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    q_THD, k_TKD, v_TKD = (x[0].transpose(0, 1) for x in (query, key, value))
    parts, trunk = [], None
    if layout.trunk:
        q, k, v = (x[: layout.trunk] for x in (q_THD, k_TKD, v_TKD))
        own = causal(layout.trunk, query.device)
        parts.append(attend(q[None], k[None], v[None], scale=scale, mask=own, trunk=None)[0])
        trunk = Trunk(k, v)
    for block in layout.blocks:
        q, k, v = (_to_grid(x, block) for x in (q_THD, k_TKD, v_TKD))
        own = causal(block.longest, query.device)
        attended_SLHD = attend(q, k, v, scale=scale, mask=own, trunk=trunk)
        parts.append(attended_SLHD.flatten(0, 1).index_select(0, block.place_B))
    return torch.cat(parts)[None], None


def _to_grid(packed_TKD: Tensor, block: Block) -> Tensor:
    """The block's tokens as [S, L, K, D], padded with zeros on the right."""
    own = packed_TKD[block.start : block.stop]
    grid = own.new_zeros(block.rows * block.longest, *own.shape[1:])
    return grid.index_copy(0, block.place_B, own).unflatten(0, (block.rows, block.longest))


def use_packed_attention(model: PreTrainedModel) -> None:
    """Let `model` compute packed rows; calls then need `packed_layout`."""
    require_attention_only(model)
    AttentionInterface.register(NAME, packed_attention)
    model.set_attn_implementation(NAME)
