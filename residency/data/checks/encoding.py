"""Damage done to characters on the way into the file: a tuned model would answer with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from residency.core.records import Example
from residency.data.checks.registry import row_check

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffd\ufffe\uffff\ud800-\udfff]")
_CONTROL_ASCII = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_TAIL = (
    "[\x80-\xbf\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d"
    "\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178]"
)
_TWICE = re.compile(
    f"[\xc2-\xdf]{_TAIL}|[\xe0-\xef]{_TAIL}{{2}}|[\xf0-\xf4]{_TAIL}{{3}}"
    "|\u221a[\u00b1\u00a9\u00ae\u2202\u2020\u00b0]|\u201a\u00c4|\u0432\u0402"
    "|[\u0420\u0421][\u0080-\u00bf\u0402-\u040f\u0452-\u045f\u2018-\u203a]"
)
"""Bytes of UTF-8 read as Latin-1 or Windows-1252; or, by their usual signs, as Mac Roman or Windows-1251."""

_ENTITY = re.compile(
    r"&(?:#\d{2,6}|#x[0-9a-fA-F]{2,6}|amp|lt|gt|quot|apos|nbsp|hellip|[mn]dash|[lr][sd]quo|euro|pound|trade|szlig|"
    r"[a-zA-Z](?:acute|grave|uml|circ|tilde|cedil|ring)|[oO]slash|aelig|AElig);"
)
_MARKUP = re.compile(r"</?[a-zA-Z][\w:-]*(?:\s[^<>]*)?/?>|<!--|<\?xml")

_QUOTED = re.compile(r"```.*?(?:```|$)|`[^`\n]*`|\"[^\"\n]*\"|(?<!\w)'[^'\n]*'(?!\w)", re.DOTALL)
_PATH = re.compile(r"(?<!\w)[A-Za-z]:\\\S*|\\\\\w\S*")
_CODE_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\r\\n|\\n\\n")
_BREAK = re.compile(
    r"(?<=[.!?:;,)\w])\\[nt](?![a-z])|(?<=[.!?:;,)])\\[nt](?=[a-z])"
    r"|(?<=\w)\\n(?=[a-z][^\\]* [^\\]*\w\\n[a-z])"
)
_COMMAND = re.compile(r"\\(?![nrtu\"'x/\\])")
_ABOUT_ESCAPES = re.compile(r"escap|new ?line|line break|regex|regular expr|backslash", re.IGNORECASE)


@row_check(
    "encoding",
    "warning",
    meaning="damaged characters. A tuned model learns to write them too.",
    fix="Read the source in its own encoding again, and undo the escapes; a right copy of the row is best.",
    suspicion=0.7,
)
def encoding(example: Example) -> str | None:
    """Wrongly decoded letters, control characters, HTML entities, escapes left in the text."""
    for turn in example.messages:
        arguments = [call.arguments for call in turn.tool_calls]
        for text in (turn.content, *_texts(arguments)) if arguments else (turn.content,):
            if damage := find_damage(text):
                where = "answer" if turn is example.messages[-1] else "input"
                return f"{where}: {damage}"
    return None


def _texts(value: Any) -> Iterator[str]:
    """The texts in a call's arguments, as they were before JSON escaped them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def find_damage(text: str) -> str | None:
    """What is damaged, of the first kind found."""
    if text.isascii():
        stray = None if text.isprintable() else _CONTROL_ASCII.search(text)
    else:
        if damage := _decoded_twice(text):
            return damage
        stray = _CONTROL.search(text)
    if stray:
        return _NAMES.get(stray.group(), f"the control character U+{ord(stray.group()):04X}")
    if "&" in text and (damage := _entity(text)):
        return damage
    return _escape(text) if "\\" in text else None


_NAMES = {
    "\ufffd": "U+FFFD, which stands for a character that was lost",
    "\ufeff": "a byte order mark, U+FEFF",
}


def _decoded_twice(text: str) -> str | None:
    found = _TWICE.search(text)
    if not found:
        return None
    from ftfy import fix_encoding

    mended = fix_encoding(text)
    differing = [right for wrong, right in zip(text, mended, strict=False) if wrong != right]
    return f"'{found.group()}' in the place of '{differing[0]}'" if differing else None


def _entity(text: str) -> str | None:
    found = _ENTITY.search(text)
    return f"the HTML entity {found.group()}" if found and not _MARKUP.search(text) else None


def _escape(text: str) -> str | None:
    """Escapes outside of quotes and code; paths, formulas and talk of escapes hold them rightly."""
    bare = _PATH.sub("", _QUOTED.sub("", text))
    if "\\" not in bare or _ABOUT_ESCAPES.search(bare):
        return None
    found = _CODE_ESCAPE.search(bare)
    if not found and not _COMMAND.search(bare):
        found = _BREAK.search(bare)
    return f"the escape {found.group()} as it is" if found else None
