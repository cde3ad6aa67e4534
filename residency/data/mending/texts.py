"""Mending a row's texts: pure functions that change what is certain and leave all else as it stands."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Mend = Callable[[str], str]
"""A text as it should be; the same text where nothing is to be done."""

CLEAR = 2 / 3
"""The share of the rows from which on a majority is clear enough to change the others."""

_LAYOUTS: dict[str, dict[str, Any]] = {
    "spaced": {"separators": (", ", ": ")},
    "compact": {"separators": (",", ":")},
    "indented by 2": {"indent": 2},
    "indented by 4": {"indent": 4},
}
_T = TypeVar("_T")


def clear_majority(counts: Mapping[_T, int]) -> _T | None:
    """What at least two thirds of all counted are, or None."""
    total = sum(counts.values())
    return next((key for key, count in counts.items() if count >= CLEAR * total), None)


def map_texts(content: Mapping[str, Any], columns: Iterable[str], mend: Mend) -> dict[str, Any]:
    """The row with `mend` applied to every text and number in these columns, however deep."""
    changed = {name: _map(content[name], mend) for name in columns if name in content}
    return {**content, **changed}


def replace_answer(content: Mapping[str, Any], columns: Sequence[str], old: str, new: str) -> dict[str, Any]:
    """The row with its answer replaced: the last text in these columns that is `old`."""
    changed = dict(content)
    for name in reversed(columns):
        if name in changed:
            value, found = _replace_last(changed[name], old, new)
            if found:
                return {**changed, name: value}
    return changed


def mend_encoding(text: str) -> str:
    """Text without the marks of a wrong decoding, where ftfy is certain how it came about.

    >>> mend_encoding("schÃ¶n")
    'schön'
    """
    if text.isascii():
        return text
    from ftfy import fix_encoding
    from ftfy.badness import is_bad

    mended = fix_encoding(text)
    return text if is_bad(mended) else mended


def mend_blanks(answers: Sequence[str]) -> Mend:
    """Blanks around an answer taken off, where a clear majority of the answers has none."""
    if clear_majority(Counter(answer == answer.strip() for answer in answers)):
        return str.strip
    return str


@dataclass(frozen=True)
class JsonForm:
    """How a clear majority of the answers that are JSON objects is written."""

    orders: Mapping[frozenset[str], tuple[str, ...]]
    """The order of the keys, by the keys that there are."""
    layout: str | None

    @staticmethod
    def of(answers: Iterable[str]) -> JsonForm:
        """The form of most of them; parts without a clear majority stay open."""
        orders: dict[frozenset[str], Counter[tuple[str, ...]]] = {}
        layouts: Counter[str | None] = Counter()
        for answer in answers:
            if found := _parse(answer.strip()):
                keys = tuple(found)
                orders.setdefault(frozenset(keys), Counter())[keys] += 1
                layouts[_layout(answer.strip(), found)] += 1
        majorities = {keys: clear_majority(counts) for keys, counts in orders.items()}
        clear = {keys: order for keys, order in majorities.items() if order is not None}
        return JsonForm(clear, clear_majority(layouts))

    def mend(self, text: str) -> str:
        """The answer in this form; another text, or one that holds more than its values, as it stands."""
        bare = text.strip()
        found = _parse(bare)
        if not found or not _only_spacing(bare, found):
            return text
        order = self.orders.get(frozenset(found), tuple(found))
        layout = self.layout or _layout(bare, found)
        if layout is None:
            return text
        written = _write({key: found[key] for key in order}, layout, ascii_only="\\u" in bare)
        start = text.index(bare)
        return text[:start] + written + text[start + len(bare) :]


def _parse(text: str) -> dict[str, Any] | None:
    """The object, or None where the text is none or has no keys."""
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _write(found: Mapping[str, Any], layout: str, *, ascii_only: bool) -> str:
    return json.dumps(found, ensure_ascii=ascii_only, **_LAYOUTS[layout])


def _layout(text: str, found: Mapping[str, Any]) -> str | None:
    ascii_only = "\\u" in text
    return next((name for name in _LAYOUTS if _write(found, name, ascii_only=ascii_only) == text), None)


def _only_spacing(text: str, found: Mapping[str, Any]) -> bool:
    """Whether writing it anew changes nothing but blanks: no key that stands twice, no 1.00."""
    written = _write(found, "compact", ascii_only="\\u" in text)
    return re.sub(r"\s", "", text) == re.sub(r"\s", "", written)


def _as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _map(value: Any, mend: Mend) -> Any:
    if isinstance(value, Mapping):
        return {key: _map(item, mend) for key, item in value.items()}
    if isinstance(value, list):
        return [_map(item, mend) for item in value]
    text = _as_text(value)
    if text is None or (mended := mend(text)) == text:
        return value
    return mended


def _replace_last(value: Any, old: str, new: str) -> tuple[Any, bool]:
    if isinstance(value, list | Mapping):
        keys: list[Any] = list(value) if isinstance(value, Mapping) else list(range(len(value)))
        for key in reversed(keys):
            item, found = _replace_last(value[key], old, new)
            if found:
                copy: Any = dict(value) if isinstance(value, Mapping) else list(value)
                copy[key] = item
                return copy, True
        return value, False
    return (new, True) if _as_text(value) == old else (value, False)
