"""What a training holds, against counts by hand on a tiny Llama."""

from __future__ import annotations

import pytest
import torch

from residency.core.errors import ResidencyError
from residency.core.recipe import Data, Recipe, Train
from residency.models.adapters import attach_lora
from residency.models.memory import used_memory
from residency.pipeline import forecast, room
from residency.pipeline.room import advise_on, decide_checkpointing, foresee_memory
from residency.training.loop import Trainer
from residency.training.probe import sample_load
from tests.training.conftest import draw_sequences, tiny_llama
from tests.training.test_memory import Said, room_for

# A LoRA matrix pair holds rank x (inputs + outputs) numbers: q, o 32 + 32; k, v 32 + 16; three of 32 + 48.
LORA = 4 * 2 * 3 * (2 * 64 + 2 * 48 + 3 * 80)
"""Bytes of rank 3 in float32 on the two layers of `tiny_llama`."""


def trainer(folder, model=None, **changes) -> Trainer:
    settings = Train(rank=3, alpha=6, batch_size=4).model_copy(update=changes)
    tuned = model or attach_lora(tiny_llama(), settings)
    rows = draw_sequences(0, 4, [6, 9, 12, 7, 8, 5, 11, 10])
    return Trainer(tuned, rows, rows[:2], settings, folder)


def foresee(made: Trainer) -> room.Memory:
    return foresee_memory(made, sample_load(made))


def test_the_parts_are_those_of_the_model(tmp_path):
    memory = foresee(trainer(tmp_path))
    assert memory.weights == sum(p.nbytes for p in tiny_llama().parameters())
    assert (memory.adapter, memory.gradients, memory.optimizer) == (LORA, LORA, 2 * LORA)
    assert memory.program + memory.weights + memory.adapter <= used_memory(torch.device("cpu"))
    assert memory.activations.at(memory.tokens) > 0
    assert memory.fits


def test_where_all_weights_are_trained_there_is_no_adapter(tmp_path):
    memory = foresee(trainer(tmp_path, tiny_llama().requires_grad_(True)))
    weights = sum(p.nbytes for p in tiny_llama().parameters())
    assert (memory.weights, memory.adapter, memory.gradients) == (weights, 0, weights)


@pytest.mark.parametrize(
    ("choice", "free", "expected"),
    [("auto", 2**40, False), ("auto", 1000, True), ("off", 1000, False), ("on", 2**40, True)],
)
def test_auto_goes_by_the_free_memory(tmp_path, monkeypatch, choice, free, expected):
    monkeypatch.setattr(room, "free_memory", lambda device: free)
    made = trainer(tmp_path, gradient_checkpointing=choice)
    memory = foresee(made)
    assert memory.gradient_checkpointing is expected
    assert not any(getattr(module, "gradient_checkpointing", False) for module in made.model.modules())
    advice = " ".join(advise_on(made, sample_load(made), memory))
    assert ("gradient_checkpointing" in advice) is (choice == "off")


def test_a_base_that_cannot_is_left_alone_by_auto_and_refused_by_on(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda device: 1000)
    model = tiny_llama().requires_grad_(True)
    for layer in model.model.layers:
        layer.hidden_dropout = 0.1
    assert not foresee(trainer(tmp_path, model)).gradient_checkpointing
    with pytest.raises(ResidencyError, match="not to be had"):
        foresee(trainer(tmp_path, model, gradient_checkpointing="on"))


@pytest.mark.parametrize(("choice", "expected"), [("auto", True), ("off", False), ("on", True)])
def test_where_nothing_fits_the_forecast_is_left_out(tmp_path, choice, expected):
    made, said = trainer(tmp_path, gradient_checkpointing=choice), Said()
    room_for(made, 0, MemoryError())
    assert decide_checkpointing(made, said) is expected
    (line,) = said.lines
    assert "no forecast" in line


def test_a_plan_where_nothing_fits_is_a_mistake(tmp_path):
    made = trainer(tmp_path)
    room_for(made, 0, MemoryError())
    with pytest.raises(ResidencyError, match="Not even a part of one row"):
        forecast._probe(made, Said(), test_rows=20, recipe=Recipe(data=Data(train="rows.jsonl")))
