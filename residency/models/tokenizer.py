"""Loading a tokenizer, for most bases without torch: the check of the data starts sooner without it."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from residency.core.errors import ResidencyError

_PLAIN = ("TokenizersBackend", "PreTrainedTokenizerFast")
"""Names of the class that takes tokenizer.json as it is."""


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`, as `AutoTokenizer` loads it.

    Raises:
        ResidencyError: there is none that loads.
    """
    try:
        return _load(folder)
    except (ValueError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        fix = "Put the tokenizer's files (tokenizer.json) beside the weights."
        raise ResidencyError(
            f"The base's tokenizer does not load: {reason}", f"base.model: {folder}", fix
        ) from error


def _load(folder: Path) -> PreTrainedTokenizerBase:
    if _is_plain(folder):
        plain: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(folder)
        return plain
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    return tokenizer


def _is_plain(folder: Path) -> bool:
    """Whether `AutoTokenizer` is sure to choose the plain class; to ask it imports torch, which takes 3 s.

    For some architectures it knows better than the tokenizer's own settings, but not for Llama.
    """
    settings, tokenizer = folder / "tokenizer_config.json", folder / "tokenizer.json"
    if not (settings.is_file() and tokenizer.is_file()):
        return False
    told, base = json.loads(settings.read_bytes()), json.loads((folder / "config.json").read_bytes())
    named = told.get("tokenizer_class") in _PLAIN and "auto_map" not in told
    return named and base.get("model_type") == "llama" and "model_name" not in base
