"""Batched log-probabilities of answers equal those of plain transformers, one sequence at a time."""

import pytest
import torch
from transformers import AutoTokenizer

from residency.core.progress import no_progress
from residency.core.recipe import Base
from residency.core.records import Conversation, Message
from residency.models.language_model import LocalModel
from residency.models.likelihood import Question, answer_likelihoods
from residency.models.load import load_base
from residency.models.scripted import write_tiny_base
from tests.models.test_generate import MODELS


def alone(model, prompt, answer):
    """From the logits of the whole sequence, without a cache or a mask."""
    logits = model(torch.tensor([[*prompt, *answer]])).logits[0].log_softmax(-1)
    return sum(logits[len(prompt) - 1 + i, token].item() for i, token in enumerate(answer))


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("longest", [1, 6])
def test_equals_plain_logits(family, longest):
    model = MODELS[family]()
    generator = torch.Generator().manual_seed(1)
    draw = lambda n: torch.randint(3, 40, (n,), generator=generator).tolist()  # noqa: E731
    lengths = [(7, [1, 3, 6]), (1, [2]), (12, [4, 4]), (5, [1, 1, 2, 5]), (9, [6])]
    questions = [Question(draw(p), [draw(min(a, longest)) for a in answers]) for p, answers in lengths]
    told = []
    found = answer_likelihoods(model, questions, batch_size=8, advance=lambda n, _: told.append(n))
    for question, likelihoods in zip(questions, found, strict=True):
        assert [likelihood.tokens for likelihood in likelihoods] == [len(a) for a in question.answers]
        expected = [alone(model, question.prompt, answer) for answer in question.answers]
        assert [likelihood.logprob for likelihood in likelihoods] == pytest.approx(expected, abs=1e-4)
    assert sum(told) == 5


def test_nothing_is_asked():
    assert answer_likelihoods(MODELS["llama"](), [], batch_size=4) == []


def test_texts_are_weighed_as_the_assistant_would_write_them(tmp_path):
    base = load_base(Base(model=str(write_tiny_base(tmp_path / "tiny"))), torch.float32)
    model = LocalModel(base.model, base.renderer, 4)
    past = Conversation((Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "2 + 2?")))
    told = [Message("assistant", text) for text in ("4", "five", "Hello")]
    questions = [(past, told[:2]), (past[:1], told[2:])]
    found = model.likelihoods(questions, no_progress)
    # the tiny base's tokens are bytes, so an answer has as many as it has letters; the stop token is not one
    assert [[likelihood.tokens for likelihood in row] for row in found] == [[1, 4], [5]]
    prompt = base.renderer.prompt_ids(past)
    answer = AutoTokenizer.from_pretrained(base.folder)("five").input_ids
    assert found[0][1].logprob == pytest.approx(alone(base.model, prompt, answer), abs=1e-4)
