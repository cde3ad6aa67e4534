from pathlib import Path

from residency.core.recipe import Split
from residency.core.records import Source
from residency.data.findings import Finding, Flag
from residency.data.ledger import Fate, with_checks
from residency.data.split.freeze import Frozen, freeze
from tests.data.test_examine import check


def finding(id: str, *rows: int) -> Finding:
    return Finding(id, "warning", "", tuple(Flag(Source("a", row)) for row in rows), "")


def test_each_fate_gets_the_checks_that_fired_on_its_row_once_and_in_order() -> None:
    fates = [
        Fate(Source("a", 1), "train", ""),
        Fate(Source("a", 2), "refused", ""),
        Fate(Source("b", 1), "test", ""),
    ]
    told = with_checks(fates, [finding("x", 1, 1), finding("y", 2, 1), finding("z")])
    assert [fate.checks for fate in told] == [("x", "y"), ("y",), ()]


def test_the_ledger_keeps_the_checks_of_rows_kept_and_left_out(tmp_path: Path, renderer: object) -> None:
    good = [{"input": f"question {i}", "output": "yes"} for i in range(20)]
    mail = {"input": "I am jane@mail.org", "output": "yes"}
    examination = check(tmp_path, [*good, mail, good[0], {"input": "x", "output": ""}], renderer)
    freeze(examination, Split(test=2, validation=2)).write(tmp_path)
    checks = {fate.source.row: fate.checks for fate in Frozen.read(tmp_path).fates}
    assert {row: ids for row, ids in checks.items() if ids} == {
        21: ("personal-data",),
        22: ("duplicate",),
        23: ("empty-answer",),
    }
