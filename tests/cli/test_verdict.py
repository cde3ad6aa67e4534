"""`residency verdict` on the run of a small project."""

import json
import shutil

from residency.core.workspace import read_json, write_json
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
