"""Frozen records that travel down the pipeline, each with an id that is a hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

Role = Literal["system", "user", "assistant"]


def fingerprint(content: Any, length: int = 16) -> str:
    """Hex SHA-256 of `content` as canonical JSON, cut to `length` characters."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


Conversation = tuple[Message, ...]
"""Turns in order; at most one system turn, and only as the first."""


def with_system(conversation: Conversation, system: str) -> Conversation:
    """The conversation under the system prompt `system`; one that has a system turn keeps its own."""
    if not system or (conversation and conversation[0].role == "system"):
        return conversation
    return (Message("system", system), *conversation)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a row stands: its file's name and its number, counted from 1 as an editor counts lines.

    For JSONL and CSV the number is that of the line on which the row begins; for a JSON list and
    for Parquet it is the row's place in the file.
    """

    file: str
    row: int

    def __str__(self) -> str:
        return f"{self.file}:{self.row}"


@dataclass(frozen=True)
class Example:
    """An input with the answer wanted.

    `messages` ends with the assistant's turn that is scored; earlier assistant turns, where there
    are any, are trained on as well.
    """

    messages: Conversation
    source: Source
    group: str = ""
    """Rows of one group (a customer) stay on one side of the split; no part of `id`."""

    @property
    def prompt(self) -> Conversation:
        """All turns before the answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """The text of the last turn."""
        return self.messages[-1].content

    @cached_property
    def id(self) -> str:
        """Hash of the content: two rows that say the same have the same id."""
        return fingerprint([[m.role, m.content] for m in self.messages])

    @cached_property
    def input_id(self) -> str:
        """Hash of the prompt alone: rows that ask the same have the same input id."""
        return fingerprint([[m.role, m.content] for m in self.prompt])

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        return {
            "id": self.id,
            "file": self.source.file,
            "row": self.source.row,
            "messages": [{"role": m.role, "content": m.content} for m in self.messages],
            **({"group": self.group} if self.group else {}),
        }

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Example:
        """The example that `to_json` wrote."""
        messages = tuple(Message(m["role"], m["content"]) for m in row["messages"])
        return Example(messages, Source(row["file"], row["row"]), row.get("group", ""))


@dataclass(frozen=True, slots=True)
class Completion:
    """What a candidate answered, and what the call cost.

    `prompt_tokens` counts the whole prompt, shared prefix included, as a caller would be billed;
    `seconds` is the batch's time divided by its rows.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    finish: Literal["stop", "length"]


class Likelihood(NamedTuple):
    """How likely a text is as an answer: the sum of its tokens' log-probabilities, and their number."""

    logprob: float
    tokens: int
