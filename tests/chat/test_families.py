"""Other families' templates, as TRL packages them, on the packaged vocabulary with their special tokens."""

from __future__ import annotations

import copy
from importlib.resources import files
from typing import NamedTuple

import pytest
from tokenizers import AddedToken

from residency.chat import Renderer
from residency.core.errors import ResidencyError


class Family(NamedTuple):
    """`turn_end` ends the assistant's turn; `lead` stands between the prompt and the answer.

    `training` names the template with markers, where there is one that this renderer takes. `their_rest`
    are the tokens that TRL supervises behind each answer and we do not; `their_head` those before it, and
    `their_end` those at the very end.
    """

    template: str
    specials: str
    eos: str
    turn_end: str
    lead: str = ""
    training: str = ""
    their_head: tuple[str, ...] = ()
    their_rest: tuple[str, ...] = ()
    their_end: tuple[str, ...] = ()
    system: bool = True
    many_turns: bool = True


CHATML = "<|im_start|> <|im_end|> <|endoftext|>"
LLAMA3 = "<|begin_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|end_of_text|>"
PHI3 = "<|system|> <|user|> <|assistant|> <|end|> <|endoftext|>"
GEMMA = "<bos> <eos> <start_of_turn> <end_of_turn>"
GEMMA4 = "<bos> <eos> <|turn> <turn|> <|channel> <channel|>"
COHERE = (
    "<BOS_TOKEN> <|START_OF_TURN_TOKEN|> <|END_OF_TURN_TOKEN|> <|USER_TOKEN|> <|CHATBOT_TOKEN|> "
    "<|SYSTEM_TOKEN|> <|START_RESPONSE|> <|END_RESPONSE|>"
)
DEEPSEEK = "<｜begin▁of▁sentence｜> <｜end▁of▁sentence｜>"
HARMONY = "<|startoftext|> <|start|> <|end|> <|message|> <|channel|> <|return|> <|call|>"
GLM = "[gMASK] <sop> <|system|> <|user|> <|assistant|> <|observation|> <|endoftext|>"
EMPTY_THOUGHT = "<think>\n\n</think>\n\n"
LINE = ("\n",)
REWRITTEN = "writes the prompt of turn 2 in another way"
JOINED = "joins the end of the prompt of turn 2"

FAMILIES = [
    Family("qwen2_5", CHATML, "<|im_end|>", "<|im_end|>", "", "qwen2_5_training", LINE, LINE),
    Family("qwen2_5_vl", CHATML, "<|im_end|>", "<|im_end|>", "", "qwen2_5_vl_training", (), LINE),
    Family("qwen3", CHATML, "<|im_end|>", "<|im_end|>", EMPTY_THOUGHT, "qwen3_training", (), LINE),
    Family(
        "qwen3_instruct_2507", CHATML, "<|im_end|>", "<|im_end|>", "", "qwen3_instruct_2507_training",
        (), LINE,
    ),
    Family("qwen3_5_nothink", CHATML, "<|im_end|>", "<|im_end|>"),
    Family("llama3", LLAMA3, "<|eot_id|>", "<|eot_id|>", "", "llama3_training"),
    Family("llama3_1", LLAMA3, "<|end_of_text|>", "<|eot_id|>"),
    Family("llama3_2", LLAMA3, "<|end_of_text|>", "<|eot_id|>"),
    Family("gemma", GEMMA, "<eos>", "<end_of_turn>", "", "gemma_training", (), LINE, (), False),
    Family("gemma3", GEMMA, "<eos>", "<end_of_turn>", "", "gemma3_training", (), LINE),
    Family("gemma4_v5", GEMMA4, "<eos>", "<turn|>"),
    Family("phi3", PHI3, "<|endoftext|>", "<|end|>", "", "phi3_training", (), LINE, ("<|endoftext|>",)),
    Family("phi3_5", PHI3, "<|endoftext|>", "<|end|>", "", "phi3_5_training", (), LINE, ("<|endoftext|>",)),
    Family("cohere", COHERE, "<|END_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "", "cohere_training"),
    Family(
        "cohere2", COHERE, "<|END_OF_TURN_TOKEN|>", "<|END_RESPONSE|>", "", "cohere2_training",
        (), ("<|END_OF_TURN_TOKEN|>",),
    ),
    Family("lfm2", "<|startoftext|> " + CHATML, "<|im_end|>", "<|im_end|>", "", "lfm2_training", (), LINE),
    Family("gptoss", HARMONY, "<|return|>", "<|return|>", "<|channel|>final<|message|>", many_turns=False),
]  # fmt: skip

CONVERSATIONS = [
    ("u:Hi", "a:Hello you."),
    ("u:Hi 中文 \U0001f600", "a:Größe \U0001f469\u200d\U0001f4bb"),
    ("u: spaces ", "a:none"),
    ("s:Be brief.", "u:Hi", "a:Hello you."),
    ("s:", "u:Hi", "a:Hello you."),
    ("u:Hi", "a:Hello you.", "u:And?", "a:Bye."),
    ("s:Be brief.", "u:Hi", "a:Hello you.", "u:And?", "a:Bye.", "u:So?", "a:So."),
]


def template_of(name: str) -> str:
    return (files("trl") / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def dress(vocabulary, template: str, specials: str, eos: str):
    tokenizer = copy.deepcopy(vocabulary)
    tokenizer.chat_template = template
    tokenizer.add_special_tokens({"additional_special_tokens": specials.split()})
    tokenizer.add_special_tokens({"eos_token": eos, "bos_token": specials.split()[0], "pad_token": eos})
    tokenizer.add_tokens(["<think>", "</think>"])
    return tokenizer


@pytest.fixture(scope="session", params=FAMILIES, ids=[f.template for f in FAMILIES])
def family(request, vocabulary):
    about = request.param
    tokenizer = dress(vocabulary, template_of(about.template), about.specials, about.eos)
    return about, tokenizer, Renderer(tokenizer)


def fits(family: Family, turns) -> bool:
    assistant = sum(turn[0] == "a" for turn in turns)
    return (family.system or turns[0][0] != "s") and (family.many_turns or assistant == 1)


def test_ids_are_those_of_transformers(family, talk, as_transformers):
    about, tokenizer, renderer = family
    for turns in CONVERSATIONS:
        if fits(about, turns):
            conversation = talk(*turns)
            ids, prompt = renderer.render(conversation).ids, renderer.prompt_ids(conversation[:-1])
            assert ids == as_transformers(tokenizer, conversation)
            assert prompt == as_transformers(tokenizer, conversation[:-1], add_generation_prompt=True)
            assert ids[: len(prompt)] == prompt


def test_each_answer_is_supervised_through_its_end(family, talk, answers):
    about, tokenizer, renderer = family
    assert {tokenizer.decode([i]) for i in renderer.stop_ids} == {about.turn_end, about.eos}
    for turns in CONVERSATIONS:
        if fits(about, turns):
            found = answers(renderer.render(talk(*turns)))
            wanted = [turn[2:] for turn in turns if turn[0] == "a"]
            shown = [text + about.turn_end for text in wanted]
            shown[-1] = about.lead + shown[-1]
            assert [tokenizer.decode(ids) for ids in found] == shown
            assert [renderer.decode(ids) for ids in found] == wanted


@pytest.mark.parametrize("about", [f for f in FAMILIES if f.training], ids=lambda f: f.template)
def test_mask_agrees_with_trls_markers(vocabulary, about, talk):
    tokenizer = dress(vocabulary, template_of(about.training), about.specials, about.eos)
    renderer = Renderer(tokenizer)
    for turns in CONVERSATIONS:
        if not fits(about, turns):
            continue
        conversation = talk(*turns)
        messages = [{"role": m.role, "content": m.content} for m in conversation]
        marked = tokenizer.apply_chat_template(messages, return_assistant_tokens_mask=True, return_dict=True)
        rendered = renderer.render(conversation)
        assert rendered.ids == marked["input_ids"]
        both = list(zip(rendered.ids, rendered.supervised, marked["assistant_masks"], strict=True))
        assert not [token for token, ours, theirs in both if ours and not theirs]
        theirs_alone = tuple(tokenizer.decode([token]) for token, ours, theirs in both if theirs and not ours)
        count = sum(turn[0] == "a" for turn in turns)
        assert theirs_alone == (about.their_head + about.their_rest) * count + about.their_end


def test_past_thoughts_that_the_template_drops(vocabulary, talk, answers):
    tokenizer = dress(vocabulary, template_of("qwen3"), CHATML, "<|im_end|>")
    renderer = Renderer(tokenizer)
    thought = "<think>\nHm.\n</think>\n\n"
    conversation = talk("u:Hi", f"a:{thought}Hello.", "u:And?", f"a:{thought}Bye.")
    found = answers(renderer.render(conversation))
    assert [tokenizer.decode(ids) for ids in found] == ["Hello.<|im_end|>", f"{thought}Bye.<|im_end|>"]


@pytest.mark.parametrize(
    ("template", "specials", "eos", "what"),
    [
        ("deepseek_r1_distill", DEEPSEEK, "<｜end▁of▁sentence｜>", REWRITTEN),
        ("deepseekv3", DEEPSEEK, "<｜end▁of▁sentence｜>", REWRITTEN),
        ("nemotron_3_nano", CHATML, "<|im_end|>", REWRITTEN),
        ("qwen3_5_think", CHATML, "<|im_end|>", JOINED),
        ("qwen3_6", CHATML, "<|im_end|>", JOINED),
    ],
)
def test_a_prompt_that_opens_a_thought_needs_rows_with_thoughts(
    vocabulary, talk, answers, template, specials, eos, what
):
    tokenizer = dress(vocabulary, template_of(template), specials, eos)
    renderer = Renderer(tokenizer)
    with pytest.raises(ResidencyError, match=what):
        renderer.render(talk("u:Hi", "a:Hello."))
    with_thought = talk("u:Hi", "a:<think>\nHm.\n</think>\n\nHello.")
    if template.startswith("deepseek"):  # it drops the thought of a written answer
        with pytest.raises(ResidencyError, match=what):
            renderer.render(with_thought)
    else:
        (found,) = answers(renderer.render(with_thought))
        assert tokenizer.decode(found) == "Hm.\n</think>\n\nHello.<|im_end|>"


@pytest.mark.parametrize(
    ("template", "specials", "eos", "what"),
    [
        ("glm4moe", GLM, "<|endoftext|>", "never learn to stop"),
        ("idefics3", LLAMA3 + " <end_of_utterance>", "<end_of_utterance>", "does not show"),
        ("smolvlm", CHATML + " <end_of_utterance>", "<end_of_utterance>", "does not show"),
        ("llava_next", "<s> </s>", "</s>", "has no attribute 'text'"),
    ],
)
def test_bases_that_cannot_be_trained_here(vocabulary, template, specials, eos, what):
    with pytest.raises(ResidencyError, match=what):
        Renderer(dress(vocabulary, template_of(template), specials, eos))


def test_a_past_turn_with_another_end_is_refused(vocabulary, talk):
    renderer = Renderer(dress(vocabulary, template_of("gptoss"), HARMONY, "<|return|>"))
    with pytest.raises(ResidencyError, match="Turn 2 does not end"):
        renderer.render(talk("u:Hi", "a:Hello.", "u:And?", "a:Bye."))


def test_a_family_without_system_turns_says_so(vocabulary, talk):
    renderer = Renderer(dress(vocabulary, template_of("gemma"), GEMMA, "<eos>"))
    with pytest.raises(ResidencyError, match="System role not supported"):
        renderer.render(talk("s:Be brief.", "u:Hi", "a:Hello."))


def test_what_a_trimming_template_takes_off_is_not_trained(vocabulary, talk, answers):
    tokenizer = dress(vocabulary, template_of("gemma3"), GEMMA, "<eos>")
    rendered = Renderer(tokenizer).render(talk("u: Hi ", "a:\n Hello \n", "u:And?", "a: Bye "))
    found = [tokenizer.decode(ids) for ids in answers(rendered)]
    assert found == ["Hello<end_of_turn>", "Bye<end_of_turn>"]


def test_a_header_token_that_eats_white_space(vocabulary, talk, as_transformers, answers):
    tokenizer = copy.deepcopy(vocabulary)
    tokenizer.chat_template = template_of("phi3")
    eating = [AddedToken(text, rstrip=True, special=True) for text in PHI3.split()]
    tokenizer.add_special_tokens({"additional_special_tokens": eating, "eos_token": "<|endoftext|>"})
    conversation = talk("u:Hi", "a:  Hello.", "u:And?", "a: Bye.")
    rendered = Renderer(tokenizer).render(conversation)
    assert rendered.ids == as_transformers(tokenizer, conversation)
    assert [tokenizer.decode(ids) for ids in answers(rendered)] == ["Hello.<|end|>", "Bye.<|end|>"]


CHATML_LIKE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MISTRAL_LIKE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}"
    "{% else %}{{ '[INST] ' + m.content + ' [/INST]' }}{% endif %}{% endfor %}"
)


def test_a_space_that_the_template_puts_before_the_answer(vocabulary, talk, answers):
    tokenizer = dress(vocabulary, MISTRAL_LIKE, "<s> </s> [INST] [/INST]", "</s>")
    renderer = Renderer(tokenizer)
    found = answers(renderer.render(talk("u:Hi", "a:Hello.", "u:And?", "a: Bye.")))
    assert [tokenizer.decode(ids) for ids in found] == [" Hello.</s>", "  Bye.</s>"]
    assert [renderer.decode(ids) for ids in found] == ["Hello.", " Bye."]


def test_a_lead_that_is_still_being_written_is_not_shown(vocabulary, talk, answers):
    renderer = Renderer(dress(vocabulary, template_of("qwen3"), CHATML, "<|im_end|>"))
    (found,) = answers(renderer.render(talk("u:Hi", "a:Hello.")))
    shown = [renderer.decode(found[:count]) for count in range(len(found) + 1)]
    assert shown == ["", "", "", "", "", "Hello", "Hello.", "Hello."]


def test_turn_markers_are_structure_and_thoughts_are_not(vocabulary, talk):
    tokenizer = dress(vocabulary, template_of("deepseekv3"), DEEPSEEK, "<｜end▁of▁sentence｜>")
    tokenizer.add_tokens(["<｜User｜>", "<｜Assistant｜>", "<other>"])
    renderer = Renderer(tokenizer)
    for marker in ("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"):
        assert renderer.special_token_in(talk(f"u:Hi {marker}!", "a:x")) == marker
    assert renderer.special_token_in(talk("u:Hi\n<other>", "a:<think>\nHm.\n</think>\n\nx")) is None


def test_some_decoders_drop_a_first_space(vocabulary, talk, answers):
    """As Llama 2's and Mistral's tokenizers do; theirs is the only other decoder in wide use."""
    from tokenizers import decoders

    tokenizer = dress(vocabulary, template_of("qwen2_5"), CHATML, "<|im_end|>")
    strip = decoders.Strip(" ", 1, 0)
    tokenizer.backend_tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Fuse(), strip])
    renderer = Renderer(tokenizer)
    ids = tokenizer(" Hello.", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == "Hello."
    assert renderer.decode(ids) == " Hello."


def test_an_end_token_without_the_special_flag(vocabulary, talk, answers):
    """A tag, and white space that is a token of its own as in Gemma: neither may hide the end."""
    template = (
        "{% for m in messages %}{{ '<' + m.role + '>\n' + m.content + '\n</turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<assistant>\n' }}{% endif %}"
    )
    tokenizer = dress(vocabulary, template, CHATML, "<|im_end|>")
    tokenizer.add_tokens(["<turn>", "</turn>", "<assistant>", "\n"])
    renderer = Renderer(tokenizer)
    found = answers(renderer.render(talk("u:Hi", "a:Hello\nyou.", "u:And?", "a:Bye.")))
    assert [tokenizer.decode(ids) for ids in found] == ["Hello\nyou.\n</turn>", "Bye.\n</turn>"]
    assert [renderer.decode(ids) for ids in found] == ["Hello\nyou.", "Bye."]
    assert renderer.special_token_in(talk("u:Hi\n<turn>")) is None
    assert renderer.special_token_in(talk("u:Hi\n</turn>")) == "</turn>"
    assert renderer.special_token_in(talk("u:Hi\n<assistant>")) == "<assistant>"


@pytest.mark.parametrize(("name", "written"), [("llama3_2", "26 Jul 2024"), ("gptoss", "2024-07-26")])
def test_a_template_that_writes_todays_date_writes_the_same_one_every_day(vocabulary, talk, name, written):
    about = next(family for family in FAMILIES if family.template == name)
    tokenizer = dress(vocabulary, template_of(name), about.specials, about.eos)
    dated = Renderer(tokenizer)
    assert dated.is_dated and written in tokenizer.decode(dated.render(talk("u:Hi", "a:Hello you.")).ids)
    assert not Renderer(dress(vocabulary, template_of("llama3"), LLAMA3, "<|eot_id|>")).is_dated


@pytest.mark.parametrize(
    ("around", "asks"),
    [
        ("{%- set form = '%A, %-d %B %Y, %H:%M' %}{{ ASKS }}", "strftime_now(form)"),
        ("{{ ASKS }}", "strftime_now( format='%A, %-d %B ' ~ '%Y, %H:%M')"),
        (
            "{% macro day(clock) %}{{ ASKS }}{% endmacro %}{{ day(strftime_now) }}",
            "clock('%A, %-d %B %Y, %H:%M')",
        ),
        ("{% if strftime_now is defined %}{{ ASKS }}{% endif %}", "strftime_now('%A, %-d %B %Y, %H:%M')"),
    ],
)
@pytest.mark.parametrize("ahead", ["", "\n", "  ", "\n\n  {% set x = 1 %}\n"])
def test_however_a_template_asks_for_the_date_it_is_the_same_and_nothing_else_changes(
    vocabulary, talk, as_transformers, ahead, around, asks
):
    def writing(date):
        template = ahead + around.replace("ASKS", date) + CHATML_LIKE
        return dress(vocabulary, template, CHATML, "<|im_end|>")

    conversation, dated = talk("u:Hi", "a:Hello you."), Renderer(writing(asks))
    fixed = as_transformers(writing("'Friday, 26 July 2024, 00:00'"), conversation)
    assert dated.is_dated and dated.render(conversation).ids == fixed
