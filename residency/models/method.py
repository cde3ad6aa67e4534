"""What a method trains: an adapter on the base, one on the base in 4 bits, or all weights."""

from __future__ import annotations

from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from residency.core.recipe import Base, Method, Train
from residency.models.adapters import attach_lora
from residency.models.load import LoadedBase, load_base
from residency.models.precision import compute_in
from residency.models.quantise import NF4, count_weights


class Trainable(NamedTuple):
    """How many weights are trained, of how many."""

    trainable: int
    total: int

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return self.trainable / self.total


def load_for_training(base: Base, method: Method, dtype: torch.dtype) -> LoadedBase:
    """Load the base as `method` holds it.

    What is trained is held in float32: steps of a small learning rate would be lost in bfloat16, which
    has 8 bits for a weight's digits.

    Raises:
        ResidencyError: the base does not load.
    """
    if method == "full":
        return load_base(base, torch.float32)
    return load_base(base, dtype, NF4 if method == "qlora" else None)


def make_trainable(model: PreTrainedModel, settings: Train, dtype: torch.dtype) -> PreTrainedModel:
    """The model that is trained: its weights that want gradients are what the method trains.

    All models compute in `dtype`.

    Raises:
        ResidencyError: the base has no layer that is named.
    """
    if settings.method != "full":
        return attach_lora(model, settings)
    model.requires_grad_(True)
    if dtype != torch.float32:
        compute_in(model, dtype)
    return model


def count_trainable(model: torch.nn.Module) -> Trainable:
    """Weights that get gradients, and all weights; tied ones count once, packed ones for what they hold."""
    counts = [(p.requires_grad, count_weights(p)) for p in model.parameters()]
    return Trainable(sum(n for trained, n in counts if trained), sum(n for _, n in counts))
