from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.core.errors import ResidencyError
from residency.core.records import Conversation, Message

# Much white space and many odd characters, for that is where tokenizers join across a boundary.
SPACED = st.sampled_from(" \n\t\r.,'<|>_abAB1é中\u0301\u200d\U0001f600")
# The packaged vocabulary has no token for some bytes: six control characters, and planes without characters.
ANY = st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\x04\x06\x13\x14\x16\x1d")
# Hypothesis draws constants of the code it runs too, and one of them is a special token, which is refused.
TEXTS = (st.text(SPACED, max_size=12) | st.text(ANY, max_size=20)).filter(lambda text: "<|im_" not in text)
LINE_END = 198


@settings(deadline=None, max_examples=200)
@given(system=st.none() | TEXTS, question=TEXTS, answer=TEXTS)
def test_prompt_and_answer_are_the_whole(
    packaged, renderer, as_transformers, answers, system, question, answer
):
    turns = [Message("user", question), Message("assistant", answer)]
    first = [] if system is None else [Message("system", system)]
    conversation = Conversation((*first, *turns))
    whole = as_transformers(packaged, conversation)
    prompt = as_transformers(packaged, conversation[:-1], add_generation_prompt=True)
    if whole[: len(prompt)] != prompt:
        assert answer[0].isspace()
        with pytest.raises(ResidencyError, match="start of the answer"):
            renderer.render(conversation)
        return
    rendered = renderer.render(conversation)
    (answer_ids,) = answers(rendered)
    assert renderer.prompt_ids(conversation[:-1]) + answer_ids + [LINE_END] == rendered.ids == whole
    assert renderer.decode(answer_ids) == answer


@settings(deadline=None, max_examples=100)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS.filter(lambda t: not t[:1].isspace())), min_size=1, max_size=4))
def test_every_turn_of_the_assistant_is_supervised_and_nothing_else(packaged, renderer, answers, pairs):
    roles = ("user", "assistant")
    conversation = Conversation(
        tuple(Message(role, text) for pair in pairs for role, text in zip(roles, pair, strict=True))
    )
    rendered = renderer.render(conversation)
    found = answers(rendered)
    assert [packaged.decode(ids) for ids in found] == [answer + "<|im_end|>" for _, answer in pairs]
    assert [renderer.decode(ids) for ids in found] == [answer for _, answer in pairs]
