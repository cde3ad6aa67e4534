"""Linear layers with their LoRA updates in one differentiable product, dispatched by PEFT itself.

y = x Wᵀ + s (x Aᵀ) Bᵀ with s = alpha / rank (Hu et al. 2021, arXiv:2106.09685, section 4.1).
PEFT's own layer casts x to float32 and back for the two small products; here they run in the
base's format on float32 master weights. Layers that get the same input (query, key and value; gate
and up) are computed together: x meets all their A at once, and their gradients for x add up in one
buffer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from peft import LoraConfig
from peft.tuners.lora.layer import Linear
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

_EACH = 4  # tensors that a layer brings: weight, bias, A, B


class _LoraProducts(torch.autograd.Function):
    """Outputs of M layers for one input; gradients for x, every A and every B; bases are frozen."""

    @staticmethod
    def forward(ctx: Any, x_TI: Tensor, scalings: Sequence[float], *layers: Tensor | None) -> Any:
        weights, biases = layers[0::_EACH], layers[1::_EACH]
        a_list, b_list = (cast(tuple[Tensor, ...], layers[i::_EACH]) for i in (2, 3))
        a_RI = torch.cat(a_list).to(x_TI.dtype)
        b_MOR = [(b * s).to(x_TI.dtype) for b, s in zip(b_list, scalings, strict=True)]
        ctx.ranks = [len(a) for a in a_list]
        h_TR = x_TI @ a_RI.T
        y_MTO = tuple(
            linear(x_TI, cast(Tensor, weight), bias).addmm_(h, b.T)
            for weight, bias, h, b in zip(weights, biases, h_TR.split(ctx.ranks, 1), b_MOR, strict=True)
        )
        ctx.save_for_backward(x_TI, h_TR, a_RI, *b_MOR, *weights)
        ctx.scalings = scalings
        return y_MTO

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *dy_MTO: Tensor) -> tuple[Any, ...]:
        x_TI, h_TR, a_RI, *rest = ctx.saved_tensors
        layers = len(dy_MTO)
        b_MOR, weights = rest[:layers], rest[layers:]
        dh_TR = torch.cat([dy @ b for dy, b in zip(dy_MTO, b_MOR, strict=True)], dim=1)
        dx_TI = None
        if ctx.needs_input_grad[0]:
            dx_TI = dh_TR @ a_RI
            for dy, weight in zip(dy_MTO, weights, strict=True):
                dx_TI.addmm_(dy, weight)
        da_MRI = (dh_TR.T @ x_TI).float().split(ctx.ranks)
        grads: list[Tensor | None] = []
        for dy, h, da, scaling in zip(dy_MTO, h_TR.split(ctx.ranks, 1), da_MRI, ctx.scalings, strict=True):
            db_OR = (h.T @ dy).T.float() * scaling
            grads.extend((None, None, da, db_OR))
        return dx_TI, None, *grads


class LoraLinear(Linear):
    """PEFT's LoRA layer with the products above where one plain, unmerged adapter is active."""

    siblings: Siblings | None = None
    _casts: tuple[tuple[object, ...], Tensor, Tensor] | None = None

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """[..., in] -> [..., out]; every other case takes PEFT's path."""
        name = self.plain_adapter()
        if name is None or args or kwargs:
            result: Tensor = super().forward(x, *args, **kwargs)
            return result
        if torch.is_inference_mode_enabled():  # not in training, where sharding changes weights unseen
            a, b = self._cast(name, x.dtype)
            answered: Tensor = self.get_base_layer()(x) + linear(linear(x, a), b)
            return answered
        if self.siblings is None:
            return together([self], x)[0]
        return self.siblings.output(self, x)

    def plain_adapter(self) -> str | None:
        """The adapter, if one is active that needs nothing but the products above."""
        name = str(self.active_adapters[0]) if len(self.active_adapters) == 1 else ""
        plain = name in self.lora_A and name not in self.lora_variant
        return name if plain and not (self.disable_adapters or self.merged) else None

    def _cast(self, name: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """A and s B in the base's format, kept until the weights change: every token needs them."""
        a, b = cast(Tensor, self.lora_A[name].weight), cast(Tensor, self.lora_B[name].weight)
        key = (id(a), id(b), dtype, a.device, a._version, b._version, self.scaling[name])
        if self._casts is None or self._casts[0] != key:
            self._casts = (key, a.to(dtype), (b * self.scaling[name]).to(dtype))
        return self._casts[1:]


def together(layers: Sequence[LoraLinear], x: Tensor) -> list[Tensor]:
    """The outputs [..., out] of plain layers for one input x [..., in]."""
    tensors: list[object] = []
    scalings = []
    for layer in layers:
        name, base = str(layer.active_adapters[0]), layer.get_base_layer()
        tensors += [base.weight, base.bias, layer.lora_A[name].weight, layer.lora_B[name].weight]
        scalings.append(layer.scaling[name])
    outputs = _LoraProducts.apply(x.flatten(0, -2), scalings, *tensors)  # type: ignore[no-untyped-call]
    return [y.unflatten(0, x.shape[:-1]) for y in outputs]


class Siblings:
    """Layers that were seen to get the same input: the first one called computes all of them."""

    def __init__(self, layers: Sequence[LoraLinear]) -> None:
        self.layers = tuple(layers)
        self._input: Tensor | None = None
        self._waiting: dict[LoraLinear, Tensor] = {}

    def output(self, layer: LoraLinear, x: Tensor) -> Tensor:
        """What `layer` makes of x; the others' outputs wait until they are called with the same x."""
        if self._input is not x or layer not in self._waiting:
            members = [other for other in self.layers if other.plain_adapter() is not None]
            self._waiting = dict(zip(members, together(members, x), strict=True))
        y = self._waiting.pop(layer)
        self._input = x if self._waiting else None
        return y

    def drop(self) -> None:
        """Let go of what nobody came for."""
        self._input, self._waiting = None, {}


def drop_waiting(model: torch.nn.Module) -> None:
    """After a pass that failed half-way: its activations would stay in memory until the next one."""
    for module in model.modules():
        if isinstance(module, LoraLinear) and module.siblings is not None:
            module.siblings.drop()


@torch.enable_grad()
def join_siblings(model: torch.nn.Module) -> None:
    """Find the LoRA layers that share an input, by watching two tokens go through `model`."""
    seen: dict[int, tuple[Tensor, list[LoraLinear]]] = {}

    def watch(layer: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        # The tensor is held as well: an id is free again once its tensor is gone.
        seen.setdefault(id(inputs[0]), (inputs[0], []))[1].append(cast(LoraLinear, layer))

    layers = [module for module in model.modules() if isinstance(module, LoraLinear)]
    hooks = [layer.register_forward_pre_hook(watch) for layer in layers]
    try:
        model(input_ids=torch.zeros(1, 2, dtype=torch.long, device=next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    for _, members in seen.values():
        siblings = Siblings(members) if len(members) > 1 else None
        for layer in members:
            layer.siblings = siblings


def with_fused_linear(config: LoraConfig) -> LoraConfig:
    """Let PEFT dispatch plain linear layers to `LoraLinear`; the config file stays as it is."""
    config._register_custom_module({torch.nn.Linear: LoraLinear})
    return config
