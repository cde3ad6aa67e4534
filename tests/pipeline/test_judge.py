"""A run whose answers a judge grades: what it costs and how well it agrees stand in the report."""

import json

import pytest

from residency.core.recipe_file import load_recipe
from residency.core.workspace import read_json, read_jsonl, write_jsonl
from residency.evals.scorers.account import account_of
from tests.endpoint_server import completion, failure, serve
from tests.pipeline.projects import write_rows

A_REPLY = 10 * 1e-3 + 5 * 2e-3


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def strictly(call):
    """Passes what is the good answer to the letter."""
    given = json.loads(call.body["messages"][1]["content"])
    return completion(f"VERDICT: {'pass' if given['answer to grade'] == given['good answer'] else 'fail'}")


def add_judge(recipe, served, max_cost, price_in=1000):
    write_rows(
        recipe.parent / "golden.jsonl",
        ({"input": f"{i}", "expected": "a", "answer": "ab"[i % 2], "pass": i % 2 == 0} for i in range(20)),
    )
    (recipe.parent / "rubric.md").write_text("To the letter.")
    text = recipe.read_text().partition("[judge]")[0]
    if "scorer" not in text:
        text = text.replace("max_new_tokens", 'scorer = "judge"\nmax_new_tokens', 1)
    judge = {"url": served.url, "model": "strict", "rubric": "rubric.md", "golden": "golden.jsonl"}
    judge |= {"price_in": price_in, "price_out": 2000, "max_cost": max_cost, "max_tokens": 100, "retries": 0}
    lines = [f"{key} = {json.dumps(value)}" for key, value in judge.items()]
    recipe.write_text("\n".join([text, "[judge]", *lines]) + "\n")


def report_of(line):
    (folder,) = (line.home / "runs").iterdir()
    return folder, read_json(folder / "report.json")


def test_the_report_tells_what_the_judge_was_asked_and_what_it_cost(recipe, line):
    with serve(strictly) as served:
        add_judge(recipe, served, 100)
        called = line("run", recipe, "--set", "train.watch=score")
        assert called.code == 0, called.err
        asked = len(served.calls)
        folder, report = report_of(line)
        judge = report["judge"]
        assert (judge["model"], judge["golden"], judge["agreement"], judge["kappa"]) == ("strict", 20, 1, 1)
        assert judge["questions"] == asked > 20
        assert judge["spent"] == pytest.approx(asked * A_REPLY)
        assert "strict agrees with people by a kappa of 1.00" in " ".join(called.out.split())
        verdict = line("verdict", folder.name)
        assert verdict.code == 0, verdict.err
        assert verdict.out.rstrip().endswith("rows of scored.jsonl and the questions of judged.jsonl")
        # another run on the same stages has the same judge, and asks it nothing
        other = line("run", recipe, "--set", "train.watch=score", "--set", "verdict.margin=0.1")
        assert other.code == 0 and not other.built() and len(served.calls) == asked
        names = {file.parent.name: read_json(file)["judge"] for file in line.home.glob("runs/*/report.json")}
        assert len(names) == 2 and set(map(str, names.values())) == {str(judge)}
        # what finished stages asked counts against the cap of a run that takes them up
        assert account_of(load_recipe(recipe).judge).budget.spent == pytest.approx(judge["spent"])
    rows = list(read_jsonl(folder / "judged.jsonl"))
    write_jsonl(folder / "judged.jsonl", rows[1:])
    assert "judge.questions" in line("verdict", folder.name).mistake()["what"]
    write_jsonl(folder / "judged.jsonl", [rows[0] | {"prompt_tokens": "many"}, *rows[1:]])
    assert "judged.jsonl" in line("verdict", folder.name).mistake()["where"]


def test_a_run_stops_at_the_judges_cap_and_goes_on_with_more(recipe, line):
    with serve(strictly) as served:
        # replies cost 0.01, and for each 0.2 is set aside: 26 are asked, of which 20 are the golden set
        add_judge(recipe, served, 0.455, price_in=0)
        stopped = line("run", recipe)
        mistake = stopped.mistake()
        assert mistake["where"] == "judge.max_cost" and "could pass the cap of" in mistake["what"]
        before = len(served.calls)
        (folder,) = (line.home / "runs").iterdir()
        assert before == len(list(read_jsonl(folder / "judged.jsonl"))) == 26
        assert line("run", recipe).mistake()["where"] == "judge.max_cost" and len(served.calls) == before
        asked = (folder / "judged.jsonl").read_bytes()
        (folder / "judged.jsonl").write_bytes(asked[:-3])
        assert "judged.jsonl" in line("run", recipe).mistake()["where"]
        run = read_json(folder / "run.json")
        assert run["status"] == "failed" and "damaged" in run["error"]
        (folder / "judged.jsonl").write_bytes(asked)
        add_judge(recipe, served, 100, price_in=0)
        called = line("run", recipe)
        assert called.code == 0, called.err
        assert "check" in called.kept()
        _, report = report_of(line)
        assert report["judge"]["questions"] == len(served.calls) > before
        assert report["judge"]["spent"] == pytest.approx(len(served.calls) * 0.01)


def test_a_judge_that_is_away_refuses_no_data_for_good(recipe, line):
    away = [True]
    with serve(lambda call: failure(404, "no such model") if away[0] else strictly(call)) as served:
        add_judge(recipe, served, 100)
        assert "no such model" in line("baseline", recipe).mistake()["what"]
        away[0] = False
        called = line("baseline", recipe)
        assert called.code == 0, called.err


def test_a_judge_that_does_not_agree_is_told_before_anything_is_asked(recipe, line):
    with serve(lambda call: completion("VERDICT: pass")) as served:
        add_judge(recipe, served, 100)
        called = line("baseline", recipe)
        assert "kappa of 0.00 (20 answers)" in called.mistake()["what"]
        assert len(served.calls) == 20 and called.built() == ["check"]
