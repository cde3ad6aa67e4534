"""`json`: the same JSON value, however it is laid out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from residency.core.errors import ResidencyError
from residency.evals.scorers.json_schema import schema_fault
from residency.evals.scorers.registry import scorer
from residency.evals.scorers.score import EXPECTED, Score, quote

_FENCE = re.compile(r"(?ims)^```[ \t]*(?:json)?[ \t]*\r?\n(.*?)^[ \t]*```")
_LISTED_PATHS = 5
_ABSENT = object()


@scorer("json")
def json_fields(expected: str, got: str, *, answer_schema: Path | None) -> Score:
    """The value is the share of expected top-level keys that are right; deep equality passes.

    1 equals 1.0 and does not equal true. The answer may stand in one ```json fence, with words
    around it. Where the expected value is no object, the value is 1 or 0. Where there is a schema, an
    answer that is wrong in its form is told by what the schema says of it, first of all.

    Raises:
        ResidencyError: the expected answer is no JSON, or does not satisfy the schema.
    """
    try:
        wanted = _parse(expected)
    except _NotJSON as error:
        fix = "Write valid JSON, or set task.scorer to 'exact'."
        what = f"The expected answer is no JSON: {error}."
        raise ResidencyError(what, EXPECTED, fix) from None
    if answer_schema and (fault := schema_fault(answer_schema, expected)):
        what = f"The expected answer does not satisfy the schema: {fault}."
        raise ResidencyError(what, EXPECTED, "Correct the row, or scoring.answer_schema.")
    try:
        given = _parse(_unfenced(got))
    except _NotJSON as error:
        return Score(0.0, False, f"no JSON: {error}", _right_keys(wanted, None))
    fault = schema_fault(answer_schema, _unfenced(got)) if answer_schema else ""
    found = [*([f"schema: {fault}"] if fault else []), *_differences("", wanted, given)]
    parts = _right_keys(wanted, given)
    if not found:
        return Score(1.0, True, "", parts)
    value = sum(right for _, right in parts) / len(parts) if parts else 0.0
    more = [f"{len(found) - _LISTED_PATHS} more differences"] if len(found) > _LISTED_PATHS else []
    return Score(value, False, "; ".join(found[:_LISTED_PATHS] + more), parts)


def _right_keys(wanted: Any, given: Any) -> tuple[tuple[str, bool], ...]:
    """The expected top-level keys, each with whether it is right; nothing where no object is expected."""
    if not isinstance(wanted, dict):
        return ()
    values = given if isinstance(given, dict) else {}
    return tuple((key, not any(_differences("", wanted[key], values.get(key, _ABSENT)))) for key in wanted)


class _NotJSON(Exception):
    """The text is no JSON; says why."""


def _parse(text: str) -> Any:
    """The JSON value, numbers with a point as exact decimals."""
    try:
        return json.loads(
            text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats
        )
    except json.JSONDecodeError as error:
        where = f" at line {error.lineno}, column {error.colno}" if text.strip() else ""
        raise _NotJSON(f"{error.msg[0].lower()}{error.msg[1:]}{where}" if where else "it is empty") from None
    except RecursionError:
        raise _NotJSON("it is nested too deep") from None
    except (ValueError, InvalidOperation):
        raise _NotJSON("a number has too many digits") from None


def _refuse_constant(name: str) -> Any:
    raise _NotJSON(f"{name} is not a JSON value")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _NotJSON(f"the key {quote(twice)} is given twice")
    return values


def _unfenced(text: str) -> str:
    blocks = _FENCE.findall(text)
    return str(blocks[0]) if len(blocks) == 1 else text


def _differences(path: str, wanted: Any, given: Any) -> Iterator[str]:
    """Every place where the values differ, as `path: expected …, got …`."""
    if isinstance(wanted, dict) and isinstance(given, dict):
        for key in [*wanted, *(key for key in given if key not in wanted)]:
            inner = f"{path}.{key}" if path else key
            yield from _differences(inner, wanted.get(key, _ABSENT), given.get(key, _ABSENT))
    elif isinstance(wanted, list) and isinstance(given, list):
        if len(wanted) != len(given):
            yield f"{path or 'the list'}: expected {len(wanted)} items, got {len(given)}"
        for number, (a, b) in enumerate(zip(wanted, given, strict=False)):
            yield from _differences(f"{path}[{number}]", a, b)
    elif _kind(wanted) != _kind(given) or wanted != given:
        yield f"{path + ': ' if path else ''}expected {_show(wanted)}, got {_show(given)}"


def _kind(value: Any) -> type:
    """The JSON type; in Python True is 1, in JSON it is not."""
    return Decimal if isinstance(value, int) and not isinstance(value, bool) else type(value)


def _show(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return quote(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)
