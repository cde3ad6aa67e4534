"""A tokenizer's chat template: conversation -> text -> token ids, exactly as transformers does it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from jinja2 import TemplateError
from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from residency.core.errors import ResidencyError
from residency.core.records import Conversation, ToolCall

SURROGATE = re.compile("[\ud800-\udfff]")
"""Halves of a pair, which are no characters and which no tokenizer takes."""
TURNS_FIX = "Order the turns as it wants them: mostly a system turn or none, then user and assistant in turn."

CALLS_FIX = "Write the tools and their calls as it wants them, or name a base made for tools like these."

TODAY = datetime(2024, 7, 26)
"""The date that templates write as today's: else a model is served another prompt than it learned.

It is the day that templates of Llama 3 write where they are given no clock.
"""
_CLOCK = "strftime_now"
"""What a template calls with a format to have today's date."""


class Template:
    """The template, run in transformers' own sandbox, and the tokenizer it was written for.

    `arguments_as_text` is whether it wants a tool call's arguments as JSON text and not as an object,
    `is_dated` whether it would write today's date; it writes `TODAY` instead.

    Raises:
        ResidencyError: the tokenizer has no chat template, or is not one of the `tokenizers` library.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, arguments_as_text: bool = False) -> None:
        if not isinstance(tokenizer, PreTrainedTokenizerFast):
            what = f"The base's tokenizer is a {type(tokenizer).__name__}, which has no tokenizer.json."
            raise ResidencyError(what, "base.model", "Name a model that ships a tokenizer.json.")
        self.tokenizer = tokenizer
        self.arguments_as_text = arguments_as_text
        try:
            sources = tokenizer.get_chat_template(), tokenizer.get_chat_template(tools=[])
        except ValueError:
            fix = "Name an instruct model: its tokenizer brings the chat template it was trained with."
            raise ResidencyError("The base's tokenizer has no chat template.", "base.model", fix) from None
        self.source, self.tool_source = map(_with_clock_stopped, sources)
        self.is_dated = (self.source, self.tool_source) != sources

    def text(self, conversation: Conversation, *, generation_prompt: bool = False) -> str:
        """The conversation as the template writes it.

        Raises:
            ResidencyError: no turns, or turns that the template refuses; it says why.
        """
        if not conversation:
            raise ResidencyError("The conversation has no turns.", "chat", "Give it a user turn at least.")
        try:
            text = self.tokenizer.apply_chat_template(
                self._messages(conversation),
                chat_template=self.tool_source if conversation.tools else self.source,
                tools=list(conversation.tools) or None,  # type: ignore[arg-type]
                tokenize=False,
                add_generation_prompt=generation_prompt,
            )
        except (TemplateError, TypeError) as error:  # a template that adds text to an object, or to nothing
            what = f"The chat template refuses the conversation: {str(error).rstrip('.')}."
            fix = CALLS_FIX if conversation.calls_tools else TURNS_FIX
            raise ResidencyError(what, "chat", fix) from None
        assert isinstance(text, str)
        return text

    def _messages(self, conversation: Conversation) -> list[dict[str, Any]]:
        """The turns as templates read them; a tool's answer is given the name of the tool that was called."""
        names: dict[str, str] = {}
        messages = []
        for turn in conversation:
            message: dict[str, Any] = {"role": turn.role, "content": turn.content}
            if turn.tool_calls:
                names |= {call.id: call.name for call in turn.tool_calls}
                message["tool_calls"] = [self._call(call) for call in turn.tool_calls]
            if turn.role == "tool":
                message |= {"tool_call_id": turn.tool_call_id, "name": names.get(turn.tool_call_id)}
            messages.append(message)
        return messages

    def _call(self, call: ToolCall) -> dict[str, Any]:
        as_text = self.arguments_as_text
        arguments = json.dumps(call.arguments, ensure_ascii=False) if as_text else call.arguments
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}

    def encode(self, texts: Iterable[str]) -> dict[str, list[int]]:
        """Token ids of each different text; nothing is added, for the template wrote the BOS itself."""
        different = list(dict.fromkeys(texts))
        if not different:
            return {}
        encoding = self.tokenizer(
            different, add_special_tokens=False, return_attention_mask=False, verbose=False
        )
        return dict(zip(different, encoding["input_ids"], strict=True))

    def encode_fast(self, texts: Sequence[str]) -> list[Encoding]:
        """Token ids of each text, those that `encode` gives, without making lists of them."""
        backend = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        encodings: list[Encoding] = backend.encode_batch_fast(texts, add_special_tokens=False)
        return encodings

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the tokens, special ones too, without the tidying that some tokenizers do."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        return text


def _with_clock_stopped(source: str) -> str:
    """The template behind a macro of the clock's name, since transformers makes text of a clock given to it.

    The macro stands on a line of its own, whose end the template's environment takes off.
    """
    if _CLOCK not in source:
        return source
    return (
        f"{{% macro {_CLOCK}(format) %}}{{% set clock = namespace(text=format) %}}"
        f"{{% for sign, written in {json.dumps(_dates())}.items() %}}"
        "{% set clock.text = clock.text.replace(sign, written) %}{% endfor %}{{ clock.text }}{% endmacro %}\n"
    ) + source


def _dates() -> dict[str, str]:
    """What each directive of a format writes on that day; `-` takes off zeros ahead."""
    written = {sign: TODAY.strftime(f"%{sign}") for sign in "aAbBcdHIjmMpSUwWxXyY"}
    bare = {f"%-{sign}": written[sign].lstrip("0") or "0" for sign in "dHIjmMSUWy"}
    return bare | {f"%{sign}": day for sign, day in written.items()} | {"%%": "%"}
