"""`residency check` on a recipe and on a bare file, its mending, the review and the way back."""

import csv
import json

import pytest

from residency.core.workspace import read_jsonl
from tests.pipeline.projects import answers, write_rows

MAIL = {"input": "item 98 is red, says ann.lee@example.org", "output": "warm"}
FAULTY = [
    *map(answers, range(30)),
    answers(3),
    {"input": "item 97 is red", "output": "warm"},
    {"input": "item 97 is red", "output": "cold"},
    MAIL,
    {"input": "item 99 is red", "output": "As an AI language model, I cannot say."},
    {"input": "item 96 is blue", "output": ""},
    {"input": "item 95 is blue", "output": " cold\n"},
]


@pytest.fixture
def checked(line, tmp_path, tiny_base):
    """`residency check FILE` on rows, with the tiny base."""

    def check(rows, *options, name="train.jsonl"):
        file = tmp_path / name
        if rows is not None:
            write_rows(file, rows)
        called = line("check", file, "--set", f"base.model={tiny_base}", *options)
        return called

    return check


def found(document):
    return {check["id"]: [row["row"] for row in check["rows"]] for check in document["checks"]}


def test_a_bare_file_is_examined_with_the_default_recipe(checked, line):
    called = checked(FAULTY, "--json")
    assert called.code == 0, called.err
    document = json.loads(called.out)
    assert document["rows"] == 37 == sum(document["fates"].values())
    fired = found(document)
    assert fired["duplicate"] == [31]
    assert fired["conflict"] == [32, 33]
    assert fired["personal-data"] == [34]
    assert fired["as-an-ai"] == [35]
    assert fired["empty-answer"] == [36]
    assert document["ceiling"] is None or 0 <= document["ceiling"]["value"] <= 1
    assert document["leaks"] == 0
    assert len(list(read_jsonl(line.folder / document["ledger"]))) == 37
    severities = [check["severity"] for check in document["checks"]]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)


def test_columns_are_named_by_options(checked, line, tmp_path, tiny_base):
    with (tmp_path / "bank.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["text", "category"])
        rows.writerows([f"question {n}", "yes"] for n in range(20))
    columns = ("--set", "data.input=text", "--set", "data.output=category")
    assert json.loads(checked(None, *columns, "--json", name="bank.csv").out)["fates"]["train"] == 15
    assert "data.input=" in checked(None, name="bank.csv").mistake()["fix"]


def test_an_overlap_is_a_finding_and_training_refuses_it(checked, line, recipe):
    write_rows(recipe.parent / "test.jsonl", [answers(n) for n in (0, 1, 50)])
    overlapping = ("--set", f"data.test={recipe.parent / 'test.jsonl'}")
    called = line("check", recipe, "--json", *overlapping)
    assert called.code == 0, called.err
    document = json.loads(called.out)
    assert found(document)["leak"] == [1, 2]
    assert "lets this pass" not in called.out
    allowed = line("check", recipe, "--json", *overlapping, "--set", "split.allow_overlap=true").out
    assert "split.allow_overlap lets this pass." in allowed and "training-refuses" not in allowed
    assert document["leaks"] == 2
    assert document["rows"] == 39 == sum(document["fates"].values())
    assert "training-refuses" in found(document)
    assert "stand word for word" in line("train", recipe, *overlapping).mistake()["what"]
    by_option = line("check", recipe, "--json", "--test", recipe.parent / "test.jsonl")
    assert json.loads(by_option.out)["leaks"] == 2


def test_a_damaged_lock_is_a_mistake_and_no_refusal_of_the_data(line, recipe):
    assert line("check", recipe).code == 0
    (entry,) = line.folder.rglob("splits/*/0001-*.jsonl")
    entry.write_text('{"words')
    write_rows(recipe.parent / "rows.jsonl", [answers(n) for n in range(31)])
    assert line("check", recipe).mistake()["what"] == "The lock of the split is damaged."


def test_too_many_refused_rows_are_a_finding_and_training_refuses_them(line, recipe):
    rows = [*map(answers, range(30)), *({"input": "", "output": "x"} for _ in range(9))]
    write_rows(recipe.parent / "rows.jsonl", rows)
    document = json.loads(line("check", recipe, "--json").out)
    assert document["fates"]["refused"] == 9
    assert "9 of 39 rows cannot be used" in str(document["checks"])
    assert "9 of 39 rows cannot be used" in line("plan", recipe).mistake()["what"]


def test_personal_data_is_shown_nowhere_in_full(checked, line):
    called = checked(FAULTY, "--json")
    page = line.folder / json.loads(called.out)["page"]
    for text in (called.out, checked(None).out, page.read_text()):
        assert "ann.lee" not in text
        assert "[EMAIL]" in text


def test_fix_writes_a_new_file_that_is_clean_and_can_be_taken_back(checked, line, tmp_path):
    called = checked(FAULTY, "--fix", "--json")
    assert called.code == 0, called.err
    done = json.loads(called.out)
    assert done["rows"] == 37 == sum(done["fates"].values())
    assert done["fates"] == {"kept": 31, "dropped": 4, "mended": 2}
    assert [json.dumps(row) for row in read_jsonl(tmp_path / "train.jsonl")] == list(map(json.dumps, FAULTY))
    fixed = list(read_jsonl(tmp_path / "train.fixed.jsonl"))
    assert fixed[:30] == FAULTY[:30]
    assert fixed[30] == {**MAIL, "input": "item 98 is red, says [EMAIL]"}
    assert fixed[32] == {"input": "item 95 is blue", "output": "cold"}

    dropped = [row for row in read_jsonl(tmp_path / "train.fixed.ledger.jsonl") if row["fate"] == "dropped"]
    assert [row["source"]["row"] for row in dropped] == [31, 32, 33, 36]
    assert all("train.fixed.patch.jsonl" in row["detail"] for row in dropped)

    left = found(json.loads(checked(None, "--json", name="train.fixed.jsonl").out))
    assert not left.keys() & {"duplicate", "conflict", "personal-data", "empty-answer"}
    again = json.loads(checked(None, "--fix", "--json", name="train.fixed.jsonl").out)
    assert again["actions"] == []

    undone = line("undo", "train.fixed.patch.jsonl")
    assert undone.code == 0, undone.err
    assert list(read_jsonl(tmp_path / "train.fixed.undone.jsonl")) == FAULTY
    assert "there already" in line("undo", "train.fixed.patch.jsonl").mistake()["what"]


def test_an_undo_says_which_of_the_two_files_was_edited(checked, line, tmp_path):
    checked(FAULTY, "--fix")
    mended, original = tmp_path / "train.fixed.jsonl", tmp_path / "train.jsonl"
    rows = list(read_jsonl(mended))
    write_rows(mended, [{**rows[0], "output": "tepid"}, *rows[1:]])  # a row that the patch says nothing of
    mistake = line("undo", "train.fixed.patch.jsonl").mistake()
    assert "edited since" in mistake["what"] and mistake["where"] == "train.fixed.jsonl"
    assert not (tmp_path / "train.fixed.undone.jsonl").exists()

    write_rows(mended, rows)
    write_rows(original, FAULTY[1:])
    called = line("undo", "train.fixed.patch.jsonl")
    assert "The original was edited since" in called.out
    assert list(read_jsonl(tmp_path / "train.fixed.undone.jsonl")) == FAULTY

    for number, name in enumerate(("one", "two")):
        (tmp_path / name).mkdir()
        for file in (mended, original, tmp_path / "train.fixed.patch.jsonl"):
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
        write_rows(tmp_path / name / original.name, FAULTY[number:])
        moved = line("undo", f"{name}/train.fixed.patch.jsonl").out
        assert ("edited since" in moved) == bool(number)


def test_a_patch_without_its_first_line_is_told(checked, line, tmp_path):
    checked(FAULTY, "--fix")
    patch = tmp_path / "train.fixed.patch.jsonl"
    patch.write_text("".join(patch.read_text().splitlines(keepends=True)[1:]))
    mistake = line("undo", patch.name).mistake()
    assert mistake["where"] == "train.fixed.patch.jsonl:1"


def test_fix_may_be_limited(checked, tmp_path):
    assert checked(FAULTY, "--fix", "--only", "duplicate", "--out", tmp_path / "clean.jsonl").code == 0
    assert list(read_jsonl(tmp_path / "clean.jsonl")) == FAULTY[:30] + FAULTY[31:]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--fix", "--only", "duplicate,label"], "Nothing mends 'label'."),
        (["--fix", "--out", "train.jsonl"], "never overwritten"),
        (["--fix", "--out", "other.jsonl"], "never overwritten"),
        (["--fix", "--out", "new.csv"], "written as .jsonl"),
    ],
)
def test_a_mistaken_fix_writes_nothing(checked, tmp_path, options, what):
    write_rows(tmp_path / "other.jsonl", [answers(0)])
    assert what in checked(FAULTY, *options).mistake()["what"]
    assert {f.name for f in tmp_path.glob("*.jsonl")} == {"train.jsonl", "other.jsonl"}


def test_options_of_a_fix_without_it(checked):
    called = checked(FAULTY, "--only", "duplicate")
    assert called.code == 1
    assert "go with --fix" in called.err


def test_an_undo_without_its_patch(line):
    assert line("undo", "train.jsonl").mistake()["what"] == "There is no such patch."


@pytest.fixture
def review(line, tmp_path, tiny_base):
    def review(keys, name="train.jsonl"):
        return line("review", tmp_path / name, "--set", f"base.model={tiny_base}", stdin=keys)

    return review


def decisions(tmp_path):
    return [(row["row"], row["action"]) for row in read_jsonl(tmp_path / "train.decisions.jsonl")]


ROWS = [
    *map(answers, range(30)),
    {"input": "item 97 is red", "output": "warm"},
    {"input": "item 97 is red", "output": "cold"},
    {"input": "item 99 is red", "output": "as an AI: warm"},
]


def test_the_review_asks_the_most_suspected_rows_and_saves_each_decision(review, checked, tmp_path):
    write_rows(tmp_path / "train.jsonl", ROWS)
    called = review("k\nd\nq\n")
    assert called.code == 0, called.err
    assert decisions(tmp_path) == [(31, "keep"), (32, "drop")]  # conflict 0.9, before as-an-ai 0.8
    assert "train.jsonl:31" in called.out
    assert "conflict" in called.out
    assert "2 rows decided" in called.out

    again = review("e\nwarm\n")
    assert "2 rows decided before, not asked again." in again.out
    assert decisions(tmp_path)[2:] == [(33, "edit")]
    assert "33 rows" in checked(None, "--fix").out
    fixed = list(read_jsonl(tmp_path / "train.fixed.jsonl"))
    assert fixed == [*ROWS[:31], {"input": "item 99 is red", "output": "warm"}]


def test_decisions_survive_another_order_of_the_rows(review, tmp_path):
    write_rows(tmp_path / "train.jsonl", ROWS)
    review("k\ns\ns\n")
    write_rows(tmp_path / "train.jsonl", ROWS[::-1])
    called = review("")
    assert "1 row decided before" in called.out
    assert "train.jsonl:3 " not in called.out.split("(see")[0]


def test_back_asks_again_and_the_last_decision_counts(review, checked, tmp_path):
    write_rows(tmp_path / "train.jsonl", ROWS)
    called = review("d\nb\nk\nx\nq\n")
    assert decisions(tmp_path) == [(31, "drop"), (31, "keep")]
    assert "decided: drop" in called.out
    assert "The keys are" in called.out
    checked(None, "--fix", "--only", "review,conflict")
    assert list(read_jsonl(tmp_path / "train.fixed.jsonl"))[30:] == [ROWS[30], ROWS[32]]


def test_an_empty_answer_is_not_taken(review, tmp_path):
    write_rows(tmp_path / "train.jsonl", ROWS)
    called = review("e\n\nq\n")
    assert "cannot hold this answer" in called.out
    assert "Nothing decided." in called.out
    assert not (tmp_path / "train.decisions.jsonl").exists()


def test_a_clean_file_needs_no_review(review, tmp_path):
    write_rows(tmp_path / "train.jsonl", map(answers, range(30)))
    assert "Nothing to review." in review("").out
