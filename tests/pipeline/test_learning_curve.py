"""A run with a learning curve: nested parts, each trained, asked and kept as a stage of its own."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from residency.core.recipe import Recipe
from residency.core.workspace import read_json, read_jsonl, write_json
from residency.data.split.freeze import Frozen
from residency.pipeline.learning_curve import share_of
from residency.pipeline.tune import Bench
from residency.training.loop import Trainer
from tests.pipeline.conftest import Done
from tests.pipeline.projects import STAGES, Line, write_project

CURVE = ("--set", "verdict.learning_curve=true")
PARTS = ("part-25", "asked-25", "part-50", "asked-50")


@pytest.fixture(scope="module")
def curved(tmp_path_factory, tiny_base) -> Done:
    """A run with a learning curve, in a folder of its own."""
    folder = tmp_path_factory.mktemp("curve")
    recipe, line = write_project(folder / "project", tiny_base), Line(folder)
    torch.set_num_threads(1)
    return Done(recipe, line, line("run", recipe, *CURVE))


@pytest.mark.parametrize(("asked", "known"), [("auto", True), ("on", None), ("off", None)])
def test_a_part_checkpoints_as_the_run_did_unless_the_recipe_says(tmp_path, asked, known):
    write_json(tmp_path / "training.json", {"gradient_checkpointing": True})
    train = {"gradient_checkpointing": asked}
    recipe = Recipe(data={"train": "rows.jsonl"}, task={"name": "t", "scorer": "exact"}, train=train)
    assert share_of(25, recipe, tmp_path) == (0.25, known)


def told(called) -> dict[str, str]:
    """What each stage of a part came to: whether it was finished before."""
    lines = called.err.splitlines()
    return {name: lines[lines.index(name, 0) + 1] for name in PARTS if name in lines}


def adapter(done: Done, stage: str) -> dict[str, torch.Tensor]:
    return load_file(done.stage(stage) / "adapter" / "adapter_model.safetensors")


def part_rows(done: Done, candidate: str) -> dict[str, tuple[bool, str]]:
    rows = read_jsonl(done.folder / "scored.jsonl")
    return {r["source"]: (r["passed"], r["got"]) for r in rows if r["candidate"] == candidate
            and r["split"] in ("part", "test")}  # fmt: skip


def test_each_part_is_trained_on_its_rows_and_asked_the_whole_test(curved):
    assert curved.called.code == 0, curved.called.err
    report = read_json(curved.folder / "report.json")
    points = report["learning_curve"]["points"]
    assert [point["rows"] for point in points] == [7, 14, 27]  # 25, 50 and 100 % of 27
    steps = [part["steps"] for part in report["training"]["parts"]]
    assert steps == [2, 4]  # two epochs of 7 and of 14 rows, 8 a step
    for name in ("tuned-25", "tuned-50"):
        assert part_rows(curved, name).keys() == part_rows(curved, "tuned").keys()
    assert sum(point["mean"] * 5 for point in points) == pytest.approx(
        sum(
            passed
            for name in ("tuned-25", "tuned-50", "tuned")
            for passed, _ in part_rows(curved, name).values()
        )
    )


def test_the_last_point_is_the_tuned_candidate_and_was_not_trained_again(curved):
    report = read_json(curved.folder / "report.json")
    (tuned,) = (c for c in report["candidates"] if c["name"] == "tuned")
    last = report["learning_curve"]["points"][-1]
    assert (last["mean"], last["interval"]) == (tuned["mean"], tuned["interval"])
    assert len(list((curved.line.home / "stages").glob("train-*"))) == 1
    names = [candidate["name"] for candidate in report["candidates"]]
    assert names == ["base", "zero-shot", "few-shot", "retrieved", "classifier", "tuned"]


def test_a_part_trains_as_a_file_of_its_rows_alone_would(curved, tmp_path):
    frozen = curved.stage("freeze")
    small, large = (Bench(recipe_of(curved), "float32", frozen, tmp_path, share) for share in (0.25, 0.5))
    sources = [{str(row.example.source) for row in bench.rows.train} for bench in (small, large)]
    assert sources[0] < sources[1] < {str(row.example.source) for row in Frozen.read(frozen).train}
    # the same rows written as a split of their own, and trained by the verb alone
    alone = shutil.copytree(frozen, tmp_path / "frozen")
    lines = (frozen / "train.jsonl").read_text().splitlines(keepends=True)
    kept = [text for text in lines if f"rows.jsonl:{json.loads(text)['row']}" in sources[0]]
    (alone / "train.jsonl").write_text("".join(kept))
    from residency.core.progress import Silent
    from residency.pipeline.tune import tune

    tune(recipe_of(curved), "float32", alone, tmp_path, Silent())
    ours, theirs = adapter(curved, "part-25"), load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not all(torch.equal(ours[name], adapter(curved, "part-50")[name]) for name in ours)


def recipe_of(done: Done):
    from residency.core.recipe import Recipe

    return Recipe.model_validate(read_json(done.folder / "report.json")["recipe"])


def test_the_curve_is_added_to_a_run_that_is_done_and_kept_by_another_scorer(done, curved, tmp_path):
    line = Line(done.line.folder, shutil.copytree(done.line.home, tmp_path / "home"))
    added = line("run", done.recipe, *CURVE)
    assert (added.code, added.built(), added.kept()) == (0, [], list(STAGES))
    assert all("finished before" not in came for came in told(added).values()) and len(told(added)) == 4
    again = told(line("run", done.recipe, *CURVE))
    assert all("finished before" in came for came in again.values()) and len(again) == 4
    scored = told(line("run", done.recipe, *CURVE, "--set", "task.scorer=label"))
    assert [name for name, came in scored.items() if "finished before" in came] == ["part-25", "part-50"]
    ranked = told(line("run", done.recipe, *CURVE, "--set", "train.rank=3"))
    assert not [name for name, came in ranked.items() if "finished before" in came]
    # the same rows elsewhere give the same parts, and these the same weights
    (copy,) = (line.home / "stages").glob(curved.stage("part-25").name)
    theirs = load_file(copy / "adapter" / "adapter_model.safetensors")
    assert all(torch.equal(weight, theirs[name]) for name, weight in adapter(curved, "part-25").items())


def test_a_part_that_was_stopped_goes_on_and_ends_as_an_unbroken_one(curved, line, recipe):
    def stop(change: pytest.MonkeyPatch) -> None:
        whole = Trainer.step

        def step_or_stop(self: Trainer, number: int) -> float:
            if (self.plan.rows, number) == (14, 3):
                raise KeyboardInterrupt
            return whole(self, number)

        change.setattr(Trainer, "step", step_or_stop)

    stopped = line("run", recipe, *CURVE, patch=stop)
    assert stopped.code == 130
    again = line("run", recipe, *CURVE)
    assert again.code == 0 and "resumed after step 3 of 4" in again.err
    assert "finished before" in told(again)["asked-25"] and again.built() == []
    ours = Done(recipe, line, again)
    assert all(
        torch.equal(w, adapter(curved, "part-50")[name]) for name, w in adapter(ours, "part-50").items()
    )
    assert part_rows(ours, "tuned-50") == part_rows(curved, "tuned-50")


def test_the_verdict_is_made_anew_from_the_files(curved):
    again = curved.line("verdict", curved.name)
    assert again.code == 0, again.err
    assert "twice as many: " in again.out and "Rows     7: " in again.out
    report = read_json(curved.folder / "report.json")
    assert (
        json.loads(curved.line("verdict", curved.name, "--json").out)["learning_curve"]
        == report["learning_curve"]
    )


def test_after_a_sweep_parts_are_trained_with_what_it_chose(line, recipe):
    called = line("run", recipe, *CURVE, "--set", "sweep.rank=[3, 5]")
    assert called.code == 0, called.err
    (run,) = (line.home / "runs").iterdir()
    report = read_json(run / "report.json")
    (chosen,) = (trial["settings"]["rank"] for trial in report["training"]["sweep"] if trial["chosen"])
    for file in (line.home / "stages").glob("part-*/adapter/adapter_config.json"):
        assert read_json(file)["r"] == chosen
    assert len(report["learning_curve"]["points"]) == 3


def test_general_rows_are_mixed_into_a_part_by_the_same_share(line, recipe):
    called = line("run", recipe, *CURVE, "--set", "train.replay=0.25")
    assert called.code == 0, called.err
    (run,) = (line.home / "runs").iterdir()
    report = read_json(run / "report.json")
    assert [point["rows"] for point in report["learning_curve"]["points"]] == [7, 14, 27]
    mixed = [read_json(file)["rows"] for file in sorted((line.home / "stages").glob("part-*/training.json"))]
    assert mixed == [7 + 2, 14 + 5]  # a third more: 2.3 and 4.7
