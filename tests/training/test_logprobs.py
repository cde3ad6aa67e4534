"""The head's log-probabilities and gradients, against torch's own on full logits."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import linear

from residency.training.logprobs import Head, chosen_logprobs

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
