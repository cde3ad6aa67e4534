"""The loop: the same weights after a kill, the best checkpoint kept, nothing half-written."""

from __future__ import annotations

import errno
import math

import pytest
import torch

from residency.chat import Rendered
from residency.core.errors import ResidencyError
from residency.core.progress import Silent
from residency.core.recipe import Train
from residency.models.adapters import attach_lora
from residency.models.packed.attention import use_packed_attention
from residency.training import checkpoint
from residency.training.checkpoint import checkpoints, trainable_state
from residency.training.loop import Trainer
from residency.training.objectives import Batch, Loss, objective
from residency.training.schedule import learning_rate, make_plan, rows_of_step

from .conftest import draw_sequences, killed_at, tiny_llama

SETTINGS = Train(
    rank=3, alpha=6, epochs=3, batch_size=4, learning_rate=0.01, micro_tokens=40, evaluations_per_epoch=2
)
TRAIN = draw_sequences(0, 4, [6, 9, 12, 7, 8, 5, 11, 10, 6, 14])
VALIDATION = draw_sequences(1, 4, [8, 9, 7])


def trainer(folder, settings=SETTINGS, train=TRAIN) -> Trainer:
    model = attach_lora(tiny_llama(), settings)
    return Trainer(model, train, VALIDATION, settings, folder)


def weights(run: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainable_state(run.model).items()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("number", "minutes", "kept"),
    [(1, 10, 0), (2, 10, 2), (5, 10, 4), (8, 10, 8), (1, 1e-9, 1), (5, 1e-9, 5)],
)
def test_killed_and_resumed_equals_unbroken(tmp_path, number, minutes, kept):
    """A checkpoint is written at each second step, or after each where they are due by time."""
    whole = trainer(tmp_path / "whole")
    expected = whole.run(Silent())
    settings = SETTINGS.model_copy(update={"checkpoint_minutes": minutes})
    broken = trainer(tmp_path / "broken", settings)
    with killed_at(number):
        broken.run(Silent())
    torch.manual_seed(99)  # a new process has another random state
    assert [c.name for c in checkpoints(tmp_path / "broken")][-1:] == [f"step-{kept:08d}"] * (kept > 0)
    resumed = trainer(tmp_path / "broken", settings)
    result = resumed.run(Silent())
    assert_same(weights(resumed), weights(whole))
    assert result.curve == expected.curve
    assert (result.steps, result.best_step) == (expected.steps, expected.best_step)


@pytest.mark.parametrize("pauses", [[2], [4, 6], [2, 4, 6, 8]])
def test_paused_and_gone_on_equals_unbroken(tmp_path, pauses):
    """A pause is no other plan: learning rates, data order and evaluations are those of the whole."""
    whole = trainer(tmp_path / "whole")
    expected = whole.run(Silent())
    for until in pauses:
        paused = trainer(tmp_path / "paused").run(Silent(), until)
        assert paused.steps == until
        assert paused.curve == expected.curve[: until // 2]
    last = trainer(tmp_path / "paused")
    assert last.run(Silent()).curve == expected.curve
    assert_same(weights(last), weights(whole))


def test_seed_reproduces_and_another_seed_differs(tmp_path):
    first, second = trainer(tmp_path / "1"), trainer(tmp_path / "2")
    other = trainer(tmp_path / "3", SETTINGS.model_copy(update={"seed": 1}))
    for run in (first, second, other):
        run.run(Silent())
    assert_same(weights(first), weights(second))
    assert any(
        not torch.equal(a, b) for a, b in zip(weights(first).values(), weights(other).values(), strict=True)
    )


def test_the_last_weights_are_kept_where_nothing_is_watched(tmp_path):
    """The rate is far too high, so that the last step is none of the good ones."""
    settings = {"learning_rate": 0.5, "epochs": 4, "patience": 1, "watch": "nothing"}
    run = trainer(tmp_path, SETTINGS.model_copy(update=settings))
    result = run.run(Silent())
    assert result.best_step == result.steps == run.plan.steps and not result.stopped_early
    assert min(result.curve, key=lambda point: point.validation_loss).step < result.steps


def test_best_weights_are_kept_and_patience_stops(tmp_path):
    """A rate so high that the validation loss rises: training stops and goes back to the best step."""
    settings = SETTINGS.model_copy(update={"learning_rate": 0.5, "epochs": 20, "patience": 2})
    run = trainer(tmp_path, settings)
    result = run.run(Silent())
    losses = {point.step: point.validation_loss for point in result.curve}
    assert result.stopped_early
    assert result.best_step == min(losses, key=losses.__getitem__)
    assert len(result.curve) == list(losses).index(result.best_step) + 1 + 2
    assert math.isclose(run.validate()["loss"], losses[result.best_step], rel_tol=1e-6)


def test_every_row_once_an_epoch():
    plan = make_plan(10, SETTINGS)
    assert (plan.steps_per_epoch, plan.steps, plan.evaluate_every) == (3, 9, 2)
    for epoch in range(3):
        rows = [r for s in range(3) for r in rows_of_step(plan, 3 * epoch + s, 4, seed=5)]
        assert sorted(rows) == list(range(10))
    assert rows_of_step(plan, 0, 4, seed=5) != rows_of_step(plan, 3, 4, seed=5)


def test_learning_rate_rises_then_falls():
    settings = SETTINGS.model_copy(update={"warmup": 0.2, "epochs": 10 / 3})
    plan = make_plan(10, settings)
    rates = [learning_rate(step, plan, settings) for step in range(10)]
    assert rates[:3] == pytest.approx([0.005, 0.01, 0.01])
    assert rates[3:] == pytest.approx([0.01 * (1 - k / 8) for k in range(1, 8)])
    cosine = settings.model_copy(update={"schedule": "cosine"})
    assert learning_rate(6, plan, cosine) == pytest.approx(0.005)


def test_a_row_without_supervised_tokens_is_an_error(tmp_path):
    bare = Rendered([1, 2, 3], [True, False, False])
    with pytest.raises(ResidencyError, match="zero tokens"):
        trainer(tmp_path, train=[*TRAIN, bare])


@pytest.mark.usefixtures("own_objectives")
def test_a_loss_that_is_not_finite_names_the_rows_and_changes_nothing(tmp_path):
    @objective("not-a-number")
    def broken(batch: Batch) -> Loss:
        return Loss(batch.logprobs_N.sum() * math.nan, {})

    run = trainer(tmp_path, SETTINGS.model_copy(update={"objective": "not-a-number"}))
    before = weights(run)
    with pytest.raises(ResidencyError, match="not finite at step 0") as error:
        run.run(Silent())
    named = ", ".join(f"training row {row}" for row in rows_of_step(run.plan, 0, 4, 0))
    assert error.value.where == named
    assert_same(weights(run), before)


@pytest.mark.usefixtures("own_objectives")
def test_an_objective_from_outside_needs_no_change_here(tmp_path):
    """Registered by a decorator: half of the cross-entropy has half of its loss."""

    @objective("halved")
    def halved(batch: Batch) -> Loss:
        return Loss(-0.5 * batch.logprobs_N.sum() / batch.supervised_in_step, {})

    half = trainer(tmp_path / "half", SETTINGS.model_copy(update={"objective": "halved"}))
    whole = trainer(tmp_path / "whole")
    for run in (half, whole):
        use_packed_attention(run.model)
    assert half.validate()["loss"] == pytest.approx(0.5 * whole.validate()["loss"])


def test_unknown_objective_is_told_with_the_known_ones(tmp_path):
    with pytest.raises(ResidencyError, match="no objective 'dpoo'") as error:
        trainer(tmp_path, SETTINGS.model_copy(update={"objective": "dpoo"}))
    assert "sft" in error.value.fix


def test_a_full_disk_leaves_the_older_checkpoint_and_nothing_half_written(tmp_path, monkeypatch):
    run = trainer(tmp_path)
    save, calls = checkpoint.save_file, []

    def full(tensors, file):
        calls.append(file)
        if len(calls) > 3:  # the second checkpoint's optimiser
            raise OSError(errno.ENOSPC, "No space left on device")
        save(tensors, file)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(ResidencyError, match="No space left on device"):
        run.run(Silent())
    assert [c.name for c in checkpoints(tmp_path)] == ["step-00000002"]
    assert [f.name for f in tmp_path.iterdir()] == ["step-00000002"]


def test_a_damaged_checkpoint_is_not_taken_up(tmp_path):
    trainer(tmp_path).run(Silent())
    last = checkpoints(tmp_path)[-1]
    content = bytearray((last / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (last / "weights.safetensors").write_bytes(content)
    assert last not in checkpoints(tmp_path)
