"""Tools and their calls, in OpenAI's form and its older one (`functions`, `function_call`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from residency.core.records import ToolCall, Tools, share_tools
from residency.data.shapes.shape import RowError, decoded

TOOL_COLUMNS = ("tools", "functions", "parallel_tool_calls")
_TOOL_FIX = 'Write each tool as {"type": "function", "function": {"name": "...", "parameters": {...}}}.'
_CALL_FIX = (
    'Write each call as {"id": "...", "type": "function", "function": {"name": "...", "arguments": "{...}"}}.'
)


def tools_of(content: Mapping[str, Any]) -> Tools:
    """The tools of a row, as a list or as JSON text; bare functions are wrapped."""
    tools = decoded(content.get("tools") or content.get("functions"))
    if not tools:
        return ()
    if not isinstance(tools, list):
        raise RowError("'tools' is not a list of tools", _TOOL_FIX, "tools")
    wrapped = []
    for number, tool in enumerate(tools, 1):
        function = tool.get("function", tool) if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise RowError(f"tool {number} is no function with a name", _TOOL_FIX, "tools")
        wrapped.append(tool if "function" in tool else {"type": "function", "function": tool})
    return share_tools(wrapped)


def read_calls(number: int, turn: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    """The calls of turn `number`, by `tool_calls` or the older `function_call`."""
    calls = decoded(turn.get("tool_calls")) or [turn["function_call"]]
    if not isinstance(calls, list):
        raise RowError(f"the tool_calls of turn {number} are no list", _CALL_FIX, "tools")
    return tuple(read_call(number, call) for call in calls)


def read_call(number: int, call: Any) -> ToolCall:
    """One call, its arguments decoded where they are JSON text: once, whatever they hold."""
    function = call.get("function", call) if isinstance(call, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(name, str) or not name:
        raise RowError(f"a tool call of turn {number} names no function", _CALL_FIX, "tools")
    arguments = decoded(function.get("arguments"))
    if not isinstance(arguments, dict):
        reason = f"the arguments of the call to '{name}' in turn {number} are no JSON object"
        fix = 'Write them as an object, or as its text, encoded once: "{\\"city\\": \\"Rome\\"}".'
        raise RowError(reason, fix, "tool-arguments")
    id = call.get("id")
    return ToolCall(name, arguments, id if isinstance(id, str) else "")
