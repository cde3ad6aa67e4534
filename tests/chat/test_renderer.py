from __future__ import annotations

import copy

import pytest
from tokenizers import Tokenizer, processors
from transformers import PreTrainedTokenizerFast

from residency.chat import Renderer
from residency.chat import renderer as module
from residency.core.errors import ResidencyError

CONVERSATIONS = [
    ("u:Hi", "a:Hello."),
    ("s:Be brief.", "u:Hi", "a:Hello."),
    ("s:", "u:Hi", "a:Hello."),
    ("u:Hi", "a:Hello.", "u:And now?", "a:Good night."),
    ("s:Be brief.", "u:Hi", "a:Hello.", "u:And now?", "a:Good night.", "u:So?", "a:So."),
    ("u:Größe 中文 \U0001f600 \u0301", "a:Übung 日本 \U0001f469\u200d\U0001f4bb"),
    ("u:  two before, two behind  ", "a:kept behind \n "),
    ("u:\n\tHi\r\n", "a:x\n\n\ny\n"),
    ("u:", "a:"),
    ("u:first", "u:second", "a:x"),
    ("u:A", "a:one", "a:two"),
]


def test_the_packaged_template_is_there(packaged):
    assert "named SmolLM" in packaged.chat_template


@pytest.mark.parametrize("turns", CONVERSATIONS)
def test_ids_are_those_of_transformers(packaged, renderer, talk, as_transformers, turns):
    conversation = talk(*turns)
    rendered = renderer.render(conversation)
    assert rendered.ids == as_transformers(packaged, conversation)
    assert len(rendered.supervised) == len(rendered.ids)
    prompt = as_transformers(packaged, conversation[:-1], add_generation_prompt=True)
    assert renderer.prompt_ids(conversation[:-1]) == prompt
    assert rendered.ids[: len(prompt)] == prompt


# By hand: every token, and those which the assistant wrote in square brackets.
SYSTEM_SINGLE = """
<|im_start|> system Ċ Be Ġbrief . <|im_end|> Ċ
<|im_start|> user Ċ Hi <|im_end|> Ċ
<|im_start|> ass istant Ċ [Hello] [.] [<|im_end|>] Ċ
"""
MULTI = """
<|im_start|> system Ċ You Ġare Ġa Ġhelpful ĠAI Ġassistant Ġnamed ĠSm ol LM , Ġtrained Ġby ĠH ugging ĠFace
<|im_end|> Ċ
<|im_start|> user Ċ a <|im_end|> Ċ <|im_start|> ass istant Ċ [b] [<|im_end|>] Ċ
<|im_start|> user Ċ c <|im_end|> Ċ <|im_start|> ass istant Ċ [d] [<|im_end|>] Ċ
"""
EMPTY_AND_SPACES = """
<|im_start|> system Ċ <|im_end|> Ċ
<|im_start|> user Ċ Ġa <|im_end|> Ċ <|im_start|> ass istant Ċ [<|im_end|>] Ċ
<|im_start|> user Ċ b <|im_end|> Ċ <|im_start|> ass istant Ċ [c] [Ġ] [<|im_end|>] Ċ
"""


@pytest.mark.parametrize(
    ("turns", "tokens"),
    [
        (("s:Be brief.", "u:Hi", "a:Hello."), SYSTEM_SINGLE),
        (("u:a", "a:b", "u:c", "a:d"), MULTI),
        (("s:", "u: a", "a:", "u:b", "a:c "), EMPTY_AND_SPACES),
    ],
)
def test_supervised_tokens_by_hand(packaged, renderer, talk, turns, tokens):
    rendered = renderer.render(talk(*turns))
    written = packaged.convert_ids_to_tokens(rendered.ids)
    shown = [f"[{t}]" if s else t for t, s in zip(written, rendered.supervised, strict=True)]
    assert shown == tokens.split()


def test_stop_ids_are_the_turns_end_and_the_eos(packaged, talk):
    other = copy.deepcopy(packaged)
    assert Renderer(other).stop_ids == {2}
    other.eos_token = other.pad_token = "<|endoftext|>"
    renderer = Renderer(other)
    assert renderer.stop_ids == {0, 2}
    ids, supervised = renderer.render(talk("u:Hi", "a:Hello."))
    assert (ids[-2], supervised[-2]) == (2, True)


def test_the_end_token_is_learned_where_pad_is_eos(packaged, renderer, talk):
    assert packaged.pad_token_id == packaged.eos_token_id == 2
    ids, supervised = renderer.render(talk("u:Hi", "a:Hello."))
    assert [i for i, s in zip(ids, supervised, strict=True) if s][-1] == 2


def test_decode_ends_at_the_stop_token_and_keeps_spaces(packaged, renderer):
    ids = packaged("  two , spaces !  ", add_special_tokens=False)["input_ids"]
    assert renderer.decode(ids) == "  two , spaces !  "
    assert renderer.decode([*ids, 2, 2, 198, *ids]) == "  two , spaces !  "
    assert renderer.decode([2]) == renderer.decode([]) == ""
    assert renderer.decode([1, 520]) == "<|im_start|>ass"


def test_many_are_as_one_by_one(renderer, talk, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 4)
    conversations = [talk(*turns) for turns in CONVERSATIONS]
    assert renderer.render_many(conversations) == [renderer.render(c) for c in conversations]
    assert renderer.render_many([]) == []


def test_each_error_stands_in_its_rows_place(renderer, talk):
    good, bad = talk("u:Hi", "a:Hello."), talk("u:Hi", "a:<|im_end|>")
    outcomes = renderer.render_each([good, bad, good, talk("u:Hi")])
    assert outcomes[0] == outcomes[2] == renderer.render(good)
    assert "<|im_end|>" in outcomes[1].what
    assert "ends with a user turn" in outcomes[3].what
    with pytest.raises(ResidencyError, match="im_end"):
        renderer.render_many([good, bad, talk("u:Hi")])


def test_rows_do_not_share_their_lists(renderer, talk):
    one, other = renderer.render_many([talk("u:Hi", "a:Hello.")] * 2)
    one.ids.append(0)
    one.supervised.append(False)
    assert len(other.ids) == len(other.supervised) == len(one.ids) - 1


@pytest.mark.parametrize(
    ("turns", "what"),
    [
        ((), "no turns"),
        (("u:Hi",), "ends with a user turn"),
        (("a:Hello.",), "begins with the assistant"),
        (("u:Hi <|im_end|>", "a:Hello."), "'<|im_end|>'"),
        (("u:Hi", "a:see <file_sep>"), "'<file_sep>'"),
        (("s:<|im_start|>user", "u:Hi", "a:x"), "'<|im_start|>'"),
        (("u:half \ud83d", "a:x"), "surrogate"),
        (("u:Hi", "a:  Hello."), "prompt of turn 2 and the start of the answer"),
        (("u:Hi", "a:  Hello.", "u:Hi", "a:x"), "prompt of turn 2 and the start of the answer"),
        (("u:Hi", "a:residency-probe-mark", "u:residency-probe-mark", "a:x"), "turn 2 cannot be found"),
    ],
)
def test_what_cannot_be_rendered_is_refused(renderer, talk, turns, what):
    with pytest.raises(ResidencyError) as caught:
        renderer.render(talk(*turns))
    assert what in caught.value.what
    assert caught.value.where == "chat"


def test_a_prompt_with_structure_is_refused(renderer, talk):
    with pytest.raises(ResidencyError, match="im_start"):
        renderer.prompt_ids(talk("u:<|im_start|>system"))


def test_special_token_in(renderer, talk):
    assert renderer.special_token_in(talk("u:a <| im_end |> b", "a:<b>")) is None
    assert renderer.special_token_in(talk("u:a", "a:b<|im_end|>")) == "<|im_end|>"


def test_the_longest_of_two_special_tokens_is_named(packaged, talk):
    tokenizer = copy.deepcopy(packaged)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<file_sep>2", "<file"]})
    assert Renderer(tokenizer).special_token_in(talk("u:a <file_sep>2")) == "<file_sep>2"


def test_no_second_bos_where_the_tokenizer_adds_one(packaged, talk, as_transformers):
    tokenizer = copy.deepcopy(packaged)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    tokenizer.chat_template = "{{ '<|endoftext|>' }}" + packaged.chat_template
    assert tokenizer("a")["input_ids"][0] == 0
    conversation = talk("u:Hi", "a:Hello.")
    ids = Renderer(tokenizer).render(conversation).ids
    assert ids == as_transformers(tokenizer, conversation)
    assert ids.count(0) == 1


def test_a_past_turn_that_changes_what_follows_is_refused(packaged, talk):
    tokenizer = copy.deepcopy(packaged)
    length = "{{ messages | map(attribute='content') | map('length') | sum }}"
    tokenizer.chat_template += "{% if not add_generation_prompt %}" + length + "{% endif %}"
    renderer = Renderer(tokenizer)
    assert packaged.decode(renderer.render(talk("u:Hi", "a:Hello.")).ids).endswith("<|im_end|>\n8")
    with pytest.raises(ResidencyError, match="turn 2 cannot be found"):
        renderer.render(talk("u:Hi", "a:Hello.", "u:Hi", "a:Hello."))


def test_what_the_template_raises_is_told(packaged, talk):
    strict = copy.deepcopy(packaged)
    strict.chat_template = (
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('User and assistant must alternate.') }}{% endif %}"
        "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    renderer = Renderer(strict)
    for turns in (("u:Hi", "u:Hi", "a:x"), ("s:Hi", "u:Hi", "a:x")):
        with pytest.raises(ResidencyError, match="User and assistant must alternate"):
            renderer.render(talk(*turns))
        with pytest.raises(ResidencyError, match="User and assistant must alternate"):
            renderer.prompt_ids(talk(*turns[:2]))


@pytest.mark.parametrize(
    ("template", "what"),
    [
        (None, "no chat template"),
        ("{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}", "never learn to stop"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "never learn to stop"),
        ("{% for m in messages %}{{ m.content + '</s>' }}{% endfor %}", "never learn to stop"),
        ("{% for m in messages %}{{ m.content | upper + '<|im_end|>' }}{% endfor %}", "does not show"),
        ("{% for m in messages %}{{ m.content * 2 + '<|im_end|>' }}{% endfor %}", "does not show"),
        ("{{ messages[0].content[0].text + '' }}", "has no attribute 'text'"),
        ("{% for m in messages %}", "refuses"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
    ],
)
def test_a_base_that_cannot_chat_is_refused(packaged, template, what):
    base = copy.deepcopy(packaged)
    base.chat_template = template
    with pytest.raises(ResidencyError) as caught:
        Renderer(base)
    assert what in caught.value.what
    assert caught.value.where == "base.model"


def test_fingerprint_stays(packaged, renderer, tmp_path):
    packaged.save_pretrained(tmp_path)
    again = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    other = Renderer(again)
    again(["a", "b c d"], padding=True, truncation=True, max_length=2)
    assert other.fingerprint == renderer.fingerprint


def _another_template(tokenizer):
    tokenizer.chat_template += " "


def _another_bos(tokenizer):
    tokenizer.bos_token = "<|endoftext|>"


def _another_eos(tokenizer):
    tokenizer.eos_token = "<|endoftext|>"


def _another_token(tokenizer):
    tokenizer.add_tokens(["<new>"])


def _another_split(tokenizer):
    tokenizer.backend_tokenizer.pre_tokenizer = None


def _another_merge(tokenizer):
    text = tokenizer.backend_tokenizer.to_str()
    changed = text.replace('"ignore_merges":false', '"ignore_merges":true')
    assert changed != text
    tokenizer._tokenizer = Tokenizer.from_str(changed)


@pytest.mark.parametrize(
    "change",
    [_another_template, _another_bos, _another_eos, _another_token, _another_split, _another_merge],
)
def test_fingerprint_changes_with_what_decides_on_tokens(packaged, renderer, change):
    other = copy.deepcopy(packaged)
    change(other)
    assert Renderer(other).fingerprint != renderer.fingerprint
