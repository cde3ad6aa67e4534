"""The arithmetic of a plan by hand, and the verb on the tiny base."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from residency.core.recipe import Train
from residency.core.workspace import read_json
from residency.pipeline import room
from residency.pipeline.forecast import training_time
from residency.pipeline.plan import Line, Memory, Time, advise
from residency.training.probe import Pace
from residency.training.schedule import make_plan

LINE = Line(fixed=500, per_token=5)
MEMORY = Memory(
    program=100,
    weights=2000,
    adapter=40,
    gradients=40,
    optimizer=80,
    activations=LINE,
    tokens=300,
    allocator=30,
    free=10_000,
    gradient_checkpointing=False,
)


def test_a_line_goes_through_both_measurements():
    assert Line.through((100, 1000), (300, 2000)) == LINE
    assert (LINE.at(500), LINE.tokens_in(3000), LINE.tokens_in(3004)) == (3000, 500, 500)
    assert LINE.tokens_in(100) == 0


def test_a_line_through_one_measurement_goes_through_the_origin():
    assert Line.through((10, 100), (10, 100)) == Line(0, 10)


@pytest.mark.parametrize("most", [900, 1000])
def test_a_line_that_does_not_rise_goes_through_the_origin_and_the_larger(most):
    line = Line.through((100, 1000), (300, most))
    assert line == Line(0, most / 300)
    assert line.tokens_in(most) == 300


def test_memory_is_the_sum_of_its_parts():
    # activations: 500 + 5 x 300 = 2000
    assert MEMORY.to_take == 40 + 80 + 2000 + 30
    assert MEMORY.total == 100 + 2000 + 40 + 2150
    assert MEMORY.with_tokens(100) == MEMORY.total - 1000


def test_a_tenth_of_the_free_memory_is_left():
    assert replace(MEMORY, free=2389).fits  # 2150.1
    assert not replace(MEMORY, free=2388).fits  # 2149.2
    # 0.9 x 2000 - 150 = 1650 = 500 + 5 x 230
    assert replace(MEMORY, free=2000).tokens_that_fit() == 230


def test_what_fits_needs_no_advice():
    assert advise(MEMORY, 100, None, "qlora") == []


def test_fewer_tokens_are_advised_where_the_longest_row_still_fits():
    gib = 2**30
    big = Memory(0, gib, 0, 0, 0, Line(0, gib / 100), 300, 0, 2 * gib, False)
    assert advise(big, 180, None, "qlora") == ["train.micro_tokens = 180: 2.80 GiB, as exact"]
    assert advise(big, 181, None, "qlora") == [
        "data.max_tokens = 180 and train.micro_tokens = 180: 2.80 GiB; longer rows are left out"
    ]


def test_gradient_checkpointing_is_advised_first():
    gib = 2**30
    big = Memory(0, gib, 0, 0, 0, Line(0, gib / 100), 300, 0, 2 * gib, False)
    less = replace(big, activations=Line(0, gib / 200))
    first = 'train.gradient_checkpointing = "on": 2.50 GiB, slower'
    assert advise(big, 10, less, "qlora") == [first]
    half = replace(big, activations=Line(0, gib / 125))
    first = 'train.gradient_checkpointing = "on": 3.40 GiB, slower'
    assert advise(big, 10, half, "qlora") == [first, "train.micro_tokens = 225: 2.80 GiB, as exact"]


def test_where_no_row_fits_a_smaller_base_is_advised():
    (advice,) = advise(replace(MEMORY, free=600), 20, None, "qlora")
    assert advice.startswith("a smaller base.model: one row of 20 tokens")


def test_a_method_that_holds_less_is_advised_before_rows_are_left_out():
    gib = 2**30
    big = Memory(0, gib, 0, gib, 2 * gib, Line(0, gib / 100), 300, 0, 5 * gib, False)
    assert advise(big, 150, None, "full")[0].startswith("train.micro_tokens = 150")
    first, second = advise(big, 151, None, "full")
    assert first == 'train.method = "lora": gradients and moments of an adapter, instead of 3.00 GiB'
    assert second.startswith("data.max_tokens = 150")
    none_fits = replace(big, free=3 * gib)
    first, second = advise(none_fits, 20, None, "lora")
    assert first == 'train.method = "qlora": the base in 4 bits, instead of 1.00 GiB'
    assert second.startswith("a smaller base.model")


def test_a_price_an_hour_gives_the_cost():
    time = Time(steps=3000, validation=500, checkpoints=100)
    assert time.total == 3600
    assert time.cost(1.2) == pytest.approx(1.2)


def test_the_time_of_a_training_is_its_steps_validations_and_checkpoints():
    # 60 rows in steps of 8: 8 an epoch, 16 in two; measured every 4 steps, so 4 times
    plan = make_plan(60, Train(batch_size=8, epochs=2, evaluations_per_epoch=2))
    time = training_time(plan, 100, 50, Pace(step_token=0.01, validation_token=0.002, checkpoint=3))
    assert (time.steps, time.validation, time.checkpoints) == pytest.approx((16.0, 0.4, 12.0))
    assert replace(time, learning_curve=10).total == pytest.approx(38.4)


def test_the_learning_curve_adds_two_trainings_on_fewer_rows(line, recipe):
    def seconds(*more):
        return json.loads(line("plan", recipe, "--json", *more).out)["seconds"]

    assert seconds()["learning_curve"] == 0
    told = seconds("--set", "verdict.learning_curve=true")
    parts = [told[name] for name in ("steps", "validation", "checkpoints", "learning_curve")]
    assert told["total"] == pytest.approx(sum(parts))
    # 27 rows take 8 steps; 25 % of them, 7, and 50 %, 14, take 2 and 4
    assert told["learning_curve"] > 6 / 8 * told["steps"]


def test_the_verb_tells_rows_steps_memory_time_and_cost(line, recipe):
    told = line("plan", recipe, "--set", "prices.hour=3600", "--json")
    assert told.code == 0, told.err
    plan = json.loads(told.out)
    assert (plan["rows"], plan["validation_rows"], plan["steps"]) == (27, 4, 8)
    assert plan["supervised_tokens"] == 27 * 5
    assert plan["packed_tokens"] < plan["tokens"]
    memory = plan["memory"]
    parts = ("program", "weights", "adapter", "gradients", "optimizer", "activations", "allocator")
    assert memory["peak_gib"] == pytest.approx(sum(memory[f"{part}_gib"] for part in parts), abs=0.005)
    assert memory["fits"] and not memory["gradient_checkpointing"]
    assert plan["cost"] == pytest.approx(plan["seconds"]["total"])
    assert plan["advice"] == []


def test_the_verb_leaves_the_rows_frozen_and_no_probe(line, recipe):
    assert line("plan", recipe).built() == ["check", "freeze"]
    assert not [file for file in line.files() if "probe" in file]
    assert {folder.name.split("-")[0] for folder in (line.home / "stages").glob("*-*")} == {"check", "freeze"}


def test_where_memory_is_short_the_training_checkpoints_and_says_what_else_helps(line, recipe, monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda device: 1000)
    told = line("plan", recipe)
    assert "This may not fit" in told.out
    assert "gradient checkpointing on" in told.out
    assert "a smaller base.model" in told.out
    trained = line("train", recipe)
    assert "with gradient checkpointing; 0.00 GiB are free" in trained.err
    training = read_json(next((line.home / "stages").glob("train-*/training.json")))
    assert training["gradient_checkpointing"]
    off = line("plan", recipe, "--set", "train.gradient_checkpointing=off")
    assert "gradient checkpointing off" in off.out
    assert 'train.gradient_checkpointing = "on"' in off.out


def test_what_the_plan_leaves_out_is_told(line, recipe):
    more = ("--set", "train.watch=score", "--set", "sweep.rank=[2,3]", "--set", "verdict.learning_curve=true")
    told = " ".join(line("plan", recipe, *more).out.split())
    wanted = (
        "baselines and comparison, each answering 5 test rows; the answers of the learning curve's parts; "
        "answers to validation rows while training; the sweep's other configurations"
    )
    assert wanted in told and "learning curve" in told.partition("not in")[0]


def test_training_tells_its_memory(done):
    training = read_json(done.stage("train") / "training.json")
    report = read_json(done.folder / "report.json")["training"]
    assert 0 < training["memory_before_gib"] <= training["peak_memory_gib"] < 100
    assert report["peak_memory_gib"] == training["peak_memory_gib"]
    assert f"{report['peak_memory_gib']:.2f} GiB of memory" in done.called.out
    assert f"{report['peak_memory_gib']:.2f} GiB" in (done.folder / "report.html").read_text()
    assert "GiB are free" in done.called.err
