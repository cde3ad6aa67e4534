"""Log-probabilities of chosen tokens, computed a few rows of logits at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_CHUNK = 32
"""Rows of logits taken at once: their float32 copy stays in the processor's cache."""


class _ChosenLogprobs(torch.autograd.Function):
    """log softmax(logits)[chosen]; no float32 copy of the logits is kept."""

    @staticmethod
    def forward(ctx: Any, logits_PV: Tensor, state_N: Tensor, target_N: Tensor) -> Tensor:
        normaliser_P = torch.cat([chunk.float().logsumexp(dim=-1) for chunk in logits_PV.split(_CHUNK)])
        ctx.save_for_backward(logits_PV, normaliser_P, state_N, target_N)
        return logits_PV[state_N, target_N].float() - normaliser_P[state_N]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """D logprob_n / d logits_p = [p is n's state] (onehot(target_n) - softmax(logits_p))."""
        logits_PV, normaliser_P, state_N, target_N = ctx.saved_tensors
        weight_P = torch.zeros_like(normaliser_P).index_add_(0, state_N, grads[0])
        grad_PV = torch.empty_like(logits_PV)
        for begin in range(0, len(logits_PV), _CHUNK):
            rows = slice(begin, begin + _CHUNK)
            softmax = logits_PV[rows].float().sub_(normaliser_P[rows, None]).exp_()
            grad_PV[rows] = softmax.mul_(-weight_P[rows, None])
        grad_PV.index_put_((state_N, target_N), grads[0].to(grad_PV.dtype), accumulate=True)
        return grad_PV, None, None


def chosen_logprobs(logits_PV: Tensor, state_N: Tensor, target_N: Tensor) -> Tensor:
    """Log-probability [N], float32, that state `state_N[n]` of the P states gives to `target_N[n]`."""
    chosen_N: Tensor = _ChosenLogprobs.apply(logits_PV, state_N, target_N)  # type: ignore[no-untyped-call]
    return chosen_N
