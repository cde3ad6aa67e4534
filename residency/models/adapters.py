"""Adapters: PEFT's in file format and configuration, on the base they were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from residency.core.errors import ResidencyError
from residency.core.progress import Advance
from residency.core.recipe import Train
from residency.core.records import Completion, Conversation
from residency.models.card import read_card
from residency.models.language_model import LocalModel
from residency.models.load import LoadedBase
from residency.models.lora_linear import join_siblings, with_fused_linear


def attach_lora(model: PreTrainedModel, settings: Train) -> PreTrainedModel:
    """Add float32 LoRA matrices to the linear layers that `settings` name, by default all but the head.

    The update is s B A with s = alpha / rank (Hu et al. 2021, arXiv:2106.09685, section 4.1) or
    alpha / sqrt(rank) (rsLoRA; Kalajdzievski 2023, arXiv:2312.03732); B is 0 at first, so that the
    model answers as before. With DoRA the rows of W + s B A are scaled to trained norms (Liu
    et al. 2024, arXiv:2402.09353, equation 5). Dropout is 0: packed sequences share their trunk. What
    is returned is a `PeftModel`, which passes on the interface of the model it wraps.

    Raises:
        ResidencyError: a target is the name of no linear layer.
    """
    _require_targets(model, settings.targets)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        use_rslora=settings.scaling == "rank_stabilised",
        use_dora=settings.dora,
        target_modules=list(settings.targets) or "all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        adapted = get_peft_model(model, _dispatched(config, settings.method == "qlora"))
    if settings.method != "qlora":
        join_siblings(adapted)
    return cast(PreTrainedModel, adapted)


def detach_lora(model: PreTrainedModel) -> None:
    """Take the adapter off again: the base's own layers are back in their places."""
    cast(PeftModel, model).unload()


def _dispatched(config: LoraConfig, quantised: bool) -> LoraConfig:
    """Our fused layer on plain linear layers; on those of a quantised base PEFT's own."""
    return config if quantised else with_fused_linear(config)


def _require_targets(model: PreTrainedModel, targets: Sequence[str]) -> None:
    head = model.get_output_embeddings()
    linear = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and m is not head]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in linear):
            known = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear}))
            what = f"This base has no linear layer '{target}' that can get LoRA."
            raise ResidencyError(what, "train.targets", f"Its linear layers: {known}.")


def load_adapter(base: LoadedBase, folder: Path) -> PreTrainedModel:
    """Put the adapter in `folder` onto the base.

    Raises:
        ResidencyError: it was trained on another base or rendered by another template, or its
            weights do not fit, so that it would answer otherwise than it was evaluated.
    """
    read_card(folder).require(base.fingerprint, base.renderer.fingerprint, base.quantised, folder)
    config = _dispatched(LoraConfig.from_pretrained(str(folder)), base.quantised is not None)
    model = PeftModel.from_pretrained(base.model, str(folder), config=config, use_safetensors=True)
    if not any(p.any() for name, p in model.named_parameters() if "lora_B" in name):
        fix = "Train again; if it was trained elsewhere, its tensors' names do not fit this base."
        raise ResidencyError("The adapter changes nothing: all its B matrices are 0.", str(folder), fix)
    return cast(PreTrainedModel, model)


def unfreeze_adapter(model: PreTrainedModel) -> None:
    """Let the weights of a loaded adapter have gradients, and no others."""
    adapted = cast(PeftModel, model)
    adapted.set_adapter(adapted.active_adapter)


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

    def has_room(self, conversation: Conversation, max_new_tokens: int) -> bool:
        """As the tuned model: the context is the base's."""
        return self.tuned.has_room(conversation, max_new_tokens)
