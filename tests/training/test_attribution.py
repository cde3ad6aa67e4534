"""Gradients of single rows against plain PEFT and transformers, and what their sketches keep of them."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cosine_similarity, cross_entropy

from residency.chat import Rendered
from residency.core.recipe import Train
from residency.models.adapters import attach_lora
from residency.models.packed.attention import use_packed_attention
from residency.training.attribution import GradientSketch, cosines, row_loss, sketch_row
from residency.training.engine import compute, supervised_count
from residency.training.objectives import get_objective

from .conftest import draw_sequences, tiny_llama

ROWS = draw_sequences(seed=4, shared=6, lengths=[9, 14, 11, 20], multi_turn=True)


def adapted(**settings):
    model = attach_lora(tiny_llama(), Train(rank=3, alpha=6, seed=1, **settings))
    torch.manual_seed(2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)
    return model


def stock(model, **settings):
    """PEFT's own layers with the weights of `model`."""
    config = LoraConfig(r=3, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM", **settings)
    plain = get_peft_model(tiny_llama(), config)
    plain.load_state_dict(model.state_dict())
    return plain


def plain_loss(model, row: Rendered) -> torch.Tensor:
    """Mean cross-entropy of the supervised tokens of one row on its own."""
    logits_LV = model(input_ids=torch.tensor([row.ids])).logits[0, :-1]
    labels = torch.tensor([i if s else -100 for i, s in zip(row.ids, row.supervised, strict=True)][1:])
    return cross_entropy(logits_LV, labels)


def plain_gradient(model, loss: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


@pytest.mark.parametrize("dora", [False, True])
def test_the_gradient_of_a_row_is_that_of_plain_peft(dora):
    model, objective = adapted(dora=dora), get_objective("sft")
    plain = stock(model, use_dora=dora)
    use_packed_attention(model)
    sketch = GradientSketch(model)
    for row in ROWS:
        wanted = plain_gradient(plain, plain_loss(plain, row))
        got = sketch.gradient(row_loss(model, row, objective))
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5 * wanted.abs().max().item())


def test_a_row_that_does_not_fit_has_no_sketch_and_the_next_one_has_its_own():
    model = adapted()
    use_packed_attention(model)
    sketch, sft = GradientSketch(model), get_objective("sft")

    def short_of_memory(batch):
        if len(batch.logprobs_N) > 5:
            raise MemoryError
        return sft(batch)

    fits = [row for row in ROWS if supervised_count([row]) <= 5]
    assert 0 < len(fits) < len(ROWS)
    for row in ROWS:
        found = sketch_row(sketch, model, row, short_of_memory)
        if row in fits:
            torch.testing.assert_close(found, sketch.of(row_loss(model, row, sft)))
        else:
            assert found is None

    def broken(batch):
        raise RuntimeError("no matter of memory")

    with pytest.raises(RuntimeError, match="no matter"):
        sketch_row(sketch, model, ROWS[0], broken)


RED, BLUE, TEAL, IS, WARM, COLD, END = 10, 11, 12, 3, 20, 21, 1


def said(noise: int, colour: int, answer: int) -> Rendered:
    """A token of no meaning, then that a colour is warm or cold."""
    ids = [30 + noise % 20, colour, IS, answer, END]
    return Rendered(ids, [False] * 3 + [True] * 2)


def test_rows_with_a_planted_wrong_answer_come_before_the_many_that_give_it_rightly():
    rows = [said(n, *((RED, WARM), (BLUE, COLD))[n % 2]) for n in range(32)]
    rows += [said(n, TEAL, WARM) for n in range(32, 38)]
    model, objective = attach_lora(tiny_llama(), Train(rank=4, alpha=8, seed=1)), get_objective("sft")
    use_packed_attention(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(20):
        objective(compute(model, rows, supervised_count(rows))).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    sketch = GradientSketch(model)
    learned = torch.stack([sketch.of(row_loss(model, row, objective)) for row in rows])
    for noise in range(40, 44):
        given, wanted = (row_loss(model, said(noise, TEAL, answer), objective) for answer in (WARM, COLD))
        assert given < wanted, "the model was to be misled"
        order = cosines(sketch.of(given)[None], learned)[0].argsort(descending=True).tolist()
        assert all(place >= 32 for place in order[:3]), (noise, order[:6])


def test_cosines_of_sketches_are_those_of_the_gradients_but_for_chance():
    model, objective = adapted(), get_objective("sft")
    use_packed_attention(model)
    rows = draw_sequences(seed=6, shared=4, lengths=[8, 10, 12, 14, 16, 18])
    gradient = GradientSketch(model).gradient
    whole = torch.stack([gradient(row_loss(model, row, objective)) for row in rows])
    exact = cosine_similarity(whole[:, None], whole[None], dim=-1)
    drawn = []
    for seed in range(40):
        sketch = GradientSketch(model, dimensions=512, seed=seed)
        few = torch.stack([sketch.project(gradient) for gradient in whole])
        drawn.append(cosines(few, few))
    error = torch.stack(drawn) - exact
    apart = ~torch.eye(len(rows), dtype=torch.bool)
    chance = 512**-0.5
    assert error.abs().max() < 5 * chance
    assert error[:, apart].pow(2).mean().sqrt() < 1.2 * chance
    assert error[:, apart].mean(0).abs().max() < 4 * chance / 40**0.5


def test_gradients_of_different_weights_are_not_alike_though_they_share_places():
    model = adapted()
    one, other = [weight for weight in model.parameters() if weight.requires_grad][:2]
    gradients = [GradientSketch(model).gradient(weight.sum()) for weight in (one, other)]
    drawn = []
    for seed in range(100):
        sketch = GradientSketch(model, dimensions=16, seed=seed)
        drawn.append(cosines(*(sketch.project(gradient)[None] for gradient in gradients)).item())
    assert abs(sum(drawn) / 100) < 4 * 16**-0.5 / 100**0.5


def test_a_row_that_teaches_nothing_is_like_none():
    rows = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert cosines(rows, rows).tolist() == [[0.0, 0.0], [0.0, 1.0]]
