"""What a template does with tools, found by showing it some: whether they are told, how a call is written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from residency.chat.template import CALLS_FIX, Template
from residency.core.errors import ResidencyError
from residency.core.records import Conversation, Message, ToolCall, join_calls

_NAME, _KEY, _VALUE = "residency_probe_tool", "residency_probe_key", "residency-probe-value"
_RESULT, _CONTENT = "residency-probe-result", "residency-probe-content"
_ARGUMENTS = {_KEY: _VALUE}
_TEXT_FIELD = {"type": "string", "description": "A text."}
_TOOL = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": "A probe.",
        "parameters": {"type": "object", "properties": {_KEY: _TEXT_FIELD}, "required": [_KEY]},
    },
}
_QUESTION = Message("user", "residency-probe-question")
_CALL = Message("assistant", "", (ToolCall(_NAME, _ARGUMENTS, "call00001"),))
_BESIDE = Message("assistant", _CONTENT, _CALL.tool_calls)
_ANSWERED = (Message("tool", _RESULT, tool_call_id="call00001"), Message("assistant", "residency-probe"))
_NO_TOOLS_FIX = "Name a base whose chat template knows tools, or leave these rows out."


@dataclass(frozen=True)
class Written:
    """A call as the template writes it: a JSON object with these two keys, between `begin` and `end`."""

    begin: str
    end: str
    name_key: str
    arguments_key: str

    def read(self, text: str) -> str | None:
        """`text` as `Message.text` tells an answer with calls; None where it holds none, or a broken one."""
        start = text.find(self.begin) if self.begin else len(text) - len(text.lstrip())
        if start < 0:
            return None
        calls, place = [], start
        while (place := self._skip(text, place)) < len(text):
            try:
                written, place = json.JSONDecoder().raw_decode(text, place)
            except (json.JSONDecodeError, RecursionError):
                return None
            call = self._call(written)
            if call is None:
                return None
            calls.append(call)
        return join_calls(text[:start].strip(), calls) if calls else None

    def _skip(self, text: str, place: int) -> int:
        """Past white space, commas and what stands around calls."""
        around = [mark for mark in (self.begin, self.end) if mark]
        while place < len(text):
            mark = next((mark for mark in around if text.startswith(mark, place)), None)
            if mark is None and not text[place].isspace() and text[place] != ",":
                break
            place += len(mark or " ")
        return place

    def _call(self, written: Any) -> ToolCall | None:
        if not isinstance(written, dict):
            return None
        name, arguments = written.get(self.name_key), written.get(self.arguments_key)
        if not isinstance(name, str) or not isinstance(arguments, dict):
            return None
        return ToolCall(name, arguments)


@dataclass(frozen=True)
class ToolFormat:
    """What the base's template does with tools.

    Attributes:
        template: Writes conversations with tools; a call's arguments are given to it as it wants them.
        shows_tools: Whether it tells the model which tools there are.
        shows_calls: Whether it writes calls and their results.
        shows_content: Whether it writes what an assistant says beside a call.
        written: How a call is read back; None where it is no JSON object, or ends with another token.
    """

    template: Template
    shows_tools: bool
    shows_calls: bool
    shows_content: bool
    written: Written | None

    def require(self, conversation: Conversation) -> None:
        """Refuse a conversation of which the template would leave something out.

        Raises:
            ResidencyError: says what is left out.
        """
        what = None
        if conversation.tools and not self.shows_tools:
            what = "The base's chat template does not show tools: the model would never learn of them."
        elif not self.shows_calls and any(turn.tool_calls or turn.role == "tool" for turn in conversation):
            what = "The base's chat template does not write tool calls and their results."
        if what is not None:
            raise ResidencyError(what, "chat", _NO_TOOLS_FIX)
        if not self.shows_content and any(turn.tool_calls and turn.content.strip() for turn in conversation):
            what = "The base's chat template leaves out what the assistant says beside a tool call."
            raise ResidencyError(what, "chat", f"Empty the content of turns with tool calls. {CALLS_FIX}")


def probe_tools(tokenizer: PreTrainedTokenizerBase, stop_ids: frozenset[int], lead: str) -> ToolFormat:
    """Find out what the template does with tools, and in which form it wants a call's arguments.

    `lead` is what it writes between a prompt and the answer.
    """
    templates = [Template(tokenizer, arguments_as_text=as_text) for as_text in (False, True)]
    template = next((t for t in templates if _writes_calls(t)), None)
    if template is None:
        shows = _NAME in _text(templates[0], _QUESTION)
        return ToolFormat(templates[0], shows, False, False, None)
    return ToolFormat(
        template,
        shows_tools=_NAME in _text(template, _QUESTION),
        shows_calls=True,
        shows_content=_CONTENT in _text(template, _QUESTION, _BESIDE, *_ANSWERED),
        written=_written(template, stop_ids, lead),
    )


def _writes_calls(template: Template) -> bool:
    """Whether a call's arguments are there as they are: no escaped quotes, and no Python in place of JSON."""
    text = _text(template, _QUESTION, _CALL, *_ANSWERED)
    garbled = (f"'{_KEY}'", f'\\"{_KEY}')
    called = text.count(_NAME) > _text(template, _QUESTION).count(_NAME)
    return called and _VALUE in text and _RESULT in text and not any(sign in text for sign in garbled)


def _text(template: Template, *turns: Message) -> str:
    """What the template writes; nothing where it refuses."""
    try:
        return template.text(Conversation(turns, (_TOOL,)))
    except ResidencyError:
        return ""


def _written(template: Template, stop_ids: frozenset[int], lead: str) -> Written | None:
    """Find the JSON object that is the call, and what stands around it up to the stop token."""
    prompt = template.text(Conversation((_QUESTION,), (_TOOL,)), generation_prompt=True)
    whole = _text(template, _QUESTION, _CALL)
    if not whole.startswith(prompt):
        return None
    ids = template.encode([whole.removeprefix(prompt)])[whole.removeprefix(prompt)]
    end = next((place for place, token in enumerate(ids) if token in stop_ids), None)
    if end is None:
        return None
    text = template.decode(ids[:end]).removeprefix(lead)
    for place in (place for place, sign in enumerate(text) if sign == "{"):
        try:
            found, stop = json.JSONDecoder().raw_decode(text, place)
        except json.JSONDecodeError:
            continue
        keys = [next((k for k in found if found[k] == value), None) for value in (_NAME, _ARGUMENTS)]
        name_key, arguments_key = keys
        if name_key is not None and arguments_key is not None:
            return Written(text[:place].strip(), text[stop:].strip(), name_key, arguments_key)
    return None
