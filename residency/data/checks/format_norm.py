"""What most answers of a file share in their form, and in what an answer differs from that."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

from residency.data.checks.forms import NO_JSON, fields_of, form_of, json_fault, json_value
from residency.data.findings import plural
from residency.data.labels import is_short, labels_of

T = TypeVar("T")

CLEAR = 0.9
"""The share of answers that makes a habit: where fewer agree, the file has several forms on purpose."""
LEAST = 20
"""Answers from which on a habit can be told: of 20, two may differ."""
_FARTHEST = 4 * 1.4826
"""Four standard deviations of a normal distribution, in medians of absolute deviations."""

_NUMBER = re.compile(r"[-+]?[\d.,]*\d%?")
_NOTHING = frozenset({"", "-", "none", "null", "n/a", "unknown"})
_FORMS = {"fields": "lines of key: value", "list": "a list", "label": "a label"}
_TYPES = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True)
class Norm:
    """The habits of a file's answers; None or empty where no clear majority has one."""

    form: str | None
    labels: frozenset[str]
    """The common ones, where answers are labels."""
    valid: bool
    """Whether JSON can be parsed."""
    keys: tuple[str, ...] | None
    needed: frozenset[str]
    """Keys that nearly every answer has, where the whole of the keys varies."""
    types: Mapping[str, str]
    """Type of the value by key; of the whole value by the empty key."""
    lines: int | None
    lengths: tuple[float, float] | None
    """Characters at least and at most."""
    start: str | None
    ending: str | None
    blanks: tuple[str, str] | None


def majority(values: Iterable[T | None]) -> T | None:
    """The value that at least nine of ten share, None's not counted; None where there is none."""
    counts = Counter(value for value in values if value is not None)
    if counts.total() < LEAST:
        return None
    value, count = counts.most_common(1)[0]
    return value if count >= CLEAR * counts.total() else None


def learn(answers: Sequence[str]) -> Norm:
    """The habits of answers, e.g. of a sample of the file's."""
    form = majority(map(form_of, answers)) or majority(map(_fields_first, answers))
    labels: Counter[str] = (labels_of(answers) if form == "text" else None) or Counter()
    if labels:
        form = "label"
    texts = [answer.strip() for answer in answers if form is not None and _form(answer, form) == form]
    values = [_value(text, form) for text in texts]
    parsed = [value for value in values if value is not NO_JSON]
    objects = [value for value in parsed if isinstance(value, dict)]
    keys = majority(map(tuple, objects))
    prose = texts if form == "text" else []
    return Norm(
        form=form,
        labels=_common(labels),
        valid=majority(value is not NO_JSON for value in values) is True,
        keys=keys,
        needed=frozenset() if keys else _needed(objects),
        types=_types(parsed) if form in ("JSON", "fields") else {},
        lines=None if form == "label" else majority(map(_lines, texts)),
        lengths=None if form == "label" else _lengths(texts),
        start=majority(map(_start, prose)),
        ending=majority(map(_ending, prose)),
        blanks=majority(map(_blanks, answers)),
    )


def deviations(answer: str, norm: Norm) -> Iterator[tuple[str, str]]:
    """Every habit an answer breaks: the check's id, and what it does and what most do."""
    if norm.blanks is not None and (blanks := _blanks(answer)) != norm.blanks:
        yield "format-blanks", _against(_say_blanks(blanks), _say_blanks(norm.blanks))
    if norm.form is None or answer in norm.labels:
        return
    text = answer.strip()
    form = _form(text, norm.form, norm.labels)
    if form != norm.form:
        yield "format-kind", _against(_FORMS.get(form, form), _FORMS.get(norm.form, norm.form))
        return
    value = _value(text, form)
    if value is NO_JSON:
        if norm.valid:
            yield "format-json", f"no valid JSON: {json_fault(text)}; most rows: valid JSON"
        return
    told = list(_value_deviations(value, norm)) or list(_text_deviations(text, norm))
    yield from told


def _value_deviations(value: Any, norm: Norm) -> Iterator[tuple[str, str]]:
    wrong = [
        _typed(key, name, norm.types[key])
        for key, name in _type_names(value)
        if norm.types.get(key, name) != name
    ]
    if wrong:
        yield "format-types", "; ".join(wrong)
    if isinstance(value, dict):
        if norm.keys is not None and tuple(value) != norm.keys:
            yield "format-keys", f"keys {_listed(value)}; most rows: {_listed(norm.keys)}"
        elif missing := sorted(norm.needed - value.keys()):
            yield "format-keys", f"no {' and no '.join(missing)}; most rows have it"


def _text_deviations(text: str, norm: Norm) -> Iterator[tuple[str, str]]:
    if norm.lines is not None and (lines := _lines(text)) != norm.lines:
        yield "format-lines", _against(plural(lines, "line"), plural(norm.lines, "line"))
    if norm.lengths is not None and not norm.lengths[0] <= len(text) <= norm.lengths[1]:
        low, high = norm.lengths
        yield "format-length", _against(plural(len(text), "character"), f"{low:,.0f} to {high:,.0f}")
    if norm.start is not None and (start := _start(text)) not in (None, norm.start):
        yield "format-case", _against(f"begins in {start}", norm.start)
    if norm.ending is not None and (ending := _ending(text)) not in (None, norm.ending):
        yield "format-ending", _against(f"ends with {ending}", norm.ending)


def _form(text: str, usual: str, labels: frozenset[str] = frozenset()) -> str:
    """The form, in doubt the usual one: one line `key: value` is fields where others are."""
    form = form_of(text)
    if usual == "fields" and form == "text":
        return _fields_first(text)
    if usual == "label" and form == "text" and is_short(text):
        longest = max((len(label.split()) for label in labels), default=math.inf)
        return "label" if len(text.split()) <= longest else "text"
    return form


def _fields_first(answer: str) -> str:
    return "fields" if fields_of(answer) is not None else form_of(answer)


def _value(text: str, form: str | None) -> Any:
    if form == "fields":
        return {key: _read(value) for key, value in (fields_of(text) or {}).items()}
    return json_value(text) if form == "JSON" else None


def _read(value: str) -> str | float:
    """A field's value, which is a number where it looks like one; which number does not matter here."""
    return 0.0 if _NUMBER.fullmatch(value) else value


def _common(labels: Counter[str]) -> frozenset[str]:
    """Labels that are no slip: they repeat, and have a tenth of the commonest one's rows."""
    most = max(labels.values(), default=0)
    return frozenset(label for label, count in labels.items() if count > 1 and 10 * count >= most)


def _needed(objects: Sequence[dict[str, Any]]) -> frozenset[str]:
    """Keys that nine of ten objects have."""
    if len(objects) < LEAST:
        return frozenset()
    counts = Counter(key for value in objects for key in value)
    return frozenset(key for key, count in counts.items() if count >= CLEAR * len(objects))


def _types(values: Sequence[Any]) -> dict[str, str]:
    """The usual type by key."""
    names: dict[str, list[str]] = {}
    for value in values:
        for key, name in _type_names(value):
            names.setdefault(key, []).append(name)
    return {key: usual for key, found in names.items() if (usual := majority(found)) is not None}


def _type_names(value: Any) -> Iterator[tuple[str, str]]:
    """The type of a JSON value and of each value in it; one that is missing has none."""
    if value is None:
        return
    yield "", _TYPES[type(value)]
    if isinstance(value, dict):
        for key, inner in value.items():
            if inner is not None and (name := _type_name(inner)):
                yield key, name


def _type_name(value: Any) -> str | None:
    if isinstance(value, str) and value.casefold() in _NOTHING:
        return None
    return _TYPES[type(value)]


def _typed(key: str, name: str, usual: str) -> str:
    return _against(f"{key} is {name}" if key else name, usual)


def _lines(text: str) -> int:
    return text.count("\n") + 1


def _lengths(texts: Sequence[str]) -> tuple[float, float] | None:
    """Four robust standard deviations of the logarithm to either side, and at least a factor of five."""
    if len(texts) < LEAST:
        return None
    logs = [math.log(max(1, len(text))) for text in texts]
    middle = median(logs)
    reach = max(math.log(5), _FARTHEST * median(abs(log - middle) for log in logs))
    inside = sum(abs(log - middle) <= reach for log in logs)
    return (math.exp(middle - reach), math.exp(middle + reach)) if inside >= CLEAR * len(logs) else None


def _start(text: str) -> str | None:
    if not text[:1].isalpha():
        return None
    if text.isupper() and " " in text:
        return "capitals throughout"
    return "a capital letter" if text[0].isupper() else "a small letter" if text[0].islower() else None


def _ending(text: str) -> str | None:
    if text[-1:] in (".", "!", "?", "…", "。", "！", "？"):
        return "a full stop or the like"
    return "no full stop" if text[-1:].isalnum() else None


def _blanks(answer: str) -> tuple[str, str]:
    if not answer[:1].isspace() and not answer[-1:].isspace():
        return "", ""
    start, end = answer[: len(answer) - len(answer.lstrip())], answer[len(answer.rstrip()) :]
    return _name_blank(start), _name_blank(end)


def _name_blank(blank: str) -> str:
    return "" if not blank else "a line break" if "\n" in blank else "a blank"


def _say_blanks(blanks: tuple[str, str]) -> str:
    said = [f"{verb} with {name}" for verb, name in zip(("begins", "ends"), blanks, strict=True) if name]
    return " and ".join(said) or "no blank around it"


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(keys) or "none"


def _against(this: str, usual: str) -> str:
    return f"{this}; most rows: {usual}"
