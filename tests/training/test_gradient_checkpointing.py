"""Gradient checkpointing gives the same gradients from less memory, and switches no dropout on."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

from residency.core.errors import ResidencyError
from residency.models.generate import generate
from residency.models.memory import most_held_by
from residency.models.packed.attention import use_packed_attention
from residency.training.gradient_checkpointing import (
    can_checkpoint,
    gradient_checkpointing,
    without_checkpointing,
)

from .conftest import SIZE, draw_sequences
from .test_parity import FAMILIES, gradients, ours, packed_loss

ROWS = draw_sequences(0, 7, [5, 19, 12, 30, 8], multi_turn=True)


def step(model) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = packed_loss(model, ROWS, budget=60)
    loss.backward()
    return loss.detach(), {name: grad.clone() for name, grad in gradients(model).items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradients_are_the_same(family):
    model = ours(family)
    expected, wanted = step(model)
    with gradient_checkpointing(model):
        loss, got = step(model)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-7)
    assert got.keys() == wanted.keys()
    for name in wanted:
        torch.testing.assert_close(got[name], wanted[name], rtol=1e-5, atol=1e-7)


def test_each_layer_is_computed_twice_within_and_once_after(lora_model):
    """The second time with the same packed layout, which the attention cannot do without."""
    use_packed_attention(lora_model)
    packed_loss(lora_model, ROWS, budget=10_000)  # the head is tried once a model, which is a pass too
    layouts = []
    modes = [module.training for module in lora_model.modules()]
    attention = lora_model.get_submodule("base_model.model.model.layers.1.self_attn")
    attention.register_forward_pre_hook(
        lambda module, args, kwargs: layouts.append(kwargs["packed_layout"]), with_kwargs=True
    )
    with gradient_checkpointing(lora_model):
        packed_loss(lora_model, ROWS, budget=10_000).backward()
    assert len(layouts) == 2
    assert layouts[0] is layouts[1]
    packed_loss(lora_model, ROWS, budget=10_000).backward()
    assert len(layouts) == 3
    assert [module.training for module in lora_model.modules()] == modes


def test_less_is_held(lora_model):
    use_packed_attention(lora_model)

    def work() -> None:
        packed_loss(lora_model, ROWS, budget=10_000).backward()

    work()
    held = most_held_by(work, torch.device("cpu"))
    with gradient_checkpointing(lora_model):
        assert most_held_by(work, torch.device("cpu")) < 0.8 * held


def test_answers_within_are_those_without(lora_model):
    def answers() -> list[list[int]]:
        prompts = [[5, 6, 7, 8], [9, 10]]
        given = generate(lora_model, prompts, max_new_tokens=8, stop_ids=[], batch_size=2)
        return [list(answer.ids) for answer in given]

    expected = answers()
    with gradient_checkpointing(lora_model), without_checkpointing(lora_model):
        assert answers() == expected


def test_dropout_inside_the_layers_stays_off():
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZE, attention_dropout=0.5)).eval()
    use_packed_attention(model)
    expected, wanted = step(model)
    with gradient_checkpointing(model):
        loss, got = step(model)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)


def test_layers_with_dropout_of_their_own_are_refused():
    sizes = {"vocab_size": 50, "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 1}
    config = OPTConfig(**sizes, word_embed_proj_dim=32, num_attention_heads=4, dropout=0.1)
    model = OPTForCausalLM(config).eval()
    assert not can_checkpoint(model)
    with pytest.raises(ResidencyError, match="not to be had"), gradient_checkpointing(model):
        pass
    plain = OPTForCausalLM(OPTConfig(**{**config.to_dict(), "dropout": 0.0})).eval()
    assert can_checkpoint(plain)
