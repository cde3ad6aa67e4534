"""A run that is stopped, fails or meets a full disk is not called done, and can go on."""

import errno
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file

from residency.core.workspace import read_json
from residency.training.loop import Trainer
from tests.pipeline.projects import Called


def stop_at(step: int, error: BaseException):
    """A patch: training raises `error` when it is about to do the step numbered `step` from 0."""

    def patch(change: pytest.MonkeyPatch) -> None:
        whole = Trainer.step

        def step_or_stop(self: Trainer, number: int) -> float:
            if number == step:
                raise error
            return whole(self, number)

        change.setattr(Trainer, "step", step_or_stop)

    return patch


def status(line) -> str:
    (run,) = (line.home / "runs").glob("*/run.json")
    return read_json(run)["status"]


def finished_trainings(line) -> list[str]:
    return [folder.name for folder in (line.home / "stages").glob("train-*")]


def adapter_of(line) -> dict[str, torch.Tensor]:
    (file,) = (line.home / "stages").glob("train-*/adapter/adapter_model.safetensors")
    return load_file(file)


def assert_same_as_unbroken(line, done) -> None:
    ours, unbroken = adapter_of(line), adapter_of(done.line)
    assert ours.keys() == unbroken.keys()
    assert all(torch.equal(ours[name], unbroken[name]) for name in ours)
    curve = [read_json(folder / "training.json")["curve"] for folder in (done.stage("train"), stage_of(line))]
    assert curve[0] == curve[1]


def stage_of(line):
    (folder,) = (line.home / "stages").glob("train-*")
    return folder


@pytest.mark.parametrize(("step", "resumed"), [(5, "resumed after step 4 of 8"), (1, None)])
def test_ctrl_c_in_training_and_the_next_run_ends_as_an_unbroken_one(line, recipe, done, step, resumed):
    stopped: Called = line("run", recipe, patch=stop_at(step, KeyboardInterrupt()))
    assert stopped.code == 130
    assert stopped.out == ""
    assert "Traceback" not in stopped.err
    assert "Run the same command to go on" in stopped.err.splitlines()[-1]
    assert status(line) == "interrupted"
    assert finished_trainings(line) == []
    again = line("run", recipe)
    assert again.code == 0
    assert again.kept() == ["check", "freeze", "baselines"]
    assert ("resumed" in again.err) == (resumed is not None)
    assert (resumed or "") in again.err
    assert status(line) == "done"
    assert_same_as_unbroken(line, done)
    assert not [file for file in line.files() if ".partial" in file]


def test_ctrl_c_in_a_stage_that_cannot_resume(line, recipe):
    def patch(change: pytest.MonkeyPatch) -> None:
        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        change.setattr("residency.pipeline.ask.score_rows", stop)

    stopped = line("baseline", recipe, patch=patch)
    assert (stopped.code, status(line)) == (130, "interrupted")
    assert not [file for file in line.files() if "baselines" in file]
    assert line("baseline", recipe).built() == ["baselines"]


def test_a_bug_ends_with_its_traceback_and_the_run_has_failed(line, recipe):
    broken = line("run", recipe, patch=stop_at(3, RuntimeError("a bug in the middle")))
    assert broken.code == 2
    assert "RuntimeError: a bug in the middle" in broken.err
    assert "Traceback" in broken.err
    assert "please report it" in broken.err.splitlines()[-1]
    assert status(line) == "failed"
    listed = line("runs")
    assert "failed" in listed.out
    assert "done" not in listed.out


def full_disk_in(part: str):
    """A patch: syncing fails as on a full disk while `part` is in the path of what is written."""

    def patch(change: pytest.MonkeyPatch) -> None:
        sync = os.fsync

        def fsync(handle: int) -> None:
            if part in os.readlink(f"/proc/self/fd/{handle}"):
                raise OSError(errno.ENOSPC, "No space left on device")
            sync(handle)

        change.setattr(os, "fsync", fsync)

    return patch


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("part", ["step-00000004", "adapter", "freeze-", "scored.jsonl"])
def test_a_full_disk_is_told_and_nothing_half_written_stays(line, recipe, done, part):
    told = line("run", recipe, patch=full_disk_in(part))
    mistake = told.mistake()
    assert mistake["what"] == "Writing failed: No space left on device."
    assert part in mistake["where"]
    assert "Free some disk space" in mistake["fix"]
    assert status(line) == "failed"
    assert not [file for file in line.files() if part in file]
    again = line("run", recipe)
    assert (again.code, status(line)) == (0, "done")
    assert_same_as_unbroken(line, done)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_a_disk_too_full_for_the_note_still_tells_the_first_error(line, recipe):
    def patch(change: pytest.MonkeyPatch) -> None:
        full_disk_in("home")(change)

    assert line("run", recipe, patch=patch).mistake()["what"].startswith("Writing failed")
    assert [file for file in line.files() if file.startswith("runs/")] == []


def test_a_damaged_checkpoint_is_not_taken_up(line, recipe, done):
    line("run", recipe, patch=stop_at(5, KeyboardInterrupt()))
    (weights,) = (line.home / "stages").glob(".partial/train-*/checkpoints/step-00000004/weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    again = line("train", recipe)
    assert "resumed after step 4" not in again.err
    assert_same_as_unbroken(line, done)


def test_a_frozen_test_that_was_touched_is_refused(done, tmp_path):
    from tests.pipeline.projects import Line

    line = Line(done.line.folder, shutil.copytree(done.line.home, tmp_path / "home"))
    (test,) = (line.home / "stages").glob("freeze-*/test.jsonl")
    test.write_text("".join(test.read_text().splitlines(keepends=True)[1:]))
    mistake = line("run", done.recipe, "--set", "train.rank=3").mistake()
    assert mistake["what"] == "The test rows are not those that were frozen."
    assert mistake["where"] == str(test)
