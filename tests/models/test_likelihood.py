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


def test_questions_that_do_not_fit_together_are_computed_in_halves(said_aside):
    """Memory runs out twice: for six questions, of the twelve answers asked for, and for three."""
    generator = torch.Generator().manual_seed(2)
    draw = lambda n: torch.randint(3, 40, (n,), generator=generator).tolist()  # noqa: E731
    questions = [Question(draw(n), [[9, 8], [7]]) for n in (1, 9, 4, 7, 2, 12, 5, 8)]
    wanted = answer_likelihoods(MODELS["llama"](), questions, batch_size=12)
    model, calls, done = MODELS["llama"](), [], []

    def check(module, args, kwargs):
        calls.append(kwargs["input_ids"].shape)
        if len(calls) <= 2:
            raise MemoryError

    model.register_forward_pre_hook(check, with_kwargs=True)
    found = answer_likelihoods(model, questions, batch_size=12, advance=lambda n, _: done.append(n))
    assert done == [1] * 8 and [line.split(" rows")[0].strip() for line in said_aside] == ["6", "3"]
    for one, other in zip(found, wanted, strict=True):
        assert [a.logprob for a in one] == pytest.approx([a.logprob for a in other], abs=1e-5)


def test_what_prompts_share_is_computed_once():
    """Four prompts with 30 tokens in common and two of their own, two answers of one token each."""
    model, tokens = MODELS["llama"](), []
    hook = lambda module, args, kwargs: tokens.append(kwargs["packed_layout"].tokens)  # noqa: E731
    answer_likelihoods(model, [Question([5], [[4]])], batch_size=8)  # the head is looked at once
    model.register_forward_pre_hook(hook, with_kwargs=True)
    shared = list(range(3, 33))
    answer_likelihoods(model, [Question([*shared, n, 39], [[4], [5]]) for n in range(4)], batch_size=8)
    # an answer's last token is not read; two answers to one prompt do not save enough to share its own tokens
    assert tokens == [30 + 4 * 2 * 2]


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


def test_the_end_counts_where_an_answer_is_whole(tmp_path):
    base = load_base(Base(model=str(write_tiny_base(tmp_path / "tiny"))), torch.float32)
    model = LocalModel(base.model, base.renderer, 4)
    asked = Conversation((Message("user", "2 + 2?"),))
    ((found,),) = model.likelihoods([(asked, [Message("assistant", "four")])], no_progress, ended=True)
    tokenizer = AutoTokenizer.from_pretrained(base.folder)
    answer = [*tokenizer("four").input_ids, tokenizer.eos_token_id]
    assert found.tokens == len(answer) == 5
    assert found.logprob == pytest.approx(
        alone(base.model, base.renderer.prompt_ids(asked), answer), abs=1e-4
    )


def test_an_answer_that_cannot_be_written_or_is_too_long_cannot_be_weighed(tmp_path):
    base = load_base(Base(model=str(write_tiny_base(tmp_path / "tiny"))), torch.float32)
    model = LocalModel(base.model, base.renderer, 4)
    asked = Conversation((Message("user", "2 + 2?"),))
    room = 4096 - len(base.renderer.prompt_ids(asked)) - 2  # the stop token, and the line's end behind it
    told = {
        "four": True,
        "": True,
        "four<|im_end|>": False,  # structure of the chat
        "4" * room: True,
        "4" * (room + 1): False,
    }
    assert {text: model.can_weigh(asked, Message("assistant", text)) for text in told} == told
