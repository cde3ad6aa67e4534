"""The suites within a run, on the tiny base and on one of a user's own."""

import json
import shutil
from collections import Counter

import pytest

from residency.core.workspace import read_json, read_jsonl
from tests.pipeline.projects import Line, write_rows

ITEMS = [
    *(
        {"id": f"a{n}", "kind": "fact", "prompt": f"{n}?", "answers": ["x"], "wrong": ["yy"]}
        for n in range(12)
    ),
    *(
        {"id": f"b{n}", "kind": "form", "prompt": f"{n}!", "check": {"name": "lines", "count": 1}}
        for n in range(6)
    ),
]


@pytest.fixture(scope="module")
def asked(done, tmp_path_factory):
    """The run that is done, asked a suite as well."""
    folder = tmp_path_factory.mktemp("asked")
    line = Line(folder, shutil.copytree(done.line.home, folder / "home"))
    suite = write_rows(folder / "mine.jsonl", ITEMS)
    called = line("run", done.recipe, "--set", f"regression.suites={json.dumps([str(suite)])}")
    assert called.code == 0, called.err
    return done._replace(line=line, called=called)


def test_both_models_are_asked_every_item_and_nothing_else_is_repeated(asked):
    assert asked.called.built() == []
    scored = [row for row in read_jsonl(asked.folder / "scored.jsonl") if row["split"] == "suite"]
    kinds = Counter((row["candidate"], row["source"]) for row in scored)
    assert kinds == {
        (name, f"mine/{kind}"): n for name in ("base", "tuned") for kind, n in (("fact", 12), ("form", 6))
    }
    assert {row["completion_tokens"] > 0 for row in scored if row["source"] == "mine/form"} == {True}


def test_the_report_judges_the_suite_and_its_kinds(asked):
    report = read_json(asked.folder / "report.json")
    assert [(part["suite"], part["kind"], part["n"]) for part in report["regressions"]] == [
        ("mine", "", 18),
        ("mine", "fact", 12),
        ("mine", "form", 6),
    ]
    assert any("elsewhere" in reason or "mine" in reason for reason in report["verdict"]["reasons"])
    assert "Elsewhere" in (asked.folder / "report.html").read_text()
    without = {candidate["name"]: candidate["n"] for candidate in report["candidates"]}
    assert set(without.values()) == {5} and {"base", "tuned"} <= without.keys()


def test_the_margin_asks_no_model_and_another_limit_asks_again(asked, tmp_path):
    line = Line(asked.line.folder, shutil.copytree(asked.line.home, tmp_path / "home"))
    suites = f"regression.suites={json.dumps([str(line.folder / 'mine.jsonl')])}"
    before = sorted(line.home.glob("stages/suites-*"))
    assert len(before) == 2
    assert line("run", asked.recipe, "--set", suites, "--set", "regression.margin=0.5").code == 0
    assert sorted(line.home.glob("stages/suites-*")) == before
    assert line("run", asked.recipe, "--set", suites, "--set", "regression.items=10").code == 0
    new = sorted(set(line.home.glob("stages/suites-*")) - set(before))
    assert [len(list(read_jsonl(stage / "scored.jsonl"))) for stage in new] == [10, 10]


def test_another_rank_asks_the_tuned_model_alone(asked, tmp_path):
    line = Line(asked.line.folder, shutil.copytree(asked.line.home, tmp_path / "home"))
    suites = f"regression.suites={json.dumps([str(line.folder / 'mine.jsonl')])}"
    before = set(line.home.glob("stages/suites-*"))
    assert line("run", asked.recipe, "--set", suites, "--set", "train.rank=3").code == 0
    (new,) = set(line.home.glob("stages/suites-*")) - before
    assert new.name.startswith("suites-tuned-")


def test_suites_are_named_from_the_recipes_folder_and_mistakes_are_told_first(line, recipe):
    write_rows(recipe.parent / "own.jsonl", [*ITEMS[:1], {"id": "b", "kind": "fact"}])
    recipe.write_text(recipe.read_text().replace("suites = []", 'suites = ["own.jsonl", "nothing"]'))
    called = line("run", recipe)
    assert called.code == 1 and "own.jsonl:2" in called.err and "no suite 'nothing'" in called.err
    assert not line.home.exists()
