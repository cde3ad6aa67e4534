"""Attention over a packed row, registered under a name in transformers' attention registry.

The trunk attends to itself; each branch attends to the trunk and to itself. No T x T mask is
built: branches become the rows of padded grids, whose pads lie on the right, where causality
hides them. Letters here: K key heads, G query heads a key head, P trunk tokens, D head size.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from residency.core.errors import ResidencyError
from residency.training.packing import Block, Layout

NAME = "residency_packed"

_SHORT = 512
"""Keys up to which bfloat16 products and a softmax beat torch's fused kernel on a CPU: its backward
is slow there (measured on two cores: 12 against 72 ms at 80 keys, 31 against 75 ms at 300)."""

Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
"""(q_SLHD, k_SLKD, v_SLKD, trunk_k_PKD, trunk_v_PKD) -> attended_SLHD"""


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
    if dropout or attention_mask is not None or kwargs.get("softcap") is not None:
        fix = "Use a base without attention dropout and soft-capping, e.g. a Llama, Qwen or SmolLM model."
        raise ResidencyError("Packed training cannot express this attention.", type(module).__name__, fix)
    window = kwargs.get("sliding_window")
    if window is not None and longest > window:
        raise ResidencyError(
            f"A row of {longest} tokens is longer than the model's sliding window of {window}.",
            type(module).__name__,
            f"Set data.max_tokens to {window} or less, or use a base without a sliding window.",
        )
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    short = query.device.type == "cpu" and query.dtype == torch.bfloat16 and longest <= _SHORT
    attend: Attend = partial(_products if short else _fused, scale)
    q_THD, k_TKD, v_TKD = (x[0].transpose(0, 1) for x in (query, key, value))
    parts = []
    trunk_k = trunk_v = None
    if layout.trunk:
        trunk_q, trunk_k, trunk_v = (x[: layout.trunk] for x in (q_THD, k_TKD, v_TKD))
        parts.append(attend(trunk_q[None], trunk_k[None], trunk_v[None], None, None)[0])
    for block in layout.blocks:
        grids = (_to_grid(x, block) for x in (q_THD, k_TKD, v_TKD))
        attended_SLHD = attend(*grids, trunk_k, trunk_v)
        parts.append(attended_SLHD.flatten(0, 1).index_select(0, block.place_B))
    return torch.cat(parts)[None], None


def _to_grid(packed_TKD: Tensor, block: Block) -> Tensor:
    """The block's tokens as [S, L, K, D], padded with zeros on the right."""
    own = packed_TKD[block.start : block.stop]
    grid = own.new_zeros(block.rows * block.longest, *own.shape[1:])
    return grid.index_copy(0, block.place_B, own).unflatten(0, (block.rows, block.longest))


def _products(
    scale: float,
    q_SLHD: Tensor,
    k_SLKD: Tensor,
    v_SLKD: Tensor,
    trunk_k_PKD: Tensor | None,
    trunk_v_PKD: Tensor | None,
) -> Tensor:
    """Plain products and a softmax; the trunk's keys meet all branches in one product, unexpanded."""
    rows, length, heads, size = q_SLHD.shape
    groups = heads // k_SLKD.shape[2]
    q_SKGLD = (q_SLHD * scale).unflatten(2, (-1, groups)).permute(0, 2, 3, 1, 4)
    q_SKQD = q_SKGLD.flatten(2, 3)
    own_scores = q_SKQD @ k_SLKD.permute(0, 2, 3, 1)
    future_LL = torch.full((length, length), float("-inf"), dtype=q_SLHD.dtype, device=q_SLHD.device).triu(1)
    own_scores = (own_scores.unflatten(2, (groups, length)) + future_LL).flatten(2, 3)
    if trunk_k_PKD is None or trunk_v_PKD is None:
        out_SKQD = own_scores.softmax(-1) @ v_SLKD.transpose(1, 2)
    else:
        trunk = trunk_k_PKD.shape[0]
        q_KAD = q_SKQD.transpose(0, 1).flatten(1, 2)
        trunk_scores = (q_KAD @ trunk_k_PKD.permute(1, 2, 0)).unflatten(1, (rows, -1)).transpose(0, 1)
        weights = torch.cat((trunk_scores, own_scores), dim=-1).softmax(-1)
        trunk_weights, own_weights = weights.split((trunk, length), dim=-1)
        from_trunk_KAD = trunk_weights.transpose(0, 1).flatten(1, 2) @ trunk_v_PKD.transpose(0, 1)
        from_trunk = from_trunk_KAD.unflatten(1, (rows, -1)).transpose(0, 1)
        out_SKQD = own_weights @ v_SLKD.transpose(1, 2) + from_trunk
    return out_SKQD.unflatten(2, (groups, length)).permute(0, 3, 1, 2, 4).flatten(2, 3)


def _fused(
    scale: float,
    q_SLHD: Tensor,
    k_SLKD: Tensor,
    v_SLKD: Tensor,
    trunk_k_PKD: Tensor | None,
    trunk_v_PKD: Tensor | None,
) -> Tensor:
    """torch's scaled dot product attention, whichever kernel the device has."""
    q, k, v = (x.transpose(1, 2) for x in (q_SLHD, k_SLKD, v_SLKD))
    mask_LA = None
    if trunk_k_PKD is not None and trunk_v_PKD is not None:
        rows, length, trunk = len(q), q.shape[2], len(trunk_k_PKD)
        k = torch.cat((trunk_k_PKD.transpose(0, 1).expand(rows, -1, -1, -1), k), dim=2)
        v = torch.cat((trunk_v_PKD.transpose(0, 1).expand(rows, -1, -1, -1), v), dim=2)
        mask_LA = torch.ones(length, trunk + length, dtype=torch.bool, device=q.device).tril(trunk)
    gqa = q.shape[1] != k.shape[1]
    out = scaled_dot_product_attention(
        q, k, v, attn_mask=mask_LA, is_causal=mask_LA is None, scale=scale, enable_gqa=gqa
    )
    return out.transpose(1, 2)


def use_packed_attention(model: PreTrainedModel) -> None:
    """Let `model` compute packed rows; calls then need `packed_layout`."""
    AttentionInterface.register(NAME, packed_attention)
    model.set_attn_implementation(NAME)
