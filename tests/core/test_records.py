import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.core.records import (
    Conversation,
    Example,
    Message,
    Preference,
    Rated,
    Source,
    ToolCall,
    share_tools,
    with_system,
)

HERE = Source("rows.jsonl", 3)
ASK, TELL = Message("user", "ask"), Message("assistant", "tell")
TOOLS = share_tools([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}])
CALL = Message("assistant", "", (ToolCall("weather", {"place": "Köln", "days": [1, 2]}, "c1"),))

CALLED = (ASK, CALL, Message("tool", "rain", tool_call_id="c1"), TELL)
RECORDS = [
    Example((ASK, TELL), HERE),
    Example(CALLED, HERE, TOOLS),
    Example((ASK, Message("assistant", "given", weight=0), ASK, TELL), HERE),
    Example((Message("text", "Once upon a time"),), HERE),
    Preference((ASK, TELL), HERE, rejected=Message("assistant", "lie")),
    Preference((ASK, TELL), HERE, TOOLS, rejected=CALL),
    Rated((ASK, TELL), HERE, good=True),
    Rated((ASK, TELL), HERE, good=False),
]


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_can_be_written_and_read(record):
    read = Example.from_json(json.loads(json.dumps(record.to_json())))
    assert (read, type(read), read.id) == (record, type(record), record.id)


def test_each_of_them_has_an_id_of_its_own():
    assert len({record.id for record in RECORDS}) == len(RECORDS)


def test_the_input_id_is_that_of_what_is_asked():
    plain, *_, chosen, with_tools, good, bad = RECORDS
    assert plain.input_id == chosen.input_id == good.input_id == bad.input_id
    assert plain.input_id != with_tools.input_id
    assert Example((ASK, Message("assistant", "other")), HERE).input_id == plain.input_id
    assert Example((Message("user", "ask "), TELL), HERE).input_id != plain.input_id
    assert Example((ASK, TELL), Source("other.jsonl", 9)).id == plain.id


def test_weights_count_for_the_id_and_not_for_what_is_asked():
    learned = Example((ASK, TELL, ASK, TELL), HERE)
    given_ = Example((ASK, Message("assistant", "tell", weight=0), ASK, TELL), HERE)
    assert given_.input_id == learned.input_id
    assert given_.id != learned.id


def test_plain_texts_ask_different_things():
    one, other = (Example((Message("text", text),), HERE) for text in ("one", "two"))
    assert one.id == one.input_id != other.input_id
    assert one.is_text and not len(one.prompt) and one.answer == "one"


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text(max_size=6)), min_size=2, max_size=4)
)
def test_where_a_turn_ends_counts_for_the_id(turns):
    messages = tuple(Message(role, text) for role, text in turns)
    joined = (Message(messages[0].role, messages[0].content + messages[1].content), *messages[2:])
    assert Example(messages, HERE).id != Example(joined, HERE).id


def test_an_answer_with_calls_is_told_as_canonical_json():
    one, two = ToolCall("f", {"b": 1, "a": "ü"}, "x"), ToolCall("g", {}, "y")
    assert Message("assistant", "", (one,)).text == '{"arguments":{"a":"ü","b":1},"name":"f"}'
    both = '[{"arguments":{"a":"ü","b":1},"name":"f"},{"arguments":{},"name":"g"}]'
    assert Message("assistant", "", (one, two)).text == both
    assert Message("assistant", "Look.", (one, two)).text == f"Look.\n{both}"
    assert Example((ASK, CALL), HERE, TOOLS).answer == (
        '{"arguments":{"days":[1,2],"place":"Köln"},"name":"weather"}'
    )


def test_equal_tools_are_one_object():
    assert share_tools(json.loads(json.dumps(TOOLS))) is TOOLS
    assert share_tools([]) == ()


def test_a_slice_of_a_conversation_keeps_its_tools():
    conversation = Conversation(CALLED, TOOLS)
    assert conversation[:2] == Conversation((ASK, CALL), TOOLS)
    assert conversation[-1] == TELL
    assert list(reversed(conversation))[0] == TELL


def test_a_system_prompt_is_put_before_turns_and_not_before_text():
    asked = with_system(Conversation((ASK,), TOOLS), "Be brief.")
    assert asked == Conversation((Message("system", "Be brief."), ASK), TOOLS)
    assert with_system(asked, "Other.") == asked
    text = Conversation((Message("text", "a"),))
    assert with_system(text, "Be brief.") == text


def test_records_have_no_dictionary():
    assert not any(hasattr(thing, "__dict__") for record in RECORDS for thing in (record, *record.messages))
