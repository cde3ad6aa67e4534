"""Shapes beyond questions and answers, through the command line on the tiny base."""

import json

from residency.core.workspace import read_jsonl
from residency.data.split.freeze import Frozen
from tests.pipeline.projects import answers, write_rows

TEXTS = [{"text": f"thing {number} has the colour {'red' if number % 2 else 'blue'}"} for number in range(36)]


def rows_of(line, name, side):
    (folder,) = (line.home / "stages").glob(f"{name}-*")
    return list(read_jsonl(folder / f"{side}.jsonl"))


def test_plain_text_is_trained_and_not_run(line, recipe):
    write_rows(recipe.parent / "rows.jsonl", TEXTS)
    called = line("train", recipe, "--json")
    assert called.code == 0, called.err
    told = json.loads(called.out)
    (frozen,) = (line.home / "stages").glob("freeze-*")
    rows = Frozen.read(frozen).train
    # the tiny base reads bytes: one token each, and the end
    assert told["tokens"] == sum(len(row.example.answer.encode()) + 1 for row in rows)
    assert told["supervised_tokens"] == told["tokens"] - len(rows)
    curve = [point["validation_loss"] for point in told["curve"]]
    assert curve[-1] < curve[0]
    refused = line("run", recipe).mistake()
    assert "plain text" in refused["what"] and "residency train" in refused["fix"]
    watched = line("train", recipe, "--set", "train.watch=score").mistake()
    assert "plain text" in watched["what"] and watched["where"].startswith("rows.jsonl:")


def test_texts_are_learned_beside_questions(line, recipe):
    write_rows(recipe.parent / "rows.jsonl", [*TEXTS[:6], *map(answers, range(40))])
    write_rows(recipe.parent / "test.jsonl", map(answers, range(100, 110)))
    test = recipe.parent / "test.jsonl"
    called = line("run", recipe, "--set", f"data.test={test}", "--set", "train.watch=score")
    assert called.code == 0, called.err
    refused = line("run", recipe, "--set", f"data.test={write_rows(test, TEXTS[10:20])}").mistake()
    assert refused["where"] == "test.jsonl:1" and "data.test" in refused["fix"]


def test_the_rejected_answers_stay_on_disk(line, recipe):
    pairs = [
        {"prompt": row["input"], "chosen": row["output"], "rejected": "neither"}
        for row in map(answers, range(36))
    ]
    write_rows(recipe.parent / "rows.jsonl", pairs)
    called = line("check", recipe)
    assert called.code == 0, called.err
    assert "note preferences: 36 rows are a choice between two answers" in called.out
    assert {row["rejected"]["content"] for row in rows_of(line, "check", "examples")} == {"neither"}
    assert {row["rejected"]["content"] for row in rows_of(line, "freeze", "train")} == {"neither"}


def test_tools_that_the_base_does_not_know_name_the_row(line, recipe):
    turns = [{"role": "user", "content": "Rain?"}, {"role": "assistant", "content": "No."}]
    row = {"messages": turns, "tools": [{"type": "function", "function": {"name": "weather"}}]}
    write_rows(recipe.parent / "rows.jsonl", [*map(answers, range(36)), row])
    mistake = line("train", recipe, "--set", "data.max_refused=0").mistake()
    assert "rows.jsonl:37 The base's chat template does not show tools" in mistake["what"]
    assert "whose chat template knows tools" in mistake["fix"]
