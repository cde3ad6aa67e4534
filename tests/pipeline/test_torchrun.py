"""Two processes under torchrun, on the CPU: the losses and weights of one process, and one voice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from residency.core.errors import ResidencyError
from residency.core.progress import Silent
from residency.core.recipe_file import load_recipe
from residency.core.workspace import Workspace, read_json
from residency.pipeline.workflow import Workflow
from tests.pipeline.projects import Line, write_project

ROOT = Path(__file__).parents[2]


def torchrun(
    folder: Path, *arguments: object, processes: int = 2, code: str = ""
) -> subprocess.CompletedProcess:
    program = [str(folder / "program.py")] if code else ["-m", "residency"]
    if code:
        (folder / "program.py").write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        + [*program, *map(str, arguments)],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "RESIDENCY_HOME": str(folder / "home"),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory, tiny_base) -> tuple[Path, Path]:
    """A project trained by one process, at a rate so low that rounding is not blown up."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("alone")
    recipe = write_project(folder / "project", tiny_base)
    recipe.write_text(
        recipe.read_text().replace("alpha = 64", "alpha = 4").replace("rate = 0.1", "rate = 0.01")
    )
    assert Line(folder)("train", recipe).code == 0
    return recipe, stage(folder)


def stage(folder: Path) -> Path:
    (found,) = (folder / "home" / "stages").glob("train-*")
    return found


def assert_same_training(ours: Path, alone: Path) -> None:
    """As in one process, up to rounding."""
    one, other = (read_json(folder / "training.json") for folder in (ours, alone))
    assert [p["step"] for p in one["curve"]] == [p["step"] for p in other["curve"]] == [2, 4, 6, 8]
    for name in ("train_loss", "validation_loss"):
        assert [p[name] for p in one["curve"]] == pytest.approx([p[name] for p in other["curve"]], rel=1e-5)
    file = "adapter/adapter_model.safetensors"
    weights, expected = load_file(ours / file), load_file(alone / file)
    assert weights.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (weights[name] - tensor).norm() <= 1e-3 * tensor.norm()


@pytest.mark.parametrize("distribution", ["ddp", pytest.param("fsdp", marks=pytest.mark.nightly)])
def test_two_processes_train_as_one(tmp_path, alone, distribution):
    recipe, expected = alone
    chosen = ("--set", f"train.distribution={distribution}")
    called = torchrun(tmp_path, "train", recipe, "--json", *chosen)
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["steps"] == 8  # one document: one process speaks
    assert called.stderr.count("lora rank 2") == 1
    assert_same_training(stage(tmp_path), expected)
    again = Line(tmp_path)("train", recipe)
    assert again.built() == []


STOPPED = """
import os
from residency.cli import main
from residency.training.loop import Trainer
whole = Trainer.step
def step(self, number):
    if number == 5 and os.environ["RANK"] == "1":
        raise KeyboardInterrupt
    return whole(self, number)
Trainer.step = step
main()
"""


def test_one_process_that_stops_ends_all_and_another_number_goes_on(tmp_path, alone):
    recipe, expected = alone
    stopped = torchrun(tmp_path, "train", recipe, "--set", "train.distribution=fsdp", code=STOPPED)
    assert stopped.returncode != 0
    assert stopped.stderr.count("Stopped. Run the same command to go on") == 1, stopped.stderr
    assert "This is a bug" not in stopped.stderr
    again = Line(tmp_path)("train", recipe)
    assert "resumed after step 4 of 8" in again.err
    assert_same_training(stage(tmp_path), expected)


@pytest.mark.nightly
def test_a_mistake_of_all_is_told_once(tmp_path):
    called = torchrun(tmp_path, "train", "gone.toml")
    assert called.returncode != 0
    assert called.stderr.count("what:  There is no such recipe.") == 1, called.stderr


def test_sweeps_and_plans_are_those_of_one_process(tmp_path, alone, monkeypatch):
    recipe, _ = alone
    monkeypatch.setenv("WORLD_SIZE", "2")
    workspace = Workspace(tmp_path)
    with pytest.raises(ResidencyError, match="A sweep trains in one process"):
        Workflow(load_recipe(recipe, ["sweep.rank=[2, 3]"]), workspace, Silent())
    with pytest.raises(ResidencyError, match="A plan is made by one process"):
        Workflow(load_recipe(recipe), workspace, Silent()).forecast()
    assert not list(tmp_path.glob("stages/*"))


def test_sharded_models_cannot_be_watched(tmp_path, alone, monkeypatch):
    recipe, _ = alone
    watched = load_recipe(recipe, ["train.watch=score", "train.distribution=fsdp"])
    Workflow(watched, Workspace(tmp_path), Silent())
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ResidencyError, match="cannot answer rows"):
        Workflow(watched, Workspace(tmp_path), Silent())
