"""Every method's loss and gradients equal plain transformers and PEFT; a killed training goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from residency.chat import Rendered
from residency.core.progress import Silent
from residency.core.recipe import Base, Train
from residency.models.packed.attention import use_packed_attention
from residency.models.packed.forward import linear_head
from residency.models.scripted import write_tiny_base
from residency.training.checkpoint import checkpoints, trainable_state
from residency.training.engine import compute, supervised_count
from residency.training.loop import Trainer
from residency.training.objectives import get_objective
from tests.opened import open_for_training

from .conftest import draw_sequences, killed_at

ROWS = draw_sequences(3, 11, [3, 9, 17, 5, 30, 4], multi_turn=True)
FOUR_BITS = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
STOCK = {
    "rslora": ({"scaling": "rank_stabilised"}, {"use_rslora": True}),
    "dora": ({"dora": True}, {"use_dora": True}),
    "both": ({"dora": True, "scaling": "rank_stabilised"}, {"use_dora": True, "use_rslora": True}),
    "targets": ({"targets": ["q_proj", "v_proj"]}, {"target_modules": ["q_proj", "v_proj"]}),
    "qlora": ({"method": "qlora"}, {}),
    "qlora and dora": ({"method": "qlora", "dora": True}, {"use_dora": True}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_tiny_base(tmp_path_factory.mktemp("base") / "tiny")


def opened(folder: Path, dtype: torch.dtype = torch.float32, **settings: object):
    train = Train.model_validate({"seed": 1, **settings})
    return open_for_training(Base(model=str(folder)), train, dtype)[1]


def wake(model) -> None:
    """Give the B matrices values, so that every gradient is alive."""
    torch.manual_seed(2)
    for name, parameter in sorted(model.named_parameters()):
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)


def stock_adapter(folder: Path, four_bits: bool, more: dict[str, object]):
    """PEFT's own layers, in training mode, in which bitsandbytes keeps its weights as they are."""
    held = {"quantization_config": FOUR_BITS} if four_bits else {}
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **held)
    plain.requires_grad_(False).train()
    config = {"r": 3, "lora_alpha": 6, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **more}
    torch.manual_seed(1)
    model = get_peft_model(plain, LoraConfig(**config))
    wake(model)
    return model


def plain_loss(model, rows: list[Rendered]) -> torch.Tensor:
    """Row by row, full logits, torch's own cross-entropy, over the tokens of all rows."""
    total = torch.zeros(())
    for ids, supervised in rows:
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].float()
        mask = torch.tensor(supervised[1:])
        total = total + cross_entropy(logits[mask], torch.tensor(ids[1:])[mask], reduction="sum")
    return total / supervised_count(rows)


def packed_loss(model, rows: list[Rendered]) -> torch.Tensor:
    use_packed_attention(model)
    return get_objective("sft")(compute(model, rows, supervised_count(rows))).loss


def gradients(model) -> dict[str, torch.Tensor]:
    return {n: p.grad for n, p in model.named_parameters() if p.requires_grad}


def assert_gradients(model, reference, tolerance: float) -> None:
    wanted, got = gradients(reference), gradients(model)
    assert wanted.keys() == got.keys()
    for name, gradient in got.items():
        assert gradient.dtype == torch.float32
        assert wanted[name].norm() > 0, name
        error = (gradient - wanted[name]).norm() / wanted[name].norm()
        assert error < tolerance, (name, error)


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize("answered", [False, True], ids=["fresh", "after validation"])
def test_every_gradient_equals_stock_peft(folder, name, answered):
    settings, more = STOCK[name]
    model = opened(folder, rank=3, alpha=6, **settings)
    wake(model)
    if answered:  # what validation leaves behind must not change the next step
        with torch.no_grad():
            packed_loss(model, ROWS)
    reference = stock_adapter(folder, settings.get("method") == "qlora", more)
    expected, got = plain_loss(reference, ROWS), packed_loss(model, ROWS)
    expected.backward()
    got.backward()
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    assert_gradients(model, reference, 1e-5)


def test_every_gradient_of_a_full_training_equals_plain_transformers(folder):
    model = opened(folder, method="full")
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    expected, got = plain_loss(reference, ROWS), packed_loss(model, ROWS)
    expected.backward()
    got.backward()
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    assert_gradients(model, reference, 1e-5)
    assert len(gradients(model)) == len(list(model.parameters()))
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_full_training_multiplies_in_bfloat16_on_float32_weights(folder):
    """As torch.autocast does around plain transformers; a step smaller than bfloat16 resolves is kept."""
    model = opened(folder, torch.bfloat16, method="full")
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(input_ids=torch.tensor([[1, 2]])).logits.dtype == torch.bfloat16
        expected = plain_loss(reference, ROWS)
    got = packed_loss(model, ROWS)
    assert linear_head(model) is model.lm_head  # chunks, though autocast has ended when they are computed
    assert not torch.is_autocast_enabled("cpu")
    expected.backward()
    got.backward()
    torch.testing.assert_close(got, expected, rtol=1e-2, atol=1e-2)
    assert_gradients(model, reference, 0.05)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 2**-12)
        moved = packed_loss(model, ROWS)
    assert all(not torch.equal(p, before[n]) for n, p in model.named_parameters())
    assert moved != got


def test_products_stay_as_they_were_after_an_error(folder):
    model = opened(folder, torch.bfloat16, method="full")
    with pytest.raises(IndexError):
        model(input_ids=torch.tensor([[10_000]]))
    assert not torch.is_autocast_enabled("cpu")


SETTINGS = {"epochs": 3, "batch_size": 4, "micro_tokens": 40, "evaluations_per_epoch": 2}
METHODS = {
    "full": {"method": "full", "learning_rate": 0.003},
    "qlora": {"method": "qlora", "rank": 3, "alpha": 6, "learning_rate": 0.01},
    "dora": {"dora": True, "rank": 3, "alpha": 6, "learning_rate": 0.01},
}
TRAIN = draw_sequences(0, 4, [6, 9, 12, 7, 8, 5, 11, 10, 6, 14])
VALIDATION = draw_sequences(1, 4, [8, 9, 7])


def trainer(base: Path, checkpoints: Path, name: str, dtype: torch.dtype) -> Trainer:
    settings = Train.model_validate({**SETTINGS, **METHODS[name]})
    _, model = open_for_training(Base(model=str(base)), settings, dtype)
    return Trainer(model, TRAIN, VALIDATION, settings, checkpoints)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_killed_and_resumed_equals_unbroken(folder, tmp_path, name, dtype):
    whole = trainer(folder, tmp_path / "whole", name, dtype)
    before = {n: p.clone() for n, p in trainable_state(whole.model).items()}
    expected = whole.run(Silent())
    assert all(p.dtype == torch.float32 for p in trainable_state(whole.model).values())
    assert any(not torch.equal(p, before[n]) for n, p in trainable_state(whole.model).items())
    broken = trainer(folder, tmp_path / "broken", name, dtype)
    with killed_at(5):
        broken.run(Silent())
    resumed = trainer(folder, tmp_path / "broken", name, dtype)
    result = resumed.run(Silent())
    wanted = trainable_state(whole.model)
    assert all(torch.equal(p, wanted[n]) for n, p in trainable_state(resumed.model).items())
    assert result.curve == expected.curve


def test_a_checkpoint_holds_what_is_trained_and_nothing_else(folder, tmp_path):
    for name, wanted in (("qlora", "lora_"), ("full", "model.")):
        run = trainer(folder, tmp_path / name, name, torch.float32)
        run.run(Silent())
        file = checkpoints(tmp_path / name)[-1] / "weights.safetensors"
        with safe_open(file, "pt") as weights:
            names = set(weights.keys())
        assert all(wanted in key for key in names)
        trained = {n: p for n, p in run.model.named_parameters() if p.requires_grad}
        assert names == trained.keys()
        tensors = 4 * sum(p.numel() for p in trained.values())
        assert file.stat().st_size - tensors < 200 * len(names) + 100
