"""Gradient checkpointing: memory for time, at the same gradients.

The backward pass computes each layer's activations again instead of holding them (Chen et al. 2016,
arXiv:1604.06174, section 4.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from residency.core.errors import ResidencyError


def can_checkpoint(model: PreTrainedModel) -> bool:
    """Whether transformers has it for this architecture, whose layers have no dropout of their own."""
    layers = _layers(model)
    dropped = any("dropout" in name and value for layer in layers for name, value in vars(layer).items())
    return model.supports_gradient_checkpointing and bool(layers) and not dropped


@contextmanager
def gradient_checkpointing(model: PreTrainedModel) -> Iterator[None]:
    """Within it the model's layers hold their inputs alone until the backward pass.

    Transformers checkpoints layers that are in training mode. Only the layers themselves are put
    into it: attention and all else inside stay as for answers, so that nothing is dropped out; a
    packed trunk would share one dropout mask among all its branches.

    Raises:
        ResidencyError: `can_checkpoint` is false.
    """
    if not can_checkpoint(model):
        what = "Gradient checkpointing is not to be had for this base: its architecture has none, or dropout."
        fix = 'Set it to "off"; a lower train.micro_tokens saves memory too.'
        raise ResidencyError(what, f"train.gradient_checkpointing: {type(model).__name__}", fix)
    layers = _layers(model)
    model.activation_checkpointing_enable({"use_reentrant": False})
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        model.activation_checkpointing_disable()
        for layer in layers:
            layer.training = False


@contextmanager
def without_checkpointing(model: PreTrainedModel) -> Iterator[None]:
    """Within it layers use the keys and values of tokens before, which one that checkpoints leaves out."""
    layers = [layer for layer in _layers(model) if layer.training]
    for layer in layers:
        layer.training = False
    try:
        yield
    finally:
        for layer in layers:
            layer.training = True


def _layers(model: torch.nn.Module) -> list[GradientCheckpointingLayer]:
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
