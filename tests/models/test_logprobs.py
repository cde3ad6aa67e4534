"""The head's log-probabilities and gradients, against torch's own on full logits."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import linear

from residency.models.packed.logprobs import Head, chosen_logprobs

STATES, VOCABULARY, HIDDEN = 9, 13, 5
STATE_N = torch.tensor([0, 3, 3, 8, 5, 0, 7])
TARGET_N = torch.tensor([1, 0, 12, 4, 4, 1, 2])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("held", [1, 2 * VOCABULARY, STATES * VOCABULARY])
def test_chunks_of_any_size_equal_full_logits(held, bias):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator).requires_grad_()

    inputs = [draw(STATES, HIDDEN), draw(VOCABULARY, HIDDEN), *([draw(VOCABULARY)] if bias else [])]
    weight_N = torch.randn(len(STATE_N), generator=generator)
    bias_V = inputs[2] if bias else None
    full = linear(inputs[0], inputs[1], bias_V).log_softmax(-1)[STATE_N, TARGET_N]
    wanted = torch.autograd.grad((full * weight_N).sum(), inputs)
    got_N = chosen_logprobs(inputs[0], Head(inputs[1], bias_V), STATE_N, TARGET_N, held)
    got = torch.autograd.grad((got_N * weight_N).sum(), inputs)
    torch.testing.assert_close(got_N, full, rtol=1e-5, atol=1e-6)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_no_more_logits_than_allowed_are_kept():
    """What backward holds on to, counted: states, head, normalisers and numbers, but no logits."""
    kept: list[tuple[int, ...]] = []
    states, weight = torch.randn(STATES, HIDDEN, requires_grad=True), torch.randn(VOCABULARY, HIDDEN)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(tuple(t.shape)) or t, lambda t: t):
        chosen_logprobs(states, Head(weight, None), STATE_N, TARGET_N, held=2 * VOCABULARY)
    assert (STATES, HIDDEN) in kept
    assert not any(shape[-1] == VOCABULARY for shape in kept if shape)


def test_a_nearly_certain_token_keeps_its_gradient_in_bfloat16():
    """p = 0.999: onehot - softmax must be worked out before it is rounded to bfloat16's 1/256."""
    logits = torch.tensor([[9.0, 1.0, 1.0, 1.0]])
    states = torch.ones(1, 1, dtype=torch.bfloat16, requires_grad=True)
    head = Head(logits.T.to(torch.bfloat16).contiguous(), None)
    state, target = torch.tensor([0]), torch.tensor([0])
    (got,) = torch.autograd.grad(chosen_logprobs(states, head, state, target).sum(), states)
    softmax = logits.softmax(-1)
    wanted = logits[0, 0] - (softmax * logits).sum()  # d logprob / d state = w_target - E[w]
    torch.testing.assert_close(got.float().squeeze(), wanted, rtol=0.02, atol=0)


def test_two_sequences_that_learn_the_same_token_of_one_state_add_up():
    states, weight = torch.randn(2, HIDDEN, requires_grad=True), torch.randn(VOCABULARY, HIDDEN)
    state_N, target_N, grad_N = (
        torch.tensor([1, 1, 1]),
        torch.tensor([4, 4, 2]),
        torch.tensor([1.0, 2.0, 4.0]),
    )
    full = linear(states, weight).log_softmax(-1)[state_N, target_N]
    got = chosen_logprobs(states, Head(weight, None), state_N, target_N)
    wanted, given = (torch.autograd.grad((x * grad_N).sum(), states)[0] for x in (full, got))
    torch.testing.assert_close(given, wanted, rtol=1e-5, atol=1e-6)
