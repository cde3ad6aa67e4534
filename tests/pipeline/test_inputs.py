"""What each stage depends on."""

import pytest

from residency.core.recipe import Recipe
from residency.core.workspace import Workspace
from residency.pipeline.inputs import Inputs
from tests.pipeline.projects import answers, write_rows


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


def test_what_lets_rows_pass_or_leaves_them_out_is_no_part_of_the_lock(inputs):
    plain = inputs("rows.jsonl").lock.folder
    assert inputs("rows.jsonl", split={"drop_twins": True, "allow_overlap": True}).lock.folder == plain
    assert inputs("rows.jsonl", split={"seed": 1}).lock.folder != plain
