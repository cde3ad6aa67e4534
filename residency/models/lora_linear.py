"""A linear layer with its LoRA update in one differentiable product, dispatched by PEFT itself.

y = x Wᵀ + s (x Aᵀ) Bᵀ with s = alpha / rank (Hu et al. 2021, arXiv:2106.09685, section 4.1).
PEFT's own layer casts x to float32 and back for the two small products; here they run in the
base's format on float32 master weights, and the backward pass adds into one buffer.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from peft import LoraConfig
from peft.tuners.lora.layer import Linear
from torch import Tensor


class _LoraProduct(torch.autograd.Function):
    """Gradients for x, A and B; the base weight is frozen."""

    @staticmethod
    def forward(
        ctx: Any,
        x_TI: Tensor,
        weight_OI: Tensor,
        bias_O: Tensor | None,
        a_RI: Tensor,
        b_OR: Tensor,
        scaling: float,
    ) -> Tensor:
        a, b = a_RI.to(x_TI.dtype), (b_OR * scaling).to(x_TI.dtype)
        h_TR = x_TI @ a.T
        y_TO = torch.nn.functional.linear(x_TI, weight_OI, bias_O).addmm_(h_TR, b.T)
        ctx.save_for_backward(x_TI, weight_OI, h_TR, a, b)
        ctx.scaling = scaling
        return y_TO

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x_TI, weight_OI, h_TR, a, b = ctx.saved_tensors
        dy_TO = grads[0]
        dh_TR = dy_TO @ b
        dx_TI = (dy_TO @ weight_OI).addmm_(dh_TR, a) if ctx.needs_input_grad[0] else None
        da_RI = (dh_TR.T @ x_TI).float()
        db_OR = (h_TR.T @ dy_TO).T.float() * ctx.scaling
        return dx_TI, None, None, da_RI, db_OR, None


class LoraLinear(Linear):
    """PEFT's LoRA layer with the products above where one plain, unmerged adapter is active."""

    _casts: tuple[tuple[object, ...], Tensor, Tensor] | None = None

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """[..., in] -> [..., out]; every other case takes PEFT's path."""
        name = str(self.active_adapters[0]) if len(self.active_adapters) == 1 else ""
        plain = (
            name in self.lora_A
            and name not in self.lora_variant
            and not (self.disable_adapters or self.merged)
        )
        if not plain or args or kwargs:
            result: Tensor = super().forward(x, *args, **kwargs)
            return result
        base = self.get_base_layer()
        if not torch.is_grad_enabled():
            a, b = self._cast(name, x.dtype)
            h = torch.nn.functional.linear(x, a)
            answered: Tensor = base(x) + torch.nn.functional.linear(h, b)
            return answered
        y: Tensor = _LoraProduct.apply(  # type: ignore[no-untyped-call]
            x.flatten(0, -2),
            base.weight,
            base.bias,
            self.lora_A[name].weight,
            self.lora_B[name].weight,
            self.scaling[name],
        )
        return y.unflatten(0, x.shape[:-1])

    def _cast(self, name: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """A and s B in the base's format, kept until the weights change: every token needs them."""
        a, b = cast(Tensor, self.lora_A[name].weight), cast(Tensor, self.lora_B[name].weight)
        key = (name, dtype, a.device, a._version, b._version)
        if self._casts is None or self._casts[0] != key:
            self._casts = (key, a.to(dtype), (b * self.scaling[name]).to(dtype))
        return self._casts[1:]


def with_fused_linear(config: LoraConfig) -> LoraConfig:
    """Let PEFT dispatch plain linear layers to `LoraLinear`; the config file stays as it is."""
    config._register_custom_module({torch.nn.Linear: LoraLinear})
    return config
