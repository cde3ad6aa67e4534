from __future__ import annotations

import pytest
import torch

from residency.core.recipe import Train
from residency.models.adapters import attach_lora
from residency.models.out_of_memory import DoesNotFitError
from residency.training.checkpoint import checkpoints, trainable_state
from residency.training.gradient_checkpointing import gradient_checkpointing
from residency.training.loop import Trainer
from residency.training.probe import measure_activations, measure_pace, sample_load, warm_up

from .conftest import draw_sequences, tiny_llama
from .test_memory import ERRORS, room_for

PLENTY = 2**40
LENGTHS = [6, 9, 12, 7, 8, 5, 11, 10]


def trainer(folder, **changes) -> Trainer:
    settings = Train(rank=3, alpha=6, epochs=1, batch_size=4, micro_tokens=1000).model_copy(update=changes)
    model = attach_lora(tiny_llama(), settings)
    made = Trainer(model, draw_sequences(0, 4, LENGTHS), draw_sequences(1, 4, [8, 9, 7]), settings, folder)
    warm_up(made)
    return made


def test_the_load_counts_shared_tokens_once_a_micro_batch(tmp_path):
    """Two steps of four rows: each computes the four shared tokens once, and every row's own."""
    load = sample_load(trainer(tmp_path))
    assert load.tokens_a_step == (2 * 4 + sum(LENGTHS)) / 2
    assert len(load.largest) == 4
    assert load.largest_tokens >= load.tokens_a_step
    alone = sample_load(trainer(tmp_path, micro_tokens=16))
    assert alone.tokens_a_step > load.tokens_a_step
    assert alone.largest_tokens == 4 + 12


def test_activations_of_the_largest_are_foretold_by_smaller_parts(tmp_path):
    made = trainer(tmp_path)
    rows = draw_sequences(2, 4, [12] * 64)
    half = measure_activations(made, rows, free=0)
    whole = measure_activations(made, rows, PLENTY)
    assert [held.tokens for held in (*half, *whole)] == [4 + 12 * n for n in (16, 32, 16, 64)]
    assert half[0] == whole[0]
    per_token = (half[1].bytes - half[0].bytes) / (12 * 16)
    assert half[1].bytes + per_token * 12 * 32 == pytest.approx(whole[1].bytes, rel=0.1)


def test_few_rows_are_cut_to_parts_of_themselves(tmp_path):
    small, large = measure_activations(trainer(tmp_path), draw_sequences(3, 0, [40]), PLENTY)
    assert (small.tokens, large.tokens) == (9, 40)  # of 10 and 41 tokens the last foretells nothing
    assert small.bytes < large.bytes


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_parts_that_do_not_fit_are_halved(tmp_path, error):
    """16, then 8 of 64 rows of 12 tokens after 4 shared ones; the second measurement ends there too."""
    made = trainer(tmp_path)
    room_for(made, 4 + 12 * 10, error)
    small, large = measure_activations(made, draw_sequences(2, 4, [12] * 64), PLENTY)
    assert [small.tokens, large.tokens] == [4 + 12 * 8] * 2
    assert small.bytes == large.bytes > 0
    assert all(p.grad is None for p in made.model.parameters())


def test_the_line_goes_through_what_fits(tmp_path):
    made = trainer(tmp_path)
    room_for(made, 4 + 12 * 40, MemoryError())
    small, large = measure_activations(made, draw_sequences(2, 4, [12] * 64), PLENTY)
    assert [small.tokens, large.tokens] == [4 + 12 * n for n in (16, 32)]


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_where_nothing_fits_nothing_is_measured(tmp_path, rows):
    made = trainer(tmp_path)
    room_for(made, 0, MemoryError())
    with pytest.raises(DoesNotFitError):
        measure_activations(made, draw_sequences(2, 4, [12] * rows), PLENTY)
    with pytest.raises(DoesNotFitError):
        warm_up(made)
    assert all(p.grad is None for p in made.model.parameters())


def test_measuring_activations_leaves_no_trace(tmp_path):
    made = trainer(tmp_path)
    before = {name: value.clone() for name, value in trainable_state(made.model).items()}
    measure_activations(made, made.train, PLENTY)
    assert all(torch.equal(value, before[name]) for name, value in trainable_state(made.model).items())
    assert all(p.grad is None for p in made.model.parameters())
    assert not made.optimizer.state


def test_gradient_checkpointing_holds_less(tmp_path):
    made = trainer(tmp_path)
    _, held = measure_activations(made, made.train, PLENTY)
    with gradient_checkpointing(made.model):
        _, checkpointed = measure_activations(made, made.train, PLENTY)
    assert checkpointed.bytes < 0.8 * held.bytes


def test_the_optimiser_holds_two_numbers_a_trained_weight(tmp_path):
    """What plans reckon with; each tensor's own count of steps comes on top."""
    made = trainer(tmp_path)
    made.step(0)
    states = made.optimizer.state.values()
    held = sum(value.nbytes for state in states for key, value in state.items() if key != "step")
    assert held == 2 * sum(value.nbytes for value in trainable_state(made.model).values())


def test_the_pace_is_that_of_real_steps_and_of_a_checkpoint(tmp_path, monkeypatch):
    made, taken = trainer(tmp_path), []
    step = Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self, number: taken.append(number) or step(self, number))
    pace = measure_pace(made, tmp_path / "probe", seconds=60)
    assert taken == [0, 1, 0]  # the first warms up, and a short run begins again
    assert min(pace) > 0
    assert len(checkpoints(tmp_path / "probe")) == 1
    taken.clear()
    assert min(measure_pace(made, tmp_path / "probe", seconds=0)) > 0
    assert taken == [0]
