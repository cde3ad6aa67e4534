"""How a check is declared, and running all of them over the rows of a file.

A row check looks at one example and says what is wrong with it, or None. A file check sees all rows
of a file and gives a flag for each that stands out from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from residency.core.recipe import Data
from residency.core.records import Example
from residency.data.findings import Finding, Flag, Severity, plural
from residency.data.rows import Rows

RowCheck = Callable[[Example], str | None]
FileCheck = Callable[[Rows, Data], Iterable[Flag]]
FamilyCheck = Callable[[Rows, Data], Iterable[tuple[str, Flag]]]


@dataclass(frozen=True)
class Declared:
    """What is told of a check, whatever rows it fires on."""

    id: str
    severity: Severity
    meaning: str
    """What is wrong and why it matters, to follow '3 rows: '."""
    fix: str
    suspicion: float = 0.5
    """How likely a row that it fires on teaches something wrong, from 0 to 1; a file check's flags say it."""


ROW_CHECKS: dict[str, tuple[Declared, RowCheck]] = {}
FILE_CHECKS: dict[str, tuple[Declared, FamilyCheck]] = {}


def row_check(
    id: str, severity: Severity, *, meaning: str, fix: str, suspicion: float = 0.5
) -> Callable[[RowCheck], RowCheck]:
    """Register a function of one example that gives what is wrong with it, or None."""

    def register(function: RowCheck) -> RowCheck:
        ROW_CHECKS[id] = Declared(id, severity, meaning, fix, suspicion), function
        return function

    return register


def file_check(id: str, severity: Severity, *, meaning: str, fix: str) -> Callable[[FileCheck], FileCheck]:
    """Register a function of all usable rows of a file that gives a flag for each row that stands out."""

    def register(function: FileCheck) -> FileCheck:
        @file_checks(Declared(id, severity, meaning, fix))
        def named(rows: Rows, data: Data) -> Iterable[tuple[str, Flag]]:
            return ((id, flag) for flag in function(rows, data))

        return function

    return register


def file_checks(*family: Declared) -> Callable[[FamilyCheck], FamilyCheck]:
    """Register a function that looks for several things in one go, and gives the id with each flag."""

    def register(function: FamilyCheck) -> FamilyCheck:
        FILE_CHECKS.update({check.id: (check, function) for check in family})
        return function

    return register


def flag_row(example: Example) -> dict[str, Flag]:
    """The row checks that fire on one example, by id."""
    flags = {}
    for id, (declared, function) in ROW_CHECKS.items():
        if detail := function(example):
            flags[id] = Flag(example.source, detail, suspicion=declared.suspicion)
    return flags


def find_all(files: Iterable[tuple[Rows, Iterable[tuple[str, Flag]]]], data: Data) -> list[Finding]:
    """A finding for each check that fired in any of the files, in the order in which they were declared.

    With the rows of each file stands what the row checks found in them, when they were read.
    """
    flags: dict[str, list[Flag]] = {id: [] for id in (*ROW_CHECKS, *FILE_CHECKS)}
    for rows, of_rows in files:
        for id, flag in of_rows:
            flags[id].append(flag)
        for look in dict.fromkeys(look for _, look in FILE_CHECKS.values()):
            for id, flag in look(rows, data):
                flags[id].append(flag)
    declared = {id: check for id, (check, _) in (*ROW_CHECKS.items(), *FILE_CHECKS.items())}
    return [_finding(declared[id], fired) for id, fired in flags.items() if fired]


def _finding(check: Declared, flags: Sequence[Flag]) -> Finding:
    what = f"{plural(len(flags), 'row')}: {check.meaning}"
    return Finding(check.id, check.severity, what, tuple(flags), check.fix)
