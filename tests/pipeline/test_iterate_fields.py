"""`residency iterate` where answers are no labels: planted wrong fields are found, mended, trained anew."""

import json
from pathlib import Path

import pytest

from residency.core.workspace import read_jsonl
from tests.pipeline import test_iterate as labels
from tests.pipeline.conftest import Done
from tests.pipeline.projects import Line, write_project, write_rows

ROWS = range(140)


def in_fields(row: dict[str, str]) -> dict[str, str]:
    """The little task with answers of two lines, of which the feel may be wrong."""
    return {**row, "output": f"of: {row['input'].split()[0]}\nis: {row['output']}"}


def rightly(number: int) -> dict[str, str]:
    return in_fields(labels.rightly(number))


def wrongly(number: int) -> dict[str, str]:
    return in_fields(labels.wrongly(number))


@pytest.fixture(scope="module")
def iterated(tmp_path_factory, tiny_base) -> labels.Iterated:
    """All weights are trained: an adapter cannot make the tiny base sure of anything."""
    folder = tmp_path_factory.mktemp("fields")
    recipe = write_project(folder / "project", tiny_base)
    told = recipe.read_text().replace("rank = 2\nalpha = 64\nlearning_rate = 0.1\nepochs = 2\n", "")
    told = told.replace("max_new_tokens = 6\n", 'max_new_tokens = 24\nscorer = "fields"\n')
    recipe.write_text(
        told.replace("[train]\n", '[train]\nmethod = "full"\nlearning_rate = 0.01\nepochs = 10\n')
    )
    write_rows(recipe.parent / "rows.jsonl", map(wrongly, ROWS))
    line = Line(folder)
    before = Done(recipe, line, line("run", recipe))
    assert before.called.code == 0, before.called.err
    called = line("iterate", recipe, "--accept", "suggested", "--json")
    assert called.code == 0, called.err
    return labels.Iterated(before, called)


def test_what_is_suggested_are_the_planted_rows_with_the_field_as_it_should_be(iterated):
    sure = [p for p in iterated.document["proposals"] if p["suspicion"] >= 0.5]
    suggested = {f"{p['file']}:{p['row']}": p["answer"] for p in sure}
    assert len(iterated.planted) >= 5
    assert suggested == {place: rightly(number)["output"] for place, number in iterated.planted.items()}
    for proposal in sure:
        (sign,) = [reason for reason in proposal["reasons"] if reason["check"] == "unlearned"]
        feel = rightly(proposal["row"] - 1)["output"].split()[-1]
        assert sign["detail"].startswith(f"trained on it, the tuned model answers is: '{feel}' (margin 0.")


def test_they_are_mended_and_a_model_is_trained_on_the_new_file(iterated):
    outcome, mended = iterated.document["outcome"], set(iterated.planted.values())
    assert outcome["mended"] == len(mended)
    wanted = [rightly(number) if number in mended else wrongly(number) for number in ROWS]
    assert list(read_jsonl(Path(outcome["data"]["out"]))) == wanted
    assert json.loads((iterated.runs / outcome["run"] / "run.json").read_text())["status"] == "done"


def test_each_step_is_told_with_its_rows(iterated):
    train = len(iterated.side("train"))
    assert f"likelihood of the training answers: {train} rows in" in iterated.called.err
    assert f"tuned on the least likely training rows: {train} rows in" in iterated.called.err
