"""ShareGPT, plain text, and turns with tools, each written as its users write it."""

import json
from typing import Any

import pytest

from residency.core.records import Message, Source, ToolCall
from residency.data.reading.row import Row
from residency.data.shapes import RowError, to_example

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def example(content: dict[str, Any]) -> Any:
    return to_example(Row(Source("a.jsonl", 7), content, None), None, None)


def refusal(content: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(RowError) as raised:
        example(content)
    return raised.value.reason, raised.value.check


def call(arguments: Any, id: str = "call_1", name: str = "weather") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def called(*calls: dict[str, Any], result: dict[str, Any] | None = None, **columns: Any) -> dict[str, Any]:
    """A row in which the assistant calls, gets a result and answers."""
    return {
        "messages": [
            {"role": "user", "content": "Rain?"},
            {"role": "assistant", "content": None, "tool_calls": list(calls)},
            result or {"role": "tool", "tool_call_id": "call_1", "content": "no"},
            {"role": "assistant", "content": "No."},
        ],
        "tools": [WEATHER],
        **columns,
    }


ARGUMENTS = {"place": 'a "quoted" place', "note": "Köln \u2028 \\n", "b": {"z": [1, 2.5, None, True]}, "a": 1}


@pytest.mark.parametrize("arguments", [ARGUMENTS, json.dumps(ARGUMENTS), json.dumps(ARGUMENTS, indent=1)])
def test_arguments_are_decoded_once_and_keep_their_order(arguments: Any) -> None:
    found = example(called(call(arguments)))
    (made,) = found.messages[1].tool_calls
    assert made == ToolCall("weather", ARGUMENTS, "call_1")
    assert list(made.arguments) == ["place", "note", "b", "a"]
    assert found.messages[1].content == ""
    assert found.messages[2] == Message("tool", "no", tool_call_id="call_1")
    assert found.tools == (WEATHER,)


TWICE = json.dumps(json.dumps(ARGUMENTS))


@pytest.mark.parametrize("arguments", [TWICE, "[1]", [1], "Rome", "", None, '{"a": NaN}', '{"a"'])
def test_arguments_that_are_no_object(arguments: Any) -> None:
    reason = "the arguments of the call to 'weather' in turn 2 are no JSON object"
    assert refusal(called(call(arguments))) == (reason, "tool-arguments")


def test_the_older_form_of_calls() -> None:
    content = called(tools=None, functions=[{"name": "weather"}])
    content["messages"][1] = {
        "role": "assistant",
        "content": None,
        "function_call": {"name": "weather", "arguments": '{"place": "Rome"}'},
    }
    content["messages"][2] = {"role": "function", "name": "weather", "content": "no"}
    found = example(content)
    assert found.tools == ({"type": "function", "function": {"name": "weather"}},)
    assert found.messages[1].tool_calls == (ToolCall("weather", {"place": "Rome"}, "call00001"),)
    assert found.messages[2] == Message("tool", "no", tool_call_id="call00001")


def test_results_without_ids_answer_calls_in_order() -> None:
    content = called({"name": "weather", "arguments": {}}, {"name": "weather", "arguments": {"a": 1}})
    content["messages"][2:3] = [{"role": "tool", "content": text} for text in ("one", "two")]
    found = example(content)
    assert [made.id for made in found.messages[1].tool_calls] == ["call00001", "call00002"]
    assert [turn.tool_call_id for turn in found.messages[2:4]] == ["call00001", "call00002"]


@pytest.mark.parametrize(
    ("content", "reason", "check"),
    [
        (
            called(call({}, name="stocks")),
            "turn 2 calls 'stocks', which is not in the row's tools",
            "unknown-tool",
        ),
        (
            called(call({}), tools=[]),
            "turn 2 calls 'weather', which is not in the row's tools",
            "unknown-tool",
        ),
        (
            called(call({}), result={"role": "tool", "tool_call_id": "x", "content": "no"}),
            "turn 3 is a tool's, and answers no call",
            "tool-without-call",
        ),
        (
            called(call({}), call({}, "call_2"), parallel_tool_calls=False),
            "turn 2 has several calls, and parallel_tool_calls is false",
            "tools",
        ),
        (called(), "empty answer (turn 2)", "empty-answer"),
        (called(call({}), tools={"a": 1}), "'tools' is not a list of tools", "tools"),
        (called(call({}), tools=[{"type": "function"}]), "tool 1 is no function with a name", "tools"),
        (called({"id": "call_1"}), "a tool call of turn 2 names no function", "tools"),
        (called(call({"a": "\ud800"})), "the tool calls of turn 2 have not valid UTF-8 at character 29", ""),
    ],
)
def test_tools_that_are_refused(content: dict[str, Any], reason: str, check: str) -> None:
    told = refusal(content)
    if check:
        assert told == (reason, check)
    else:
        assert told[0].startswith("the tool calls of turn 2 have not valid UTF-8")
        assert told[1] == "damaged-text"


def test_several_calls_are_fine_unless_the_row_says_otherwise() -> None:
    content = called(call({}), call({}, "call_2"), parallel_tool_calls=True)
    assert len(example(content).messages[1].tool_calls) == 2


def test_tools_may_be_json_text_as_in_tables() -> None:
    content = called(call("{}"))
    written = {name: json.dumps(value) for name, value in content.items()}
    assert example(written) == example(content)


def said(*turns: tuple[str, str], **columns: Any) -> dict[str, Any]:
    return {"conversations": [{"from": who, "value": text} for who, text in turns], **columns}


def test_sharegpt() -> None:
    found = example(said(("human", "a"), ("gpt", "b"), ("user", "c"), ("assistant", "d"), system="Be brief."))
    assert found.messages == (
        Message("system", "Be brief."),
        Message("user", "a"),
        Message("assistant", "b"),
        Message("user", "c"),
        Message("assistant", "d"),
    )


def test_sharegpt_keeps_its_own_system_turn() -> None:
    found = example(said(("system", "Own."), ("human", "a"), ("gpt", "b"), system="Be brief."))
    assert [turn.content for turn in found.messages] == ["Own.", "a", "b"]


def test_sharegpt_with_tools() -> None:
    made = json.dumps({"name": "weather", "arguments": {"place": "Rome"}})
    rows = (("human", "Rain?"), ("function_call", made), ("observation", "no"), ("gpt", "No."))
    found = example(said(*rows, tools=json.dumps([WEATHER["function"]])))
    assert found.messages[1].tool_calls == (ToolCall("weather", {"place": "Rome"}, "call00001"),)
    assert found.messages[2] == Message("tool", "no", tool_call_id="call00001")


def test_conversations_with_roles() -> None:
    turns = [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "tell"}]
    assert example({"conversations": turns}).answer == "tell"


def test_an_unknown_speaker() -> None:
    assert refusal(said(("human", "a"), ("narrator", "b"))) == ("turn 2 is from 'narrator'", "roles")


@pytest.mark.parametrize("beside", [{}, {"meta": {"n": 1}, "url": "u"}, {"label": None}])
def test_plain_text(beside: dict[str, Any]) -> None:
    found = example({"text": "Once upon a time", **beside})
    assert found.messages == (Message("text", "Once upon a time"),)


def test_plain_text_that_is_empty() -> None:
    assert refusal({"text": " \n"}) == ("empty text", "empty-input")
