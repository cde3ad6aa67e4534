"""Loading a tokenizer, which needs no torch: the check of the data starts sooner without it."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from residency.core.errors import ResidencyError


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`.

    Raises:
        ResidencyError: there is none that loads.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (ValueError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        fix = "Put the tokenizer's files (tokenizer.json) beside the weights."
        raise ResidencyError(
            f"The base's tokenizer does not load: {reason}", f"base.model: {folder}", fix
        ) from error
    return tokenizer
