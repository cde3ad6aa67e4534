"""A base and what is trained of it, as the training stage puts them together."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from residency.core.recipe import Base, Train
from residency.models.load import LoadedBase
from residency.models.method import load_for_training, make_trainable


def open_for_training(base: Base, settings: Train, dtype: torch.dtype) -> tuple[LoadedBase, PreTrainedModel]:
    loaded = load_for_training(base, settings.method, dtype)
    return loaded, make_trainable(loaded.model, settings, dtype)
