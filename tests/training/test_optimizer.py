"""LoRA+: the same groups and rates as PEFT's own optimizer."""

import pytest
import torch
from peft.optimizers import create_loraplus_optimizer

from residency.core.recipe import Train
from residency.training.optimizer import make_optimizer, set_learning_rate


def rates(optimizer: torch.optim.Optimizer) -> dict[int, float]:
    return {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}


def test_b_learns_faster_than_a_as_in_peft(lora_model):
    ours = make_optimizer(lora_model, Train(learning_rate=1e-3, lora_plus_ratio=16))
    set_learning_rate(ours, 1e-3)
    theirs = create_loraplus_optimizer(lora_model, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=16)
    assert rates(ours) == pytest.approx(rates(theirs))
    set_learning_rate(ours, 5e-4)
    assert rates(ours) == pytest.approx({p: rate / 2 for p, rate in rates(theirs).items()})


def test_without_a_ratio_all_weights_are_one_group(lora_model):
    (group,) = make_optimizer(lora_model, Train()).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in lora_model.parameters() if p.requires_grad]
