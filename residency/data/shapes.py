"""From a row's columns to an example: which shape it has, and whether it can be trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from residency.core.records import Conversation, Example, Message, Role
from residency.data.rows import Row, damage

ROLES = ("system", "user", "assistant")
_MEND = "Mend the row or remove it."


class RowError(Exception):
    """Why a row cannot be used. `check` is the id under which such rows are told together."""

    def __init__(self, reason: str, fix: str, check: str = "malformed") -> None:
        super().__init__(reason, fix, check)
        self.reason, self.fix, self.check = reason, fix, check


@dataclass(frozen=True)
class Shape:
    """Columns that make an example: those needed, and one that may be there."""

    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()


MESSAGES = Shape(("messages",))
INSTRUCTION = Shape(("instruction", "output"), ("input",))
PAIRS = (Shape(("input", "output")), Shape(("prompt", "completion")), Shape(("question", "answer")))
SHAPES = (MESSAGES, INSTRUCTION, *PAIRS)


def to_example(row: Row, input: str | None, output: str | None) -> Example:
    """The example in `row`; `input` and `output` name its columns where it has names of its own.

    Raises:
        RowError: the row cannot be used, with the reason and what to do about it.
    """
    if row.content is None:
        raise RowError(row.problem or "unreadable", _MEND, row.check)
    shape = shape_of(row.content, input, output)
    if shape is MESSAGES:
        messages = _from_messages(row.content)
    elif shape is INSTRUCTION:
        messages = _from_instruction(row.content)
    else:
        question, answer = (_text(row.content[name], f"'{name}'") for name in shape.needed)
        messages = (Message("user", question), Message("assistant", answer))
    _validate(messages)
    return Example(messages, row.source)


def shape_of(content: Mapping[str, Any], input: str | None, output: str | None) -> Shape:
    """The shape the recipe names, else the first one whose columns are all there and filled.

    Raises:
        RowError: no shape fits.
    """
    columns = _listing(content)
    if input or output:
        mapped = Shape((input or "input", output or "output"))
        if missing := [name for name in mapped.needed if name not in content]:
            reason = f"no column {' or '.join(repr(name) for name in missing)}; the columns are: {columns}"
            fix = "Name the right ones: --set data.input=... --set data.output=..."
            raise RowError(reason, fix, "columns")
        return mapped
    there = [shape for shape in SHAPES if all(name in content for name in shape.needed)]
    filled = [shape for shape in there if all(content[name] is not None for name in shape.needed)]
    if not there:
        reason = f"no known shape; the columns are: {columns}"
        fix = "Say which columns hold the input and the answer: --set data.input=... --set data.output=..."
        raise RowError(reason, fix, "columns")
    return (filled or there)[0]


def _listing(columns: Mapping[str, Any]) -> str:
    shown = [name if name.isprintable() else repr(name) for name in list(columns)[:20]]
    return ", ".join(shown) + (" ..." if len(columns) > 20 else "") or "none"


def _from_messages(content: Mapping[str, Any]) -> Conversation:
    turns = content["messages"]
    if not isinstance(turns, list) or not turns:
        fix = 'Write [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}].'
        raise RowError("'messages' is not a list of turns", fix)
    if content.get("tools") or content.get("functions"):
        raise _no_tools()
    return tuple(_message(number, turn) for number, turn in enumerate(turns, 1))


def _message(number: int, turn: Any) -> Message:
    if not isinstance(turn, Mapping) or "role" not in turn:
        raise RowError(f"turn {number} is no object with role and content", _MEND)
    role = turn["role"]
    if role in ("tool", "function") or any(turn.get(key) for key in ("tool_calls", "function_call")):
        raise _no_tools()
    if turn.get("weight") not in (None, 1):
        raise RowError("message weights are not supported yet", "Leave these rows out.", "weights")
    if role not in ROLES:
        fix = "The roles are system, user and assistant."
        raise RowError(f"turn {number} has the role {str(role)[:40]!r}", fix, "roles")
    text = turn.get("content")
    if not isinstance(text, str):
        raise _not_text(text, f"the content of turn {number}")
    return Message(cast(Role, role), text)


def _from_instruction(content: Mapping[str, Any]) -> Conversation:
    question = _text(content["instruction"], "'instruction'")
    if content.get("input") is not None and (more := _text(content["input"], "'input'")).strip():
        question = f"{question}\n\n{more}"
    return Message("user", question), Message("assistant", _text(content["output"], "'output'"))


def _text(value: Any, what: str) -> str:
    """Text as it is; numbers and truth values as JSON writes them."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    missing = isinstance(value, float) and math.isnan(value)  # as pandas writes it
    raise _not_text(None if missing else value, what)


def _validate(messages: Conversation) -> None:
    roles = [message.role for message in messages]
    if "assistant" not in roles:
        raise RowError("no assistant turn", "Add the answer as a last turn with the role assistant.", "roles")
    if roles[-1] != "assistant":
        fix = "End the row with the assistant's answer."
        raise RowError(f"the last turn is the {roles[-1]}'s", fix, "roles")
    if "user" not in roles:
        raise RowError("no user turn", "Add the input as a turn with the role user.", "roles")
    if "system" in roles[1:]:
        raise RowError("a system turn that is not the first", "Move it to the front or remove it.", "roles")
    for number, message in enumerate(messages, 1):
        if problem := damage(message.content):
            raise RowError(f"turn {number} has {problem}", _MEND, "damaged-text")
        if message.role != "system" and not message.content.strip():
            _refuse_empty(messages, number)


def _refuse_empty(messages: Sequence[Message], number: int) -> None:
    place = "" if len(messages) == 2 else f" (turn {number})"
    if messages[number - 1].role == "assistant":
        raise RowError(f"empty answer{place}", "Write the answer wanted, or remove the row.", "empty-answer")
    raise RowError(f"empty input{place}", "Write the input, or remove the row.", "empty-input")


def _not_text(value: Any, what: str) -> RowError:
    kind = "null" if value is None else f"a {type(value).__name__}, not text"
    return RowError(f"{what} is {kind}", "Give it as text, or remove the row.", "not-text")


def _no_tools() -> RowError:
    return RowError("tool calls are not supported yet", "Leave these rows out.", "tools")
