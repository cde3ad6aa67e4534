"""How likely given answers are: a prompt is computed once for all its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from residency.core.progress import Advance, no_progress
from residency.core.records import Likelihood
from residency.models.out_of_memory import answer_in_batches

_ANSWER_TOKENS = 2048
"""Tokens of answers, padding included, whose logits are computed at once."""


class Question(NamedTuple):
    """A prompt and the answers to it, as tokens; no answer is empty."""

    prompt: Sequence[int]
    answers: Sequence[Sequence[int]]


@torch.inference_mode()
def answer_likelihoods(
    model: PreTrainedModel, questions: Sequence[Question], *, batch_size: int, advance: Advance = no_progress
) -> list[list[Likelihood]]:
    """The log-probability of each answer under its prompt, in float32.

    Questions of like length go together, as many as have about `batch_size` answers, and fewer where
    answers are long: their logits are held at once.
    """
    results: list[list[Likelihood]] = [[] for _ in questions]
    order = sorted(range(len(questions)), key=lambda i: len(questions[i].prompt))
    most = max((len(question.answers) for question in questions), default=1)
    longest = max((len(answer) for question in questions for answer in question.answers), default=1)
    step = max(1, min(batch_size, _ANSWER_TOKENS // longest) // most)
    batches = [order[start : start + step] for start in range(0, len(order), step)]

    def answer(chosen: Sequence[int]) -> None:
        logprobs = iter(_batch_logprobs(model, [questions[i] for i in chosen]).tolist())
        for i in chosen:
            results[i] = [Likelihood(next(logprobs), len(answer)) for answer in questions[i].answers]
        advance(len(chosen), "")

    lengths = [len(question.prompt) + max(map(len, question.answers)) for question in questions]
    answer_in_batches(batches, lengths, answer, model.device)
    return results


def _batch_logprobs(model: PreTrainedModel, questions: Sequence[Question]) -> Tensor:
    """One value for each answer of each question, in order.

    Prompts are padded on the left, answers on the right. The prompt's last state predicts an answer's
    first token; each token but the last predicts the next.
    """
    prompts = [list(question.prompt) for question in questions]
    answers = [list(answer) for question in questions for answer in question.answers]
    width, longest = max(map(len, prompts)), max(map(len, answers))
    device, cache = model.device, DynamicCache()
    ids_BL = torch.tensor([[0] * (width - len(p)) + p for p in prompts], device=device)
    pads_B = torch.tensor([width - len(p) for p in prompts], device=device)
    place_BL = torch.arange(width, device=device) - pads_B[:, None]
    # An index copies the states; a slice would make torch copy the head's weights to each row.
    last = torch.tensor([width - 1], device=device)
    logits_BV = model(
        input_ids=ids_BL,
        attention_mask=(place_BL >= 0).long(),
        position_ids=place_BL.clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=last,
    ).logits[:, -1]
    of_S = torch.tensor([b for b, q in enumerate(questions) for _ in q.answers], device=device)
    target_SL = torch.tensor([a + [0] * (longest - len(a)) for a in answers], device=device)
    real_SL = torch.arange(longest, device=device) < torch.tensor([[len(a)] for a in answers], device=device)
    logprob_S = _chosen(logits_BV[of_S], target_SL[:, 0])
    if longest == 1:
        return logprob_S
    cache.batch_select_indices(of_S)
    logits_SLV = model(
        input_ids=target_SL[:, :-1],
        attention_mask=torch.cat(((place_BL >= 0)[of_S], real_SL[:, :-1]), dim=1).long(),
        position_ids=(width - pads_B)[of_S][:, None] + torch.arange(longest - 1, device=device),
        past_key_values=cache,
        use_cache=True,
    ).logits
    later_SL = _chosen(logits_SLV, target_SL[:, 1:])
    return logprob_S + later_SL.where(real_SL[:, 1:], 0.0).sum(dim=1)


def _chosen(logits: Tensor, target: Tensor) -> Tensor:
    """Log-softmax at the target, over the last axis."""
    logits = logits.float()
    return logits.gather(-1, target[..., None])[..., 0] - logits.logsumexp(dim=-1)
