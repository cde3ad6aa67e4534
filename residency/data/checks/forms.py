"""What form an answer has. All functions are pure."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

Form = Literal["JSON", "fields", "list", "code", "text"]

NO_JSON = object()
"""What `json_value` gives for a text that is no JSON; None is JSON's null."""

_BULLET = re.compile(r"^[ \t]*(?:[-*•–]|\d{1,3}[.)])[ \t]+\S", re.MULTILINE)
_CODE = re.compile(
    r"```|#!|#include\b|<\?php|<!DOCTYPE\b|(?:async )?def \w+\(|class \w+[:({]|import \w+[\w.]*(?:;|$)"
    r"|from [\w.]+ import |(?:const|let|var) \w+ ?=|function \w*\(|public (?:class|static)\b"
    r"|(?:SELECT|INSERT INTO|UPDATE|CREATE TABLE)\b.*(?:\bFROM\b|\bVALUES\b|\bSET\b|\()",
    re.MULTILINE,
)


def form_of(answer: str) -> Form:
    """The form an answer has at first sight: broken JSON is JSON still; one line `key: value` is text."""
    text = answer.strip()
    if text[:1] in ("{", "[") and (text[-1] in "}]" or text[1:].lstrip()[:1] in ('"', "{")):
        return "JSON"
    if _CODE.match(text):
        return "code"
    if "\n" in text:
        if fields_of(text) is not None:
            return "fields"
        if (bullets := len(_BULLET.findall(text))) > 1 and 2 * bullets >= text.count("\n") + 1:
            return "list"
    return "text"


def json_value(text: str) -> Any:
    """The JSON value, or `NO_JSON`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return NO_JSON


def fields_of(text: str) -> dict[str, str] | None:
    """The fields of a text whose every line is `key: value`, or None; no key may stand there twice."""
    fields: dict[str, str] = {}
    for line in filter(str.strip, text.splitlines()):
        key, colon, value = line.partition(":")
        if not colon or not 0 < len(key := key.strip()) < 40:
            return None
        if key in fields:
            return None
        fields[key] = value.strip()
    return fields if fields and len({key.casefold() for key in fields}) == len(fields) else None


def json_fault(text: str) -> str:
    """What keeps a text from being JSON, and where."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"{error.msg[0].lower()}{error.msg[1:]} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        return "it is nested too deep"
    except ValueError:
        return "a number has too many digits"
    return ""
