"""Whether turns make a row that can be used, whatever columns they came from."""

from __future__ import annotations

import json
from collections.abc import Sequence

from residency.core.records import Message
from residency.data.reading.row import damage
from residency.data.shapes.shape import MEND, Draft, RowError


def validate(draft: Draft, parallel: bool) -> None:
    """Refuse a draft that cannot be used; `parallel` is whether a turn may hold several tool calls.

    Raises:
        RowError: says why, and what to do about it.
    """
    if draft.messages[0].role == "text":
        _require_text(draft.messages)
        return
    _require_order(draft.messages)
    _require_text(draft.messages)
    if draft.tools or any(turn.tool_calls or turn.role == "tool" for turn in draft.messages):
        _require_calls(draft, parallel)
    if draft.rejected is not None:
        _require_pair(draft, draft.rejected, parallel)


def _require_order(messages: Sequence[Message]) -> None:
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


def _require_text(messages: Sequence[Message]) -> None:
    for number, message in enumerate(messages, 1):
        if problem := damage(message.content):
            raise RowError(f"turn {number} has {problem}", MEND, "damaged-text")
        if message.tool_calls:
            calls = json.dumps([call.to_json() for call in message.tool_calls], ensure_ascii=False)
            if problem := damage(calls):
                raise RowError(f"the tool calls of turn {number} have {problem}", MEND, "damaged-text")
        elif message.role not in ("system", "tool") and not message.content.strip():
            _refuse_empty(messages, number)


def _refuse_empty(messages: Sequence[Message], number: int) -> None:
    place = "" if len(messages) <= 2 else f" (turn {number})"
    if messages[number - 1].role == "assistant":
        raise RowError(f"empty answer{place}", "Write the answer wanted, or remove the row.", "empty-answer")
    if messages[number - 1].role == "text":
        raise RowError("empty text", "Remove the row.", "empty-input")
    raise RowError(f"empty input{place}", "Write the input, or remove the row.", "empty-input")


def _require_calls(draft: Draft, parallel: bool) -> None:
    """Every call names a tool of the row, and every result answers a call before it, once."""
    known = {tool["function"]["name"] for tool in draft.tools}
    waiting: set[str] = set()
    for number, turn in enumerate(draft.messages, 1):
        if len(turn.tool_calls) > 1 and not parallel:
            fix = "Leave one call a turn, or write parallel_tool_calls as true."
            raise RowError(f"turn {number} has several calls, and parallel_tool_calls is false", fix, "tools")
        for call in turn.tool_calls:
            if call.name not in known:
                reason = f"turn {number} calls '{call.name}', which is not in the row's tools"
                raise RowError(reason, "Add it to tools, or remove the row.", "unknown-tool")
        waiting |= {call.id for call in turn.tool_calls}
        if turn.role == "tool":
            if turn.tool_call_id not in waiting:
                fix = "Put it after the call that it answers, with that call's id as its tool_call_id."
                raise RowError(f"turn {number} is a tool's, and answers no call", fix, "tool-without-call")
            waiting.remove(turn.tool_call_id)


def _require_pair(draft: Draft, rejected: Message, parallel: bool) -> None:
    if draft.messages[-1].text == rejected.text:
        fix = "Correct one of the answers, or remove the row."
        raise RowError("the chosen answer is the rejected one", fix, "preference")
    try:
        validate(Draft((*draft.messages[:-1], rejected), draft.tools), parallel)
    except RowError as error:
        raise RowError(f"in the rejected answer: {error.reason}", error.fix, error.check) from None
