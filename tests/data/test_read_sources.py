"""Packed files, folders, saved datasets and datasets on the hub; what they are called, and their hashes."""

import gzip
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from residency.core.errors import ResidencyError
from residency.core.recipe import Data
from residency.data.check import examine
from residency.data.reading import packed
from residency.data.reading.read import list_files, read_rows
from residency.data.reading.sources import files_of, naming_roots, source_hash

LINES = b'{"input": "a", "output": "1"}\n{"input": "b", "output": "2"}\n'


def zst(content: bytes) -> bytes:
    return bytes(pyarrow.Codec("zstd").compress(content, asbytes=True))


def told(source: Path, root: Path | None = None) -> list[tuple[str, object]]:
    return [(str(row.source), row.problem or dict(row.content or {})) for row in read_rows(source, root)]


def refusal(source: Path) -> ResidencyError:
    with pytest.raises(ResidencyError) as raised:
        list(read_rows(source))
    return raised.value


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", LINES),
        ("a.ndjson", LINES),
        ("a.json", b"[" + LINES.strip().replace(b"\n", b",\n") + b"]"),
        ("a.csv", b"input,output\r\na,1\r\nb,2\r\n"),
        ("a.tsv", b"input\toutput\na\t1\nb\t2\n"),
    ],
)
def test_packed_files_hold_the_same_rows(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content)
    half = len(content) // 2
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content[:half]) + gzip.compress(content[half:]))
    (tmp_path / f"{name}.ZST").write_bytes(zst(content))
    rows = [[row.content for row in read_rows(tmp_path / f"{name}{end}")] for end in ("", ".gz", ".ZST")]
    assert rows == [[{"input": "a", "output": "1"}, {"input": "b", "output": "2"}]] * 3


@pytest.mark.parametrize("pack", [gzip.compress, zst])
def test_a_packed_file_that_is_cut_off_or_damaged(tmp_path: Path, pack: Any) -> None:
    file = tmp_path / f"a.jsonl.{'zst' if pack is zst else 'gz'}"
    whole = pack(b"".join(b'{"a": %d}\n' % i for i in range(5000)))
    for content in (whole[: len(whole) // 2], whole[:-1], b"no such thing" + whole):
        file.write_bytes(content)
        assert refusal(file).what.startswith("The file cannot be read: ")
    file.write_bytes(pack(b""))
    assert refusal(file).what == "The file holds no rows."
    file.write_bytes(pack("{}".encode("utf-16")))
    assert "UTF-16" in refusal(file).what


@pytest.mark.parametrize("pack", [gzip.compress, zst])
def test_a_packed_file_that_unpacks_without_end(
    tmp_path: Path, pack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / f"a.jsonl.{'zst' if pack is zst else 'gz'}"
    file.write_bytes(pack(LINES * 10_000))
    monkeypatch.setattr(packed, "MAX_RATIO", 20)
    monkeypatch.setattr(packed, "ALWAYS", 100_000)
    assert refusal(file).what == "The file cannot be read: it unpacks to more than 20 times its size."
    monkeypatch.setattr(packed, "ALWAYS", 600_000)
    assert len(list(read_rows(file))) == 20_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files with rows, and much that is none."""
    folder = tmp_path / "rows"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "b.csv").write_text("input,output\nx,1\n")
    (folder / "deep" / "a.jsonl").write_bytes(LINES)
    (folder / "deep" / "er" / "c.jsonl.gz").write_bytes(gzip.compress(LINES))
    (folder / "README.md").write_text("no rows")
    (folder / ".git").mkdir()
    (folder / ".git" / "a.jsonl").write_bytes(LINES)
    (folder / "deep" / "loop").symlink_to(folder)
    (folder / "out.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    (tmp_path / "elsewhere.jsonl").write_bytes(LINES)
    os.mkfifo(folder / "pipe.jsonl")
    return folder


def test_a_folder_is_read_to_its_depths_by_path(folder: Path) -> None:
    assert [place for place, _ in told(folder)] == [
        "b.csv:2",
        "deep/a.jsonl:1",
        "deep/a.jsonl:2",
        "deep/er/c.jsonl.gz:1",
        "deep/er/c.jsonl.gz:2",
    ]
    assert list_files(folder).passed_over == (
        ".git (hidden)",
        "README.md (its ending is unknown)",
        "deep/loop (a link)",
        "out.jsonl (a link)",
        "pipe.jsonl (no file)",
    )


def test_what_is_not_read_is_told(folder: Path, renderer: Any) -> None:
    examination = examine(Data(train=folder, conflicts="keep"), "", renderer)
    assert examination.rows == {"train": 5}
    assert len(examination.examples["train"]) + len(examination.fates) == 5
    (note,) = (finding for finding in examination.findings if finding.id == "unread-files")
    assert note.severity == "note"
    assert note.explanation.startswith(
        "Not read: .git (hidden), README.md (its ending is unknown), deep/loop"
    )
    duplicates = next(finding for finding in examination.findings if finding.id == "duplicate")
    assert str(duplicates.rows[0].source) == "deep/er/c.jsonl.gz:1"


def test_a_folder_with_nothing_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert refusal(tmp_path).what == "The folder holds no file that can be read."


def test_a_bad_file_in_a_folder_is_named(folder: Path) -> None:
    (folder / "deep" / "b.jsonl").write_text("")
    error = refusal(folder)
    assert (error.what, error.where) == ("The file holds no rows.", str(folder / "deep" / "b.jsonl"))


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.jsonl")).write_bytes(LINES)
    assert [place for place, _ in told(folder)] == ["\\xff.jsonl:1", "\\xff.jsonl:2"]
    assert len(source_hash(folder)) == 64


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").symlink_to("/dev/zero")
    (tmp_path / "c.jsonl").symlink_to("c.jsonl")
    for name, reason in (("a", "device or a pipe"), ("b", "device or a pipe"), ("c", "Too many levels")):
        file = tmp_path / f"{name}.jsonl"
        assert reason in refusal(file).what
        with pytest.raises(ResidencyError, match=reason):
            source_hash(file)


def test_files_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    sources = {"train": "x/one/rows.jsonl", "validation": "x/two/rows.jsonl", "test": "y/one/rows.jsonl"}
    for place in (*sources.values(), "test.jsonl"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(LINES)
    files = {role: tmp_path / place for role, place in sources.items()}
    assert naming_roots(files) == {
        "train": tmp_path,
        "validation": tmp_path / "x",
        "test": tmp_path,
    }
    assert told(files["train"], tmp_path)[0][0] == "x/one/rows.jsonl:1"
    apart = {"train": tmp_path / "x" / "one", "test": tmp_path / "test.jsonl"}
    assert naming_roots(apart) == {"train": tmp_path / "x" / "one", "test": tmp_path}
    folders = {"train": tmp_path / "x", "test": tmp_path / "y"}
    assert naming_roots(folders) == {"train": tmp_path, "test": tmp_path}
    same = {"train": files["train"], "test": files["train"]}
    assert naming_roots(same) == dict.fromkeys(same, tmp_path / "x" / "one")


def test_a_ledger_tells_files_of_the_same_name_apart(tmp_path: Path, renderer: Any) -> None:
    for number, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        rows = [{"input": f"{name} {i}", "output": "" if i == number else "x"} for i in range(3)]
        (tmp_path / name / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = Data(train=tmp_path / "a" / "rows.jsonl", test=tmp_path / "b" / "rows.jsonl", max_refused=0.5)
    examination = examine(data, "", renderer)
    assert [str(fate.source) for fate in examination.fates] == ["a/rows.jsonl:1", "b/rows.jsonl:2"]


def test_the_hash_is_that_of_what_is_read(folder: Path, tmp_path: Path) -> None:
    file = folder / "deep" / "a.jsonl"
    sha = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout.split()[0]
    assert source_hash(file) == sha
    before = source_hash(folder)
    (folder / "README.md").write_text("other words, same rows")
    assert source_hash(folder.rename(tmp_path / "moved")) == before
    moved = tmp_path / "moved"
    (moved / "b.csv").rename(moved / "d.csv")
    renamed = source_hash(moved)
    (moved / "d.csv").write_text("input,output\nx,2\n")
    assert len({before, renamed, source_hash(moved)}) == 3


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two splits, saved by `datasets` itself; the first in two shards, with labels as numbers."""
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["cold", "warm"])})
    rows = {"text": [f"item {i}" for i in range(5)], "label": [0, 1, 1, -1, None]}
    train = Dataset.from_dict(rows, features=features)
    splits = DatasetDict({"train": train, "test": train.select([1])})
    folder = tmp_path_factory.mktemp("datasets") / "both"
    splits.save_to_disk(folder, num_shards={"train": 2, "test": 1})
    return folder


def test_a_saved_dataset(saved: Path) -> None:
    assert told(saved / "train") == [
        ("train:1", {"text": "item 0", "label": "cold"}),
        ("train:2", {"text": "item 1", "label": "warm"}),
        ("train:3", {"text": "item 2", "label": "warm"}),
        ("train:4", {"text": "item 3", "label": -1}),
        ("train:5", {"text": "item 4", "label": None}),
    ]
    assert [place for place, _ in told(saved / "train", saved.parent)][:1] == ["both/train:1"]
    assert {file.name for file in files_of(saved / "test")} == {
        "data-00000-of-00001.arrow",
        "dataset_info.json",
        "state.json",
    }
    assert source_hash(saved / "train") != source_hash(saved / "test")


def test_a_dataset_of_two_splits_is_not_read_as_one(saved: Path) -> None:
    for folder in (saved, saved.parent):
        error = refusal(folder)
        assert error.what == "The dataset has 2 splits."
        assert error.fix == f"Name one: {saved / 'test'}, {saved / 'train'}"


@pytest.mark.parametrize(
    ("state", "what"),
    [
        ("{", "does not name the dataset's files"),
        ('{"_data_files": 3}', "does not name the dataset's files"),
        ('{"_data_files": [{"filename": "../secret.arrow"}]}', "names a file of another folder"),
        ('{"_data_files": [{"filename": "gone.arrow"}]}', "No such file"),
        ('{"_data_files": [{"filename": "state.json"}]}', "cannot be read"),
        ('{"_data_files": []}', "holds no rows"),
    ],
)
def test_a_saved_dataset_that_is_damaged(tmp_path: Path, state: str, what: str) -> None:
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "state.json").write_text(state)
    assert what in refusal(tmp_path).what


def test_a_saved_dataset_whose_texts_lie_outside_of_it(tmp_path: Path) -> None:
    offsets = pyarrow.py_buffer(struct.pack("<3i", 0, 900, 2))
    texts = pyarrow.StringArray.from_buffers(2, offsets, pyarrow.py_buffer(b"ab"))
    table = pyarrow.table({"input": texts})
    with pyarrow.ipc.new_stream(str(tmp_path / "data.arrow"), table.schema) as stream:
        stream.write_table(table)
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    assert "cannot be read" in refusal(tmp_path).what


HUB_ROWS = """
import sys
from pathlib import Path
from residency.core.errors import ResidencyError
from residency.data.reading.read import read_rows
from residency.data.reading.sources import source_hash
for name in sys.argv[1:]:
    try:
        print(source_hash(Path(name))[:4], *(f"{row.source}={row.content}" for row in read_rows(Path(name))))
    except ResidencyError as error:
        print(error.what, "|", error.where, "|", error.fix)
"""


def test_a_dataset_on_the_hub_from_the_cache(saved: Path, tmp_path: Path) -> None:
    """No hub is at hand: `datasets` finds in its cache what was downloaded before."""
    from datasets import DatasetDict, load_from_disk

    splits = load_from_disk(str(saved))
    assert isinstance(splits, DatasetDict)
    home = tmp_path / "home" / "datasets" / "me___things" / "default" / "0.0.0" / "abc"
    home.mkdir(parents=True)
    about: dict[str, Any] = {"config_name": "default", "dataset_name": "things", "splits": {}}
    for name, split in splits.items():
        table = split.data.table
        with pyarrow.ipc.new_stream(str(home / f"things-{name}.arrow"), table.schema) as stream:
            stream.write_table(table)
        about["splits"][name] = {"name": name, "num_examples": len(split), "dataset_name": "things"}
    (home / "dataset_info.json").write_text(json.dumps(about))
    names = ["hf:me/things:test", "hf:me/things", "hf:me/things:dev", "hf:me/others"]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    called = subprocess.run(
        [sys.executable, "-c", HUB_ROWS, *names],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert called.returncode == 0, called.stderr
    test, several, missing, gone = called.stdout.splitlines()
    assert test.partition(" ")[2] == "hf:me/things:test:1={'text': 'item 1', 'label': 'warm'}"
    choice = "Name one: hf:me/things:train, hf:me/things:test"
    assert several == f"The dataset has 2 splits. | hf:me/things | {choice}"
    assert missing == f"There is no split 'dev'. | hf:me/things:dev | {choice}"
    assert gone.startswith("The dataset cannot be loaded: ") and "hf:me/others" in gone
