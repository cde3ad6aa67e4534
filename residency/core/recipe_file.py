"""Reading a recipe: TOML, `--set` overrides, paths made absolute, all mistakes told at once."""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from residency.core.errors import ResidencyError, SeveralErrors
from residency.core.hub_name import HUB
from residency.core.recipe import Recipe, Section

_FOLLOWS = "default_factory_not_called"
"""What pydantic adds where a default depends on a key that is mistaken itself."""


def load_recipe(file: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read `file`, apply `section.key=value` overrides and validate.

    Paths in the file are taken from the file's folder, paths in overrides from the current one.

    Raises:
        SeveralErrors: every mistake, each with file, key, what is wrong and what to write instead.
    """
    tables = _read_toml(file)
    _make_absolute(tables, file.resolve().parent)
    return _validate(file, tables, overrides)


def default_recipe(examples: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe with all defaults for a file of examples, its task named after it, with overrides.

    Raises:
        SeveralErrors: as `load_recipe`.
    """
    name = re.sub(r"[^a-z0-9]+", "-", examples.name.partition(".")[0].lower()).strip("-")[:60]
    train = _absolute(str(examples), Path.cwd())
    return _validate(examples, {"data": {"train": train}, "task": {"name": name or "task"}}, overrides)


def _validate(file: Path, tables: dict[str, Any], overrides: Sequence[str]) -> Recipe:
    mistakes: list[ResidencyError] = []
    for override in overrides:
        try:
            _apply(tables, override)
        except ResidencyError as error:
            mistakes.append(error)
    recipe = None
    try:
        recipe = Recipe.model_validate(tables)
    except ValidationError as error:
        places = _Places(file, overrides)
        mistakes += [_explain(places, e) for e in _own(error.errors())]
    mistakes += _missing_files(_Places(file, overrides), tables)
    if recipe is None or mistakes:
        raise SeveralErrors(mistakes)
    return recipe


def _own(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Those that no other one brings about: a list is not also too short without the items refused."""
    within = {error["loc"][:-1] for error in errors}
    follows = [e["type"] == _FOLLOWS or (e["type"] == "too_short" and e["loc"] in within) for e in errors]
    return [error for error, led in zip(errors, follows, strict=True) if not led]


@dataclass(frozen=True)
class _Places:
    """Where a key was given: in the file, or by an override."""

    file: Path
    overrides: Sequence[str]

    def of(self, key: str) -> str:
        """The place as the user knows it."""
        given = [o for o in self.overrides if o.partition("=")[0].strip() == key]
        return f"--set {given[-1]}" if given else f"{self.file}: {key}"


def path_keys(model: type[BaseModel] = Recipe, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys whose values are paths, e.g. `("data", "train")`."""
    for name, field in model.model_fields.items():
        key = (*prefix, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from path_keys(field.annotation, key)
        elif Path in _types(field.annotation):
            yield key


def _types(annotation: Any) -> Iterator[Any]:
    """The plain types that an annotation is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _types(part)


def _missing_files(places: _Places, tables: Mapping[str, Any]) -> list[ResidencyError]:
    """A mistake for each path that leads to nothing; read from the tables, which may be invalid."""
    mistakes = []
    for section, key in path_keys():
        table = tables.get(section)
        path = table.get(key) if isinstance(table, dict) else None
        wants_folder = (section, key) == ("candidates", "documents")
        if not isinstance(path, str) or (Path(path).is_file() and not wants_folder):
            continue
        folder = Path(path).is_dir()
        if folder and (wants_folder or section == "data"):
            continue
        if section == "data" and path.startswith(HUB):
            continue
        if wants_folder:
            what, fix = f"There is no folder {path}.", "Name the folder that holds the documents."
            mistakes.append(ResidencyError(what, places.of(f"{section}.{key}"), fix))
            continue
        what = f"{path} is a folder, not a file." if folder else f"There is no file {path}."
        fix = "Name the file in it." if folder else "Correct the path, or put the file there."
        mistakes.append(ResidencyError(what, places.of(f"{section}.{key}"), fix))
    return mistakes


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        fix = "Name the recipe's file, or make one: residency new my-task --from examples.jsonl"
        raise ResidencyError("There is no such recipe.", str(file), fix) from None
    except IsADirectoryError:
        fix = f"Name the file in it: {file / 'residency.toml'}"
        raise ResidencyError("This is a folder, not a recipe.", str(file), fix) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fix = 'Mend that place; strings need quotes, e.g. scorer = "exact".'
        raise ResidencyError(f"The recipe is not valid TOML: {error}.", str(file), fix) from None
    except OSError as error:
        fix = "Correct the path or the file's rights."
        raise ResidencyError(f"The recipe cannot be read: {error.strerror}.", str(file), fix) from None


def _make_absolute(tables: dict[str, Any], folder: Path) -> None:
    for section, key in path_keys():
        table = tables.get(section)
        if isinstance(table, dict) and isinstance(table.get(key), str):
            table[key] = _absolute(table[key], folder)
    base, task, regression = (tables.get(name) for name in ("base", "task", "regression"))
    if isinstance(base, dict):
        _find_base(base, folder)
    if isinstance(task, dict):
        _find_own_scorer(task, folder)
    if isinstance(regression, dict) and isinstance(regression.get("suites"), list):
        regression["suites"] = [_find_suite(name, folder) for name in regression["suites"]]


def _find_suite(name: Any, folder: Path) -> Any:
    """A suite that is a file is named from `folder`, like any path; else it is one in the package."""
    if isinstance(name, str) and (file := folder / os.path.expanduser(name)).is_file():
        return str(file)
    return name


def _apply(tables: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    names = tuple(key.strip().split("."))
    if not equals or len(names) != 2 or not all(names):
        raise ResidencyError(
            "An override must read section.key=value.", f"--set {override}", "E.g. --set train.rank=8"
        )
    value = _parse_value(text)
    if not isinstance(value, str) and _takes_text(names):
        value = text
    if names in set(path_keys()):
        value = _absolute(value, Path.cwd())
    table = tables.setdefault(names[0], {})
    if not isinstance(table, dict):
        raise ResidencyError(
            f"[{names[0]}] is not a section.", f"--set {override}", "E.g. --set train.rank=8"
        )
    table[names[1]] = value
    if names == ("base", "model"):
        _find_base(table, Path.cwd())
    if names == ("task", "scorer"):
        _find_own_scorer(table, Path.cwd())


def _absolute(path: str, folder: Path) -> str:
    """A path as seen from `folder`; a dataset on the hub has no place."""
    return path if path.startswith(HUB) else str(folder / os.path.expanduser(path))


def _find_base(table: dict[str, Any], folder: Path) -> None:
    """A base that is a folder is named from `folder`, like any path; else it is a hub's name."""
    model = table.get("model")
    if isinstance(model, str) and model and (path := folder / os.path.expanduser(model)).is_dir():
        table["model"] = str(path)


def _find_own_scorer(table: dict[str, Any], folder: Path) -> None:
    """A scorer of the user's own, `my_file.py:function`, is named from `folder`, like any path."""
    scorer = table.get("scorer")
    if isinstance(scorer, str) and ".py:" in scorer:
        table["scorer"] = str(folder / os.path.expanduser(scorer))


def _parse_value(text: str) -> Any:
    """A TOML value where it is one, else the text itself, so that shells need no inner quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _takes_text(names: tuple[str, ...]) -> bool:
    """Whether the key's value is a text or a path, so that 42 is the text '42'."""
    model: Any = Recipe
    for name in names[:-1]:
        field = model.model_fields.get(name)
        model = field.annotation if field else Section
    option = model.model_fields.get(names[-1])
    annotation = option.annotation if option else None
    choices = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return str in choices or names in set(path_keys())


def _explain(places: _Places, error: ErrorDetails) -> ResidencyError:
    names = _declared(error["loc"])
    key = ".".join(names)
    secret = error["type"] == "may_be_secret"
    place = f"{places.file}: {key}" if secret else places.of(key)
    if len(names) > 2:
        place += "".join(f", table {part + 1}" for part in error["loc"] if isinstance(part, int))
    given = "..." if secret else json.dumps(error.get("input"), default=str)
    if error["type"] == "extra_forbidden":
        known = _known_keys(names[:-1])
        close = difflib.get_close_matches(names[-1], known, n=1)
        fix = f"Did you mean {close[0]}?" if close else f"Known keys here: {', '.join(known)}."
        return ResidencyError(f"There is no key {key}.", place, fix)
    if error["type"] == "missing" and names[-1:] == error["loc"][-1:]:
        return ResidencyError(f"The key {key} is missing.", place, _describe(names))
    if error["type"] == "model_type":
        return ResidencyError(f"{key} = {given} is not a section.", place, _describe(names))
    message = error["msg"][0].lower() + error["msg"][1:]
    fix = error.get("ctx", {}).get("fix") or _describe(names)
    return ResidencyError(f"{key} = {given} is not allowed: {message}.", place, fix)


def _declared(place: Sequence[str | int]) -> tuple[str, ...]:
    """The key of the recipe that the place lies in: what stands within lists and tables is its value.

    A table of a list of sections has keys of its own.
    """
    section: type[BaseModel] | None = Recipe
    names: list[str] = []
    for name in place:
        if isinstance(name, int):
            continue
        if section is None:
            break
        names.append(name)
        field = section.model_fields.get(name)
        section = _section_of(field) if field else None
    return tuple(names)


def default_of(field: FieldInfo) -> Any:
    """A key's default; where it depends on other keys, that of their defaults."""
    return field.get_default(call_default_factory=True, validated_data={})


def _known_keys(names: Sequence[str]) -> list[str]:
    return list(_section(names).model_fields)


def _section(names: Sequence[str]) -> type[BaseModel]:
    """The section at `names`, or the one of which they name a list."""
    section: type[BaseModel] | None = Recipe
    for name in names:
        section = _section_of(section.model_fields[name]) if section else None
    assert section is not None
    return section


def _section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section that the field holds, or holds a list of."""
    sections = (t for t in _types(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel))
    return next(sections, None)


def _describe(names: Sequence[str]) -> str:
    """What to write: the field's own description and default."""
    field = _section(names[:-1]).model_fields[names[-1]]
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return f"Write a section [{names[-1]}]. {field.annotation.__doc__}"
    default = "" if field.is_required() else f" Default: {json.dumps(default_of(field), default=str)}."
    return f"{field.description}{default}"
