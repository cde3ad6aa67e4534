"""Personal data and secrets replaced by what they are, e.g. `[EMAIL]`: for fixed files and for display."""

from __future__ import annotations

import re

from residency.data.checks.personal import find_personal_data
from residency.data.checks.secrets import find_secrets
from residency.data.checks.spans import Finder, Span, merge_overlaps

FINDERS: dict[str, Finder] = {"personal-data": find_personal_data, "secrets": find_secrets}
"""What finds the stretches of a text to replace, by the id of the check that goes by it."""


class Redaction:
    """Replaces what `find` finds in the texts of one row: the same value by the same placeholder.

    The first e-mail address of a row becomes `[EMAIL]`, another one `[EMAIL_2]`.
    """

    def __init__(self, find: Finder) -> None:
        self._find = find
        self._placeholders: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        """The text with placeholders; stretches that overlap are one."""
        parts, end = [], 0
        for span in merge_overlaps(self._find(text)):
            parts += [text[end : span.start], self._placeholder(span.kind, text[span.start : span.end])]
            end = span.end
        return "".join([*parts, text[end:]])

    def _placeholder(self, kind: str, value: str) -> str:
        known = self._placeholders.get((kind, value))
        if known is None:
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            name = re.sub(r"\W+", "_", kind.upper().replace("E-MAIL", "EMAIL"))
            known = f"[{name}]" if number == 1 else f"[{name}_{number}]"
            self._placeholders[kind, value] = known
        return known


def without_secrets(text: str) -> str:
    """The text as it may be shown: with placeholders for all that any of the checks finds."""
    return Redaction(_find_any)(text)


def _find_any(text: str) -> list[Span]:
    return [span for find in FINDERS.values() for span in find(text)]
