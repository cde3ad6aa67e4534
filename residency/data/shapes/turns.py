"""Lists of turns: OpenAI's `messages` and ShareGPT's `conversations`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from residency.core.records import Message, Role, ToolCall
from residency.data.shapes.shape import MEND, Draft, RowError, Shape, decoded, not_text, text_of
from residency.data.shapes.tools import TOOL_COLUMNS, read_call, read_calls, tools_of

ROLES = ("system", "user", "assistant", "tool")
SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
    "function_call": "function_call",
}
"""ShareGPT's names of speakers; the value of a `function_call` is a call, or several, as JSON."""


def read_turns(turns: Any, what: str = "'messages'") -> tuple[Message, ...]:
    """The turns of a list in either form; ids that calls do not have are given to them."""
    turns = decoded(turns)
    if not isinstance(turns, list) or not turns:
        fix = 'Write [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}].'
        raise RowError(f"{what} is not a list of turns", fix)
    return _with_ids([_turn(number, turn) for number, turn in enumerate(turns, 1)])


def _turn(number: int, turn: Any) -> Message:
    if isinstance(turn, Mapping):
        if "role" in turn:
            return _message(number, turn)
        if "from" in turn:
            return _spoken(number, turn)
    raise RowError(f"turn {number} is no object with role and content", MEND)


def _message(number: int, turn: Mapping[str, Any]) -> Message:
    role = "tool" if turn["role"] == "function" else turn["role"]
    if role not in ROLES:
        fix = "The roles are system, user, assistant and tool."
        raise RowError(f"turn {number} has the role {str(role)[:40]!r}", fix, "roles")
    calls: tuple[ToolCall, ...] = ()
    if role == "assistant" and (turn.get("tool_calls") or turn.get("function_call")):
        calls = read_calls(number, turn)
    content = turn.get("content")
    if content is None and role == "assistant" and ("tool_calls" in turn or "function_call" in turn):
        content = ""
    if not isinstance(content, str):
        raise not_text(content, f"the content of turn {number}")
    answers = turn.get("tool_call_id") if role == "tool" else None
    if answers is not None and not isinstance(answers, str):
        raise not_text(answers, f"tool_call_id of turn {number}")
    return Message(cast(Role, role), content, calls, answers or "", _weight(number, turn, role))


def _spoken(number: int, turn: Mapping[str, Any]) -> Message:
    speaker = SPEAKERS.get(str(turn["from"]).lower())
    if speaker is None:
        fix = f"The speakers are {', '.join(SPEAKERS)}."
        raise RowError(f"turn {number} is from {str(turn['from'])[:40]!r}", fix, "roles")
    if speaker == "function_call":
        written = decoded(turn.get("value"))
        calls = written if isinstance(written, list) else [written]
        asked = tuple(read_call(number, call) for call in calls)
        return Message("assistant", "", asked, weight=_weight(number, turn, "assistant"))
    text = text_of(turn.get("value"), f"the value of turn {number}")
    return Message(cast(Role, speaker), text, weight=_weight(number, turn, speaker))


def _weight(number: int, turn: Mapping[str, Any], role: str) -> Literal[0, 1]:
    """Whether an assistant's turn is learned; other turns never are, whatever their weight says."""
    weight = turn.get("weight")
    if weight not in (None, 0, 1):
        fix = "Write 1 for a turn to learn from and 0 for one to leave."
        raise RowError(f"turn {number} has the weight {str(weight)[:40]}", fix, "weights")
    return 0 if weight == 0 and role == "assistant" else 1


def _with_ids(turns: list[Message]) -> tuple[Message, ...]:
    """Calls without an id get one, and results without one answer the calls that wait, in their order."""
    if not any(turn.tool_calls or turn.role == "tool" for turn in turns):
        return tuple(turns)
    given, waiting = 0, list[str]()
    told = []
    for turn in turns:
        if turn.tool_calls:
            calls = []
            for call in turn.tool_calls:
                given += 1
                # Nine letters and digits, since some templates accept no other ids.
                calls.append(call if call.id else replace(call, id=f"call{given:05}"))
            waiting += [call.id for call in calls]
            turn = replace(turn, tool_calls=tuple(calls))
        elif turn.role == "tool" and not turn.tool_call_id and waiting:
            turn = replace(turn, tool_call_id=waiting[0])
        if turn.tool_call_id in waiting:
            waiting.remove(turn.tool_call_id)
        told.append(turn)
    return tuple(told)


def _read_messages(content: Mapping[str, Any]) -> Draft:
    return Draft(read_turns(content["messages"]), tools_of(content))


def _read_conversations(content: Mapping[str, Any]) -> Draft:
    messages = read_turns(content["conversations"], "'conversations'")
    system = content.get("system")
    if system and messages[0].role != "system":
        messages = (Message("system", text_of(system, "'system'")), *messages)
    return Draft(messages, tools_of(content))


def given(turns: Sequence[Message]) -> tuple[Message, ...]:
    """Turns of a prompt: what the assistant says in them is given, and not learned."""
    return tuple(replace(t, weight=0) if t.role == "assistant" and t.weight else t for t in turns)


MESSAGES = Shape("messages", ("messages",), TOOL_COLUMNS, _read_messages)
CONVERSATIONS = Shape("conversations", ("conversations",), ("system", *TOOL_COLUMNS), _read_conversations)
