"""What sketches keep of the gradients of single rows, and what these tell of the rows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from residency.chat import Rendered
from residency.core.recipe import Train
from residency.models.adapters import attach_lora
from residency.models.packed.attention import use_packed_attention
from residency.training.attribution import GradientSketch, RowSketches, by_length, cosines
from residency.training.engine import compute, supervised_count
from residency.training.objectives import get_objective
from residency.training.row_gradients import gradients_one_by_one, row_loss

from .conftest import draw_sequences, tiny_llama

ROWS = draw_sequences(seed=4, shared=6, lengths=[9, 14, 11, 20], multi_turn=True)
SFT = get_objective("sft")


def adapted(**settings):
    model = attach_lora(tiny_llama(), Train(rank=3, alpha=6, seed=1, **settings))
    torch.manual_seed(2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)
    return model


def sketched(model, rows: Sequence[Rendered]) -> Tensor:
    """[B, W], computed at once."""
    return RowSketches(model, SFT).compute(rows)


def whole(model, rows: Sequence[Rendered]) -> dict[Tensor, Tensor]:
    """The gradients themselves by weight, [B, *weight]."""
    found: dict[Tensor, list[Tensor]] = {}
    gradients_one_by_one(model, rows, SFT, lambda w, _, gradient: found.setdefault(w, []).append(gradient))
    return {weight: torch.cat(gradients) for weight, gradients in found.items()}


def flat(gradients: dict[Tensor, Tensor]) -> Tensor:
    return torch.cat([part.flatten(1) for part in gradients.values()], dim=1)


def few(sketch: GradientSketch, gradients: dict[Tensor, Tensor]) -> Tensor:
    """What the sketch keeps, [B, W]."""
    sums = sketch.zeros(len(next(iter(gradients.values()))))
    for weight, gradient in gradients.items():
        sketch.add(sums, weight, gradient)
    return sketch.kept(sums)


@pytest.mark.parametrize("dora", [False, True], ids=["at once", "one by one"])
def test_sketches_come_in_the_order_of_their_rows_however_they_are_cut(dora):
    model = adapted(dora=dora)
    use_packed_attention(model)
    wanted = few(GradientSketch(model), whole(model, ROWS))
    sketches, done = RowSketches(model, SFT), []
    for budget in (0, 40, 1000):
        found = sketches.of(ROWS, budget, lambda rows, _: done.append(rows))
        torch.testing.assert_close(
            torch.stack(found), wanted, rtol=1e-5, atol=1e-5 * wanted.abs().max().item()
        )
        assert sum(done) == len(ROWS) and (dora or len(done) == {0: 4, 40: 3, 1000: 1}[budget])
        done.clear()


def test_rows_go_together_by_length_up_to_a_number_of_tokens():
    assert list(by_length([5, 30, 4, 6, 9], 15)) == [[2, 0, 3], [4], [1]]
    assert list(by_length([5, 30, 4, 6, 9], 0)) == [[2], [0], [3], [4], [1]]
    assert list(by_length([], 15)) == []


def test_a_row_that_does_not_fit_has_no_sketch_and_the_others_have_theirs(said_aside):
    model, done = adapted(), []
    use_packed_attention(model)

    counts = [supervised_count([row]) for row in ROWS]
    assert counts == [4, 6, 5, 9]

    def short_of_memory(batch):
        if len(batch.logprobs_N) == 6:
            raise MemoryError
        return SFT(batch)

    found = RowSketches(model, short_of_memory).of(ROWS, 1000, lambda rows, _: done.append(rows))
    wanted = sketched(model, ROWS)
    assert found.pop(1) is None
    torch.testing.assert_close(torch.stack(found), wanted[[0, 2, 3]], rtol=1e-5, atol=1e-5)
    assert done == [2, 1, 1]  # the two shorter ones, then each by itself
    assert said_aside == [
        f"  gradients: {rows} rows at a time do not fit into memory: going on with {rows // 2}"
        for rows in (4, 2)
    ]

    def broken(batch):
        raise RuntimeError("no matter of memory")

    with pytest.raises(RuntimeError, match="no matter"):
        RowSketches(model, broken).of(ROWS, 1000)


RED, BLUE, TEAL, IS, WARM, COLD, END = 10, 11, 12, 3, 20, 21, 1


def said(noise: int, colour: int, answer: int) -> Rendered:
    """A token of no meaning, then that a colour is warm or cold."""
    ids = [30 + noise % 20, colour, IS, answer, END]
    return Rendered(ids, [False] * 3 + [True] * 2)


def test_rows_with_a_planted_wrong_answer_come_before_the_many_that_give_it_rightly():
    rows = [said(n, *((RED, WARM), (BLUE, COLD))[n % 2]) for n in range(32)]
    rows += [said(n, TEAL, WARM) for n in range(32, 38)]
    model = attach_lora(tiny_llama(), Train(rank=4, alpha=8, seed=1))
    use_packed_attention(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(20):
        SFT(compute(model, rows, supervised_count(rows))).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    learned = sketched(model, rows)
    for noise in range(40, 44):
        given, wanted = (said(noise, TEAL, answer) for answer in (WARM, COLD))
        assert row_loss(model, given, SFT) < row_loss(model, wanted, SFT), "the model was to be misled"
        order = cosines(sketched(model, [given]), learned)[0].argsort(descending=True).tolist()
        assert all(place >= 32 for place in order[:3]), (noise, order[:6])


def test_cosines_of_sketches_are_those_of_the_gradients_but_for_chance():
    model = adapted()
    use_packed_attention(model)
    rows = draw_sequences(seed=6, shared=4, lengths=[8, 10, 12, 14, 16, 18])
    gradients = whole(model, rows)
    exact = cosine_similarity(flat(gradients)[:, None], flat(gradients)[None], dim=-1)
    drawn = []
    for seed in range(40):
        kept = few(GradientSketch(model, dimensions=512, seed=seed), gradients)
        drawn.append(cosines(kept, kept))
    error = torch.stack(drawn) - exact
    apart = ~torch.eye(len(rows), dtype=torch.bool)
    chance = 512**-0.5
    assert error.abs().max() < 5 * chance
    assert error[:, apart].pow(2).mean().sqrt() < 1.2 * chance
    assert error[:, apart].mean(0).abs().max() < 4 * chance / 40**0.5


def test_gradients_of_different_weights_are_not_alike_though_they_share_places():
    model = adapted()
    one, other = [weight for weight in model.parameters() if weight.requires_grad][:2]
    drawn = []
    for seed in range(100):
        sketch = GradientSketch(model, dimensions=16, seed=seed)
        drawn.append(
            cosines(*(few(sketch, {weight: torch.ones(1, *weight.shape)}) for weight in (one, other))).item()
        )
    assert abs(sum(drawn) / 100) < 4 * 16**-0.5 / 100**0.5


def test_a_row_that_teaches_nothing_is_like_none():
    rows = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert cosines(rows, rows).tolist() == [[0.0, 0.0], [0.0, 1.0]]
