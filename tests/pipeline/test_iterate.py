"""`residency iterate`: planted wrong labels are found, mended and trained again; the test stays as it was."""

import json
import shutil
from math import comb
from pathlib import Path
from typing import NamedTuple

import pytest

from residency.core.workspace import read_json, read_jsonl
from tests.pipeline.conftest import Done
from tests.pipeline.projects import Called, Line, write_project, write_rows
from tests.pipeline.test_interrupted import stop_at

PLANTED = range(3, 140, 11)
"""Rows, from 0, whose label is wrong; some of them are held out."""
OTHER = {"warm": "cold", "cold": "warm"}


def rightly(number: int) -> dict[str, str]:
    colour, feel = (("red", "warm"), ("blue", "cold"))[number % 2]
    shade = ("dark", "pale", "bright", "dull", "deep")[number % 5]
    thing = ("lamp", "door", "coat", "boat")[number // 2 % 4]
    return {"input": f"{colour} {thing} {number}, {shade} {colour}", "output": feel}


def wrongly(number: int) -> dict[str, str]:
    row = rightly(number)
    return {**row, "output": OTHER[row["output"]]} if number in PLANTED else row


class Iterated(NamedTuple):
    """A noisy run, and what one iteration on it gave."""

    before: Done
    called: Called

    @property
    def document(self) -> dict:
        return json.loads(self.called.out)

    @property
    def runs(self) -> Path:
        return self.before.line.home / "runs"

    def side(self, name: str) -> list[int]:
        """The rows, from 1, that were on this side of the first run's split."""
        frozen = read_json(self.before.folder / "run.json")["stages"]["freeze"]
        return [row["row"] for row in read_jsonl(self.before.line.home / "stages" / frozen / f"{name}.jsonl")]

    @property
    def planted(self) -> dict[str, int]:
        """The planted rows that were trained on, by `file:row`."""
        return {f"rows.jsonl:{row}": row - 1 for row in self.side("train") if row - 1 in PLANTED}

    def tuned(self, run: str) -> dict[str, bool]:
        """Which test rows the run's tuned model has right, by what they say."""
        rows = read_jsonl(self.runs / run / "scored.jsonl")
        return {
            r["example_id"]: r["passed"] for r in rows if (r["candidate"], r["split"]) == ("tuned", "test")
        }


@pytest.fixture(scope="module")
def noisy(tmp_path_factory, tiny_base) -> Done:
    folder = tmp_path_factory.mktemp("noisy")
    recipe = write_project(folder / "project", tiny_base)
    write_rows(recipe.parent / "rows.jsonl", map(wrongly, range(140)))
    line = Line(folder)
    return Done(recipe, line, line("run", recipe))


def copy(done: Done, folder: Path) -> Done:
    """The run with files and a workspace that may be changed."""
    shutil.copytree(done.line.folder, folder)
    return Done(folder / "project" / "residency.toml", Line(folder), done.called)


@pytest.fixture
def mine(noisy, tmp_path) -> Done:
    return copy(noisy, tmp_path / "mine")


@pytest.fixture(scope="module")
def iterated(noisy, tmp_path_factory) -> Iterated:
    before = copy(noisy, tmp_path_factory.mktemp("iterated") / "mine")
    called = before.line("iterate", before.recipe, "--accept", "suggested", "--json")
    assert called.code == 0, called.err
    return Iterated(before, called)


def test_what_is_suggested_are_the_planted_rows_that_were_trained_on(iterated):
    sure = [p for p in iterated.document["proposals"] if p["suspicion"] >= 0.5 and "answer" in p]
    suggested = {f"{p['file']}:{p['row']}": p["answer"] for p in sure}
    assert len(iterated.planted) >= 5
    assert suggested == {place: rightly(number)["output"] for place, number in iterated.planted.items()}
    assert "likelihood of the training answers" not in iterated.called.err  # neighbours tell of labels


def test_the_new_file_holds_the_mended_rows_and_the_old_one_stays(iterated):
    outcome, project = iterated.document["outcome"], iterated.before.recipe.parent
    mended = set(iterated.planted.values())
    assert outcome["mended"] == len(mended)
    out = Path(outcome["data"]["out"])
    assert out.parent == project and out.name.startswith("rows.mended-")
    wanted = [rightly(number) if number in mended else wrongly(number) for number in range(140)]
    assert list(read_jsonl(out)) == wanted
    assert list(read_jsonl(project / "rows.jsonl")) == list(map(wrongly, range(140)))
    undone = iterated.before.line("undo", outcome["data"]["patch"], "--out", project / "back.jsonl")
    assert undone.code == 0, undone.err
    assert list(read_jsonl(project / "back.jsonl")) == list(map(wrongly, range(140)))


def test_the_new_run_is_of_the_mended_file_on_the_same_test(iterated, noisy):
    before, outcome = iterated.document["from"], iterated.document["outcome"]
    assert (before, iterated.document["iteration"]) == (iterated.before.name, 1)
    run = read_json(iterated.runs / outcome["run"] / "run.json")
    as_run = json.dumps(read_json(iterated.runs / before / "run.json")["recipe"])
    recipe = json.loads(as_run.replace(str(noisy.line.folder), str(iterated.before.line.folder)))
    assert run["status"] == "done"
    assert run["recipe"] == {**recipe, "data": {**recipe["data"], "train": outcome["data"]["out"]}}
    hashes = {
        read_json(iterated.runs / name / "report.json")["data"]["test_hash"] for name in (before, run["run"])
    }
    assert len(hashes) == 1


def test_the_change_is_that_of_the_scored_rows(iterated):
    outcome = iterated.document["outcome"]
    before, after = iterated.tuned(iterated.before.name), iterated.tuned(outcome["run"])
    assert before.keys() == after.keys() and len(before) == 21
    gained = sum(after[id] and not before[id] for id in before)
    lost = sum(before[id] and not after[id] for id in before)
    told = outcome["test"]
    assert (len(told["gained"]), len(told["lost"]), told["n"]) == (gained, lost, 21)
    assert (told["before"]["passed"], told["after"]["passed"]) == (sum(before.values()), sum(after.values()))
    assert told["difference"] == pytest.approx((gained - lost) / 21)
    turned, fewer = gained + lost, min(gained, lost)
    tail = sum(comb(turned, k) for k in range(fewer + 1)) / 2**turned
    assert told["p"] == pytest.approx(min(1.0, 2 * tail))
    assert outcome["looks"] == 2
    assert outcome["sentence"].startswith(f"mended {len(iterated.planted)} rows; test ")
    assert outcome["sentence"].endswith(told["said"])


def test_all_validation_rows_count_and_no_test_row(iterated):
    sides = {side: {f"rows.jsonl:{row}" for row in iterated.side(side)} for side in ("train", "validation")}
    for folder in (iterated.before.line.home / "stages").glob("blame-*"):
        assert len(list(read_jsonl(folder / "scored.jsonl"))) == len(sides["validation"]) == 14
    for proposal in iterated.document["proposals"]:
        told = [
            f"{reason['other']['file']}:{reason['other']['row']}"
            for reason in proposal["reasons"]
            if reason["other"]
        ]
        assert sides["train"].issuperset(told)
        assert sides["validation"].issuperset(proposal["failures"])


def test_the_next_iteration_goes_on_from_the_new_run(iterated):
    document = json.loads(iterated.before.line("iterate", iterated.before.recipe, "--json").out)
    assert (document["from"], document["iteration"]) == (iterated.document["outcome"]["run"], 2)
    assert document["outcome"] is None  # nothing more was decided
    first = iterated.before.line("iterate", iterated.before.recipe, "--json", "--run", iterated.before.name)
    assert json.loads(first.out)["outcome"] == iterated.document["outcome"]
    assert "train" not in first.built()


def test_one_that_was_stopped_goes_on_and_ends_the_same(mine, iterated):
    stopped = mine.line(
        "iterate", mine.recipe, "--accept", "suggested", patch=stop_at(9, KeyboardInterrupt())
    )
    assert stopped.code == 130
    again = mine.line("iterate", mine.recipe, "--accept", "suggested", "--json")
    assert again.code == 0, again.err
    assert "resumed after step" in again.err
    outcome, unbroken = json.loads(again.out)["outcome"], iterated.document["outcome"]
    assert (outcome["run"], outcome["test"]) == (unbroken["run"], unbroken["test"])


def test_a_person_judges_and_nothing_else_is_done(mine):
    called = mine.line("iterate", mine.recipe, stdin="k\nq\n")
    assert called.code == 0, called.err
    assert "suggested answer: " in called.out and "[a]ccept the suggestion" in called.out
    assert called.out.endswith("Nothing to fix was accepted; nothing was trained.\n")
    assert len(list((mine.line.home / "runs").iterdir())) == 1


FIVE_DROPPED = "d\n" * 5 + "q\n"
"""Five of 140 rows less: a draw without a lock takes 20 test rows, not 21."""


def trainings(done: Done) -> int:
    return len(list((done.line.home / "stages").glob("train-*")))


def test_it_is_refused_where_the_mended_rows_have_another_test(mine):
    (lock,) = (mine.line.home / "splits").glob("*/*.jsonl")
    lock.write_text("")
    mistake = mine.line("iterate", mine.recipe, stdin=FIVE_DROPPED).mistake()
    assert mistake["what"].startswith("The test rows changed")
    assert mistake["where"] == str(lock.parent)
    assert trainings(mine) == 1


def test_it_is_refused_where_the_run_to_start_from_has_another_test_now(mine):
    called = mine.line("iterate", mine.recipe, stdin=FIVE_DROPPED)
    assert (called.code, trainings(mine)) == (0, 2), called.err
    shutil.rmtree(mine.line.home / "splits")
    mistake = mine.line("iterate", mine.recipe).mistake()
    assert mistake["what"].startswith("The test rows changed")
    assert trainings(mine) == 2


def test_a_lock_that_is_lost_is_made_again_from_the_split(mine, iterated):
    shutil.rmtree(mine.line.home / "splits")
    outcome = json.loads(mine.line("iterate", mine.recipe, "--accept", "suggested", "--json").out)["outcome"]
    assert outcome["test"] == iterated.document["outcome"]["test"]


def test_validation_rows_are_asked_in_the_form_that_the_recipe_holds_answers_to(recipe, line):
    held = ("task.constrain=labels", "train.learning_rate=1e-9", "split.validation=14")
    overrides = [part for key in held for part in ("--set", key)]
    assert line("run", recipe, *overrides).code == 0
    assert line("iterate", recipe, *overrides, "--json").code == 0
    (asked,) = (line.home / "stages").glob("blame-*/scored.jsonl")
    answers = [row["got"] for row in read_jsonl(asked)]
    assert len(answers) == 14 and set(answers) <= {"warm", "cold"}


def test_a_suspicion_without_anything_to_accept_is_a_mistake(recipe, line):
    called = line("iterate", recipe, "--suspicion", "0.9")
    assert called.code == 1 and "--suspicion goes with --accept" in called.err


def test_it_needs_a_finished_run_of_the_recipe_as_it_stands(mine):
    mistake = mine.line("iterate", mine.recipe, "--set", "train.rank=3").mistake()
    assert mistake["what"].startswith("This recipe, as it and its files stand, has no finished run")
    mistake = mine.line("iterate", mine.recipe, "--run", "colours-none").mistake()
    assert mistake["what"] == "There is no run 'colours-none'."


def test_with_nothing_to_fix_nothing_is_trained(done, tmp_path):
    clean = copy(done, tmp_path / "clean")
    before = len(list((clean.line.home / "runs").iterdir()))
    called = clean.line("iterate", clean.recipe, "--accept", "suggested")
    assert called.code == 0, called.err
    assert called.out.endswith("Nothing to fix; nothing was trained.\n")
    assert len(list((clean.line.home / "runs").iterdir())) == before
