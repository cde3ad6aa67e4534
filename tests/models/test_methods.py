"""What each method trains and leaves: stock transformers and PEFT load it with the same logits."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from residency.core.errors import ResidencyError
from residency.core.progress import no_progress
from residency.core.recipe import Base, Train
from residency.core.records import Conversation, Message
from residency.models.artifact import base_of, load_artifact, save_artifact
from residency.models.card import Card
from residency.models.language_model import LocalModel
from residency.models.load import load_base
from residency.models.method import count_trainable
from residency.models.scripted import write_tiny_base
from tests.opened import open_for_training

IDS = torch.tensor([[3, 14, 15, 92, 65, 35]])
CHAT = [Conversation((Message("user", "hello"),))]
FOUR_BITS = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_tiny_base(tmp_path / "base")


def save_tuned(folder: Path, artifact: Path, dtype: str = "float32", **settings: object) -> torch.Tensor:
    """Train nothing but move every trained weight; saves the artifact and returns its logits."""
    train = Train.model_validate(settings)
    base, model = open_for_training(Base(model=str(folder)), train, getattr(torch, dtype))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        logits: torch.Tensor = model(input_ids=IDS).logits
    card = Card(train.method, base.fingerprint, base.renderer.fingerprint, "Be brief.", dtype, base.quantised)
    save_artifact(model, artifact, base, card)
    return logits


def stock_four_bits(folder: Path):
    """In training mode, in which no layer rearranges its weights."""
    return AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=FOUR_BITS, dtype=torch.float32
    ).train()


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"scaling": "rank_stabilised"}, {"use_rslora": True, "use_dora": False}),
        ({"dora": True}, {"use_rslora": False, "use_dora": True}),
        ({"targets": ["q_proj", "v_proj"]}, {"target_modules": ["q_proj", "v_proj"]}),
        ({"method": "qlora"}, {"use_rslora": False}),
        ({"method": "qlora", "dora": True}, {"use_dora": True}),
    ],
)
def test_stock_peft_loads_an_adapter_with_the_same_logits(folder, tmp_path, settings, kept):
    ours = save_tuned(folder, tmp_path / "adapter", rank=4, **settings)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    config["target_modules"].sort()
    assert {key: config[key] for key in kept} == kept
    plain = (
        stock_four_bits(folder)
        if settings.get("method") == "qlora"
        else AutoModelForCausalLM.from_pretrained(folder)
    )
    with torch.no_grad():
        untuned = plain(input_ids=IDS).logits
        stock = PeftModel.from_pretrained(plain, str(tmp_path / "adapter")).train()(input_ids=IDS).logits
        again = load_artifact(Base(model=str(folder)), tmp_path / "adapter").model(input_ids=IDS).logits
    torch.testing.assert_close(ours, stock, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(again, ours, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(ours, untuned, atol=1e-2)


def test_rank_stabilised_scales_by_the_root_of_the_rank(folder):
    """alpha / sqrt(rank) for rank 4 and alpha 6."""
    for scaling, wanted in (("standard", 6 / 4), ("rank_stabilised", 6 / math.sqrt(4))):
        settings = Train(rank=4, alpha=6, scaling=scaling)
        _, model = open_for_training(Base(model=str(folder)), settings, torch.float32)
        found = {m.scaling["default"] for m in model.modules() if isinstance(m, LoraLayer)}
        assert found == {wanted}


def test_a_target_that_is_no_linear_layer_is_told_with_those_there_are(folder):
    for target in ("q", "embed_tokens", "lm_head"):
        with pytest.raises(ResidencyError, match=f"no linear layer '{target}'") as error:
            settings = Train(targets=("v_proj", target))
            open_for_training(Base(model=str(folder)), settings, torch.float32)
        assert error.value.where == "train.targets"
        assert "down_proj, gate_proj, k_proj" in error.value.fix
        assert "lm_head" not in error.value.fix


def test_stock_transformers_loads_a_full_model_with_the_same_logits(folder, tmp_path):
    ours = save_tuned(folder, tmp_path / "model", method="full")
    stock = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        untuned = AutoModelForCausalLM.from_pretrained(folder)(input_ids=IDS).logits
        torch.testing.assert_close(stock(input_ids=IDS).logits, ours, rtol=0, atol=1e-6)
    assert not torch.allclose(ours, untuned, atol=1e-2)
    assert stock.lm_head.weight is stock.model.embed_tokens.weight
    tuned = load_artifact(Base(model=str(folder)), tmp_path / "model")
    torch.testing.assert_close(tuned.model(input_ids=IDS).logits, ours, rtol=0, atol=1e-6)
    rendered = AutoTokenizer.from_pretrained(tmp_path / "model").apply_chat_template(
        [{"role": "user", "content": "hello"}], add_generation_prompt=True, return_dict=False
    )
    assert rendered == tuned.renderer.prompt_ids(CHAT[0])


def test_a_full_model_is_saved_in_the_format_it_is_evaluated_in(folder, tmp_path):
    """Trained on float32 weights with products in bfloat16, served in bfloat16."""
    ours = save_tuned(folder, tmp_path / "model", dtype="bfloat16", method="full")
    stock = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert stock.dtype == torch.bfloat16
    tuned = load_artifact(Base(model=str(folder)), tmp_path / "model").model
    assert tuned.dtype == torch.bfloat16
    with torch.no_grad():
        theirs = stock(input_ids=IDS).logits
        torch.testing.assert_close(tuned(input_ids=IDS).logits, theirs, rtol=0, atol=0)
    # 8 bits of digits a value, and a few roundings
    assert (theirs.float() - ours.float()).norm() / ours.float().norm() < 0.03


def test_a_model_in_full_training_answers_as_one_in_float32_nearly_does(folder):
    """Between two steps, with products in bfloat16; the first token of a random model has no near rival."""
    texts = []
    for dtype in (torch.bfloat16, torch.float32):
        base, model = open_for_training(Base(model=str(folder)), Train(method="full"), dtype)
        texts.append(LocalModel(model, base.renderer, 2).complete(CHAT * 3, 1, no_progress)[2].text)
        assert model.dtype == torch.float32
    assert texts[0] == texts[1]


@pytest.mark.parametrize("method", ["lora", "full", "qlora"])
def test_another_base_or_template_is_refused(folder, tmp_path, method):
    save_tuned(folder, tmp_path / "tuned", method=method)
    other = write_tiny_base(tmp_path / "other", seed=5)
    with pytest.raises(ResidencyError, match="trained on another base"):
        load_artifact(Base(model=str(other)), tmp_path / "tuned")
    card = tmp_path / "tuned" / "residency.json"
    content = json.loads(card.read_text())
    card.write_text(json.dumps({**content, "renderer": "0" * 16}))
    with pytest.raises(ResidencyError, match="another tokenizer or chat template"):
        load_artifact(Base(model=str(folder)), tmp_path / "tuned")
    card.write_text(json.dumps({key: content[key] for key in ("base", "renderer", "system", "dtype")}))
    with pytest.raises(ResidencyError, match="made by another version"):
        load_artifact(Base(model=str(folder)), tmp_path / "tuned")


@pytest.mark.parametrize(("then", "now"), [("qlora", None), ("lora", "nf4")])
def test_an_adapter_is_refused_on_a_base_held_in_another_format(folder, tmp_path, then, now):
    from residency.models.adapters import load_adapter

    save_tuned(folder, tmp_path / "adapter", method=then)
    with pytest.raises(ResidencyError, match="held in another format"):
        load_adapter(load_base(Base(model=str(folder)), torch.float32, now), tmp_path / "adapter")


def test_the_card_says_what_was_trained(folder, tmp_path):
    for method, quantised in (("lora", None), ("full", None), ("qlora", "nf4")):
        save_tuned(folder, tmp_path / method, dtype="bfloat16", method=method)
        card = json.loads((tmp_path / method / "residency.json").read_text())
        assert (card["method"], card["quantised"]) == (method, quantised)
        assert (card["dtype"], card["system"]) == ("bfloat16", "Be brief.")


@pytest.mark.parametrize("method", ["lora", "full", "qlora"])
def test_the_base_beside_the_tuned_model_is_the_base(folder, tmp_path, method):
    save_tuned(folder, tmp_path / "tuned", method=method)
    base = Base(model=str(folder))
    loaded = load_artifact(base, tmp_path / "tuned")
    tuned = loaded.answering(batch_size=2)
    untuned = load_base(base, torch.float32, "nf4" if method == "qlora" else None)
    wanted = LocalModel(untuned.model, untuned.renderer, 2).complete(CHAT, 8, no_progress)
    got = base_of(base, loaded.card, tuned).complete(CHAT, 8, no_progress)
    assert got[0].text == wanted[0].text
    assert tuned.complete(CHAT, 8, no_progress)[0].text != wanted[0].text


def test_weights_in_four_bits_are_counted_for_what_they_hold(folder):
    base = sum(p.numel() for p in AutoModelForCausalLM.from_pretrained(folder).parameters())
    # 2 layers; q, o: 32 -> 32; k, v: 32 -> 16; gate, up: 32 -> 64; down: 64 -> 32; rank x (in + out)
    adapter = 2 * 2 * (2 * 64 + 2 * 48 + 2 * 96 + 96)
    for settings, wanted in (
        (Train(method="full"), (base, base)),
        (Train(method="lora", rank=2), (adapter, base + adapter)),
        (Train(method="qlora", rank=2), (adapter, base + adapter)),
    ):
        _, model = open_for_training(Base(model=str(folder)), settings, torch.float32)
        counted = count_trainable(model)
        assert counted == wanted
        assert counted.share == wanted[0] / wanted[1]


def test_answering_leaves_weights_in_four_bits_as_they_were(folder):
    """Bitsandbytes would repack them, with rounded scales, on a processor with bfloat16 products."""
    base = load_base(Base(model=str(folder)), torch.bfloat16, "nf4")
    layers = [m for m in base.model.modules() if hasattr(m, "support_avx512bf16_for_cpu")]
    assert len(layers) == 14
    before = [(m.weight.data.clone(), m.weight.quant_state.absmax.clone()) for m in layers]
    LocalModel(base.model, base.renderer, 1).complete(CHAT, 4, no_progress)
    for layer, (packed, scales) in zip(layers, before, strict=True):
        assert not layer.training
        assert torch.equal(layer.weight.data, packed)
        assert torch.equal(layer.weight.quant_state.absmax, scales)


def test_without_bitsandbytes_the_command_that_installs_it_is_told(folder, monkeypatch):
    monkeypatch.setattr("residency.models.quantise.find_spec", lambda name: None)
    with pytest.raises(ResidencyError, match="bitsandbytes, which is not installed") as error:
        open_for_training(Base(model=str(folder)), Train(method="qlora"), torch.float32)
    assert "residency[qlora]" in error.value.fix
