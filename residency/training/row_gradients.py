"""Gradients of an adapter's weights for many rows in one pass, each row's by itself.

The gradient of a linear layer's weights is a sum over tokens of products of what goes in and the
gradient of what comes out; over the tokens of one row it is that row's (Goodfellow 2015,
arXiv:1510.01799). For y = x Wᵀ + s (x Aᵀ) Bᵀ and the gradient dy of y they are (s dy B)ᵀ x
of A and s dyᵀ (x Aᵀ) of B.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

from residency.chat import Rendered
from residency.models.packed.forward import supervised_logprobs
from residency.models.packed.layout import Layout
from residency.models.packed.packing import pack
from residency.training.engine import compute, supervised_count
from residency.training.objectives import Batch, Objective


class Update(NamedTuple):
    """A layer's LoRA matrices and their scale s."""

    layer: torch.nn.Module
    a_RI: Tensor
    b_OR: Tensor
    scaling: float


Take = Callable[[Tensor, tuple[int, ...], Tensor], None]
"""Called with a weight, the numbers of S rows, and their gradients with respect to it, [S, *weight]."""


def row_loss(model: PreTrainedModel, row: Rendered, objective: Objective) -> Tensor:
    """The loss that training minimises, of one row. The model must use the packed attention."""
    return objective(compute(model, [row], supervised_count([row]))).loss


def gradients_one_by_one(
    model: PreTrainedModel, rows: Sequence[Rendered], objective: Objective, take: Take
) -> None:
    """Give `take` the gradient of each row's own loss, whatever is trained."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    for number, row in enumerate(rows):
        gradients = torch.autograd.grad(row_loss(model, row, objective), weights, materialize_grads=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            take(weight, (number,), gradient[None])


def gradients_at_once(
    model: PreTrainedModel,
    updates: Sequence[Update],
    rows: Sequence[Rendered],
    objective: Objective,
    take: Take,
) -> None:
    """The same in one pass, layer by layer.

    Args:
        model: Must use the packed attention.
        updates: What `find_updates` found.
        rows: Computed as they are; none shares a token with another.
        objective: Gives the loss of each, which goes by its own supervised tokens.
        take: What it is given adds up, where a layer is used more than once.
    """
    packed = pack(rows, model.device, apart=True)

    def watch(update: Update, x: Tensor, y: Tensor) -> Tensor:
        split = partial(_split, update, packed.layout, take)
        watched: Tensor = _Watched.apply(y, x, split)  # type: ignore[no-untyped-call]
        return watched

    with _hooked(updates, watch):  # gradient checkpointing computes layers again in the backward pass
        logprobs_N = supervised_logprobs(model, packed)
        losses = [objective(row).loss for row in _by_row(logprobs_N, packed.sequence_N, len(rows))]
        # What this returns is summed over the rows, and of no use: it leads through all layers.
        torch.autograd.grad(torch.stack(losses).sum(), [w for u in updates for w in (u.a_RI, u.b_OR)])


def find_updates(model: PreTrainedModel) -> list[Update] | None:
    """The LoRA updates that hold all trained weights; None where rows must go one by one.

    That is where a layer trains more than A and B, as DoRA does, is not linear, or gets other than
    the packed tokens in their order, as a mixture's experts do: this is tried once. The model must
    use the packed attention.
    """
    updates = [
        Update(
            layer,
            cast(Tensor, layer.lora_A[name].weight),
            cast(Tensor, layer.lora_B[name].weight),
            layer.scaling[name],
        )
        for layer in model.modules()
        if isinstance(layer, LoraLayer) and isinstance(layer.get_base_layer(), torch.nn.Linear)
        for name in layer.active_adapters
        if name in layer.lora_A and name not in layer.lora_variant
    ]
    held = {weight for update in updates for weight in (update.a_RI, update.b_OR)}
    if held != {weight for weight in model.parameters() if weight.requires_grad}:
        return None
    packed = pack([Rendered([0, 0], [True, True])], model.device)
    seen: set[tuple[torch.nn.Module, torch.Size]] = set()

    def look(update: Update, x: Tensor, y: Tensor) -> None:
        seen.add((update.layer, x.shape[:-1]))

    with _hooked(updates, look), torch.no_grad():
        supervised_logprobs(model, packed)
    all_tokens = packed.ids_T[None].shape
    return updates if seen == {(update.layer, all_tokens) for update in updates} else None


class _Watched(torch.autograd.Function):
    """A layer's output y as it is; its gradient is shown to `see` beside the layer's input x.

    Saved as autograd saves it, x is held no longer than without, with gradient checkpointing too.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor, see: Callable[[Tensor, Tensor], None]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.see = see
        return y.view_as(y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        ctx.see(x, grads[0])
        return grads[0], None, None


@contextmanager
def _hooked(
    updates: Sequence[Update], see: Callable[[Update, Tensor, Tensor], Tensor | None]
) -> Iterator[None]:
    """Within it `see` gets what goes into a layer and what comes out, and may give another output."""

    def hook(update: Update, _: torch.nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> Tensor | None:
        return see(update, inputs[0], y)

    hooks = [update.layer.register_forward_hook(partial(hook, update)) for update in updates]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def _by_row(logprobs_N: Tensor, row_N: Tensor, rows: int) -> Iterator[Batch]:
    """Each row as a batch of its own."""
    for own in logprobs_N.split(row_N.bincount(minlength=rows).tolist()):
        yield Batch(own, row_N.new_zeros(len(own)), len(own))


def _split(update: Update, layout: Layout, take: Take, x_1TI: Tensor, dy_1TO: Tensor) -> None:
    """The gradients of A and B, row by row; the products run in the format of the layer's."""
    dtype = x_1TI.dtype
    a_RI, b_OR = update.a_RI.to(dtype), (update.b_OR * update.scaling).to(dtype)
    for block in layout.blocks:
        x_SLI, dy_SLO = block.grid(x_1TI[0]), block.grid(dy_1TO[0].to(dtype))
        take(update.a_RI, block.nodes_S, (dy_SLO @ b_OR).mT @ x_SLI)
        take(update.b_OR, block.nodes_S, (dy_SLO.mT @ (x_SLI @ a_RI.T)).float() * update.scaling)
