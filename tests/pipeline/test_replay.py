"""General rows mixed into training: how many, which ones, and what becomes of the others."""

import json
import tempfile
from collections import Counter

import pytest

from residency.chat import Renderer
from residency.core.recipe import Data, Recipe, Regression, Train
from residency.core.records import Example, Message, Source
from residency.core.workspace import read_json, read_jsonl
from residency.data.ledger import Checked
from residency.data.split.freeze import Frozen
from residency.models.load import load_tokenizer
from residency.pipeline.replay import draw_replay
from tests.pipeline.projects import answers, write_rows


@pytest.fixture(scope="module")
def renderer(tiny_base):
    return Renderer(load_tokenizer(tiny_base))


def frozen(train=90, test=()):
    def side(file, texts):
        pairs = enumerate(texts, 1)
        return tuple(
            Checked(Example((Message("user", t), Message("assistant", "x")), Source(file, n)), 9, 2)
            for n, t in pairs
        )

    trained = side("rows.jsonl", (f"row {n}" for n in range(train)))
    return Frozen(trained, side("rows.jsonl", ["held out"]), side("test.jsonl", test), (), (), "", 0, ())


def wanting(share, suites=("general", "safety"), file=None):
    train = Train(replay=share, replay_file=file)
    return Recipe(data=Data(train="rows.jsonl"), train=train, regression=Regression(suites=suites))


def write_general(tmp_path, *inputs):
    return write_rows(tmp_path / "general.jsonl", ({"input": text, "output": "yes"} for text in inputs))


@pytest.fixture(autouse=True)
def rows_of_the_task(tmp_path, monkeypatch):
    write_rows(tmp_path / "rows.jsonl", [answers(0)])
    monkeypatch.chdir(tmp_path)


def test_the_packaged_rows_can_all_be_used_and_ask_nothing_that_the_suites_ask(renderer):
    drawn = draw_replay(wanting(0.9), frozen(), renderer)
    assert Counter(fate.fate for fate in drawn.fates) == {"replay": len(drawn.rows)}
    assert len(drawn.rows) > 200 and drawn.wanted == 810


def test_a_tenth_of_all_rows_and_a_larger_share_holds_the_smaller(renderer):
    small, large = (draw_replay(wanting(share), frozen(), renderer) for share in (0.1, 0.4))
    assert (len(small.rows), len(large.rows)) == (10, 60)  # 10 of 100, 60 of 150
    assert small.rows == large.rows[:10]
    assert Counter(fate.fate for fate in small.fates)["spare"] == len(small.fates) - 10


def test_what_the_test_and_the_suites_ask_stays_unseen(renderer, tmp_path):
    asked = "Where can I find the form for a new parking permit in this town?"
    nearly = "where can I find the form for a new parking permit in this town"
    item = {"id": "tide", "kind": "fact", "prompt": "What moves the tides?", "answers": ["moon"]}
    suite = write_rows(tmp_path / "mine.jsonl", [item])
    file = write_general(tmp_path, nearly, "What moves the tides?", "held out", "Say yes.")
    drawn = draw_replay(wanting(0.5, (str(suite),), file), frozen(test=[asked]), renderer)
    assert [(fate.source.row, fate.fate) for fate in drawn.fates] == [
        (1, "twin"),
        (2, "twin"),
        (3, "twin"),
        (4, "replay"),
    ]
    assert "test.jsonl:1" in drawn.fates[0].detail and "tide" in drawn.fates[1].detail
    assert [row.example.prompt[0].content for row in drawn.rows] == ["Say yes."]


def test_they_are_looked_through_in_the_folder_given(renderer, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert draw_replay(wanting(0.1), frozen(), renderer, tmp_path).wanted == 10


def test_none_is_drawn_unless_asked_for(renderer):
    assert draw_replay(wanting(0), frozen(), renderer) == ((), (), 0)


def test_a_run_trains_on_them_and_tells_every_fate(line, recipe, tmp_path):
    file = write_general(recipe.parent, *(f"general {n}" for n in range(9)))
    keys = ["--set", "train.replay=0.2", "--set", f"train.replay_file={json.dumps(str(file))}"]
    called = line("run", recipe, "--set", "data.near=1", *keys)
    assert called.code == 0, called.err
    (run,) = (line.home / "runs").iterdir()
    report = read_json(run / "report.json")
    task = report["data"]["fates"]["train"]
    wanted = round(task / 4)
    assert report["training"]["replay_rows"] == wanted == report["data"]["fates"]["replay"]
    assert report["training"]["rows"] == task + wanted
    assert report["data"]["fates"]["spare"] == 9 - wanted
    assert (
        sum(report["data"]["fates"].values())
        == report["data"]["rows"]
        == len(list(read_jsonl(run / "ledger.jsonl")))
    )
    assert sum(file["rows"] for file in report["data"]["files"]) == report["data"]["rows"]
    assert f"replay: {wanted} general rows, 2" in called.err


def test_another_file_trains_anew_and_a_file_that_is_not_mixed_in_is_a_mistake(line, recipe):
    keys = [
        "--set",
        "train.replay=0.2",
        "--set",
        f"train.replay_file={json.dumps(str(recipe.parent / 'general.jsonl'))}",
    ]
    write_general(recipe.parent, "one", "two")
    assert line("train", recipe, *keys).code == 0
    assert line("train", recipe, *keys).built() == []
    write_general(recipe.parent, "one", "three")
    assert line("train", recipe, *keys).built() == ["train"]
    mistake = line("train", recipe, *keys[2:]).mistake()
    assert "replay_file" in mistake["where"] and "train.replay" in mistake["fix"]
