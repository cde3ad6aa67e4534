"""A base held in 4 bits: NF4 with double quantisation (Dettmers et al. 2023, arXiv:2305.14314, section 3).

A weight is one of 16 quantiles of a normal distribution times the largest of its block of 64; these
scales are themselves held in 8 bits. Products run in the base's format on weights unpacked for them.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

import torch
from transformers import BitsAndBytesConfig, PreTrainedModel

from residency.core.errors import ResidencyError

NF4 = "nf4"
"""How cards name this format."""


def require_bitsandbytes() -> None:
    """Refuse where the library that holds weights in 4 bits is not installed.

    Raises:
        ResidencyError: with the command that installs it.
    """
    if find_spec("bitsandbytes") is None:
        fix = "pip install 'residency[qlora]', or set train.method to lora."
        raise ResidencyError(
            "The method 'qlora' needs bitsandbytes, which is not installed.", "train.method", fix
        )


def in_four_bits(dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """What `from_pretrained` is told, so that linear layers but the head are held in 4 bits on `device`."""
    require_bitsandbytes()
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=NF4,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": config, "device_map": {"": device}}


def keep_weights(model: PreTrainedModel) -> None:
    """Let no layer rearrange its weights for faster answers.

    On a CPU with bfloat16 products, a 4-bit layer in evaluation mode would round its scales and drop
    its gradient for good, so that after the first validation another model would be trained.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def count_weights(parameter: torch.nn.Parameter) -> int:
    """The weights that a parameter stands for; in 4 bits two are packed in a byte."""
    state = getattr(parameter, "quant_state", None)
    return math.prod(state.shape) if state is not None else parameter.numel()
