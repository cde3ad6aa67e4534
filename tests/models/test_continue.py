"""Answers are gone on with from their first tokens as transformers' own greedy search does."""

import pytest
import torch

from residency.core.progress import no_progress
from residency.core.recipe import Base
from residency.core.records import Conversation, Message
from residency.models.language_model import LocalModel
from residency.models.load import load_base
from residency.models.scripted import write_tiny_base


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return load_base(
        Base(model=str(write_tiny_base(tmp_path_factory.mktemp("base") / "tiny"))), torch.float32
    )


def test_goes_on_as_transformers_does(base):
    asked = Conversation((Message("user", "Hi"),))
    said = [Message("assistant", text) for text in ("a long enough answer", "another long answer", "short")]
    model = LocalModel(base.model, base.renderer, 4)
    prompt = base.renderer.prompt_ids(asked)
    expected = []
    for turn in said[:2]:
        given = [*prompt, *base.renderer.render(Conversation((*asked, turn))).ids[len(prompt) :][:5]]
        ids = base.model.generate(
            torch.tensor([given]),
            max_new_tokens=6,
            do_sample=False,
            eos_token_id=sorted(base.renderer.stop_ids),
        )
        expected.append((base.renderer.decode(ids[0, len(given) :].tolist()), len(given)))
    found = model.continue_answers([(asked, turn) for turn in said], 5, 6, no_progress)
    assert found[2] is None
    # a token of the tiny base is a byte
    assert [(went_on.given, went_on.expected) for went_on in found[:2]] == [
        ("a lon", "g enou"),
        ("anoth", "er lon"),
    ]
    assert [(went_on.got, went_on.prompt_tokens) for went_on in found[:2]] == expected
    assert [went_on.verbatim for went_on in found[:2]] == [False, False]


def test_what_the_model_says_of_itself_is_verbatim(base):
    asked, model = Conversation((Message("user", "Hi"),)), LocalModel(base.model, base.renderer, 4)
    (first,) = model.continue_answers([(asked, Message("assistant", "abcdefghijk"))], 5, 6, no_progress)
    if any(letter in first.got for letter in "<\ufffd"):
        pytest.skip("the random base went on with something that is no text")
    (again,) = model.continue_answers([(asked, Message("assistant", f"abcde{first.got}"))], 5, 6, no_progress)
    assert again.verbatim and again.got == again.expected == first.got
