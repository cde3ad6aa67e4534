from collections import Counter
from dataclasses import replace
from pathlib import Path

from residency.core.recipe import Split
from residency.core.records import Example, Message, Source
from residency.core.workspace import encode_row
from residency.data.fates import Ledger
from residency.data.findings import Finding, Flag
from residency.data.ledger import Checked, Fate
from residency.data.rows import Rows
from residency.data.split.freeze import Frozen, freeze
from tests.data.test_examine import check


def finding(id: str, *rows: int) -> Finding:
    return Finding(id, "warning", "", tuple(Flag(Source("a", row)) for row in rows), "")


def test_each_fate_gets_the_checks_that_fired_on_its_row_once_and_in_order() -> None:
    def row(file: str, number: int) -> Checked:
        turns = (Message("user", f"{file} {number}"), Message("assistant", "x"))
        return Checked(Example(turns, Source(file, number)), 3, 1)

    kept = {"test": Rows.of([row("b", 1)]), "train": Rows.of([row("a", 3), row("a", 1)])}
    lost = [Fate(Source("b", 2), "refused", "why"), Fate(Source("a", 2), "twin", "of")]
    ledger = Ledger(kept, lost, [finding("x", 1, 1), finding("y", 2, 1), finding("z")])
    told = list(ledger)
    assert list(ledger.lines()) == [encode_row(fate.to_json()) for fate in told]
    assert list(ledger.flagged()) == [fate for fate in told if fate.checks]
    counts = {fate: count for fate, count in ledger.counts().items() if count}
    assert counts == Counter(fate.fate for fate in told)
    assert [(str(fate.source), fate.fate, fate.checks) for fate in told] == [
        ("a:1", "train", ("x", "y")),
        ("a:2", "twin", ("y",)),
        ("a:3", "train", ()),
        ("b:1", "test", ()),
        ("b:2", "refused", ()),
    ]
    assert told[0] == replace(Fate.of(row("a", 1), "train"), checks=("x", "y"))
    assert told[4] == lost[0]


def test_the_ledger_keeps_the_checks_of_rows_kept_and_left_out(tmp_path: Path, renderer: object) -> None:
    good = [{"input": f"question {i}", "output": "yes"} for i in range(20)]
    mail = {"input": "I am jane@mail.org", "output": "yes"}
    examination = check(tmp_path, [*good, mail, good[0], {"input": "x", "output": ""}], renderer)
    freeze(examination, Split(test=2, validation=2)).write(tmp_path)
    checks = {fate.source.row: fate.checks for fate in Frozen.read(tmp_path).ledger}
    assert {row: ids for row, ids in checks.items() if ids} == {
        21: ("personal-data",),
        22: ("duplicate",),
        23: ("empty-answer",),
    }
