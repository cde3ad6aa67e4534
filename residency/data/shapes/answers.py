"""An input and an answer in columns of their own; and plain text, which has no input."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from residency.core.records import Message, Role
from residency.data.labels import LONGEST
from residency.data.shapes.shape import Draft, Shape, text_of
from residency.data.shapes.tools import TOOL_COLUMNS, tools_of
from residency.data.shapes.turns import given, read_turns

BESIDE_TEXT = frozenset(("id", "meta", "metadata", "source", "timestamp", "url"))
"""Columns with which `text` is still plain text; another one may be the answer, as in `text,category`."""


@cache
def pair(input: str, output: str) -> Shape:
    """Two columns of text, the input and the answer."""

    def read(content: Mapping[str, Any]) -> Draft:
        question, answer = (text_of(content[name], f"'{name}'") for name in (input, output))
        return Draft((Message("user", question), answer_of(answer)))

    return Shape("input and answer", (input, output), (), read)


def answer_of(text: str) -> Message:
    """The assistant's turn; short ones, as labels are, are one object for all rows that say the same."""
    return _short(text) if len(text) < LONGEST else Message("assistant", text)


@lru_cache(maxsize=1024)
def _short(text: str) -> Message:
    return Message("assistant", text)


def half(content: Mapping[str, Any], name: str, role: Role) -> tuple[Message, ...]:
    """A column that holds turns, or the text of one turn of that role."""
    value = content[name]
    if isinstance(value, list):
        return read_turns(value, f"'{name}'")
    return (Message(role, text_of(value, f"'{name}'")),)


def read_completion(content: Mapping[str, Any]) -> Draft:
    """`prompt` and `completion`, each as text or as turns; what the prompt holds is not learned."""
    prompt, completion = half(content, "prompt", "user"), half(content, "completion", "assistant")
    return Draft((*given(prompt), *completion), tools_of(content))


def _read_instruction(content: Mapping[str, Any]) -> Draft:
    question = text_of(content["instruction"], "'instruction'")
    if content.get("input") is not None and (more := text_of(content["input"], "'input'")).strip():
        question = f"{question}\n\n{more}"
    return Draft((Message("user", question), answer_of(text_of(content["output"], "'output'"))))


def _read_text(content: Mapping[str, Any]) -> Draft:
    return Draft((Message("text", text_of(content["text"], "'text'")),))


def _is_plain(content: Mapping[str, Any]) -> bool:
    return all(name in BESIDE_TEXT or content[name] is None for name in content if name != "text")


INSTRUCTION = Shape("instruction and output", ("instruction", "output"), ("input",), _read_instruction)
COMPLETION = Shape("prompt and completion", ("prompt", "completion"), TOOL_COLUMNS, read_completion)
PAIRS = (pair("input", "output"), COMPLETION, pair("question", "answer"))
TEXT = Shape("plain text", ("text",), (), _read_text, _is_plain)
