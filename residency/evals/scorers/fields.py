"""`fields`: lines of the form `key: value`, in any order."""

from __future__ import annotations

import unicodedata

from residency.core.errors import ResidencyError
from residency.evals.scorers.registry import scorer
from residency.evals.scorers.score import EXPECTED, Score, differs, quote

_FIX = "Write each answer as lines of the form `key: value`, or set task.scorer to 'exact'."


@scorer("fields")
def fields(expected: str, got: str) -> Score:
    """The value is the share of expected fields that are right; all right and none unexpected passes.

    Keys and values are compared without regard to case, outer spaces and how a letter's marks are written
    (NFC). A field given twice with different values is wrong. Lines of the answer that hold no colon are
    not fields and count nothing.

    Raises:
        ResidencyError: the expected answer has no field, a line that is no field, or a field twice.
    """
    wanted = _expected_fields(expected)
    given: dict[str, list[str]] = {}
    for line in got.splitlines():
        if (field := _field(line)) is not None:
            given.setdefault(field[0], []).append(field[1])
    wrong = {}
    for key, text in wanted.items():
        answers = given.get(key, [])
        if not answers or any(answer.casefold() != text.casefold() for answer in answers):
            wrong[key] = differs(key, text, " and ".join(answers) if answers else None)
    extra = [f"unexpected field {quote(key)}" for key in given if key not in wanted]
    value = (len(wanted) - len(wrong)) / len(wanted)
    parts = tuple((key, key not in wrong) for key in wanted)
    return Score(value, not wrong and not extra, "; ".join([*wrong.values(), *extra]), parts)


def _field(line: str) -> tuple[str, str] | None:
    key, colon, value = unicodedata.normalize("NFC", line).partition(":")
    return (key.strip().casefold(), value.strip()) if colon and key.strip() else None


def _expected_fields(expected: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, expected.splitlines())):
        field = _field(line)
        if field is None:
            what = f"The expected answer's line {quote(line)} is not of the form 'key: value'."
            raise ResidencyError(what, EXPECTED, _FIX)
        if field[0] in found:
            what = f"The expected answer gives the field {quote(field[0])} twice."
            raise ResidencyError(what, EXPECTED, "Leave one of the two lines.")
        found[field[0]] = field[1]
    if not found:
        raise ResidencyError("The expected answer has no field.", EXPECTED, _FIX)
    return found
