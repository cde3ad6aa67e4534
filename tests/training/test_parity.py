"""Packed training equals plain transformers and PEFT, one row at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from residency.chat import Rendered
from residency.core.errors import ResidencyError
from residency.core.recipe import Train
from residency.models.adapters import attach_lora
from residency.models.lora_linear import LoraLinear
from residency.models.packed.attention import use_packed_attention
from residency.models.packed.packing import micro_batches
from residency.training.engine import compute, supervised_count
from residency.training.objectives import get_objective

from .conftest import SIZE, draw_sequences, draw_tree

FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {}),
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": 9}),
    "gemma": (GemmaConfig, GemmaForCausalLM, {}),
    "gemma3": (Gemma3TextConfig, Gemma3ForCausalLM, {"sliding_window": 7, "num_hidden_layers": 6}),
    "phi": (PhiConfig, PhiForCausalLM, {"num_key_value_heads": 4}),
    "phi3": (Phi3Config, Phi3ForCausalLM, {"sliding_window": None}),
    "granite": (GraniteConfig, GraniteForCausalLM, {"logits_scaling": 2.0}),
}


def base(family: str):
    config, model, more = FAMILIES[family]
    torch.manual_seed(0)
    return model(config(**{**SIZE, **more})).eval().requires_grad_(False)


def wake(model) -> None:
    """Give the B matrices values, so that every gradient is alive."""
    torch.manual_seed(2)
    for name, parameter in sorted(model.named_parameters()):
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)


def stock(family: str):
    """PEFT's own layers on the same weights."""
    config = LoraConfig(r=3, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM")
    plain = base(family)
    torch.manual_seed(1)
    model = get_peft_model(plain, config)
    wake(model)
    return model


def ours(family: str):
    model = attach_lora(base(family), Train(rank=3, alpha=6, seed=1))
    wake(model)
    use_packed_attention(model)
    return model


def plain_loss(model, rows: list[Rendered]) -> torch.Tensor:
    """Row by row, full logits, torch's own cross-entropy, summed and divided by the tokens of all rows."""
    total = torch.zeros(())
    for ids, supervised in rows:
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
        target = torch.tensor(ids[1:])
        mask = torch.tensor(supervised[1:])
        total = total + cross_entropy(logits[mask], target[mask], reduction="sum")
    return total / sum(sum(s[1:]) for _, s in rows)


def packed_loss(model, rows: list[Rendered], budget: int) -> torch.Tensor:
    supervised = supervised_count(rows)
    sft = get_objective("sft")
    return sum(sft(compute(model, part, supervised)).loss for part in micro_batches(rows, budget))


def gradients(model) -> dict[str, torch.Tensor]:
    return {n: p.grad for n, p in model.named_parameters() if p.requires_grad}


ROWS = {
    "nothing shared": draw_sequences(0, 0, [3, 9, 17, 5, 30, 4], multi_turn=True),
    "one token shared": draw_sequences(1, 1, [3, 9, 17, 5, 30, 4], multi_turn=True),
    "a prompt shared": draw_sequences(11, 11, [3, 9, 17, 5, 30, 4], multi_turn=True),
    "prompts under a prompt": draw_tree(2, [10, 12, 9], 2),
    "rows that end within others": draw_tree(3, [9, 9, 0], 3),
    "two prompts": [*draw_sequences(4, 12, [3, 9, 5]), *draw_sequences(5, 14, [8, 2])],
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ROWS)
def test_loss_and_every_gradient_equal_plain_peft(family, kind):
    rows = ROWS[kind]
    reference, packed = stock(family), ours(family)
    expected, got = plain_loss(reference, rows), packed_loss(packed, rows, budget=10_000)
    expected.backward()
    got.backward()
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    wanted = gradients(reference)
    assert wanted.keys() == gradients(packed).keys()
    for name, gradient in gradients(packed).items():
        error = (gradient - wanted[name]).norm() / wanted[name].norm()
        assert wanted[name].norm() > 0, name
        assert error < 1e-5, (name, error)


def test_accumulation_changes_nothing(lora_model):
    """8 x 1 = 1 x 8: micro-batches of any size give the same loss and gradients."""
    use_packed_attention(lora_model)
    rows = draw_sequences(3, 6, [4, 30, 9, 12, 7, 5, 21, 8])
    losses, grads = [], []
    for budget in (12, 60, 10_000):
        lora_model.zero_grad()
        loss = packed_loss(lora_model, rows, budget)
        loss.backward()
        losses.append(loss.detach())
        grads.append({n: g.clone() for n, g in gradients(lora_model).items()})
    assert len(list(micro_batches(rows, 12))) == 8
    for loss, gradient in zip(losses[1:], grads[1:], strict=True):
        torch.testing.assert_close(loss, losses[0], rtol=1e-5, atol=1e-6)
        for name in gradient:
            torch.testing.assert_close(gradient[name], grads[0][name], rtol=1e-4, atol=1e-6)


def test_rows_do_not_see_each_other(lora_model):
    """Changing one row leaves the others' log-probabilities as they were."""
    use_packed_attention(lora_model)
    rows = draw_sequences(4, 5, [8, 14, 9])
    before = compute(lora_model, rows, 1)
    changed = [
        rows[0],
        Rendered([*rows[1].ids[:5], *[i % 49 + 1 for i in rows[1].ids[5:]]], rows[1].supervised),
    ]
    after = compute(lora_model, [*changed, rows[2]], 1)
    for number in (0, 2):
        of_row = before.sequence_N == number
        torch.testing.assert_close(
            after.logprobs_N[after.sequence_N == number], before.logprobs_N[of_row], rtol=1e-5, atol=1e-6
        )
    assert not torch.allclose(
        before.logprobs_N[before.sequence_N == 1], after.logprobs_N[after.sequence_N == 1]
    )


def test_supervised_trunk_counts_once_a_sequence(lora_model):
    """Equal rows share everything but their last token; each still counts in full."""
    use_packed_attention(lora_model)
    row = draw_sequences(5, 0, [12])[0]
    alone, thrice = compute(lora_model, [row], 1), compute(lora_model, [row] * 3, 1)
    torch.testing.assert_close(thrice.logprobs_N.sum(), 3 * alone.logprobs_N.sum(), rtol=1e-5, atol=1e-5)
    assert thrice.sequence_N.bincount().tolist() == [alone.logprobs_N.numel()] * 3


def test_bfloat16_takes_the_short_way_and_stays_close():
    """The CPU's way for short bfloat16 rows against float32, within bfloat16's rounding."""
    rows = draw_sequences(6, 7, [5, 19, 12])
    exact = compute(ours("llama"), rows, 1).logprobs_N
    model = base("llama").to(torch.bfloat16)
    model = attach_lora(model, Train(rank=3, alpha=6, seed=1))
    wake(model)
    use_packed_attention(model)
    rounded = compute(model, rows, 1).logprobs_N
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05)


@pytest.fixture(scope="module")
def pairs():
    return {family: (stock(family), ours(family)) for family in FAMILIES}


@settings(max_examples=60, deadline=None)
@given(
    family=st.sampled_from(sorted(FAMILIES)),
    seed=st.integers(0, 10**6),
    lengths=st.lists(st.integers(0, 14), min_size=1, max_size=3),
    fan=st.integers(1, 3),
)
def test_every_logprob_of_random_trees_equals_plain(pairs, family, seed, lengths, fan):
    reference, packed = pairs[family]
    rows = draw_tree(seed, [*lengths, 5], fan)
    with torch.no_grad():
        batch = compute(packed, rows, 1)
        for number, (ids, supervised) in enumerate(rows):
            logprobs_TV = reference(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
            wanted = [logprobs_TV[t - 1, ids[t]] for t in range(1, len(ids)) if supervised[t]]
            got = batch.logprobs_N[batch.sequence_N == number]
            torch.testing.assert_close(got, torch.stack(wanted), rtol=1e-5, atol=2e-6)


def test_fifty_steps_follow_the_plain_loop():
    """AdamW on plain PEFT, row by row, against packed steps: the same losses all the way."""
    reference, packed = stock("llama"), ours("llama")
    models = (reference, packed)
    optimizers = [torch.optim.AdamW([p for p in m.parameters() if p.requires_grad], lr=3e-3) for m in models]
    curve: list[float] = []
    for step in range(50):
        rows = draw_tree(step % 5, [6, 7, 5], 2)
        losses = [plain_loss(reference, rows), packed_loss(packed, rows, budget=40)]
        for loss, optimizer in zip(losses, optimizers, strict=True):
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-5)
        curve.append(losses[0].item())
    assert sum(curve[-5:]) < 0.9 * sum(curve[:5])


def test_attention_that_caps_its_scores_is_refused():
    model = attach_lora(
        Gemma2ForCausalLM(Gemma2Config(**SIZE)).eval().requires_grad_(False), Train(rank=3, alpha=6, seed=1)
    )
    use_packed_attention(model)
    with pytest.raises(ResidencyError, match="softcap"):
        compute(model, draw_sequences(7, 0, [8]), 1)


@pytest.mark.parametrize("held", [0, 500])
def test_attention_weights_computed_a_second_time_change_nothing(lora_model, monkeypatch, held):
    use_packed_attention(lora_model)
    rows = draw_tree(8, [9, 11, 6], 2)
    gradient = []
    for bound in (1 << 24, held):
        monkeypatch.setattr("residency.models.packed.products.HELD", bound)
        lora_model.zero_grad()
        packed_loss(lora_model, rows, 10_000).backward()
        gradient.append({name: g.clone() for name, g in gradients(lora_model).items()})
    assert all(torch.equal(gradient[0][name], gradient[1][name]) for name in gradient[0])


def test_a_pass_that_fails_half_way_holds_on_to_nothing(lora_model):
    """Between gate and up, whose outputs are computed together: up's would keep the graph of all layers."""
    use_packed_attention(lora_model)
    rows = draw_sequences(9, 4, [6, 8])
    compute(lora_model, rows, 1)
    siblings = {m.siblings for m in lora_model.modules() if isinstance(m, LoraLinear) and m.siblings}
    assert {len(s.layers) for s in siblings} == {2, 3}

    def out_of_memory(*_):
        assert any(s._waiting for s in siblings)
        raise MemoryError

    for module in lora_model.modules():
        if type(module).__name__ == "LlamaMLP":
            module.act_fn.register_forward_pre_hook(out_of_memory)
    with pytest.raises(MemoryError):
        compute(lora_model, rows, 1)
    assert not any(s._waiting or s._input is not None for s in siblings)
