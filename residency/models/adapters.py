"""Adapters: PEFT's in file format and configuration, with the fingerprints of what they fit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel

from residency.core.errors import ResidencyError
from residency.core.progress import Advance
from residency.core.records import Completion, Conversation
from residency.core.workspace import read_json, unwritable, write_json
from residency.models.language_model import LocalModel
from residency.models.load import LoadedBase
from residency.models.lora_linear import join_siblings, with_fused_linear

_CARD = "residency.json"


class Trainable(NamedTuple):
    """How many weights are trained, of how many."""

    trainable: int
    total: int

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return self.trainable / self.total


def attach_lora(model: PreTrainedModel, rank: int, alpha: int, seed: int) -> PreTrainedModel:
    """Add float32 LoRA matrices of `rank` to every linear layer but the head.

    The update is (alpha / rank) B A (Hu et al. 2021, arXiv:2106.09685, section 4.1); B is 0 at first,
    so that the model answers as before. Dropout is 0: packed sequences share their trunk. What is
    returned is a `PeftModel`, which passes on the interface of the model it wraps.
    """
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        adapted = get_peft_model(model, with_fused_linear(config))
    join_siblings(adapted)
    return cast(PreTrainedModel, adapted)


def detach_lora(model: PreTrainedModel) -> None:
    """Take the adapter off again: the base's own layers are back in their places."""
    cast(PeftModel, model).unload()


def count_trainable(model: torch.nn.Module) -> Trainable:
    """Weights that get gradients, and all weights; tied ones count once."""
    parameters = list(model.parameters())
    return Trainable(
        sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters)
    )


def save_adapter(
    model: PreTrainedModel,
    folder: Path,
    base: LoadedBase,
    system: str,
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a PEFT folder, and beside it what the adapter was trained with.

    `weights` are the adapter's by the names of the model's parameters, where those in it are sharded.

    Raises:
        ResidencyError: the disk is full or not writable; nothing half-written stays.
    """
    card = {
        "base": base.fingerprint,
        "renderer": base.renderer.fingerprint,
        "system": system,
        "dtype": base.dtype,
    }
    try:
        model.save_pretrained(str(folder), state_dict=None if weights is None else dict(weights))
        write_json(folder / _CARD, card)
    except (OSError, SafetensorError, ResidencyError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, ResidencyError):
            raise
        raise unwritable(folder, error) from error


def read_card(folder: Path) -> dict[str, Any]:
    """What the adapter in `folder` was trained with."""
    card: dict[str, Any] = read_json(folder / _CARD)
    return card


def load_adapter(base: LoadedBase, folder: Path) -> PreTrainedModel:
    """Put the adapter in `folder` onto the base.

    Raises:
        ResidencyError: it was trained on another base or rendered by another template, or its
            weights do not fit, so that it would answer otherwise than it was evaluated.
    """
    card = read_card(folder)
    for key, name, now in (
        ("base", "on another base", base.fingerprint),
        ("renderer", "with another tokenizer or chat template", base.renderer.fingerprint),
    ):
        if card[key] != now:
            what = f"The adapter was trained {name}: {card[key]}, not {now}."
            raise ResidencyError(what, str(folder), "Use the base it was trained on, or train again.")
    config = with_fused_linear(LoraConfig.from_pretrained(str(folder)))
    model = PeftModel.from_pretrained(base.model, str(folder), config=config, use_safetensors=True)
    join_siblings(model)
    if not any(p.any() for name, p in model.named_parameters() if "lora_B" in name):
        fix = "Train again; if it was trained elsewhere, its tensors' names do not fit this base."
        raise ResidencyError("The adapter changes nothing: all its B matrices are 0.", str(folder), fix)
    return cast(PreTrainedModel, model)


class AdapterOff:
    """The base beneath a tuned model: the same weights in memory, with the adapter switched off."""

    def __init__(self, tuned: LocalModel) -> None:
        self.tuned = tuned
        self.adapted = cast(PeftModel, tuned.model)

    def complete(
        self, conversations: Sequence[Conversation], max_new_tokens: int, advance: Advance
    ) -> list[Completion]:
        """Answer as the base."""
        with self.adapted.disable_adapter():
            return self.tuned.complete(conversations, max_new_tokens, advance)
