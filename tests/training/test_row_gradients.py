"""Gradients of many rows at once are those of plain transformers and PEFT, one row at a time."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from residency.models.lora_linear import LoraLinear
from residency.models.packed.attention import use_packed_attention
from residency.training.gradient_checkpointing import gradient_checkpointing
from residency.training.objectives import get_objective
from residency.training.row_gradients import find_updates, gradients_at_once, gradients_one_by_one

from .conftest import tiny_llama
from .test_methods import ROWS, STOCK, gradients, opened, plain_loss, stock_adapter, wake
from .test_methods import folder as folder

SFT = get_objective("sft")
AT_ONCE = {"lora": ({}, {}), **{name: STOCK[name] for name in ("rslora", "targets", "qlora")}}
ONE_BY_ONE = {name: STOCK[name] for name in ("dora", "both", "qlora and dora")}


def woken(folder, settings):
    model = opened(folder, rank=3, alpha=6, **settings)
    wake(model)
    use_packed_attention(model)
    return model


def taken(model, compute) -> dict[str, Tensor]:
    """What `compute` gives for each trained weight, [B, *weight]."""
    names = {weight: name for name, weight in model.named_parameters()}
    found: dict[str, Tensor] = {}

    def take(weight, numbers, gradient):
        whole = found.setdefault(names[weight], torch.zeros(len(ROWS), *weight.shape))
        whole[list(numbers)] += gradient

    compute(take)
    return found


def assert_those_of_single_rows(found: dict[str, Tensor], reference) -> None:
    for number, row in enumerate(ROWS):
        reference.zero_grad()
        plain_loss(reference, [row]).backward()
        wanted = gradients(reference)
        assert found.keys() == wanted.keys()
        for name, gradient in wanted.items():
            assert gradient.norm() > 0, name
            error = (found[name][number] - gradient).norm() / gradient.norm()
            assert error < 1e-5, (number, name, error)


@pytest.mark.parametrize("checkpointed", [False, True], ids=["held", "checkpointed"])
@pytest.mark.parametrize("name", AT_ONCE)
def test_rows_at_once_have_the_gradients_of_plain_peft_one_by_one(folder, name, checkpointed):
    settings, more = AT_ONCE[name]
    model = woken(folder, settings)
    updates = find_updates(model)
    with gradient_checkpointing(model) if checkpointed else nullcontext():
        found = taken(model, lambda take: gradients_at_once(model, updates, ROWS, SFT, take))
    assert_those_of_single_rows(found, stock_adapter(folder, settings.get("method") == "qlora", more))


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_layers_with_more_than_two_matrices_go_row_by_row(folder, name):
    settings, more = ONE_BY_ONE[name]
    model = woken(folder, settings)
    assert find_updates(model) is None
    found = taken(model, lambda take: gradients_one_by_one(model, ROWS, SFT, take))
    assert_those_of_single_rows(found, stock_adapter(folder, settings.get("method") == "qlora", more))


def test_an_adapter_on_what_is_no_linear_layer_goes_row_by_row():
    adapted = {}
    for target in ("q_proj", "embed_tokens"):
        config = LoraConfig(r=3, task_type="CAUSAL_LM", target_modules=[target])
        adapted[target] = get_peft_model(tiny_llama(), config)
        use_packed_attention(adapted[target])
    assert len(find_updates(adapted["q_proj"])) == 2
    assert find_updates(adapted["embed_tokens"]) is None


class Flat(torch.nn.Module):
    """Gives its layers tokens without their row, and in another order, as a mixture's experts get them."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x_1TH: Tensor) -> Tensor:
        return self.inner(x_1TH[0].flip(0)).flip(0)[None]


def test_layers_that_get_tokens_in_another_order_go_row_by_row(lora_model):
    use_packed_attention(lora_model)
    updates = find_updates(lora_model)
    assert {update.layer for update in updates} == {
        m for m in lora_model.modules() if isinstance(m, LoraLinear)
    }
    layer = lora_model.get_submodule("base_model.model.model.layers.1")
    layer.mlp = Flat(layer.mlp)
    assert find_updates(lora_model) is None
