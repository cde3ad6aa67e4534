"""Training rows worded anew by a model behind an API: asked once, checked, and told of in the report."""

import json

import pytest

from residency.core.workspace import read_json, read_jsonl
from tests.endpoint_server import completion, serve
from tests.pipeline.projects import write_rows


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def is_to_word(call):
    return call.body["messages"][0]["content"].startswith("You word texts anew.")


def paraphrase_of(call):
    """`item 7 is red` becomes `Red is the colour of item 7.`"""
    _, number, _, colour = json.loads(call.body["messages"][-1]["content"])["text"].split()
    return f"{colour.title()} is the colour of item {number}."


def colour_told(call):
    """The right answer: it has read the question."""
    return "warm" if "red" in call.body["messages"][-1]["content"].lower() else "cold"


def play(word=paraphrase_of, answer=colour_told):
    """A model that words anew and answers so; a call costs 60 * 2 + 5 * 10 = 170 millionths."""
    return lambda call: completion((word if is_to_word(call) else answer)(call), 60, 5)


def name_paraphraser(recipe, url, max_cost=1.0, price_in=2):
    """The recipe with one model behind an API, asked zero-shot alone, that is the paraphraser too."""
    table = f'[[candidates.remote]]\nname = "big"\nurl = "{url}"\nmodel = "m"\nmax_cost = {max_cost}\n'
    table += f"price_in = {price_in}\nprice_out = 10\nretries = 0\n"
    text = recipe.read_text().partition("[[candidates.remote]]")[0].replace('paraphraser = "big"\n', "")
    text = text.replace("few_shot = 2\n[", 'few_shot = 0\nretrieved = 0\nclassifier = "off"\n[')
    recipe.write_text(text.replace("train_sample = 10\n", 'train_sample = 10\nparaphraser = "big"\n') + table)


def made(line):
    (folder,) = (line.home / "stages").glob("paraphrases-*")
    return folder


def test_rows_in_the_words_of_a_model_are_asked_of_base_and_tuned(recipe, line, tmp_path):
    with serve(play()) as served:
        name_paraphraser(recipe, served.url)
        called = line("run", recipe)
        assert called.code == 0, called.err
        calls = len(served.calls)
        assert line("run", recipe).code == 0
        assert line("run", recipe, "--set", "train.epochs=1").code == 0
    (folder, _) = sorted((line.home / "runs").iterdir(), key=lambda folder: folder.stat().st_ctime)
    report = read_json(folder / "report.json")
    tested = report["candidates"][0]["n"]
    assert len(served.calls) == calls == tested + 2 * 10  # nothing was asked again
    assert report["paraphrases"] == {
        "by": "big",
        "rows": 10,
        "made": 10,
        "kept": 10,
        "left_out": {},
        "spent": pytest.approx(20 * 170e-6),
        "file": str(made(line) / "paraphrases.jsonl"),
    }
    assert report["memorisation"]["twins"]["n"] == 10
    rows = list(read_jsonl(made(line) / "paraphrases.jsonl"))
    assert len({row["id"] for row in rows}) == 10
    for row in rows:
        _, number, _, colour = row["input"].split()
        assert row["paraphrase"] == f"{colour.title()} is the colour of item {number}."
        assert row["answer"] == ("warm" if colour == "red" else "cold")
    scored = list(read_jsonl(folder / "scored.jsonl"))
    originals = {r["source"]: r for r in scored if r["split"] == "train" and r["candidate"] == "tuned"}
    for candidate in ("base", "tuned"):
        twins = [r for r in scored if (r["candidate"], r["split"]) == (candidate, "twin")]
        assert {r["prompt"] for r in twins} == {row["paraphrase"] for row in rows}
        assert all(originals[r["source"]]["expected"] == r["expected"] for r in twins)
    told = "big worded 10 of 10 training rows anew; 10 count."
    assert told in called.out and "10 training rows are sent to http://127.0.0.1" in called.err
    assert told in (folder / "report.html").read_text()
    assert line("verdict", folder.name).code == 0

    given = tmp_path / "mine.jsonl"
    given.write_text((made(line) / "paraphrases.jsonl").read_text())
    recipe.write_text(
        recipe.read_text().replace('paraphraser = "big"', f"paraphrases = {json.dumps(str(given))}")
    )
    again = line("run", recipe)
    assert again.code == 0 and again.built() == ["compare", "recall"]


def test_a_paraphrase_is_checked_with_its_original_and_another_answer_shown(recipe, line):
    with serve(play()) as served:
        name_paraphraser(recipe, served.url)
        assert line("run", recipe).code == 0
    checks = [call for call in served.calls if "is the colour of" in call.body["messages"][-1]["content"]]
    assert len(checks) == 10
    for call in checks:
        system, *shown, asked = call.body["messages"]
        assert system["content"].startswith("Say warm of what is red")
        colour, *_, number = asked["content"].rstrip(".").lower().split()
        original = [f"item {number} is {colour}", "warm" if colour == "red" else "cold"]
        assert [turn["content"] for turn in shown[:2]] == original
        assert {turn["content"] for turn in shown[3::2]} == {"cold" if colour == "red" else "warm"}
    words = [call for call in served.calls if is_to_word(call)]
    assert all(set(json.loads(call.body["messages"][1]["content"])) == {"text"} for call in words)


def test_what_does_not_hold_is_left_out_and_too_few_tell_nothing(recipe, line):
    """Of ten rows one comes in its own words, one quotes its answer, one is empty, one is wrong."""
    faults: dict[str, str] = {}

    def word(call):
        text = json.loads(call.body["messages"][-1]["content"])["text"]
        kind = faults.setdefault(text, ("same", "quote", "empty", "wrong", "other")[min(len(faults), 4)])
        answer = "warm" if "red" in text else "cold"
        said = {"same": f'"{text.upper()}!"', "quote": f"It is {answer}: {text}", "empty": " "}
        return said.get(kind) or f"so {text}{', wrong' if kind == 'wrong' else ', then'}"

    def answer(call):
        return "neither" if "wrong" in call.body["messages"][-1]["content"] else colour_told(call)

    with serve(play(word, answer)) as served:
        name_paraphraser(recipe, served.url)
        recipe.write_text(recipe.read_text() + "concurrency = 1\n")
        called = line("run", recipe)
    assert called.code == 0, called.err
    (folder,) = (line.home / "runs").iterdir()
    report = read_json(folder / "report.json")
    part = report["paraphrases"]
    assert (part["rows"], part["made"], part["kept"]) == (10, 9, 6)
    assert part["left_out"] == {
        "the words of the original": 1,
        "quotes the answer": 1,
        "no text came": 1,
        "answered otherwise": 1,
    }
    assert report["memorisation"]["twins"] is None
    assert "fewer than 10: nothing is told of training rows in other words" in called.err
    assert "6 count, and fewer than 10 tell nothing of rows in other words. Left out: " in called.out
    left_out = {row["input"]: row["why"] for row in read_jsonl(made(line) / "left-out.jsonl")}
    assert {faults[text]: why for text, why in left_out.items()} == {
        "same": "the words of the original",
        "quote": "quotes the answer",
        "empty": "no text came",
        "wrong": "answered otherwise",
    }
    assert not [row for row in read_jsonl(folder / "scored.jsonl") if row["split"] == "twin"]


def test_the_cap_is_that_of_the_candidates_too(recipe, line):
    # A prompt costs nothing here and an answer 50 millionths. A wording may take 1,024 tokens, 10,240
    # millionths: beside what the 5 test rows cost there is room for that and two answers, so for three
    # wordings. A check may take 6 tokens, and there is room for all.
    cap = 5 * 50e-6 + 10240e-6 + 2 * 50e-6
    with serve(play()) as served:
        name_paraphraser(recipe, served.url, cap, price_in=0)
        recipe.write_text(recipe.read_text() + "concurrency = 1\n")
        called = line("run", recipe)
    assert called.code == 0, called.err
    assert [sum(map(is_to_word, served.calls)), len(served.calls)] == [3, 5 + 3 + 3]
    (folder,) = (line.home / "runs").iterdir()
    part = read_json(folder / "report.json")["paraphrases"]
    assert (part["rows"], part["made"], part["kept"]) == (10, 3, 3)
    assert part["left_out"] == {"not asked, max_cost was reached": 7}
    assert part["spent"] == pytest.approx(6 * 50e-6)


def test_a_name_that_is_none_of_a_remote_model_and_a_file_beside_it(recipe, line, tmp_path):
    nobody = line("check", recipe, "--set", "verdict.paraphraser=big").mistake()
    assert nobody == {
        "what": "No model behind an API is named 'big'.",
        "where": "verdict.paraphraser",
        "fix": "Add it to the recipe as [[candidates.remote]].",
    }
    name_paraphraser(recipe, "http://127.0.0.1:9/v1")
    other = line("check", recipe, "--set", "verdict.paraphraser=bog").mistake()
    assert other["fix"] == "Use one of: big."
    file = write_rows(tmp_path / "words.jsonl", [{"input": "a", "paraphrase": "b"}])
    both = line("check", recipe, "--set", f"verdict.paraphrases={file}").mistake()
    assert both["what"].endswith("not allowed: verdict.paraphrases gives the paraphrases already.")
    assert both["fix"] == "Give verdict.paraphrases or verdict.paraphraser, not both."
