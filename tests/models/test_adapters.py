"""Adapters: stock PEFT gives the same logits, and one that does not fit is refused."""

from __future__ import annotations

import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from residency.core.errors import ResidencyError
from residency.core.recipe import Base
from residency.models.adapters import attach_lora, count_trainable, load_adapter, save_adapter
from residency.models.load import load_base
from residency.models.scripted import write_tiny_base

IDS = torch.tensor([[3, 14, 15, 92, 65, 35]])


@pytest.fixture
def folder(tmp_path):
    return write_tiny_base(tmp_path / "base")


def loaded(folder):
    return load_base(Base(model=str(folder)), torch.float32)


def tuned(folder, rank=2):
    base = loaded(folder)
    model = attach_lora(base.model, rank=rank, alpha=4, seed=0)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_()
    return base, model


def test_stock_peft_loads_it_with_the_same_logits(folder, tmp_path):
    base, model = tuned(folder)
    save_adapter(model, tmp_path / "adapter", base, "Be brief.")
    with torch.no_grad():
        ours = model(input_ids=IDS).logits
        plain = AutoModelForCausalLM.from_pretrained(folder)
        untuned = plain(input_ids=IDS).logits
        stock = PeftModel.from_pretrained(plain, str(tmp_path / "adapter"))(input_ids=IDS).logits
        again = load_adapter(loaded(folder), tmp_path / "adapter")(input_ids=IDS).logits
    torch.testing.assert_close(ours, stock, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(again, ours, rtol=0, atol=0)
    assert not torch.allclose(ours, untuned, atol=1e-2)


def test_trainable_weights_are_counted(folder):
    _, model = tuned(folder, rank=2)
    # 2 layers; q, o: 32 -> 32; k, v: 32 -> 16; gate, up: 32 -> 64; down: 64 -> 32; rank x (in + out)
    by_hand = 2 * 2 * (2 * 64 + 2 * 48 + 2 * 96 + 96)
    assert count_trainable(model).trainable == by_hand
    assert count_trainable(model).total == by_hand + sum(p.numel() for p in loaded(folder).model.parameters())


def test_another_base_is_refused(folder, tmp_path):
    base, model = tuned(folder)
    save_adapter(model, tmp_path / "adapter", base, "")
    other = write_tiny_base(tmp_path / "other", seed=5)
    with pytest.raises(ResidencyError, match="trained on another base"):
        load_adapter(loaded(other), tmp_path / "adapter")


def test_another_template_is_refused(folder, tmp_path):
    base, model = tuned(folder)
    save_adapter(model, tmp_path / "adapter", base, "")
    card = tmp_path / "adapter" / "residency.json"
    content = json.loads(card.read_text())
    card.write_text(json.dumps({**content, "renderer": "0" * 16}))
    with pytest.raises(ResidencyError, match="another tokenizer or chat template"):
        load_adapter(loaded(folder), tmp_path / "adapter")


def test_an_adapter_that_changes_nothing_is_refused(folder, tmp_path):
    base = loaded(folder)
    save_adapter(attach_lora(base.model, rank=2, alpha=4, seed=0), tmp_path / "adapter", base, "")
    with pytest.raises(ResidencyError, match="changes nothing"):
        load_adapter(loaded(folder), tmp_path / "adapter")


def test_a_base_with_pickled_weights_only_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ResidencyError, match=r"\*\.safetensors are wanted"):
        loaded(tmp_path)
