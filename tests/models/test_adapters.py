"""Adapters: stock PEFT gives the same logits, and one that does not fit is refused."""

from __future__ import annotations

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from residency.core.errors import ResidencyError
from residency.core.recipe import Base, Train
from residency.models.adapters import attach_lora, load_adapter
from residency.models.artifact import save_artifact
from residency.models.card import Card
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
    model = attach_lora(base.model, Train(rank=rank, alpha=4))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_()
    return base, model


def save(model, folder, base, system):
    card = Card("lora", base.fingerprint, base.renderer.fingerprint, system, "float32", None)
    save_artifact(model, folder, base, card)


def test_stock_peft_loads_it_with_the_same_logits(folder, tmp_path):
    base, model = tuned(folder)
    save(model, tmp_path / "adapter", base, "Be brief.")
    with torch.no_grad():
        ours = model(input_ids=IDS).logits
        plain = AutoModelForCausalLM.from_pretrained(folder)
        untuned = plain(input_ids=IDS).logits
        stock = PeftModel.from_pretrained(plain, str(tmp_path / "adapter"))(input_ids=IDS).logits
        again = load_adapter(loaded(folder), tmp_path / "adapter")(input_ids=IDS).logits
    torch.testing.assert_close(ours, stock, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(again, ours, rtol=1e-5, atol=1e-6)  # without siblings, rounded otherwise
    assert not torch.allclose(ours, untuned, atol=1e-2)


def test_an_adapter_that_changes_nothing_is_refused(folder, tmp_path):
    base = loaded(folder)
    save(attach_lora(base.model, Train(rank=2, alpha=4)), tmp_path / "adapter", base, "")
    with pytest.raises(ResidencyError, match="changes nothing"):
        load_adapter(loaded(folder), tmp_path / "adapter")


def test_a_base_with_pickled_weights_only_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ResidencyError, match=r"\*\.safetensors are wanted"):
        loaded(tmp_path)
