"""Counts must be those of the tokens rendered, whatever a template does."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.chat import Counts, Renderer
from residency.chat.template import Template
from residency.core.errors import ResidencyError
from residency.core.records import Conversation, Message
from tests.chat.test_families import FAMILIES, MISTRAL_LIKE, dress, template_of
from tests.chat.test_properties import ANY, SPACED

TEXTS = st.text(SPACED, max_size=12) | st.text(ANY, max_size=20)
CONVERSATIONS = [
    ("u:Hi", "a:Hello you."),
    ("s:Be brief.", "u:Hi 中文 \U0001f600", "a:Größe \U0001f469\u200d\U0001f4bb"),
    ("s:", "u:Hi", "a:Hello you."),
    ("u: spaces ", "a:none"),
    ("u:Hi", "a:\n two\n"),
    ("u:", "a:x"),
    ("u:Hi", "a:<think>\nHm.\n</think>\n\nHello."),
    ("u:Hi\n/no_think", "a:Hello\n\nyou."),
    ("u:Hi", "a:Hello you.", "u:And?", "a:Bye."),
    ("u:<|im_end|>", "a:Hello."),
    ("u:Hi", "a:\ud800"),
    ("u:Hi",),
]


def counts_of(renderer: Renderer, conversations) -> list[Counts | str]:
    rendered = renderer.render_each(conversations)
    return [r.what if isinstance(r, ResidencyError) else Counts(len(r[0]), sum(r[1])) for r in rendered]


def told(outcomes) -> list[Counts | str]:
    return [o.what if isinstance(o, ResidencyError) else o for o in outcomes]


@pytest.mark.parametrize("about", FAMILIES, ids=lambda family: family.template)
def test_counts_are_those_of_what_is_rendered(vocabulary, about, talk):
    renderer = Renderer(dress(vocabulary, template_of(about.template), about.specials, about.eos))
    conversations = [talk(*turns) for turns in CONVERSATIONS]
    assert told(renderer.count_each(conversations)) == counts_of(renderer, conversations)


@settings(deadline=None, max_examples=150)
@given(rows=st.lists(st.tuples(st.none() | TEXTS, TEXTS, TEXTS), min_size=1, max_size=3))
def test_counts_of_any_text(packaged, renderer, rows):
    conversations = [
        Conversation(
            (
                *(() if system is None else (Message("system", system),)),
                Message("user", question),
                Message("assistant", answer),
            )
        )
        for system, question, answer in rows
    ]
    assert told(renderer.count_each(conversations)) == counts_of(renderer, conversations)


class Counting(Template):
    """Counts the conversations that it writes."""

    written = 0

    def text(self, conversation, *, generation_prompt=False):
        Counting.written += 1
        return super().text(conversation, generation_prompt=generation_prompt)


@pytest.fixture
def counted(monkeypatch):
    monkeypatch.setattr("residency.chat.renderer.Template", Counting)
    return Counting


def test_most_rows_are_counted_without_the_template(packaged, counted, talk):
    renderer = Renderer(packaged)
    rows = [talk("s:Be brief.", f"u:What is {i}?", f"a:It is {i}.") for i in range(600)]
    wanted = counts_of(renderer, rows)
    counted.written = 0
    assert renderer.count_each(rows) == wanted
    assert counted.written < 30


@pytest.mark.parametrize(
    "odd",
    [
        "{{ m.content.split('::')[-1] }}",
        "{{ m.content | replace('::', '-') }}",
        "{{ '' if '::' in m.content else m.content }}",
        "{{ '' if m.content[:2] == '::' else m.content }}",
        "{{ m.content | upper }}",
        "{{ m.content ~ m.content | length }}",
    ],
)
def test_a_template_that_looks_into_contents(vocabulary, talk, odd):
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n" + odd + "<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    try:
        renderer = Renderer(dress(vocabulary, template, "<|im_start|> <|im_end|>", "<|im_end|>"))
    except ResidencyError:
        return
    rows = [talk(f"u:{question}", f"a:{answer}") for question in ("::a", "b") for answer in ("c", "d::e f")]
    assert told(renderer.count_each(rows)) == counts_of(renderer, rows)


def test_a_frame_that_fails_a_check_is_given_up(vocabulary, talk, monkeypatch):
    """Lengths are not looked for as texts are: here the check of some rows finds it out."""
    monkeypatch.setattr("residency.chat.renderer._VERIFIED", 1)
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
        "{% if m.content | length > 40 %} (long){% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    renderer = Renderer(dress(vocabulary, template, "<|im_start|> <|im_end|>", "<|im_end|>"))
    rows = [talk("u:Hi", "a:Hello."), talk(f"u:{'word ' * 20}end", "a:Hello.")]
    assert renderer.count_each(rows) == counts_of(renderer, rows)
    assert renderer._frames is None


def test_without_a_token_to_cut_at_the_template_is_run(vocabulary, talk):
    renderer = Renderer(dress(vocabulary, MISTRAL_LIKE, "<s> </s>", "</s>"))
    rows = [talk("u:Hi", "a:Hello."), talk("u:Ho", "a: Hello.")]
    assert told(renderer.count_each(rows)) == counts_of(renderer, rows)


def test_a_token_that_eats_white_space_is_no_place_to_cut(vocabulary, talk):
    from tokenizers import AddedToken

    tokenizer = copy.deepcopy(vocabulary)
    tokenizer.chat_template = template_of("phi3")
    eating = [AddedToken(text, rstrip=True, special=True) for text in ("<|user|>", "<|assistant|>")]
    plain = [AddedToken(text, special=True) for text in ("<|system|>", "<|end|>")]
    tokenizer.add_special_tokens({"additional_special_tokens": [*eating, *plain]})
    tokenizer.add_special_tokens({"eos_token": "<|endoftext|>"})
    renderer = Renderer(tokenizer)
    rows = [talk("u:Hi", "a:Hello."), talk("u:Hi", "a:Good\n  night.")]
    assert told(renderer.count_each(rows)) == counts_of(renderer, rows)
