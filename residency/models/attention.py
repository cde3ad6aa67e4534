"""Attention in which rows share a trunk of keys that is held once, never copied to each row.

Letters here: S rows, L queries a row, A own keys a row, C trunk keys, K key heads, H = K x G query
heads, D head size. A row's queries see the trunk and the row's own keys, as the masks allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from residency.core.errors import ResidencyError

_SHORT = 512
"""Keys up to which bfloat16 products and a softmax beat torch's fused kernel on a CPU: its backward
is slow there (measured on two cores: 12 against 72 ms at 80 keys, 31 against 75 ms at 300)."""


@dataclass(frozen=True)
class Trunk:
    """Keys and values [C, K, D] that all rows see."""

    keys_CKD: Tensor
    values_CKD: Tensor

    def __len__(self) -> int:
        return len(self.keys_CKD)


def attend(
    q_SLHD: Tensor, k_SAKD: Tensor, v_SAKD: Tensor, *, scale: float, mask: Tensor, trunk: Trunk | None
) -> Tensor:
    """Softmax of scaled products over trunk and own keys, times their values.

    Args:
        q_SLHD: Queries.
        k_SAKD: Own keys.
        v_SAKD: Own values.
        scale: Factor of the scores.
        mask: Which own keys a query sees: True is seen; broadcasts to [S, L, A].
        trunk: What all queries see, if anything.

    Returns:
        [S, L, H, D].
    """
    keys = k_SAKD.shape[1] + (len(trunk) if trunk else 0)
    if trunk and q_SLHD.shape[1] == 1:  # decoding: copying the trunk to each row would cost the most
        return _products(q_SLHD, k_SAKD, v_SAKD, scale, mask, trunk)
    if q_SLHD.device.type == "cpu" and q_SLHD.dtype == torch.bfloat16 and keys <= _SHORT:
        return _products(q_SLHD, k_SAKD, v_SAKD, scale, mask, trunk)
    return _fused(q_SLHD, k_SAKD, v_SAKD, scale, mask, trunk)


def _products(
    q_SLHD: Tensor, k_SAKD: Tensor, v_SAKD: Tensor, scale: float, mask: Tensor, trunk: Trunk | None
) -> Tensor:
    """Plain products and a softmax; the trunk's keys meet all rows in one product."""
    rows, length = q_SLHD.shape[:2]
    own = k_SAKD.shape[1]
    groups = q_SLHD.shape[2] // k_SAKD.shape[2]
    q_SKGLD = (q_SLHD * scale).unflatten(2, (-1, groups)).permute(0, 2, 3, 1, 4)
    q_SKQD = q_SKGLD.flatten(2, 3)
    hidden = torch.zeros_like(mask, dtype=q_SLHD.dtype).masked_fill(~mask, torch.finfo(q_SLHD.dtype).min)
    hidden_SKGLA = hidden.view(-1, 1, 1, *hidden.shape[-2:])
    scores = (q_SKQD @ k_SAKD.permute(0, 2, 3, 1)).unflatten(2, (groups, length))
    scores = (scores + hidden_SKGLA).flatten(2, 3)
    if trunk is None:
        out_SKQD = scores.softmax(-1) @ v_SAKD.transpose(1, 2)
    else:
        q_KXD = q_SKQD.transpose(0, 1).flatten(1, 2)
        shared = (q_KXD @ trunk.keys_CKD.permute(1, 2, 0)).unflatten(1, (rows, -1)).transpose(0, 1)
        weights = torch.cat((shared, scores), dim=-1).softmax(-1)
        of_trunk, of_own = weights.split((len(trunk), own), dim=-1)
        from_trunk_KXD = of_trunk.transpose(0, 1).flatten(1, 2) @ trunk.values_CKD.transpose(0, 1)
        from_trunk = from_trunk_KXD.unflatten(1, (rows, -1)).transpose(0, 1)
        out_SKQD = of_own @ v_SAKD.transpose(1, 2) + from_trunk
    return out_SKQD.unflatten(2, (groups, length)).permute(0, 3, 1, 2, 4).flatten(2, 3)


def _fused(
    q_SLHD: Tensor, k_SAKD: Tensor, v_SAKD: Tensor, scale: float, mask: Tensor, trunk: Trunk | None
) -> Tensor:
    """Torch's scaled dot product attention, whichever kernel the device has."""
    q, k, v = (x.transpose(1, 2) for x in (q_SLHD, k_SAKD, v_SAKD))
    mask_S1LA = mask.view(-1, 1, *mask.shape[-2:])
    if trunk:
        rows = len(q)
        k = torch.cat((trunk.keys_CKD.transpose(0, 1).expand(rows, -1, -1, -1), k), dim=2)
        v = torch.cat((trunk.values_CKD.transpose(0, 1).expand(rows, -1, -1, -1), v), dim=2)
        mask_S1LA = torch.nn.functional.pad(mask_S1LA, (len(trunk), 0), value=True)
    gqa = q.shape[1] != k.shape[1]
    out = scaled_dot_product_attention(q, k, v, attn_mask=mask_S1LA, scale=scale, enable_gqa=gqa)
    return out.transpose(1, 2)


def causal(length: int, device: torch.device) -> Tensor:
    """[L, L]: each query sees its own key and those before it."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def use_attention(model: PreTrainedModel, name: str, function: Callable[..., object]) -> None:
    """Let `model` attend by `function`, registered under `name`.

    Raises:
        ResidencyError: the base mixes tokens outside attention.
    """
    require_attention_only(model)
    AttentionInterface.register(name, function)
    model.set_attn_implementation(name)


@contextmanager
def attending(model: PreTrainedModel, name: str, function: Callable[..., object]) -> Iterator[None]:
    """The same for a while; the model's own attention is put back afterwards."""
    before = model.config._attn_implementation
    use_attention(model, name, function)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


_LAYERS = {"full_attention", "sliding_attention"}


def require_attention_only(model: PreTrainedModel) -> None:
    """Refuse bases with layers that mix tokens outside attention, where packed rows would leak.

    Raises:
        ResidencyError: names the layers.
    """
    layers: list[str] = getattr(model.config.get_text_config(), "layer_types", None) or []
    if others := sorted(set(layers) - _LAYERS):
        fix = "Use a base of plain attention layers, e.g. a Llama, Qwen, Mistral or SmolLM model."
        what = f"This base has layers of a kind that is not supported: {', '.join(others)}."
        raise ResidencyError(what, type(model).__name__, fix)


_NOT_PLAIN = ("softcap", "s_aux", "position_bias")


def require_plain(module: torch.nn.Module, dropout: float, extras: Mapping[str, Any]) -> None:
    """Refuse what an attention layer asks for beyond scores, masks and a softmax.

    Raises:
        ResidencyError: it would silently be left out.
    """
    asked = [name for name in _NOT_PLAIN if extras.get(name) is not None] + ["dropout"] * bool(dropout)
    if asked:
        fix = "Use a base with plain attention, e.g. a Llama, Qwen, Mistral or SmolLM model."
        what = f"This base's attention uses {', '.join(asked)}, which is not supported."
        raise ResidencyError(what, type(module).__name__, fix)
