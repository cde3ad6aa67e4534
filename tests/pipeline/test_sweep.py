"""A sweep: each configuration as if it were alone, the best one kept, nothing repeated."""

import json
import math
import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from residency.core.workspace import read_json
from residency.training.loop import Trainer
from residency.training.memory import TooLarge
from tests.pipeline.projects import Called, Line, answers, write_rows
from tests.pipeline.test_interrupted import adapter_of, stage_of

RATES = [0.3, 0.03, 0.003, 0.0003]


def options(**keys):
    """`--set sweep.key=value` for each."""
    return [word for key, value in keys.items() for word in ("--set", f"sweep.{key}={value}")]


def table(line) -> list[dict]:
    return read_json(stage_of(line) / "training.json")["sweep"]


def timeless(rows: list[dict]) -> list[dict]:
    return [{**row, "seconds": None} for row in rows]


def train_alone(line: Line, recipe, **keys) -> dict:
    """The training of a recipe that names the values in [train]."""
    settings = [word for key, value in keys.items() for word in ("--set", f"train.{key}={value}")]
    return json.loads(line("train", recipe, *settings, "--json").out)


@pytest.fixture(scope="module")
def alone(done, tmp_path_factory) -> dict[float, dict]:
    """Each learning rate without a sweep."""
    line = Line(tmp_path_factory.mktemp("alone"))
    return {rate: train_alone(line, done.recipe, learning_rate=rate) for rate in RATES}


def losses(training, points=None) -> float:
    return min(point["validation_loss"] for point in training["curve"][:points])


def assert_same_adapter(line, adapter) -> None:
    ours, theirs = adapter_of(line), load_file(f"{adapter}/adapter_model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_each_configuration_equals_its_training_alone(line, recipe, alone):
    called = line("run", recipe, *options(learning_rate=RATES))
    assert called.code == 0, called.err
    rows = table(line)
    assert [row["settings"] for row in rows] == [{"learning_rate": rate} for rate in RATES]
    assert [row["validation_loss"] for row in rows] == [losses(alone[rate]) for rate in RATES]
    assert {(row["status"], row["steps"], row["rung"]) for row in rows} == {("finished", 8, 1)}
    best = min(RATES, key=lambda rate: losses(alone[rate]))
    assert [row["chosen"] for row in rows] == [rate == best for rate in RATES]
    assert_same_adapter(line, alone[best]["artifact"])
    assert read_json(stage_of(line) / "training.json")["curve"] == alone[best]["curve"]
    (run,) = (line.home / "runs").iterdir()
    assert read_json(run / "report.json")["training"]["sweep"] == rows
    assert f"learning_rate {best:g}" in (run / "report.html").read_text()
    assert [f.name for f in stage_of(line).iterdir() if f.name in ("sweep", "checkpoints")] == []
    for text in (called.out, (run / "report.html").read_text()):
        assert "test rows had no part in it" in " ".join(text.split())


def test_halving_lets_the_best_go_on_and_pausing_changes_nothing(line, recipe, alone):
    """8 steps, evaluated every 2: the rungs of four at eta 2 end after 2, 4 and 8 steps."""
    called = line("train", recipe, *options(learning_rate=RATES, halving="true", eta=2))
    assert called.code == 0, called.err
    second = sorted(RATES, key=lambda rate: losses(alone[rate], 1))[:2]
    last = min(second, key=lambda rate: losses(alone[rate], 2))
    for row in table(line):
        rate = row["settings"]["learning_rate"]
        rung = 3 if rate == last else 2 if rate in second else 1
        assert (row["rung"], row["steps"]) == (rung, 2**rung)
        assert row["status"] == ("finished" if rate == last else "stopped")
        assert row["validation_loss"] == losses(alone[rate], 2 ** (rung - 1))
        assert row["chosen"] == (rate == last)
    assert_same_adapter(line, alone[last]["artifact"])
    assert read_json(stage_of(line) / "training.json")["curve"] == alone[last]["curve"]
    assert "stopped at rung 1" in called.out
    resumed = [line.strip() for line in called.err.splitlines() if "resumed" in line]
    assert resumed == [f"resumed after step {step} of 8" for step in (2, 2, 4)]


def test_the_other_keys_are_varied_too(line, recipe, tmp_path):
    keys = {"rank": 3, "alpha": 8, "epochs": 1.0, "seed": 5}
    assert line("train", recipe, *options(**{key: [value] for key, value in keys.items()})).code == 0
    assert_same_adapter(line, train_alone(Line(tmp_path, tmp_path / "alone"), recipe, **keys)["artifact"])


@pytest.mark.parametrize("method", ["qlora", "full"])
def test_other_methods_are_swept_too(line, recipe, tmp_path, method):
    """The base in 4 bits is kept from one to the next; the one whose own weights changed is not."""
    if method == "full":
        recipe.write_text(re.sub(r"^(rank|alpha) = .*\n", "", recipe.read_text(), flags=re.MULTILINE))
    of_method = ("--set", f"train.method={method}")
    swept = line("train", recipe, *of_method, *options(learning_rate=[0.01, 0.001]), "--json")
    assert swept.code == 0, swept.err
    single = Line(tmp_path, tmp_path / "alone")
    trainings = [
        json.loads(single("train", recipe, *of_method, "--set", f"train.learning_rate={rate}", "--json").out)
        for rate in (0.01, 0.001)
    ]
    found = json.loads(swept.out)
    assert [row["validation_loss"] for row in found["sweep"]] == [losses(alone) for alone in trainings]
    best = min(trainings, key=losses)
    (file,) = Path(best["artifact"]).glob("*model.safetensors")
    weights, wanted = load_file(Path(found["artifact"]) / file.name), load_file(file)
    assert weights.keys() == wanted.keys()
    assert all(torch.equal(weights[name], wanted[name]) for name in weights)


def stop_after(steps: int):
    """A patch: Ctrl-C after so many steps of all configurations together."""

    def patch(change: pytest.MonkeyPatch) -> None:
        whole, left = Trainer.step, iter(range(steps))

        def step_or_stop(self: Trainer, number: int) -> float:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return whole(self, number)

        change.setattr(Trainer, "step", step_or_stop)

    return patch


@pytest.mark.parametrize("search", [{}, {"halving": "true", "eta": 2}, {"search": "optuna", "trials": 3}])
def test_an_interrupted_sweep_goes_on_where_it_was(line, recipe, tmp_path, search):
    keys = options(learning_rate=[0.003, 0.3] if "search" in search else RATES[1:], **search)
    unbroken = Line(tmp_path, tmp_path / "unbroken")
    assert unbroken("train", recipe, *keys).code == 0
    stopped = line("train", recipe, *keys, patch=stop_after(5 if "halving" in search else 13))
    assert stopped.code == 130
    again = line("train", recipe, *keys)
    assert again.code == 0, again.err
    assert "configuration 1 of 3" not in again.err
    assert "resumed after step" in again.err or "halving" in search
    assert timeless(table(line)) == timeless(table(unbroken))
    assert_same_adapter(line, stage_of(unbroken) / "adapter")
    assert line("train", recipe, *keys).built() == []


def diverge(*ranks: int, after: int = 0):
    """A patch: the validation loss of these ranks is not a number after so many steps."""

    def patch(change: pytest.MonkeyPatch) -> None:
        whole = Trainer.validate

        def loss(self: Trainer) -> dict[str, float]:
            late = len(self.progress.curve) * self.plan.evaluate_every >= after
            return {"loss": math.nan} if self.config.rank in ranks and late else whole(self)

        change.setattr(Trainer, "validate", loss)

    return patch


def test_a_configuration_that_fails_is_a_row_with_its_reason(line, recipe):
    called: Called = line("train", recipe, *options(rank=[2, 3, 4]), patch=diverge(3))
    assert called.code == 0, called.err
    rows = table(line)
    assert [row["status"] for row in rows] == ["finished", "failed", "finished"]
    assert rows[1]["validation_loss"] is None
    assert rows[1]["reason"] == "The validation loss is not finite after step 1."
    assert not rows[1]["chosen"]
    assert "failed: The validation loss" in " ".join(called.out.split())


def test_a_configuration_that_does_not_fit_is_a_row_with_its_reason(line, recipe):
    def patch(change: pytest.MonkeyPatch) -> None:
        whole = Trainer.step

        def step(self: Trainer, number: int) -> float:
            if self.config.rank == 3 and number == 2:
                raise TooLarge("A row of 9 tokens does not fit.", "rows.jsonl:1", "Lower it.", number)
            return whole(self, number)

        change.setattr(Trainer, "step", step)

    called: Called = line("train", recipe, *options(rank=[2, 3]), patch=patch)
    assert called.code == 0, called.err
    kept, failed = table(line)
    assert (kept["status"], kept["chosen"]) == ("finished", True)
    assert (failed["status"], failed["reason"]) == ("failed", "A row of 9 tokens does not fit.")
    assert failed["steps"] == 2


def test_if_the_last_ones_fail_the_best_of_those_stopped_is_kept(line, recipe):
    keys = options(rank=[2, 3, 4], halving="true")
    first = line("train", recipe, *keys)
    assert first.code == 0, first.err
    (last,) = (row["settings"]["rank"] for row in table(line) if row["status"] == "finished")
    other = Line(line.folder, line.folder / "other")
    called = other("train", recipe, *keys, patch=diverge(last, after=6))
    assert called.code == 0, called.err
    rows = {row["settings"]["rank"]: row for row in table(other)}
    assert (rows[last]["status"], rows[last]["rung"]) == ("failed", 2)
    (chosen,) = (rank for rank, row in rows.items() if row["chosen"])
    assert chosen == min(set(rows) - {last}, key=lambda rank: rows[rank]["validation_loss"])
    assert read_json(other.home / "stages" / stage_of(other).name / "training.json")["steps"] == 4


def test_if_all_fail_the_sweep_fails(line, recipe):
    mistake = line("train", recipe, *options(rank=[2, 3]), patch=diverge(2, 3)).mistake()
    assert mistake["what"].startswith("All 2 configurations of the sweep failed; the first: The validation")
    assert "sweep.learning_rate" in mistake["fix"]


def test_the_test_rows_have_no_part_in_the_choice(line, recipe):
    """Another test file makes it another stage, with the same table and the same adapter."""
    found = []
    for numbers in ([100, 101, 102], [201, 202]):
        file = write_rows(recipe.parent / f"test-{numbers[0]}.jsonl", map(answers, numbers))
        called = line("train", recipe, *options(rank=[2, 3]), "--set", f"data.test={file}", "--json")
        found.append(json.loads(called.out))
    assert timeless(found[0]["sweep"]) == timeless(found[1]["sweep"])
    assert found[0]["artifact"] != found[1]["artifact"]
    weights, others = (load_file(f"{training['artifact']}/adapter_model.safetensors") for training in found)
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_without_optuna_the_command_that_installs_it_is_told_at_once(line, recipe):
    called = line(
        "run",
        recipe,
        *options(search="optuna", rank=[2, 4]),
        patch=lambda change: change.setitem(sys.modules, "optuna", None),
    )
    assert called.mistake()["what"] == "optuna is not installed."
    assert "pip install 'residency[sweep]'" in called.mistake()["fix"]
    assert called.built() == []
