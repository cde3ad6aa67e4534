"""The whole workflow on the tiny base: what it leaves, and what a second run repeats."""

import json
import re
import shutil

import pytest
from pydantic import TypeAdapter

from residency.core.workspace import read_json, read_jsonl, write_json
from residency.pipeline.project import start_project
from residency.training.objectives import Batch, Loss, objective
from residency.verdict.report_schema import Report
from tests.pipeline.conftest import Done
from tests.pipeline.projects import STAGES, Line, answers, write_project, write_rows


@pytest.fixture
def copied(done, tmp_path) -> Done:
    """The run that is done, with a workspace of its own that may be added to."""
    line = Line(done.line.folder, shutil.copytree(done.line.home, tmp_path / "home"))
    return done._replace(line=line)


def test_a_run_does_every_stage_in_order(done):
    assert done.called.code == 0, done.called.err
    assert done.called.built() == list(STAGES)
    assert done.called.kept() == []
    assert "lora rank 2: 2,048 of 28,896 weights are trained (7.09 %)" in done.called.err


def test_the_run_is_noted_as_done_with_its_stages(done):
    run = read_json(done.folder / "run.json")
    assert (run["run"], run["status"], run["error"]) == (done.name, "done", "")
    assert list(run["stages"]) == ["check", "freeze", "baselines", "train", "compare", "recall", "trace"]
    for name in run["stages"].values():
        assert (done.line.home / "stages" / name / "stage.json").is_file()


def test_the_run_leaves_its_files_and_nothing_half_made(done):
    names = {f"runs/{done.name}/{name}" for name in ("run.json", "report.json", "report.html")}
    names |= {f"runs/{done.name}/{name}" for name in ("scored.jsonl", "ledger.jsonl")}
    files = done.line.files()
    assert names <= files
    assert not [f for f in files if ".partial" in f or "/checkpoints/" in f or "/." in f]
    adapter = {f.name for f in (done.stage("train") / "adapter").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "residency.json"} <= adapter


def test_the_report_holds_what_its_schema_says(done):
    report = read_json(done.folder / "report.json")
    schema = json.loads(done.line("schema", "report").out)
    assert schema == Report.model_json_schema(by_alias=True)
    assert Report.model_validate(report).to_json() == report
    TypeAdapter(dict[str, int]).validate_python(report["data"]["fates"], strict=True)
    for name, keys in {
        "data": {"rows", "fates", "findings"},
        "training": {"trainable_parameters", "total_parameters", "rows", "tokens", "supervised_tokens"},
        "verdict": {"recommend", "gate", "reasons"},
    }.items():
        assert keys <= report[name].keys()
        assert keys <= schema["$defs"][f"{name.capitalize()}Part"]["properties"].keys()


def test_the_reports_figures_agree_with_the_rows(done):
    report = read_json(done.folder / "report.json")
    fates = report["data"]["fates"]
    assert sum(fates.values()) == report["data"]["rows"] == 36
    assert (fates["test"], fates["validation"], fates["train"]) == (5, 4, 27)
    assert report["training"]["rows"] == 27
    # an answer is four letters and the token that ends it
    assert report["training"]["supervised_tokens"] == 27 * 5
    assert [point["step"] for point in report["training"]["curve"]] == [2, 4, 6, 8]
    ledger = list(read_jsonl(done.folder / "ledger.jsonl"))
    assert [row["source"]["row"] for row in ledger] == list(range(1, 37))
    assert report["data"]["files"][0]["rows"] == 36


def test_every_candidate_answers_every_test_row(done):
    scored = list(read_jsonl(done.folder / "scored.jsonl"))
    held_out = {f"rows.jsonl:{row['row']}" for row in read_jsonl(done.stage("freeze") / "test.jsonl")}
    trained = {f"rows.jsonl:{row['row']}" for row in read_jsonl(done.stage("freeze") / "train.jsonl")}
    assert len(held_out) == 5
    for candidate in ("base", "zero-shot", "few-shot", "retrieved", "classifier", "tuned"):
        rows = [r["source"] for r in scored if r["candidate"] == candidate and r["split"] == "test"]
        assert sorted(rows) == sorted(held_out)
        likely = [r for r in scored if r["candidate"] == candidate and r["split"] == "test" and r["nll"]]
        assert len(likely) == (5 if candidate in ("base", "tuned") else 0)
    samples = {
        candidate: {r["source"] for r in scored if (r["candidate"], r["split"]) == (candidate, "train")}
        for candidate in ("base", "tuned")
    }
    assert samples["base"] == samples["tuned"] <= trained
    assert len(samples["tuned"]) == 10
    twins = [r for r in scored if r["split"] == "twin" and r["candidate"] == "tuned"]
    assert {r["source"] for r in twins} == samples["tuned"]
    originals = {r["source"]: r["prompt"] for r in scored if r["split"] == "train"}
    assert all(r["prompt"] != originals[r["source"]] for r in twins)


def test_what_was_retrieved_and_chosen_stands_in_the_runs_files(done):
    trained = {f"rows.jsonl:{row['row']}" for row in read_jsonl(done.stage("freeze") / "train.jsonl")}
    for row in read_jsonl(done.folder / "scored.jsonl"):
        assert len(row["retrieved"]) == (4 if row["candidate"] == "retrieved" else 0)
        assert trained.issuperset(row["retrieved"])
    report = read_json(done.folder / "report.json")
    (choice,) = report["choices"]
    assert (choice["candidate"], choice["setting"], choice["rows"]) == ("classifier", "C", 4)
    costs = {c["name"]: c for c in report["candidates"]}["classifier"]
    assert costs["prompt_tokens_per_call"] == costs["completion_tokens_per_call"] == 0
    line = "classifier: C 1, chosen on 4 validation rows"
    assert line in done.called.out and line in (done.folder / "report.html").read_text()


def test_candidates_see_what_they_are_called_after(done):
    tokens = {
        c["name"]: c["prompt_tokens_per_call"] for c in read_json(done.folder / "report.json")["candidates"]
    }
    # tokens are bytes, and a turn takes two tokens, its role and two line ends:
    # <|im_start|>system\n...<|im_end|>\n around the 49 bytes of the instructions
    assert tokens["zero-shot"] - tokens["base"] == pytest.approx(49 + 1 + len("system\n") + 1 + 1)
    assert tokens["tuned"] == tokens["base"]
    assert tokens["few-shot"] > tokens["zero-shot"] + 2 * len("warmitem 1 is red")


def test_a_second_run_repeats_nothing(done):
    before = {f: f.stat().st_mtime_ns for f in (done.line.home / "stages").rglob("*") if f.suffix != ".lock"}
    report = (done.folder / "report.json").read_bytes()
    again = done.line("run", done.recipe)
    assert (again.code, again.built(), again.kept()) == (0, [], list(STAGES))
    after = {f: f.stat().st_mtime_ns for f in (done.line.home / "stages").rglob("*") if f.suffix != ".lock"}
    assert before == after
    assert (done.folder / "report.json").read_bytes() == report
    assert again.out == done.called.out


def test_a_report_of_the_same_stages_keeps_its_date(copied):
    file = copied.line.home / "runs" / copied.name / "report.json"
    write_json(file, {**read_json(file), "created": "2001-02-03T04:05:06+0000"})
    assert copied.line("run", copied.recipe).code == 0
    assert read_json(file)["created"] == "2001-02-03T04:05:06+0000"


def test_the_same_project_and_base_elsewhere_are_the_same_run(copied, tiny_base, tmp_path):
    moved = shutil.copytree(copied.recipe.parent, tmp_path / "über there")
    base = shutil.copytree(tiny_base, tmp_path / "a base")
    again = copied.line("compare", moved / "residency.toml", "--set", f"base.model={base}")
    assert again.kept() == list(STAGES)
    assert copied.name in again.out


@pytest.mark.parametrize(
    ("override", "built"),
    [
        ("train.rank=3", ["train", "compare"]),
        ("train.gradient_checkpointing=on", []),
        ("verdict.minimum=0.5", []),
        ("verdict.train_sample=11", ["compare", "recall"]),
        ("data.label_errors=off", ["check", "freeze"]),
        ("candidates.few_shot=0", ["baselines"]),
        ("candidates.tuned_retrieval=true", ["compare"]),
        ("task.scorer=label", ["check", "baselines", "compare", "recall"]),
        ("split.seed=1", ["freeze", "baselines", "train", "compare", "recall"]),
        ("task.system=Warm or cold?", list(STAGES)),
    ],
)
def test_what_changes_is_repeated_and_nothing_else(copied, override, built):
    called = copied.line("run", copied.recipe, "--set", override)
    assert called.code == 0, called.err
    assert called.built() == built
    assert called.kept() == [stage for stage in STAGES if stage not in built]
    assert copied.name not in called.out


def test_changed_rows_repeat_everything(copied, tiny_base, tmp_path):
    recipe = write_project(tmp_path / "project", tiny_base, rows=37)
    assert copied.line("run", recipe).built() == list(STAGES)


def test_verbs_alone_and_then_a_run(line, recipe):
    steps = []
    for verb in ("check", "baseline", "train", "run"):
        called = line(verb, recipe)
        assert called.code == 0, called.err
        run = read_json(next((line.home / "runs").glob("*/run.json")))
        steps.append((run["status"], called.built(), called.kept()))
    assert steps == [
        ("stopped after check", ["check", "freeze"], []),
        ("stopped after baselines", ["baselines"], ["check", "freeze"]),
        ("stopped after train", ["train"], ["check", "freeze"]),
        ("done", ["compare", "recall"], ["check", "freeze", "baselines", "train"]),
    ]


def test_a_verb_after_the_run_leaves_it_done(copied):
    called = copied.line("train", copied.recipe)
    assert called.built() == []
    assert "is kept: validation loss " in called.out
    assert read_json(copied.line.home / "runs" / copied.name / "run.json")["status"] == "done"


def test_an_own_test_that_overlaps_is_refused_with_its_rows(line, recipe):
    write_rows(recipe.parent / "test.jsonl", map(answers, [50, 51, 7, 52]))
    refused = line("run", recipe, "--set", f"data.test={recipe.parent / 'test.jsonl'}")
    assert "test.jsonl:3 = rows.jsonl:8" in refused.mistake()["where"]
    assert "train" not in refused.built()
    run = read_json(next((line.home / "runs").glob("*/run.json")))
    assert run["status"] == "failed"
    assert "stands word for word" in run["error"]


def test_nothing_is_answered_on_the_way_where_nothing_is_watched(copied):
    copied.line("train", copied.recipe, "--set", "train.watch=nothing")
    told = [read_json(file) for file in (copied.line.home / "stages").glob("train-*/training.json")]
    scores = [point["score"] for training in told for point in training["curve"]]
    assert len(told) == 2 and scores == [None] * len(scores)


def test_a_score_that_is_watched_stands_in_curve_report_and_result(copied):
    called = copied.line("run", copied.recipe, "--set", "train.watch=score", "--json")
    assert called.code == 0, called.err
    assert called.built() == ["train", "compare"]
    training = json.loads(called.out)["training"]
    scores = [point["score"] for point in training["curve"]]
    assert all(0 <= score <= 1 for score in scores)
    assert scores[[p["step"] for p in training["curve"]].index(training["best_step"])] == max(scores)
    # another scorer would have kept another step; with the loss watched it does not matter
    again = copied.line("train", copied.recipe, "--set", "train.watch=score", "--set", "task.scorer=label")
    assert "train" in again.built()
    assert f"score {max(scores):.3f}" in copied.line("train", copied.recipe, "--set", "train.watch=score").out
    assert copied.line("train", copied.recipe, "--set", "task.scorer=label").built() == []


@pytest.mark.usefixtures("own_objectives")
def test_rows_that_are_not_finite_are_named_by_file_and_line(line, recipe):
    @objective("never-finite")
    def never(batch: Batch) -> Loss:
        return Loss(batch.logprobs_N.sum() * float("nan"), {})

    mistake = line("train", recipe, "--set", "train.objective=never-finite").mistake()
    assert mistake["what"] == "The loss or its gradient is not finite at step 0."
    named = mistake["where"].split(", ")
    assert len(named) == 8 and all(re.fullmatch(r"rows.jsonl:\d+", name) for name in named)


def test_what_a_scorer_reads_is_part_of_what_it_scored(copied):
    own = copied.recipe.parent / "mine.py"
    scored = ["check", "baselines", "compare", "recall"]

    def built(*overrides: str) -> list[str]:
        called = copied.line("run", copied.recipe, *(part for o in overrides for part in ("--set", o)))
        assert called.code == 0, called.err
        return called.built()

    assert built("task.scorer=chrf") == scored
    assert built("task.scorer=chrf", "scoring.pass_mark=0.4") == scored
    own.write_text("def grade(expected, got):\n    return expected == got\n")
    assert built(f"task.scorer={own}:grade") == scored
    assert built(f"task.scorer={own}:grade") == []
    own.write_text("def grade(expected, got):\n    return expected[:1] == got[:1]\n")
    assert built(f"task.scorer={own}:grade") == scored


def test_a_setting_that_the_scorer_does_not_read_is_a_mistake(copied):
    mistake = copied.line("run", copied.recipe, "--set", "scoring.tolerance=0.1").mistake()
    assert mistake["what"] == "The scorer 'exact' does not read scoring.tolerance."
    assert mistake["fix"].endswith("one that reads it: numeric.")


def test_a_report_tells_instructions_that_nobody_wrote(copied, tmp_path):
    start_project(tmp_path / "new", copied.recipe.parent / "rows.jsonl", None, (None, None))
    template = f"task.instructions={tmp_path / 'new' / 'instructions.md'}"
    called = copied.line("run", copied.recipe, "--set", template)
    assert called.built() == ["baselines"] and "instructions were never written" in called.out
    (unwritten,) = {f.name for f in (copied.line.home / "runs").iterdir()} - {copied.name}
    for run in (copied.name, unwritten):
        report = read_json(copied.line.home / "runs" / run / "report.json")
        assert report["instructions_unwritten"] == (run == unwritten)


def test_answers_held_to_labels_are_labels_and_the_report_says_so(recipe, line):
    free, held = line("run", recipe), line("run", recipe, "--set", "task.constrain=labels")
    assert held.code == free.code == 0, held.err
    assert held.built() == ["baselines", "compare", "recall"]
    assert "were held to the labels" in held.out and "were held to" not in free.out
    for folder in (line.home / "runs").iterdir():
        constrained = read_json(folder / "report.json")["recipe"]["task"]["constrain"] == "labels"
        got = {row["got"] for row in read_jsonl(folder / "scored.jsonl")}
        assert (got <= {"warm", "cold"}) == constrained
        assert ("were held to the labels" in (folder / "report.html").read_text()) == constrained
