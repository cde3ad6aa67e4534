"""A tokenizer's chat template: conversation -> text -> token ids, exactly as transformers does it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from residency.core.errors import ResidencyError
from residency.core.records import Conversation

TURNS_FIX = "Order the turns as it wants them: mostly a system turn or none, then user and assistant in turn."


class Template:
    """The template, run in transformers' own sandbox, and the tokenizer it was written for.

    Raises:
        ResidencyError: the tokenizer has no chat template, or is not one of the `tokenizers` library.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not isinstance(tokenizer, PreTrainedTokenizerFast):
            what = f"The base's tokenizer is a {type(tokenizer).__name__}, which has no tokenizer.json."
            raise ResidencyError(what, "base.model", "Name a model that ships a tokenizer.json.")
        self.tokenizer = tokenizer
        try:
            self.source = tokenizer.get_chat_template()
        except ValueError:
            fix = "Name an instruct model: its tokenizer brings the chat template it was trained with."
            raise ResidencyError("The base's tokenizer has no chat template.", "base.model", fix) from None

    def text(self, conversation: Conversation, *, generation_prompt: bool = False) -> str:
        """The conversation as the template writes it.

        Raises:
            ResidencyError: no turns, or turns that the template refuses; it says why.
        """
        if not conversation:
            raise ResidencyError("The conversation has no turns.", "chat", "Give it a user turn at least.")
        messages = [{"role": turn.role, "content": turn.content} for turn in conversation]
        try:
            text = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=generation_prompt
            )
        except TemplateError as error:
            what = f"The chat template refuses the conversation: {str(error).rstrip('.')}."
            raise ResidencyError(what, "chat", TURNS_FIX) from None
        assert isinstance(text, str)
        return text

    def encode(self, texts: Iterable[str]) -> dict[str, list[int]]:
        """Token ids of each different text; nothing is added, for the template wrote the BOS itself."""
        different = list(dict.fromkeys(texts))
        if not different:
            return {}
        encoding = self.tokenizer(
            different, add_special_tokens=False, return_attention_mask=False, verbose=False
        )
        return dict(zip(different, encoding["input_ids"], strict=True))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the tokens, special ones too, without the tidying that some tokenizers do."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        return text
