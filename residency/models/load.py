"""Loading a base: safetensors only, no code from the model's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from residency.chat import Renderer
from residency.core.errors import ResidencyError
from residency.core.recipe import Base
from residency.models.precision import best_device
from residency.models.quantise import in_four_bits, keep_weights
from residency.models.source import base_fingerprint, locate
from residency.models.tokenizer import load_tokenizer


@dataclass(frozen=True)
class LoadedBase:
    """A base in memory, with the one renderer for it."""

    model: PreTrainedModel
    renderer: Renderer
    folder: Path
    fingerprint: str
    quantised: str | None
    """The format of 4 bits in which its linear layers are held, if any."""


def load_base(base: Base, dtype: torch.dtype, quantised: str | None = None) -> LoadedBase:
    """Load the base onto the best device, frozen, ready to answer.

    Args:
        base: Which one.
        dtype: Number format of its weights, and of the products.
        quantised: `nf4` holds the linear layers but the head in 4 bits.

    Raises:
        ResidencyError: it is not there, or is no causal language model in safetensors.
    """
    folder, device = locate(base), best_device()
    transformers_logging.disable_progress_bar()
    held = in_four_bits(dtype, device) if quantised else {}
    try:
        tokenizer = load_tokenizer(folder)
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation="sdpa",
            **held,
        )
    except (ValueError, OSError, SafetensorError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        fix = "Name a causal language model that transformers knows, with its tokenizer and whole weights."
        raise ResidencyError(f"The base does not load: {reason}", f"base.model: {folder}", fix) from error
    if quantised:
        keep_weights(model)
    torch.nn.Module.to(model, device).eval().requires_grad_(False)
    return LoadedBase(model, Renderer(tokenizer), folder, base_fingerprint(folder), quantised)
