"""Preferences, rated answers, and prompts and completions as turns: TRL's forms and OpenAI's."""

from typing import Any

import pytest

from residency.core.records import Message, Preference, Rated, Source
from residency.data.reading.row import Row
from residency.data.shapes import RowError, to_example


def example(content: dict[str, Any]) -> Any:
    return to_example(Row(Source("a.jsonl", 7), content, None), None, None)


def refusal(content: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(RowError) as raised:
        example(content)
    return raised.value.reason, raised.value.check


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


ASK, GOOD, BAD = user("ask"), assistant("good"), assistant("bad")
PREFERRED = Preference(
    (Message("user", "ask"), Message("assistant", "good")),
    Source("a.jsonl", 7),
    rejected=Message("assistant", "bad"),
)


@pytest.mark.parametrize(
    "content",
    [
        {"prompt": "ask", "chosen": "good", "rejected": "bad"},
        {"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [ASK, GOOD], "rejected": [ASK, BAD]},
        {"prompt": "ask", "chosen": [ASK, GOOD], "rejected": [ASK, BAD], "messages": [ASK, GOOD]},
        {"prompt": [ASK], "chosen": "good", "rejected": "bad"},
        {"input": {"messages": [ASK]}, "preferred_output": [GOOD], "non_preferred_output": [BAD]},
    ],
)
def test_each_form_of_a_preference(content: dict[str, Any]) -> None:
    found = example(content)
    assert found == PREFERRED
    assert isinstance(found, Preference)
    assert found.messages[-1] == Message("assistant", "good")


def test_what_the_assistant_said_in_the_prompt_is_given() -> None:
    turns = [ASK, assistant("hm"), user("more")]
    rows: list[dict[str, Any]] = [
        {"prompt": turns, "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [*turns, GOOD], "rejected": [*turns, BAD]},
        {"input": {"messages": turns}, "preferred_output": [GOOD], "non_preferred_output": [BAD]},
        {"prompt": turns, "completion": [GOOD]},
        {"prompt": turns, "completion": [GOOD], "label": True},
    ]
    for content in rows:
        assert [turn.weight for turn in example(content).messages] == [1, 0, 1, 1]


def test_tools_of_an_openai_preference() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    made = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}
    made["content"] = None  # type: ignore[assignment]
    found = example(
        {
            "input": {"messages": [ASK], "tools": [tool]},
            "preferred_output": [made],
            "non_preferred_output": [BAD],
        }
    )
    assert found.tools == (tool,)
    assert found.answer == '{"arguments":{},"name":"f"}'
    assert found.rejected == Message("assistant", "bad")


@pytest.mark.parametrize(
    ("content", "reason", "check"),
    [
        ({"prompt": "a", "chosen": "b"}, "no 'rejected' beside the other answer", "preference"),
        (
            {"prompt": "a", "chosen": None, "rejected": "b"},
            "no 'chosen' beside the other answer",
            "preference",
        ),
        (
            {"input": {"messages": [ASK]}, "preferred_output": [GOOD]},
            "no 'non_preferred_output' beside the other answer",
            "preference",
        ),
        (
            {"prompt": "a", "chosen": "b", "rejected": "b"},
            "the chosen answer is the rejected one",
            "preference",
        ),
        ({"chosen": "a b", "rejected": "a c"}, "'chosen' and 'rejected' have no prompt", "preference"),
        (
            {"prompt": "else", "chosen": [ASK, GOOD], "rejected": [ASK, BAD]},
            "'chosen' and 'rejected' begin with turns that are not the prompt",
            "preference",
        ),
        (
            {"chosen": [ASK, GOOD, ASK, GOOD], "rejected": [ASK, BAD]},
            "the two answers are not one assistant's turn each",
            "preference",
        ),
        (
            {"input": "ask", "preferred_output": [GOOD], "non_preferred_output": [BAD]},
            "'input' holds no messages",
            "preference",
        ),
        (
            {"prompt": "a", "chosen": "b", "rejected": " "},
            "in the rejected answer: empty answer",
            "empty-answer",
        ),
    ],
)
def test_preferences_that_are_refused(content: dict[str, Any], reason: str, check: str) -> None:
    assert refusal(content) == (reason, check)


@pytest.mark.parametrize(("label", "good"), [(True, True), (False, False), ("False", False), ("true", True)])
def test_rated_answers(label: Any, good: bool) -> None:
    found = example({"prompt": "ask", "completion": "tell", "label": label})
    assert isinstance(found, Rated)
    assert found.good is good
    assert found.answer == "tell"


def test_a_label_that_is_no_rating_is_not_read() -> None:
    found = example({"prompt": "ask", "completion": "tell", "label": "billing"})
    assert not isinstance(found, Rated)


def test_prompt_and_completion_as_turns() -> None:
    system = {"role": "system", "content": "Be brief."}
    found = example({"prompt": [system, ASK], "completion": [GOOD]})
    assert found.messages == (
        Message("system", "Be brief."),
        Message("user", "ask"),
        Message("assistant", "good"),
    )
    assert example({"prompt": "ask", "completion": [GOOD]}).messages == PREFERRED.messages


def test_an_answer_that_is_a_json_list_stays_text() -> None:
    assert example({"prompt": "ask", "completion": '[{"a": 1}]'}).answer == '[{"a": 1}]'


def test_rows_with_the_same_label_share_its_turn() -> None:
    one, other = (example({"input": ask, "output": "".join(["car", "d"])}) for ask in ("first", "second"))
    assert one.messages[-1] is other.messages[-1]
    assert one.messages[-1] == Message("assistant", "card")
