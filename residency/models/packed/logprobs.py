"""From states to the log-probabilities of chosen tokens, through the head, a few states at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

_CHUNK = 32
"""Rows of logits taken at once: their float32 copy stays in the processor's cache."""

HELD = 1 << 26
"""Logits that are kept from the forward to the backward pass; more are computed a second time."""


class Head(NamedTuple):
    """A linear layer from states to logits."""

    weight_VH: Tensor
    bias_V: Tensor | None


class _ChosenLogprobs(torch.autograd.Function):
    """log softmax(head(states))[chosen]; at most `held` logits are kept, and no float32 copy of them."""

    @staticmethod
    def forward(
        ctx: Any,
        states_PH: Tensor,
        weight_VH: Tensor,
        bias_V: Tensor | None,
        chosen: tuple[Tensor, Tensor],
        held: int,
    ) -> Tensor:
        state_N, target_N = chosen
        rows = max(1, held // len(weight_VH))
        logprob_N = torch.empty(len(state_N), dtype=torch.float32, device=states_PH.device)
        normaliser_P = torch.empty(len(states_PH), dtype=torch.float32, device=states_PH.device)
        logits_PV = torch.empty(0)
        for begin in range(0, len(states_PH), rows):
            part = slice(begin, begin + rows)
            logits_PV = linear(states_PH[part], weight_VH, bias_V)
            normaliser_P[part] = normalisers(logits_PV)
            of_part = _within(state_N, part)
            logprob_N[of_part] = logits_PV[state_N[of_part] - begin, target_N[of_part]].float()
        ctx.save_for_backward(
            states_PH,
            weight_VH,
            bias_V,
            normaliser_P,
            state_N,
            target_N,
            logits_PV if len(logits_PV) == len(states_PH) else None,
        )
        ctx.rows = rows
        return logprob_N - normaliser_P[state_N]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """D logprob_n / d logits_p = [p is n's state] (onehot(target_n) - softmax(logits_p))."""
        states_PH, weight_VH, bias_V, normaliser_P, state_N, target_N, kept_PV = ctx.saved_tensors
        weight_P = grads[0].new_zeros(len(states_PH)).index_add_(0, state_N, grads[0])
        dstates_PH = torch.empty_like(states_PH)
        dweight_VH = torch.zeros_like(weight_VH) if ctx.needs_input_grad[1] else None
        dbias_V = torch.zeros_like(bias_V) if ctx.needs_input_grad[2] else None
        for begin in range(0, len(states_PH), ctx.rows):
            part = slice(begin, begin + ctx.rows)
            logits_PV = linear(states_PH[part], weight_VH, bias_V) if kept_PV is None else kept_PV
            of_part = _within(state_N, part)
            chosen = (state_N[of_part] - begin, target_N[of_part], grads[0][of_part])
            dlogits_PV = _backward_of_softmax(logits_PV, normaliser_P[part], weight_P[part], chosen)
            dstates_PH[part] = dlogits_PV @ weight_VH
            if dweight_VH is not None:
                dweight_VH.addmm_(dlogits_PV.T, states_PH[part])
            if dbias_V is not None:
                dbias_V += dlogits_PV.sum(0)
        return dstates_PH, dweight_VH, dbias_V, None, None


def normalisers(logits_PV: Tensor) -> Tensor:
    """The logarithm of the sum of each state's exponents [P], in float32, a few states at a time."""
    return torch.cat([chunk.float().logsumexp(dim=-1) for chunk in logits_PV.split(_CHUNK)])


def _within(state_N: Tensor, part: slice) -> Tensor:
    """Which of the N tokens are predicted by a state of this part."""
    return ((state_N >= part.start) & (state_N < part.stop)).nonzero()[:, 0]


def _backward_of_softmax(
    logits_PV: Tensor, normaliser_P: Tensor, weight_P: Tensor, chosen: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Onehot x gradient - weight x softmax, worked out in float32 and rounded once, where it is kept.

    Rounded before the two meet, a token that is nearly certain would lose its gradient. And torch's
    softmax adds up the vocabulary in one go, which costs float32 two of its digits.
    """
    out_PV = torch.empty_like(logits_PV)
    for begin in range(0, len(logits_PV), _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        softmax = (logits_PV[rows] - normaliser_P[rows, None]).exp_()
        out_PV[rows] = softmax.mul_(-weight_P[rows, None])
    state_N, target_N, grad_N = chosen
    (state_U, target_U), of_U = torch.stack((state_N, target_N)).unique(dim=1, return_inverse=True)
    softmax_U = (logits_PV[state_U, target_U] - normaliser_P[state_U]).exp()
    grad_U = torch.zeros_like(softmax_U).index_add_(0, of_U, grad_N)
    out_PV[state_U, target_U] = (grad_U - weight_P[state_U] * softmax_U).to(out_PV.dtype)
    return out_PV


def chosen_logprobs(
    states_PH: Tensor, head: Head, state_N: Tensor, target_N: Tensor, held: int = HELD
) -> Tensor:
    """Log-probability [N], float32, that state `state_N[n]` of the P states gives to `target_N[n]`.

    The products run in the states' format. At most `held` logits stand in memory at a time, plus
    those of a single state.
    """
    dtype = states_PH.dtype
    bias_V = None if head.bias_V is None else head.bias_V.to(dtype)
    chosen_N: Tensor = _ChosenLogprobs.apply(  # type: ignore[no-untyped-call]
        states_PH, head.weight_VH.to(dtype), bias_V, (state_N, target_N), held
    )
    return chosen_N
