"""What users bring that cannot be used: three lines, or a fate in the ledger; never a traceback."""

import json
import random

import pytest

from residency.core.workspace import read_jsonl
from residency.evals.scorers import scorer_names
from tests.pipeline.projects import answers, write_rows

GOOD = [json.dumps(answers(number)).encode() for number in range(36)]
NO_ANSWER = b'{"messages": [{"role": "user", "content": "item 7 is red"}]}'
NOISE = random.Random(0).randbytes(60).replace(b"\n", b" ").replace(b"\r", b" ")


@pytest.fixture
def check(line, recipe):
    """`residency check`, or another verb, on these lines as the training file."""

    def check(lines, *options, verb="check"):
        (recipe.parent / "rows.jsonl").write_bytes(b"\n".join(lines))
        return line(verb, recipe, *options)

    return check


@pytest.mark.parametrize(
    ("lines", "what", "where"),
    [
        ([], "The file holds no rows.", "rows.jsonl"),
        ([b" ", b""], "The file holds no rows.", "rows.jsonl"),
        ([*GOOD[:18], *[NOISE] * 18], "18 of 36 rows cannot be used", "rows.jsonl"),
        ([NOISE] * 5, "None of 5 rows can be used: rows.jsonl:1 not valid UTF-8", "rows.jsonl"),
        ([*GOOD[:10], NO_ANSWER], "rows.jsonl:11 no assistant turn", "rows.jsonl"),
        ([NO_ANSWER] * 3, "rows.jsonl:1 no assistant turn", "rows.jsonl"),
        ([b"\xff\xfe" + "{}".encode("utf-16-le")], "The file is UTF-16", "rows.jsonl"),
        (GOOD[:5], "needed", "split"),
    ],
)
def test_a_file_that_cannot_be_used(check, lines, what, where):
    mistake = check(lines, verb="run").mistake()
    assert what in mistake["what"]
    assert mistake["where"].endswith(where)


def test_a_prompt_that_would_push_the_answer_out(check):
    long = json.dumps({"input": "red " * 40, "output": "warm"}).encode()
    mistake = check([*GOOD[:8], long], "--set", "data.max_tokens=100", verb="run").mistake()
    # prompt: start, "user\n", 160 bytes, end, "\n", start, "assistant\n" = 179; answer: 4 bytes, end, "\n"
    assert "rows.jsonl:9 over-long by 85 tokens: the prompt alone has 179" in mistake["what"]
    assert "the answer would be cut away entirely" in mistake["what"]
    assert "--set data.max_tokens=" in mistake["fix"]


def test_few_bad_rows_have_their_fates(check, line):
    long = json.dumps({"input": "red " * 60, "output": "warm"}).encode()
    lines = [*GOOD, NOISE, NO_ANSWER, long, GOOD[3]]
    called = check(lines, "--json", "--set", "data.max_tokens=200", "--set", "data.max_refused=0.1")
    assert called.code == 0, called.err
    told = json.loads(called.out)
    assert told["rows"] == 40 == sum(told["fates"].values())
    assert {name: n for name, n in told["fates"].items() if name not in ("train", "validation", "test")} == {
        "duplicate": 1,
        "conflict": 0,
        "twin": 0,
        "over-long": 1,
        "refused": 2,
    }
    fates = {row["source"]["row"]: row for row in read_jsonl(line.folder / told["ledger"])}
    assert fates[37]["detail"].startswith("not valid UTF-8")
    assert fates[38]["detail"] == "no assistant turn"
    assert fates[39]["fate"] == "over-long"
    assert fates[40]["detail"] == "duplicate of rows.jsonl:4"
    assert {check["id"] for check in told["checks"]} >= {"over-long", "roles", "duplicate"}


def test_a_folder_and_a_file_of_the_same_name(line, recipe):
    """Rows from a folder, with test rows in a file that is called like one of the folder's."""
    parts = recipe.parent / "parts"
    parts.mkdir()
    (parts / "rows.jsonl").write_bytes(b"\n".join(GOOD[:30]))
    (parts / "more.json").write_bytes(b"[" + b",".join([*GOOD[30:], b'{"input": "a", "input": "b"}']) + b"]")
    (parts / "notes.txt").write_text("how these rows came about")
    own = [json.dumps(answers(number)).encode() for number in range(100, 104)]
    (recipe.parent / "rows.jsonl").write_bytes(b"\n".join(own))
    rows = {"data.train": parts, "data.test": recipe.parent / "rows.jsonl", "data.max_refused": 0.1}
    options = [part for key, value in rows.items() for part in ("--set", f"{key}={value}")]
    called = line("check", recipe, "--json", *options)
    assert called.code == 0, called.err
    told = json.loads(called.out)
    assert told["rows"] == 41 == sum(told["fates"].values())
    assert (told["fates"]["test"], told["fates"]["refused"]) == (4, 1)
    findings = {check["id"]: check for check in told["checks"]}
    assert "notes.txt (its ending is unknown)" in findings["unread-files"]["explanation"]
    (twice,) = findings["duplicate-keys"]["rows"]
    assert (twice["file"], twice["row"]) == ("parts/more.json", 7)
    files = {row["source"]["file"] for row in read_jsonl(line.folder / told["ledger"])}
    assert files == {"parts/rows.jsonl", "parts/more.json", f"{recipe.parent.name}/rows.jsonl"}
    (parts / "rows.jsonl").write_bytes(b"\n".join(GOOD[:29]))
    assert json.loads(line("check", recipe, "--json", *options).out)["rows"] == 40


def test_check_tells_every_finding_in_words(check):
    called = check([*GOOD, GOOD[3]])
    assert called.code == 0
    assert called.out.startswith("37 rows: 27 train, 4 validation, 5 test, 1 duplicate\n")
    assert "warning duplicate: 1 row repeats an earlier row" in called.out
    assert "  rows.jsonl:37 (see rows.jsonl:4): item 3 is blue → cold\n" in called.out


def test_names_that_no_registry_knows_are_told_before_any_work(line, recipe):
    called = line("run", recipe, "--set", "task.scorer=luck", "--set", "train.objective=hope")
    assert called.code == 1
    *lines, known = called.err.splitlines()
    assert lines == [
        "what:  There is no scorer 'luck'.",
        "where: task.scorer",
        f"fix:   Use one of: {', '.join(scorer_names())}.",
        "",
        "what:  There is no objective 'hope'.",
        "where: train.objective",
    ]
    assert known.startswith("fix:   Use one of: ") and "sft" in known  # other tests register their own
    assert line.files() == set()


@pytest.mark.parametrize(
    ("content", "what"),
    [(b" \n", "The instructions are empty."), (b"Gr\xf6\xdfe", "The instructions are not UTF-8 text.")],
)
def test_instructions_that_cannot_be_shown(line, recipe, content, what):
    (recipe.parent / "instructions.md").write_bytes(content)
    mistake = line("run", recipe).mistake()
    assert mistake["what"] == what
    assert mistake["where"].endswith("instructions.md")
    assert line.files() == set()


def test_a_folder_that_is_no_base(line, recipe):
    mistake = line("run", recipe, "--set", f"base.model={recipe.parent}").mistake()
    assert mistake["what"].startswith("This folder holds no base model")
    assert line.files() == set()


def test_a_prompt_longer_than_the_base_can_hold(line, recipe):
    (recipe.parent / "instructions.md").write_text("word " * 1000)
    mistake = line("run", recipe).mistake()
    assert "the base holds 4096" in mistake["what"]
    assert "task.instructions" in mistake["where"]


def test_an_answer_that_the_scorer_cannot_read(line, recipe):
    write_rows(recipe.parent / "rows.jsonl", map(answers, range(36)))
    called = line("run", recipe, "--set", "task.scorer=json")
    assert called.mistake()["where"].startswith("rows.jsonl:")
    assert "freeze" not in called.err
