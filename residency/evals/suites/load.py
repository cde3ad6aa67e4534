"""Suites by name or by path: JSONL, one item a line, every mistake told at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from residency.core.errors import ResidencyError, SeveralErrors
from residency.data.reading.json_file import read_jsonl
from residency.evals.suites.items import Item, Suite

_FOLDER = Path(str(resources.files("residency.evals.suites")))


def packaged_suites() -> list[str]:
    """The names of the suites in the package."""
    return sorted(file.stem for file in _FOLDER.glob("*.jsonl"))


def suite_file(name_or_path: str) -> Path:
    """The file of a suite: one in the package by its name, else a path.

    Raises:
        ResidencyError: there is none.
    """
    packaged = packaged_suites()
    file = _FOLDER / f"{name_or_path}.jsonl" if name_or_path in packaged else Path(name_or_path)
    if not file.is_file():
        fix = f"Name one in the package ({', '.join(packaged)}), or a .jsonl file of your own."
        raise ResidencyError(f"There is no suite '{name_or_path}'.", "regression.suites", fix)
    return file


def load_suite(name_or_path: str) -> Suite:
    """The suite in the package by that name, or in that file.

    Raises:
        ResidencyError: there is no such suite, or its file cannot be read.
        SeveralErrors: every line that is no item, and every id that is used twice.
    """
    file = suite_file(name_or_path)
    items: list[Item] = []
    mistakes: list[ResidencyError] = []
    lines: dict[str, int] = {}
    for row in read_jsonl(file, file.name):
        place = f"{file}:{row.source.row}"
        if row.content is None:
            mistakes.append(ResidencyError(f"The line cannot be read: {row.problem}.", place, "Mend it."))
            continue
        try:
            item = Item.model_validate(row.content)
        except ValidationError as error:
            mistakes += [_explain(dict(e), place) for e in error.errors()]
            continue
        if item.id in lines:
            what = f"The id '{item.id}' is that of line {lines[item.id]} too."
            mistakes.append(ResidencyError(what, place, "Give every item an id of its own."))
        lines[item.id] = row.source.row
        items.append(item)
    if mistakes:
        raise SeveralErrors(mistakes)
    if not items:
        raise ResidencyError("The suite has no items.", str(file), "Write one item a line.")
    return Suite(file.stem, tuple(items))


def load_suites(names: Sequence[str]) -> list[Suite]:
    """`load_suite` for each; rows are told apart by their suite's name.

    Raises:
        SeveralErrors: every mistake in every suite, and every name that two of them have.
    """
    suites: list[Suite] = []
    mistakes: list[ResidencyError] = []
    for name in names:
        try:
            suites.append(load_suite(name))
        except SeveralErrors as error:
            mistakes += error.errors
        except ResidencyError as error:
            mistakes.append(error)
        if suites and suites[-1].name in [suite.name for suite in suites[:-1]]:
            what = f"Two suites are called '{suites.pop().name}'."
            mistakes.append(ResidencyError(what, "regression.suites", "Rename one of the files."))
    if mistakes:
        raise SeveralErrors(mistakes)
    return suites


def _explain(error: Mapping[str, Any], place: str) -> ResidencyError:
    key = ".".join(str(part) for part in error["loc"])
    message = error["msg"][0].lower() + error["msg"][1:]
    if error["type"] == "extra_forbidden":
        return ResidencyError(f"There is no key {key} here.", place, "Take it out, or correct its name.")
    if not key:
        return ResidencyError(f"This is no item: {message}.", place, _FORM)
    given = "" if error["type"] == "missing" else f" = {json.dumps(error['input'], default=str)[:60]}"
    return ResidencyError(f"{key}{given} is not allowed: {message}.", place, _FORM)


_FORM = 'E.g. {"id": "a", "kind": "fact", "prompt": "2 + 2?", "answers": ["4"], "wrong": ["3"]}'
