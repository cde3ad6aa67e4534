"""`residency new`: what is guessed from the examples, and the folder that is written."""

import csv
import json
import re
from pathlib import Path

import pyarrow
import pytest

from residency.core.errors import ResidencyError
from residency.core.recipe import Recipe
from residency.core.recipe_file import load_recipe
from residency.pipeline.project import is_template, start_project
from tests.pipeline.projects import answers, write_rows

FORMS = {
    "classify": lambda i: {"input": f"item {i}", "output": ("warm", "cold")[i % 2]},
    "write": lambda i: {"prompt": f"item {i}", "completion": f"Dear customer, thank you for item {i}."},
    "extract": lambda i: {"question": f"item {i}", "answer": f"colour: red\nnumber: {i}"},
    "json": lambda i: {"instruction": f"item {i}", "output": json.dumps({"number": i})},
    "chat": lambda i: {
        "messages": [
            {"role": "user", "content": f"item {i}"},
            {"role": "assistant", "content": "Which one?"},
            {"role": "user", "content": "the red one"},
            {"role": "assistant", "content": "Here it is."},
        ]
    },
}


def start(tmp_path: Path, form: str, kind=None, columns=(None, None)) -> tuple[str, Recipe]:
    rows = write_rows(tmp_path / "my rows.jsonl", map(FORMS[form], range(30)))
    said = start_project(tmp_path / "new one", rows, kind, columns)
    return said, load_recipe(tmp_path / "new one" / "residency.toml")


@pytest.mark.parametrize(
    ("form", "kind", "scorer"),
    [
        ("classify", "classify", "label"),
        ("write", "write", "chrf"),
        ("extract", "extract", "fields"),
        ("json", "extract", "json"),
        ("chat", "chat", "chrf"),
    ],
)
def test_kind_and_scorer_are_guessed_from_the_answers(tmp_path, form, kind, scorer):
    said, recipe = start(tmp_path, form)
    assert (recipe.task.kind, recipe.task.scorer) == (kind, scorer)
    assert said.startswith(f"{kind}, scored by '{scorer}'")
    assert ("which passes from" in said) == (scorer == "chrf")
    assert recipe.task.system != ""


def test_a_kind_that_is_given_is_taken(tmp_path):
    _, recipe = start(tmp_path, "classify", kind="write")
    assert (recipe.task.kind, recipe.task.scorer) == ("write", "chrf")


def test_the_project_holds_all_it_needs(tmp_path):
    _, recipe = start(tmp_path, "classify")
    folder = tmp_path / "new one"
    assert {f.name for f in folder.iterdir()} == {"residency.toml", "instructions.md", "my rows.jsonl"}
    assert recipe.data.train.read_bytes() == (tmp_path / "my rows.jsonl").read_bytes()
    assert recipe.task.name == "new-one"
    instructions = (folder / "instructions.md").read_text()
    assert instructions.endswith("- cold: \n- warm: \n")
    assert is_template(instructions.strip())
    assert not is_template("Say warm or cold.")


def test_there_is_room_for_the_longest_answer(tmp_path):
    rows = [{"input": f"item {i}", "output": "ä" * i} for i in range(1, 31)]
    start_project(tmp_path / "new", write_rows(tmp_path / "rows.jsonl", rows), "write", (None, None))
    # 30 letters of two bytes each: at most 60 tokens and the one that ends the answer
    assert load_recipe(tmp_path / "new" / "residency.toml").task.max_new_tokens >= 61


def test_the_recipe_names_every_key_with_its_default(tmp_path):
    _, recipe = start(tmp_path, "classify")
    file = tmp_path / "new one" / "residency.toml"
    text = file.read_text()
    for section, field in Recipe.model_fields.items():
        part = text.partition(f"\n[{section}]")[2].partition("\n[")[0]
        for key, option in field.annotation.model_fields.items():
            told = re.escape(option.description.replace("\n", "\n# "))
            assert re.search(rf"^# {told}\n(# )?{key} = ", part, re.MULTILINE), key
    file.write_text(re.sub(r"^# (\w+ = (?!\.\.\.))", r"\1", text, flags=re.MULTILINE))
    assert load_recipe(file) == recipe
    assert file.read_text() != text


def test_columns_with_names_of_their_own(tmp_path):
    with (tmp_path / "rows.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["text", "category"])
        writer.writerows([[f"item {i}", "warm"] for i in range(20)])
    start_project(tmp_path / "new", tmp_path / "rows.csv", None, ("text", "category"))
    recipe = load_recipe(tmp_path / "new" / "residency.toml")
    assert (recipe.data.input, recipe.data.output) == ("text", "category")
    assert recipe.data.train == tmp_path / "new" / "rows.csv"


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("rows.jsonl", b"", "The file holds no rows."),
        ("rows.jsonl", b"\x00\x01\n", "No row can be used; the first: a NUL character at character 1."),
        ("rows.jsonl", b'{"text": "a", "label": "b"}\n', "No row can be used; the first: no known shape"),
        ("rows.csv", b"input;output\na;b\n", "The header cannot be read: columns are separated by ';'."),
        ("rows.xlsx", b"PK", "Files ending in '.xlsx' cannot be read."),
        ("rows.parquet", b"PK", "The file cannot be read: "),
        ("gone.jsonl", None, "The file cannot be read: No such file or directory."),
    ],
)
def test_a_file_that_cannot_be_read_makes_no_folder(tmp_path, name, content, what):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ResidencyError) as caught:
        start_project(tmp_path / "new", tmp_path / name, None, (None, None))
    assert caught.value.what.startswith(what)
    assert str(tmp_path / name).startswith(str(tmp_path)) and name in caught.value.where
    assert not (tmp_path / "new").exists()


def test_wrong_columns_are_told_in_the_verbs_own_words(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": "a", "label": "b"}])
    with pytest.raises(ResidencyError) as caught:
        start_project(tmp_path / "new", rows, None, ("txt", "label"))
    assert "no column 'txt'; the columns are: text, label" in caught.value.what
    assert "--input ... --output ..." in caught.value.fix
    assert "--set" not in caught.value.fix


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", map(answers, range(5)))
    (tmp_path / "new").mkdir()
    with pytest.raises(ResidencyError, match="This folder is there already"):
        start_project(tmp_path / "new", rows, None, (None, None))
    assert list((tmp_path / "new").iterdir()) == []


def test_a_full_disk_leaves_no_folder(tmp_path, monkeypatch):
    rows = write_rows(tmp_path / "rows.jsonl", map(answers, range(5)))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResidencyError, match="No space left"):
        start_project(tmp_path / "new", rows, None, (None, None))
    assert not (tmp_path / "new").exists()


def test_a_folder_of_examples_is_copied_without_what_is_not_read(tmp_path):
    (tmp_path / "all" / "deep").mkdir(parents=True)
    for number, name in enumerate(("a.jsonl", "deep/b.jsonl")):
        write_rows(tmp_path / "all" / name, map(answers, range(10 * number, 10 * number + 10)))
    (tmp_path / "all" / "notes.md").write_text("no rows")
    (tmp_path / "all" / "loop").symlink_to(tmp_path)
    start_project(tmp_path / "new", tmp_path / "all", None, (None, None))
    recipe = load_recipe(tmp_path / "new" / "residency.toml")
    assert recipe.data.train == tmp_path / "new" / "all"
    copied = {str(f.relative_to(recipe.data.train)) for f in recipe.data.train.rglob("*") if f.is_file()}
    assert copied == {"a.jsonl", "deep/b.jsonl"}


def test_a_dataset_on_the_hub_is_not_copied(tmp_path, monkeypatch):
    rows = tmp_path / "cached.arrow"
    table = pyarrow.Table.from_pylist([answers(i) for i in range(20)])
    with pyarrow.ipc.new_stream(str(rows), table.schema) as stream:
        stream.write_table(table)
    monkeypatch.setattr("residency.data.reading.read.hub_files", lambda name: (rows,))
    start_project(tmp_path / "new", Path("hf:me/colours:train"), None, (None, None))
    assert str(load_recipe(tmp_path / "new" / "residency.toml").data.train) == "hf:me/colours:train"
    assert {f.name for f in (tmp_path / "new").iterdir()} == {"residency.toml", "instructions.md"}


@pytest.mark.parametrize("name", ["Ünïcode", "...", "日本", "a b\tc", "x" * 200])
def test_any_folder_name_gives_a_task_name_that_the_recipe_takes(tmp_path, name):
    rows = write_rows(tmp_path / "rows.jsonl", map(answers, range(5)))
    start_project(tmp_path / name, rows, None, (None, None))
    assert load_recipe(tmp_path / name / "residency.toml").task.name
