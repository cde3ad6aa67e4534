"""What a training row teaches of a failure: the wrong answer that was given, or the one wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rapidfuzz.distance.Levenshtein import normalized_similarity

from residency.data.checks.forms import fields_of, form_of, json_value

_ABSENT = object()


class Teaching(NamedTuple):
    """On which side of a failure a row stands; on neither where it says little of it."""

    wrong: bool
    right: bool
    fields: tuple[str, ...] = ()
    """Where answers are fields: those in which it has the wrong value that was given."""


def teaching(answer: str, wanted: str, given: str, are_labels: bool) -> Teaching:
    """What a row with this `answer` teaches of a failure.

    A label teaches itself. Of answers in fields, lines `key: value` or a JSON object, those count that were
    answered wrongly: a row teaches the wrong answer where one of them is as it was given, missing included,
    and the right one where all are as they are wanted. Of other texts it teaches that of the two with which
    it is the closest pair of the three, by Levenshtein's distance over the longer text's length: every row
    is a little nearer to one of them, however unlike both.
    """
    answer, wanted, given = answer.strip(), wanted.strip(), given.strip()
    if are_labels:
        return Teaching(answer == given, answer == wanted)
    own, right, got = map(answer_fields, (answer, wanted, given))
    failed = [key for key in right if got.get(key, _ABSENT) != right[key]]
    if own and got and failed:
        wrong = tuple(key for key in failed if own.get(key, _ABSENT) == got.get(key, _ABSENT))
        return Teaching(bool(wrong), all(own.get(key, _ABSENT) == right[key] for key in failed), wrong)
    to_given, to_wanted = normalized_similarity(answer, given), normalized_similarity(answer, wanted)
    apart = normalized_similarity(wanted, given)
    return Teaching(to_given > max(to_wanted, apart), to_wanted > max(to_given, apart))


def answer_fields(answer: str) -> Mapping[str, Any]:
    """The fields of an answer that is a JSON object or lines `key: value`; none of another one."""
    value = json_value(answer)
    if isinstance(value, dict):
        return value
    return (fields_of(answer) or {}) if form_of(answer) == "fields" else {}
