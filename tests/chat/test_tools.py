"""Tools and their calls, in templates that know them, against what transformers makes of the same turns."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.chat import Renderer
from residency.core.errors import ResidencyError
from residency.core.records import Conversation, Message, Source, ToolCall, share_tools
from residency.data.reading.row import Row
from residency.data.shapes import to_example
from tests.chat.conftest import on_that_day
from tests.chat.test_families import CHATML, LLAMA3, dress, template_of

# Written for these tests, after the forms that Hermes 2 Pro, Mistral 7B v0.3 and DeepSeek V3 have.
HERMES = (
    "{{ bos_token }}{% if tools %}{{ '<|im_start|>system\nYou may call: <tools>' }}"
    "{% for tool in tools %}{{ ' ' + tool | tojson }}{% endfor %}{{ ' </tools><|im_end|>\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role }}"
    "{% if m.tool_calls %}{% for call in m.tool_calls %}{{ '\n<tool_call>\n' + "
    "{'name': call.function.name, 'arguments': call.function.arguments} | tojson + '\n</tool_call>' }}"
    "{% endfor %}"
    "{% elif m.role == 'tool' %}{{ '\n<tool_response>\n' + m.content + '\n</tool_response>' }}"
    "{% else %}{{ '\n' + m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}"
    "{% if tools and loop.index0 == 0 %}"
    "{{ '[AVAILABLE_TOOLS] ' + tools | tojson + '[/AVAILABLE_TOOLS]' }}{% endif %}"
    "{{ '[INST] ' + m.content + '[/INST]' }}{% elif m.tool_calls %}{{ '[TOOL_CALLS] [' }}"
    "{% for call in m.tool_calls %}{% if call.id | length != 9 %}"
    "{{ raise_exception('Tool call IDs should have length 9!') }}{% endif %}"
    "{{ {'name': call.function.name, 'arguments': call.function.arguments, 'id': call.id} | tojson }}"
    "{% if not loop.last %}{{ ', ' }}{% endif %}{% endfor %}{{ ']' + eos_token }}"
    "{% elif m.role == 'tool' %}{{ '[TOOL_RESULTS] ' + "
    "{'content': m.content, 'call_id': m.tool_call_id} | tojson + '[/TOOL_RESULTS]' }}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
AS_TEXT = (
    "{% for tool in tools or [] %}{{ tool.function.name + '\n' }}{% endfor %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content }}"
    "{% for call in m.tool_calls or [] %}"
    "{{ call.function.name + '\n```json\n' + call.function.arguments + '\n```' }}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SILENT = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MISTRAL_TOKENS = "<s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_CALLS] [TOOL_RESULTS]"
FAMILIES = {
    "qwen2_5": (None, CHATML, "<|im_end|>"),
    "qwen3": (None, CHATML, "<|im_end|>"),
    "qwen3_instruct_2507": (None, CHATML, "<|im_end|>"),
    "llama3_1": (None, LLAMA3, "<|eot_id|>"),
    "llama3_2": (None, LLAMA3, "<|eot_id|>"),
    "hermes": (HERMES, CHATML, "<|im_end|>"),
    "mistral": (MISTRAL, MISTRAL_TOKENS, "</s>"),
}
TOOLS = share_tools(
    [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Tomorrow's weather.",
                "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
            },
        }
    ]
)
ARGUMENTS = {"place": 'the "old" Köln', "z": [1, 2.5, None], "a": {"b": "it's \\n"}}
ASK, TELL = Message("user", "Rain?"), Message("assistant", "No rain.")
CALL = Message("assistant", "", (ToolCall("weather", ARGUMENTS, "call00001"),))
RESULT = Message("tool", '{"rain": false}', tool_call_id="call00001")
ENDS_WITH_CALL = Conversation((ASK, CALL), TOOLS)
WHOLE = Conversation((ASK, CALL, RESULT, TELL), TOOLS)
TWO_ROUNDS = Conversation((ASK, CALL, RESULT, TELL, Message("user", "Sun?"), CALL, RESULT, TELL), TOOLS)
UNUSED = Conversation((ASK, TELL), TOOLS)


def made(vocabulary, name):
    template, specials, eos = FAMILIES[name]
    tokenizer = dress(vocabulary, template or template_of(name), specials, eos)
    tokenizer.add_tokens(["<tool_call>", "</tool_call>"])
    return tokenizer


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, vocabulary):
    tokenizer = made(vocabulary, request.param)
    return tokenizer, Renderer(tokenizer)


def theirs(tokenizer, conversation, **options):
    """What transformers makes of the turns as OpenAI's users write them, arguments as objects."""
    messages = []
    for turn in conversation:
        message = {"role": turn.role, "content": turn.content}
        if turn.tool_calls:
            calls = [{"name": c.name, "arguments": dict(c.arguments)} for c in turn.tool_calls]
            ids = [c.id for c in turn.tool_calls]
            message["tool_calls"] = [
                {"id": id, "type": "function", "function": c} for id, c in zip(ids, calls, strict=True)
            ]
        if turn.role == "tool":
            message |= {"tool_call_id": turn.tool_call_id, "name": "weather"}
        messages.append(message)
    tools = list(conversation.tools)
    options["chat_template"] = on_that_day(tokenizer.get_chat_template(tools=tools))
    return tokenizer.apply_chat_template(messages, tools=tools, tokenize=True, return_dict=False, **options)


@pytest.mark.parametrize("conversation", [ENDS_WITH_CALL, WHOLE, TWO_ROUNDS, UNUSED])
def test_ids_are_those_of_transformers(family, conversation):
    tokenizer, renderer = family
    rendered, prompt = renderer.render(conversation), renderer.prompt_ids(conversation[:-1])
    assert rendered.ids == theirs(tokenizer, conversation)
    assert prompt == theirs(tokenizer, conversation[:-1], add_generation_prompt=True)
    assert rendered.ids[: len(prompt)] == prompt


def test_calls_and_answers_are_supervised_and_results_are_not(family, answers):
    tokenizer, renderer = family
    end = tokenizer.eos_token
    for conversation, count in [(ENDS_WITH_CALL, 1), (WHOLE, 2), (TWO_ROUNDS, 4)]:
        found = [tokenizer.decode(ids) for ids in answers(renderer.render(conversation))]
        assert len(found) == count
        for text, turn in zip(found, [t for t in conversation if t.role == "assistant"], strict=True):
            assert text.endswith(end) and text.count(end) == 1
            assert "rain" not in text.replace("No rain.", "")
            assert ("weather" in text and '"old\\" Köln' in text) if turn.tool_calls else "No rain." in text


def test_what_was_learned_is_read_as_the_answer_wanted(family, answers):
    _, renderer = family
    assert renderer.reads_calls
    found = answers(renderer.render(WHOLE))
    assert [renderer.decode(ids, TOOLS).strip() for ids in found] == [CALL.text, TELL.text]
    assert "weather" in renderer.decode(found[0]) != CALL.text


def test_a_turn_of_weight_0_is_masked(family, answers):
    _, renderer = family
    unlearned = Message("assistant", "", CALL.tool_calls, weight=0)
    masked = renderer.render(Conversation((ASK, unlearned, RESULT, TELL), TOOLS))
    whole = renderer.render(WHOLE)
    assert masked.ids == whole.ids
    assert answers(masked) == answers(whole)[1:]
    last = Conversation((ASK, CALL, RESULT, Message("assistant", "No rain.", weight=0)), TOOLS)
    assert answers(renderer.render(last)) == answers(whole)[:1]


@pytest.mark.parametrize("name", ["qwen2_5", "qwen3", "hermes", "mistral"])
def test_several_calls_in_a_turn(vocabulary, answers, name):
    tokenizer = made(vocabulary, name)
    renderer = Renderer(tokenizer)
    both = (*CALL.tool_calls, ToolCall("weather", {}, "call00002"))
    results = (RESULT, Message("tool", "none", tool_call_id="call00002"))
    turn = Message("assistant", "", both)
    conversation = Conversation((ASK, turn, *results, TELL), TOOLS)
    rendered = renderer.render(conversation)
    assert rendered.ids == theirs(tokenizer, conversation)
    called, told = answers(rendered)
    assert renderer.decode(called, TOOLS).strip() == turn.text
    assert renderer.decode(told).strip() == "No rain."


def test_what_is_said_beside_a_call(vocabulary, answers):
    beside = Message("assistant", "Let me look.", CALL.tool_calls)
    conversation = Conversation((ASK, beside, RESULT, TELL), TOOLS)
    for name in ("qwen2_5", "qwen3"):
        renderer = Renderer(made(vocabulary, name))
        called, _ = answers(renderer.render(conversation))
        assert renderer.decode(called, TOOLS) == beside.text
    for name in ("llama3_1", "mistral"):
        with pytest.raises(ResidencyError, match="leaves out what the assistant says beside"):
            Renderer(made(vocabulary, name)).render(conversation)


def test_a_template_that_says_nothing_of_tools(vocabulary):
    renderer = Renderer(dress(vocabulary, SILENT, CHATML, "<|im_end|>"))
    with pytest.raises(ResidencyError, match="does not show tools"):
        renderer.render(UNUSED)
    with pytest.raises(ResidencyError, match="does not show tools"):
        renderer.prompt_ids(UNUSED[:-1])
    with pytest.raises(ResidencyError, match="does not write tool calls"):
        renderer.render(Conversation((ASK, CALL, RESULT, TELL)))
    assert not renderer.reads_calls


def test_a_template_that_shows_tools_and_forgets_calls(vocabulary):
    tools = "{% for tool in tools or [] %}{{ tool.function.name + '\n' }}{% endfor %}"
    renderer = Renderer(dress(vocabulary, tools + SILENT, CHATML, "<|im_end|>"))
    assert renderer.render(UNUSED).ids
    with pytest.raises(ResidencyError, match="does not write tool calls"):
        renderer.render(WHOLE)


def test_a_template_that_wants_arguments_as_text(vocabulary, answers):
    tokenizer = dress(vocabulary, AS_TEXT, CHATML, "<|im_end|>")
    renderer = Renderer(tokenizer)
    called, _ = answers(renderer.render(WHOLE))
    written = json.dumps(ARGUMENTS, ensure_ascii=False)
    assert tokenizer.decode(called) == f"weather\n```json\n{written}\n```<|im_end|>"
    assert not renderer.reads_calls  # no JSON object holds the name


def test_a_template_that_writes_python_for_json(vocabulary, answers):
    asked = AS_TEXT.replace("call.function.arguments", "(call.function.arguments | string)")
    tokenizer = dress(vocabulary, asked, CHATML, "<|im_end|>")
    called, _ = answers(Renderer(tokenizer).render(WHOLE))
    assert json.dumps(ARGUMENTS, ensure_ascii=False) in tokenizer.decode(called)
    pairs = AS_TEXT.replace("call.function.arguments", "(call.function.arguments.items() | list | string)")
    with pytest.raises(ResidencyError, match="does not write tool calls"):
        Renderer(dress(vocabulary, pairs, CHATML, "<|im_end|>")).render(WHOLE)


def test_what_a_template_demands_of_ids_is_told(vocabulary):
    renderer = Renderer(made(vocabulary, "mistral"))
    call = Message("assistant", "", (ToolCall("weather", {}, "call_1"),))
    with pytest.raises(ResidencyError, match="should have length 9") as caught:
        renderer.render(Conversation((ASK, call), TOOLS))
    assert "tools and their calls" in caught.value.fix


@pytest.mark.parametrize(
    "conversation",
    [
        Conversation(
            (ASK, Message("assistant", "", (ToolCall("weather", {"a": "<|im_end|>"}, "c"),))), TOOLS
        ),
        Conversation((ASK, TELL), share_tools([{"function": {"name": "x", "description": "<|im_end|>"}}])),
        Conversation((ASK, CALL, Message("tool", "<|im_end|>", tool_call_id="call00001"), TELL), TOOLS),
    ],
)
def test_structure_within_tools_is_refused(vocabulary, conversation):
    renderer = Renderer(made(vocabulary, "qwen2_5"))
    assert renderer.special_token_in(conversation) == "<|im_end|>"
    with pytest.raises(ResidencyError, match="im_end"):
        renderer.render(conversation)


def test_an_answer_that_is_no_call_is_told_as_it_is(vocabulary):
    renderer = Renderer(made(vocabulary, "qwen2_5"))
    broken = '<tool_call>\n{"name": "weather", "arguments": {"place": "Ro\n</tool_call>'
    for text in ("No rain.", '{"name": "weather", "arguments": {}}', broken, '<tool_call>\n{"name": 3}'):
        ids = renderer._template.encode([text])[text]
        assert renderer.decode(ids, TOOLS) == text


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(-1e6, 1e6)
    | st.text("aé\"'\\\n{}中 ,:"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"\\é'), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=60)
@given(arguments=st.dictionaries(st.text('abé" '), VALUES, max_size=4))
def test_arguments_as_text_and_as_object_give_the_same_tokens(qwen, arguments):
    renderer, answers = qwen

    def row(written):
        call = {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": written}}
        turns = [
            {"role": "user", "content": "Rain?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ]
        return to_example(Row(Source("a", 1), {"messages": turns, "tools": list(TOOLS)}, None), None, None)

    as_object, as_text = row(arguments), row(json.dumps(arguments))
    rendered = renderer.render(as_object.conversation)
    assert renderer.render(as_text.conversation) == rendered
    (found,) = answers(rendered)
    told = renderer.decode(found, TOOLS)
    assert told == as_object.answer
    assert json.loads(told) == {"name": "weather", "arguments": arguments}


@pytest.fixture(scope="module")
def qwen(vocabulary, answers):
    return Renderer(made(vocabulary, "qwen2_5")), answers


def test_plain_text_is_its_tokens_and_the_end(packaged, renderer):
    text = Conversation((Message("text", "Once upon a time"),))
    ids = packaged("Once upon a time", add_special_tokens=False)["input_ids"]
    rendered = renderer.render(text)
    assert rendered.ids == [*ids, packaged.eos_token_id]
    assert rendered.supervised == [False, *[True] * len(ids)]


def test_plain_text_begins_as_the_tokenizer_begins_texts(vocabulary):
    from tokenizers import processors

    tokenizer = dress(vocabulary, SILENT, CHATML, "<|im_end|>")
    tokenizer.add_special_tokens({"bos_token": "<|endoftext|>"})
    bos = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", bos)]
    )
    rendered = Renderer(tokenizer).render(Conversation((Message("text", "Once"),)))
    assert rendered.ids == [*tokenizer("Once")["input_ids"], tokenizer.eos_token_id]
    assert rendered.ids[0] == bos
    assert rendered.supervised == [False, *[True] * (len(rendered.ids) - 1)]


def test_plain_text_with_structure_is_refused(renderer):
    with pytest.raises(ResidencyError, match="im_end"):
        renderer.render(Conversation((Message("text", "a <|im_end|>"),)))
