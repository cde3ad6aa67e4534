"""Frozen records that travel down the pipeline, each with an id that is a hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple, overload

Role = Literal["system", "user", "assistant", "tool", "text"]
"""Who speaks; `text` is the one turn of a row of plain text, in which nobody speaks to anybody."""


def canonical(content: Any) -> str:
    """`content` as JSON without spaces, keys sorted: equal content gives equal text."""
    return _CANONICAL.encode(content)


_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def fingerprint(content: Any, length: int = 16) -> str:
    """Hex SHA-256 of `content` as canonical JSON, cut to `length` characters."""
    return hashlib.sha256(_bytes(canonical(content))).hexdigest()[:length]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the assistant asks for; `arguments` are the decoded object, its keys in their order."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        return {"name": self.name, "arguments": self.arguments, "id": self.id}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    `weight` 0 keeps an assistant's turn from being learned; `tool_call_id` says which call a tool answers.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    weight: Literal[0, 1] = 1

    @property
    def text(self) -> str:
        """What the turn says: its content and, on a line of its own, its tool calls as canonical JSON.

        One call is an object with `name` and `arguments`, several are a list; ids are left out.
        """
        return join_calls(self.content, self.tool_calls) if self.tool_calls else self.content

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        written: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            written["tool_calls"] = [call.to_json() for call in self.tool_calls]
        if self.tool_call_id:
            written["tool_call_id"] = self.tool_call_id
        if not self.weight:
            written["weight"] = 0
        return written

    @staticmethod
    def from_json(turn: Mapping[str, Any]) -> Message:
        """The turn that `to_json` wrote."""
        calls = tuple(ToolCall(**call) for call in turn.get("tool_calls", ()))
        answers, weight = turn.get("tool_call_id", ""), turn.get("weight", 1)
        return Message(turn["role"], turn["content"], calls, answers, weight)


def join_calls(content: str, calls: Sequence[ToolCall]) -> str:
    """The text of a turn with tool calls, as `Message.text` describes it."""
    told = [{"name": call.name, "arguments": call.arguments} for call in calls]
    written = canonical(told[0] if len(told) == 1 else told)
    return f"{content}\n{written}" if content.strip() else written


Tools = tuple[Mapping[str, Any], ...]
"""Tools that the assistant may call, each as `{"type": "function", "function": {"name": ...}}`."""


def share_tools(tools: Sequence[Mapping[str, Any]]) -> Tools:
    """`tools`, as one object for all rows that have the same: a list of tools is larger than its row."""
    return _decode_tools(json.dumps(tools, ensure_ascii=False)) if tools else ()


@lru_cache(maxsize=1024)
def _decode_tools(text: str) -> Tools:
    return tuple(json.loads(text))


@dataclass(frozen=True, slots=True)
class Conversation(Sequence[Message]):
    """Turns in order, at most one system turn and only as the first; and the tools that may be called.

    A slice has the same tools.
    """

    turns: tuple[Message, ...]
    tools: Tools = ()

    def __len__(self) -> int:
        return len(self.turns)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.turns)

    @overload
    def __getitem__(self, place: int) -> Message: ...
    @overload
    def __getitem__(self, place: slice) -> Conversation: ...
    def __getitem__(self, place: int | slice) -> Message | Conversation:
        if isinstance(place, slice):
            return Conversation(self.turns[place], self.tools)
        return self.turns[place]

    @property
    def is_text(self) -> bool:
        """Whether it is a row of plain text, which no chat template writes."""
        return len(self.turns) == 1 and self.turns[0].role == "text"

    @property
    def calls_tools(self) -> bool:
        """Whether there are tools, or calls of them."""
        return bool(self.tools) or any(turn.tool_calls or turn.role == "tool" for turn in self.turns)


def with_system(conversation: Conversation, system: str) -> Conversation:
    """The conversation under the system prompt `system`; one that has a system turn keeps its own.

    So does plain text.
    """
    if not system or conversation.is_text or (conversation.turns and conversation[0].role == "system"):
        return conversation
    return Conversation((Message("system", system), *conversation.turns), conversation.tools)


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

    def __reduce__(self) -> tuple[type[Source], tuple[str, int]]:
        return Source, (self.file, self.row)  # rows go to other processes: what slots come with is slow


@dataclass(frozen=True, slots=True)
class Example:
    """An input with the answer wanted.

    `messages` ends with the assistant's turn that is scored; earlier assistant turns, where there
    are any, are trained on as well unless their weight is 0. Plain text is one turn, the answer, with
    no prompt.
    """

    messages: tuple[Message, ...]
    source: Source
    tools: Tools = ()
    group: str = ""
    """Rows of one group (a customer) stay on one side of the split; no part of `id`."""
    cluster: str = ""
    """Of a test row: what makes it no independent evidence: group, wording, near twins. No part of `id`."""
    _digest: bytes = field(init=False, repr=False, compare=False)
    """8 bytes for the prompt, 8 for all: a string each would be half as large again as a short row."""

    def __post_init__(self) -> None:
        """Hash the prompt, then go on to the whole, in one pass over the text."""
        *prompt, answer = self.messages
        told = "".join(map(_told, prompt))
        digest = hashlib.sha256(_bytes(canonical(self.tools) + told if self.tools else told))
        asked = digest.digest()[:8]
        told = _told(answer)
        if beside := self._beside():
            told += canonical(beside)
        weights = [turn.weight for turn in self.messages]
        if 0 in weights:
            told += canonical(weights)
        digest.update(_bytes(told))
        whole = digest.digest()[:8]
        object.__setattr__(self, "_digest", (asked if len(self.messages) > 1 else whole) + whole)

    @property
    def conversation(self) -> Conversation:
        """The turns with their tools."""
        return Conversation(self.messages, self.tools)

    @property
    def prompt(self) -> Conversation:
        """All turns before the answer; none for plain text."""
        return Conversation(self.messages[:-1], self.tools)

    @property
    def answer(self) -> str:
        """The text of the last turn; tool calls are told as `Message.text` does."""
        return self.messages[-1].text

    @property
    def is_text(self) -> bool:
        """Whether it is plain text, which can be learned but not asked."""
        return self.messages[0].role == "text"

    @property
    def is_learned(self) -> bool:
        """Whether its answer is one to learn from."""
        return True

    @property
    def id(self) -> str:
        """Hash of the content: two rows that say the same have the same id."""
        return self._digest[8:].hex()

    @property
    def input_id(self) -> str:
        """Hash of the prompt alone: rows that ask the same have the same. That of plain text is its id."""
        return self._digest[:8].hex()

    def _beside(self) -> dict[str, Any]:
        """What the row says beside its turns, as JSON."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        row: dict[str, Any] = {
            "id": self.id,
            "file": self.source.file,
            "row": self.source.row,
            "messages": [turn.to_json() for turn in self.messages],
        }
        if self.tools:
            row["tools"] = self.tools
        for name, value in (("group", self.group), ("cluster", self.cluster)):
            if value:
                row[name] = value
        return {**row, **self._beside()}

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Example:
        """The example, preference or rated answer that `to_json` wrote."""
        messages = tuple(map(Message.from_json, row["messages"]))
        source, tools = Source(row["file"], row["row"]), share_tools(row.get("tools", ()))
        told = (messages, source, tools, row.get("group", ""), row.get("cluster", ""))
        if "rejected" in row:
            return Preference(*told, rejected=Message.from_json(row["rejected"]))
        if "good" in row:
            return Rated(*told, good=row["good"])
        return Example(*told)


@dataclass(frozen=True, slots=True)
class Preference(Example):
    """An example whose answer was preferred to another one, `rejected`."""

    rejected: Message = field(kw_only=True)

    def _beside(self) -> dict[str, Any]:
        return {"rejected": self.rejected.to_json()}


@dataclass(frozen=True, slots=True)
class Rated(Example):
    """An example whose answer is good, or bad."""

    good: bool = field(kw_only=True)

    @property
    def is_learned(self) -> bool:
        """Whether the answer was rated good."""
        return self.good

    def _beside(self) -> dict[str, Any]:
        return {"good": self.good}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _told(turn: Message) -> str:
    """The turn as text that no other turn gives, also in a row with others."""
    text = f"{turn.role} {len(turn.content)} {turn.content}"
    if turn.tool_calls or turn.tool_call_id:
        text += canonical([[call.to_json() for call in turn.tool_calls], turn.tool_call_id])
    return text


@dataclass(frozen=True, slots=True)
class Completion:
    """What a candidate answered, and what the call cost.

    `prompt_tokens` counts the whole prompt, shared prefix included, as a caller would be billed;
    `seconds` is the batch's time divided by its rows, or that of the call over the network. `retrieved`
    names what was looked up for this row and stood in its prompt, the nearest first; `left_out` is how much
    of it found no room there. An answer that is `cached` was paid for before.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    finish: Literal["stop", "length"]
    retrieved: tuple[str, ...] = ()
    left_out: int = 0
    cached: bool = False


class Likelihood(NamedTuple):
    """How likely a text is as an answer: the sum of its tokens' log-probabilities, and their number."""

    logprob: float
    tokens: int
