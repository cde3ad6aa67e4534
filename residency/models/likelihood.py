"""How likely given answers are: what several prompts and answers share is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from residency.chat import Rendered
from residency.core.progress import Advance, no_progress
from residency.core.records import Likelihood
from residency.models.attention import attending
from residency.models.batches import batches
from residency.models.out_of_memory import answer_in_batches
from residency.models.packed.attention import NAME, packed_attention
from residency.models.packed.forward import supervised_logprobs
from residency.models.packed.packing import pack

_TOKENS = 4096
"""Tokens of prompts and answers computed at once, were all as long as the longest."""


class Question(NamedTuple):
    """A prompt and the answers to it, as tokens; none of them is empty."""

    prompt: Sequence[int]
    answers: Sequence[Sequence[int]]


@torch.inference_mode()
def answer_likelihoods(
    model: PreTrainedModel, questions: Sequence[Question], *, batch_size: int, advance: Advance = no_progress
) -> list[list[Likelihood]]:
    """The log-probability of each answer under its prompt, in float32, as training computes it.

    Questions of like length go together, as many as have about `batch_size` answers, and fewer where
    they are long.
    """
    results: list[list[Likelihood]] = [[] for _ in questions]
    lengths = [len(prompt) + sum(map(len, answers)) for prompt, answers in questions]
    most = max((len(question.answers) for question in questions), default=1)
    order = sorted(range(len(questions)), key=lambda i: lengths[i])
    together = batches(order, lengths, max(1, batch_size // most), _TOKENS)

    def answer(chosen: Sequence[int]) -> None:
        logprobs = iter(_logprobs(model, [questions[i] for i in chosen]).tolist())
        for i in chosen:
            results[i] = [Likelihood(next(logprobs), len(answer)) for answer in questions[i].answers]
        advance(len(chosen), "")

    with attending(model, NAME, packed_attention):
        answer_in_batches(together, lengths, answer, model.device)
    return results


def _logprobs(model: PreTrainedModel, questions: Sequence[Question]) -> Tensor:
    """One value for each answer of each question, in order."""
    rows = [
        Rendered([*prompt, *answer], [False] * len(prompt) + [True] * len(answer))
        for prompt, answers in questions
        for answer in answers
    ]
    packed = pack(rows, model.device)
    logprob_N = supervised_logprobs(model, packed)
    return logprob_N.new_zeros(len(rows)).index_add(0, packed.sequence_N, logprob_N)
