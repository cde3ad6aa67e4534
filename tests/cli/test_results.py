"""What the verbs print, and how they exit."""

import json
import shutil

import pytest
import torch

from residency.cli import VERBS
from residency.core.recipe import Recipe
from residency.core.workspace import read_json, write_json
from residency.models.scripted import write_tiny_base
from residency.verdict.report_schema import Report
from tests.pipeline.projects import STAGES, Line, write_project, write_rows


def test_json_is_one_document_and_all_that_is_on_stdout(done):
    again = done.line("run", done.recipe, "--json")
    assert json.loads(again.out) == read_json(done.folder / "report.json")
    assert again.kept() == list(STAGES)
    assert json.loads(done.line("compare", done.recipe, "--json").out) == json.loads(again.out)


@pytest.mark.parametrize(
    ("verb", "keys"),
    [
        ("check", {"rows", "fates", "checks", "ledger"}),
        ("baseline", {"candidates"}),
        ("train", {"steps", "curve", "artifact", "trainable_parameters"}),
    ],
)
def test_each_stages_verb_prints_its_own_document(done, verb, keys):
    assert keys <= json.loads(done.line(verb, done.recipe, "--json").out).keys()


def test_json_of_a_first_run_too(line, recipe):
    called = line("run", "--json", recipe, "--set", "train.epochs=1")
    assert called.built() == list(STAGES)
    assert Report.model_validate(json.loads(called.out)).training.steps == 4


def test_a_mistake_leaves_stdout_empty(done):
    called = done.line("run", done.recipe, "--json", "--set", "train.rank=0")
    assert called.out == ""
    assert called.mistake()["where"] == "--set train.rank=0"


def test_the_gate_decides_the_exit_code_only_where_it_is_asked_for(done, tmp_path):
    line = Line(done.line.folder, shutil.copytree(done.line.home, tmp_path / "home"))
    # no language model answers any of the 5 test rows right: their share lies between 0 and 0.43
    prompts = (done.recipe, "--set", "candidates.classifier=off")
    unclear = (*prompts, "--set", "verdict.minimum=0.3")
    refused = (*prompts, "--set", "verdict.minimum=0.5")
    assert line("run", *unclear, "--gate").code == 4
    assert line("run", *refused, "--gate").code == 3
    assert line("compare", "--gate", *refused).code == 3
    assert line("run", *refused).code == line("run", *unclear).code == 0
    assert json.loads(line("run", *refused, "--gate", "--json").out)["verdict"]["gate"] == "do not ship"


def two_turns(number):
    turns = [("user", f"item {number}"), ("assistant", "a"), ("user", "again"), ("assistant", "a")]
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def test_a_model_that_has_learned_its_task_ships_with_code_0(line, tmp_path, tiny_base):
    """One letter to everything: the tiny base learns that much, and did not know it.

    It does not learn to stop; rows of several turns may be cut off after their first token.
    """
    recipe = write_project(tmp_path / "easy", tiny_base)
    write_rows(tmp_path / "easy" / "rows.jsonl", map(two_turns, range(40)))
    options = ["task.max_new_tokens=1", "split.test=15"]
    called = line("run", recipe, "--gate", "--json", *(word for o in options for word in ("--set", o)))
    report = json.loads(called.out)
    assert report["verdict"]["gate"] == "ship", report["verdict"]
    assert report["verdict"]["recommend"] == "fine-tune"
    assert called.code == 0


def test_the_report_in_the_terminal_says_where_everything_is(done):
    lines = dict(text.split(maxsplit=1) for text in done.called.out.splitlines()[-4:])
    assert lines == {
        "Run": done.name,
        "Adapter": str(done.stage("train") / "adapter"),
        "Report": str(done.folder / "report.html"),
        "Chat": f"residency chat {done.name}",
    }


def test_runs_are_listed_and_shown(done, tmp_path):
    line = Line(done.line.folder, shutil.copytree(done.line.home, tmp_path / "home"))
    line("check", done.recipe, "--set", "split.seed=5")
    listed = json.loads(line("runs", "--json").out)
    assert [(run["status"], run["task"]) for run in listed] == [
        ("stopped after check", "colours"),
        ("done", "colours"),
    ]
    assert [text.split()[0] for text in line("runs").out.splitlines()] == [run["run"] for run in listed]
    latest = line("runs", "latest")
    assert latest.out.startswith(f"{listed[0]['run']}: stopped after check\n  freeze: {line.home}")
    assert json.loads(line("runs", "latest", "--json").out)["status"] == "stopped after check"
    assert line("runs", done.name).out == done.called.out.replace(
        str(done.line.home), str(line.home)
    ).replace(str(line.home / "stages"), str(done.line.home / "stages"))
    assert json.loads(line("runs", done.name, "--json").out)["run"] == done.name


def test_no_runs_yet(line):
    assert line("runs").out == "No runs yet. Start one: residency run residency.toml\n"
    assert json.loads(line("runs", "--json").out) == []
    assert line("runs", "latest").mistake()["what"] == "There is no run 'latest'."


def test_the_schema_of_the_recipe(line):
    assert json.loads(line("schema", "recipe").out) == Recipe.model_json_schema()


def test_new_and_then_check(line, tmp_path, tiny_base):
    rows = ({"input": f"item {i}", "output": ("warm", "cold")[i % 2]} for i in range(30))
    write_rows(tmp_path / "my rows.jsonl", rows)
    made = line("new", "new one", "--from", "my rows.jsonl")
    assert (made.code, made.err) == (0, "")
    assert made.out.splitlines()[0] == "new one/ is made: classify, scored by 'label'."
    assert "residency check 'new one/residency.toml'" in made.out
    checked = line("check", "new one/residency.toml", "--set", f"base.model={tiny_base}")
    assert checked.out.startswith("30 rows: ")
    again = line("new", "new one", "--from", "my rows.jsonl", "--kind", "write")
    assert again.mistake()["what"] == "This folder is there already."


def test_unwritten_instructions_are_told_when_baselines_are_asked(line, tmp_path, tiny_base):
    write_rows(tmp_path / "rows.jsonl", ({"input": f"item {i}", "output": "a"} for i in range(30)))
    line("new", "new", "--from", "rows.jsonl")
    options = ("--set", f"base.model={tiny_base}", "--set", "base.dtype=float32")
    assert "still to be written" in line("baseline", "new/residency.toml", *options).err
    (tmp_path / "new" / "instructions.md").write_text("Always a.")
    assert "still to be written" not in line("baseline", "new/residency.toml", *options).err


def test_the_demo_is_copied_once_and_run_each_time(line):
    seen = []

    def patch(change: pytest.MonkeyPatch) -> None:
        def conclude(recipe, overrides, as_json, gate):
            seen.append((recipe.resolve(), overrides, as_json, gate))
            return 0

        change.setattr("residency.cli.demo.conclude", conclude)

    first = line("demo", patch=patch)
    folder = line.folder / "residency-demo"
    assert first.code == 0
    assert "Copied the demo" in first.err
    assert {f.name for f in folder.iterdir()} >= {"residency.toml", "tickets.jsonl", "instructions.md"}
    (folder / "instructions.md").write_text("mine")
    second = line("demo", "--json", patch=patch)
    assert (second.code, second.err) == (0, "")
    assert (folder / "instructions.md").read_text() == "mine"
    assert seen == [(folder / "residency.toml", (), as_json, False) for as_json in (False, True)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "Missing argument 'RECIPE'"),
        (["run", "a.toml", "b.toml"], "unexpected extra argument"),
        (["run", "a.toml", "--set"], "requires an argument"),
        (["--json", "run", "a.toml"], "No such option"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["new", "x"], "Missing option '--from'"),
        (["chat", "x", "--max-new-tokens", "0"], "0 is not in the range"),
    ],
)
def test_a_mistaken_command_line_ends_with_code_1(line, arguments, said):
    called = line(*arguments)
    assert called.code == 1
    assert said in called.err
    assert "Traceback" not in called.err
    assert called.out == ""


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_agrees_with_the_list(line, verb):
    called = line(verb, "--help")
    assert called.code == 0
    assert called.out.startswith(f"Usage: residency {verb} ")


def test_an_adapter_is_refused_on_another_base(done, tmp_path):
    line = Line(tmp_path, shutil.copytree(done.line.home, tmp_path / "home"))
    other = write_tiny_base(tmp_path / "other", seed=1)
    file = line.home / "runs" / done.name / "run.json"
    run = read_json(file)
    run["recipe"]["base"]["model"] = str(other)
    write_json(file, run)
    mistake = line("chat", done.name, stdin="item 1 is red\n").mistake()
    assert mistake["what"].startswith("The adapter was trained on another base: ")
    assert torch.get_num_threads() == 1
