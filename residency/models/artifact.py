"""What training leaves: an adapter's folder, or a whole model's; one way to save it and one to load it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel

from residency.chat import Renderer
from residency.core.errors import ResidencyError
from residency.core.recipe import Base, Method
from residency.core.workspace import unwritable
from residency.models.adapters import AdapterOff, load_adapter
from residency.models.card import Card, read_card
from residency.models.constrain import Constraint
from residency.models.language_model import LanguageModel, LocalModel
from residency.models.load import LoadedBase, load_base
from residency.models.source import base_fingerprint, locate, tokenizer_files


@dataclass(frozen=True)
class Tuned:
    """A tuned model in memory, with its renderer and its card."""

    model: PreTrainedModel
    renderer: Renderer
    card: Card

    def answering(self, batch_size: int, constraint: Constraint | None = None) -> LocalModel:
        """The model as candidates see it."""
        return LocalModel(self.model, self.renderer, batch_size, constraint)


def artifact_folder(stage: Path, method: Method) -> Path:
    """Where a training stage leaves its artifact."""
    return stage / ("model" if method == "full" else "adapter")


def save_artifact(
    model: PreTrainedModel,
    folder: Path,
    base: LoadedBase,
    card: Card,
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a folder that stock transformers (`full`) or PEFT loads, with the card.

    A whole model is written in the card's number format, the one in which it is evaluated, with the
    base's own tokenizer files; its float32 weights are given up. Where the model is sharded, `weights`
    are those that were trained, whole, by the names of its parameters.

    Raises:
        ResidencyError: the disk is full or not writable; nothing half-written stays.
    """
    try:
        if card.method == "full":
            dtype = getattr(torch, card.dtype)
            torch.nn.Module.to(model, dtype)
            weights = weights and {name: weight.to(dtype) for name, weight in weights.items()}
        model.save_pretrained(str(folder), state_dict=None if weights is None else dict(weights))
        if card.method == "full":
            for file in tokenizer_files(base.folder):
                shutil.copyfile(file, folder / file.name)
        card.write(folder)
    except (OSError, SafetensorError, ResidencyError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, ResidencyError):
            raise
        raise unwritable(folder, error) from error


def load_artifact(base: Base, folder: Path) -> Tuned:
    """Load what was saved, as it was evaluated: format, tokenizer, and the base it was trained on.

    Raises:
        ResidencyError: `base` or the template is not the one it was trained on.
    """
    card = read_card(folder)
    dtype = getattr(torch, card.dtype)
    if card.method != "full":
        loaded = load_base(base, dtype, card.quantised)
        return Tuned(load_adapter(loaded, folder), loaded.renderer, card)
    loaded = load_base(Base(model=str(folder)), dtype)
    card.require(base_fingerprint(locate(base)), loaded.renderer.fingerprint, loaded.quantised, folder)
    return Tuned(loaded.model, loaded.renderer, card)


def base_of(base: Base, card: Card, tuned: LocalModel) -> LanguageModel:
    """The base beside its tuned model: the weights beneath an adapter, or loaded anew."""
    if card.method != "full":
        return AdapterOff(tuned)
    loaded = load_base(base, getattr(torch, card.dtype))
    return LocalModel(loaded.model, loaded.renderer, tuned.batch_size)
