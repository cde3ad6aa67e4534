"""Reading a recipe: TOML, `--set` overrides, paths made absolute, all mistakes told at once."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from residency.core.errors import ResidencyError, SeveralErrors
from residency.core.recipe import PathField, Recipe


def load_recipe(file: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read `file`, apply `section.key=value` overrides and validate.

    Paths in the file are taken from the file's folder, paths in overrides from the current one.

    Raises:
        SeveralErrors: every mistake, each with file, key, what is wrong and what to write instead.
    """
    tables = _read_toml(file)
    _make_absolute(tables, file.resolve().parent)
    for override in overrides:
        _apply(tables, override)
    try:
        recipe = Recipe.model_validate(tables)
    except ValidationError as error:
        raise SeveralErrors([_explain(file, e) for e in error.errors()]) from None
    missing = [
        ResidencyError(
            f"There is no file {path}.",
            f"{file}: {'.'.join(key)}",
            "Correct the path, or put the file there.",
        )
        for key in path_keys()
        if (path := _value(recipe, key)) is not None and not path.is_file()
    ]
    if missing:
        raise SeveralErrors(missing)
    return recipe


def path_keys(model: type[BaseModel] = Recipe, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys whose values are paths, e.g. `("data", "train")`."""
    for name, field in model.model_fields.items():
        key = (*prefix, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from path_keys(field.annotation, key)
        elif Path in (field.annotation, *get_args(field.annotation)) or PathField in get_args(
            field.annotation
        ):
            yield key


def _value(recipe: Recipe, key: tuple[str, ...]) -> Any:
    value: Any = recipe
    for name in key:
        value = getattr(value, name)
    return value


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        fix = "Name the recipe's file, or make one: residency new my-task --from examples.jsonl"
        raise ResidencyError("There is no such recipe.", str(file), fix) from None
    except IsADirectoryError:
        fix = f"Name the file in it: {file / 'residency.toml'}"
        raise ResidencyError("This is a folder, not a recipe.", str(file), fix) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fix = 'Mend that place; strings need quotes, e.g. scorer = "exact".'
        raise ResidencyError(f"The recipe is not valid TOML: {error}.", str(file), fix) from None


def _make_absolute(tables: dict[str, Any], folder: Path) -> None:
    for section, key in path_keys():
        table = tables.get(section)
        if isinstance(table, dict) and isinstance(table.get(key), str):
            table[key] = str(folder / Path(table[key]).expanduser())


def _apply(tables: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    names = tuple(key.strip().split("."))
    if not equals or len(names) != 2 or not all(names):
        raise ResidencyError(
            "An override must read section.key=value.", f"--set {override}", "E.g. --set train.rank=8"
        )
    value = _parse_value(text)
    if names in set(path_keys()):
        value = str(Path(text).expanduser().absolute())
    table = tables.setdefault(names[0], {})
    if not isinstance(table, dict):
        raise ResidencyError(
            f"[{names[0]}] is not a section.", f"--set {override}", "E.g. --set train.rank=8"
        )
    table[names[1]] = value


def _parse_value(text: str) -> Any:
    """A TOML value where it is one, else the text itself, so that shells need no inner quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(file: Path, error: ErrorDetails) -> ResidencyError:
    key = ".".join(str(part) for part in error["loc"])
    given = json.dumps(error.get("input"), default=str)
    if error["type"] == "extra_forbidden":
        known = _known_keys(error["loc"][:-1])
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        fix = f"Did you mean {close[0]}?" if close else f"Known keys here: {', '.join(known)}."
        return ResidencyError(f"There is no key {key}.", f"{file}: {key}", fix)
    if error["type"] == "missing":
        return ResidencyError(f"The key {key} is missing.", f"{file}: {key}", _describe(error["loc"]))
    message = error["msg"][0].lower() + error["msg"][1:]
    return ResidencyError(
        f"{key} = {given} is not allowed: {message}.", f"{file}: {key}", _describe(error["loc"])
    )


def _known_keys(loc: Sequence[int | str]) -> list[str]:
    model: Any = Recipe
    for name in loc:
        model = model.model_fields[name].annotation
    return list(model.model_fields)


def _describe(loc: Sequence[int | str]) -> str:
    """What to write: the field's own description and default."""
    model: Any = Recipe
    for name in loc[:-1]:
        model = model.model_fields[name].annotation
    field = model.model_fields[loc[-1]]
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return f"Write a section [{loc[-1]}]. {field.annotation.__doc__}"
    default = "" if field.is_required() else f" Default: {json.dumps(field.default, default=str)}."
    return f"{field.description}{default}"
