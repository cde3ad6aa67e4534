"""`residency verdict` on the run of a small project."""

import json
import shutil

import pytest

from residency.core.workspace import read_json, read_jsonl, write_json, write_jsonl
from tests.pipeline.projects import Line


def test_every_figure_follows_from_the_scored_rows(done):
    called = done.line("verdict", "latest")
    assert called.code == 0, called.err
    assert "every figure follows from the" in called.out
    told = json.loads(done.line("verdict", done.name, "--json").out)
    report = read_json(done.folder / "report.json")
    parts = ("candidates", "comparisons", "gap", "failures", "verdict")
    assert {part: told[part] for part in parts} == {part: report[part] for part in parts}


def test_a_report_that_was_changed_is_found_out(done, tmp_path):
    line = Line(done.line.folder, shutil.copytree(done.line.home, tmp_path / "home"))
    file = next((line.home / "runs").glob(f"{done.name}/report.json"))
    report = read_json(file)
    report["candidates"][0]["passed"] += 1
    write_json(file, report)
    mistake = line("verdict", done.name).mistake()
    assert "candidates[0].passed" in mistake["what"]
    assert mistake["where"].endswith("report.json")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("score", 7, "line 1, score: Input should be less than or equal to 1"),
        ("score", float("nan"), "line 1, score"),
        ("passed", "yes", "line 1, passed: Input should be a valid boolean"),
        ("prompt_tokens", "many", "line 1, prompt_tokens"),
        ("parts", [1], "line 1, parts"),
        ("nll", "low", "line 1, nll"),
        ("split", "tset", "line 1, split"),
        ("colour", "red", "'colour'"),
    ],
)
def test_a_scored_row_of_another_form_is_told_by_its_line(done, tmp_path, key, value, said):
    line = Line(done.line.folder, shutil.copytree(done.line.home, tmp_path / "home"))
    file = line.home / "runs" / done.name / "scored.jsonl"
    first, *others = read_jsonl(file)
    write_jsonl(file, [{**first, key: value}, *others])
    mistake = line("verdict", done.name).mistake()
    assert said in mistake["what"] and mistake["where"].endswith("scored.jsonl")


def test_rows_that_are_gone_are_told_in_few_words(done, tmp_path):
    line = Line(done.line.folder, shutil.copytree(done.line.home, tmp_path / "home"))
    file = line.home / "runs" / done.name / "scored.jsonl"
    write_jsonl(file, [row for row in read_jsonl(file) if row["split"] != "validation"])
    told = line("verdict", done.name).mistake()["what"]
    assert "memorisation.sides: 3 entries, and 2" in told and len(told) < 400


def test_two_seeds_are_taken_together(done, tmp_path):
    line = Line(done.line.folder, shutil.copytree(done.line.home, tmp_path / "home"))
    assert line("run", done.recipe, "--set", "train.seed=1").code == 0
    names = [folder.name for folder in (line.home / "runs").iterdir() if (folder / "report.json").is_file()]
    pair = [done.name, next(name for name in names if name != done.name)]
    called = line("verdict", *pair)
    assert called.code == 0, called.err
    assert called.out.startswith("2 seeds on 5 test rows\ntuned right")
    told = json.loads(line("verdict", *pair, "--json").out)
    assert told["share"]["seeds"] == 2 and "interval" in told["difference"]
    assert "the same train.seed" in line("verdict", done.name, done.name).mistake()["what"]


@pytest.mark.parametrize("name", ["scored.jsonl", "report.json", "run.json"])
@pytest.mark.parametrize("damage", [None, '{"run": ', "[1]", '{"run": 1}'])
def test_a_damaged_file_of_a_run_is_told_and_mended_by_running_again(done, tmp_path, name, damage):
    line = Line(done.line.folder, shutil.copytree(done.line.home, tmp_path / "home"))
    file = line.home / "runs" / done.name / name
    if damage is None and name != "scored.jsonl":
        pytest.skip("without it there is no run, or no verdict yet")
    file.unlink() if damage is None else file.write_text(damage)
    verb = ["runs"] if name == "run.json" else ["verdict", done.name]
    mistake = line(*verb).mistake()
    assert mistake["where"].endswith(str(file.parent if "version" in mistake["what"][:40] else file))
    shutil.rmtree(file.parent)
    assert line("run", done.recipe).built() == []
    assert line("verdict", done.name).code == 0
