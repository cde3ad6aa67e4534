import math
from typing import Any

import pytest

from residency.core.records import Message, Source
from residency.data.reading.row import Row
from residency.data.shapes import RowError, to_example


def example(content: dict[str, Any], input: str | None = None, output: str | None = None) -> Any:
    return to_example(Row(Source("a.jsonl", 7), content, None), input, output)


def refusal(content: dict[str, Any], input: str | None = None, output: str | None = None) -> RowError:
    with pytest.raises(RowError) as raised:
        example(content, input, output)
    return raised.value


PAIR = (Message("user", "ask"), Message("assistant", "tell"))


@pytest.mark.parametrize(
    "content",
    [
        {"input": "ask", "output": "tell"},
        {"prompt": "ask", "completion": "tell", "id": 3},
        {"question": "ask", "answer": "tell"},
        {"instruction": "ask", "output": "tell"},
        {"instruction": "ask", "input": "", "output": "tell"},
        {"instruction": "ask", "input": None, "output": "tell"},
        {"messages": [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "tell"}]},
        {"messages": None, "input": "ask", "output": "tell"},
        {"instruction": None, "prompt": None, "completion": None, "question": "ask", "answer": "tell"},
    ],
)
def test_each_shape_is_detected(content: dict[str, Any]) -> None:
    found = example(content)
    assert found.messages == PAIR
    assert found.source == Source("a.jsonl", 7)


def test_an_instruction_with_an_input() -> None:
    found = example({"instruction": "Translate.", "input": "chat", "output": "cat"})
    assert found.messages == (Message("user", "Translate.\n\nchat"), Message("assistant", "cat"))


def test_the_recipe_s_columns_win_over_detection() -> None:
    content = {"text": "ask", "category": "tell", "input": "no", "output": "neither"}
    assert example(content, "text", "category").messages == PAIR
    assert example({"text": "ask", "output": "tell"}, "text").messages == PAIR


def test_a_conversation_keeps_all_its_turns() -> None:
    turns = [("system", ""), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", " d\n")]
    content = {"messages": [{"role": role, "content": text, "name": "x"} for role, text in turns]}
    assert example(content).messages == tuple(Message(role, text) for role, text in turns)  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (2.5, "2.5"), (True, "true"), (False, "false")])
def test_numbers_and_truth_values_become_text(value: object, text: str) -> None:
    assert example({"text": "ask", "label": value}, "text", "label").answer == text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "'output' is null"),
        (math.nan, "'output' is null"),
        (["x"], "'output' is a list, not text"),
        (b"x", "'output' is a bytes, not text"),
        (" \n", "empty answer"),
        ("a\0b", "turn 2 has a NUL character at character 2"),
        ("a\ud800", "turn 2 has not valid UTF-8 at character 2"),
    ],
)
def test_an_answer_that_is_no_text(value: object, reason: str) -> None:
    assert refusal({"input": "ask", "output": value}).reason == reason


def turns(*roles: str, **extra: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": role} for role in roles], **extra}


@pytest.mark.parametrize(
    ("content", "reason", "check"),
    [
        (turns("user"), "no assistant turn", "roles"),
        (turns("user", "assistant", "user"), "the last turn is the user's", "roles"),
        (turns("assistant"), "no user turn", "roles"),
        (turns("user", "system", "assistant"), "a system turn that is not the first", "roles"),
        (turns("developer", "user", "assistant"), "turn 1 has the role 'developer'", "roles"),
        ({"messages": []}, "'messages' is not a list of turns", "malformed"),
        ({"messages": "user: hi"}, "'messages' is not a list of turns", "malformed"),
        ({"messages": ["hi"]}, "turn 1 is no object with role and content", "malformed"),
        ({"messages": [{"role": "user", "content": None}]}, "the content of turn 1 is null", "not-text"),
        (
            {"messages": [{"role": "user", "content": [1]}]},
            "the content of turn 1 is a list, not text",
            "not-text",
        ),
        ({"input": "\t", "output": "x"}, "empty input", "empty-input"),
    ],
)
def test_rows_that_are_refused(content: dict[str, Any], reason: str, check: str) -> None:
    error = refusal(content)
    assert (error.reason, error.check) == (reason, check)


def test_an_empty_turn_within_a_conversation_is_named() -> None:
    content = turns("user", "assistant", "user", "assistant")
    content["messages"][1]["content"] = " "
    assert refusal(content).reason == "empty answer (turn 2)"


def test_weights() -> None:
    content = turns("user", "assistant", "user", "assistant", tools=None)
    content["messages"][0]["weight"] = 0
    content["messages"][1] |= {"weight": 0, "tool_calls": []}
    content["messages"][3]["weight"] = 1
    assert [turn.weight for turn in example(content).messages] == [1, 0, 1, 1]
    content["messages"][1]["weight"] = 0.5
    error = refusal(content)
    assert (error.reason, error.check) == ("turn 2 has the weight 0.5", "weights")


def test_missing_columns_are_told_with_those_there_are() -> None:
    error = refusal({"text": "ask", "category": "tell"})
    assert error.reason == "no known shape; the columns are: text, category"
    assert "--set data.input=" in error.fix and "leave no column but text" in error.fix
    error = refusal({"text": "ask", "category": "tell"}, "text", "label")
    assert error.reason == "no column 'label'; the columns are: text, category"


def test_a_row_that_could_not_be_read_keeps_its_problem() -> None:
    with pytest.raises(RowError, match="not valid UTF-8"):
        to_example(Row(Source("a", 1), None, "not valid UTF-8"), None, None)
