"""Whether a text says anything: not empty, not a row of signs, not the same words over and over.

A fluent sentence that has nothing to do with the request is not found: that would take a language model.
The limits were set on the development half of the labelled answers in the tests.
"""

from __future__ import annotations

import re
import zlib

_TOKEN = re.compile(r"\S+")
_MARK = re.compile(r"\(?\w{1,2}[.)]")
_CONTROL = re.compile(r"</?\w+>|<\|\w+\|>")
_LATIN = re.compile(r"[A-Za-z]{2,}")
_VOWEL = re.compile(r"[aeiouyAEIOUY]")
_JAM = re.compile(r"[bcdfghjklmnpqrstvwxz]{4}", re.IGNORECASE)
_NOT_A_WORD = re.compile(r"[^\W\d_]\d|\d[^\W\d_]|[^\W\d_][^\w\s'’.,;:!?()\"”/&*`-]+|^[^\w\s]+$")
_MANY = 8
"""Words from which on it shows that they repeat."""


def is_incoherent(text: str) -> bool:
    """Whether the text is empty, made of signs, or repeats itself without end."""
    stripped = text.strip()
    if not any(c.isalnum() for c in stripped):
        return True
    without_control = _CONTROL.sub("", stripped)
    if len(without_control.strip()) < len(stripped) / 2:
        return True
    words = _TOKEN.findall(without_control)
    return repeats(stripped, words) or _is_soup(words) or _is_marks(words)


def repeats(text: str, words: list[str]) -> bool:
    """Whether few different words make up the text, or it shrinks as only repeated text does.

    Prose of a few sentences keeps at least half its bytes under zlib, and more the shorter it is.
    """
    if len(words) >= _MANY and len({word.casefold() for word in words}) <= len(words) * 0.34:
        return True
    data = text.encode("utf-8", "surrogatepass")
    return len(data) >= 40 and len(zlib.compress(data, 9)) < len(data) * _least_share(len(data))


def _least_share(size: int) -> float:
    """The share of bytes that sensible text keeps: lists and tables of some length keep a fifth."""
    return 0.5 if size < 200 else 0.2


def _is_soup(words: list[str]) -> bool:
    """Whether most words could not be words: no vowel, or letters mixed with digits and signs."""
    if len(words) < 5:
        return False
    odd = [word for word in words if _NOT_A_WORD.search(word) or _is_unspeakable(word)]
    return len(odd) > len(words) * 0.5


def _is_unspeakable(word: str) -> bool:
    """Latin letters without a vowel, or four consonants in a row; abbreviations in capitals are neither.

    Some words of any language have as many, but not most of a text's.
    """
    latin = _LATIN.fullmatch(word.strip(".,;:!?"))
    return bool(latin) and not word.isupper() and (not _VOWEL.search(word) or bool(_JAM.search(word)))


def _is_marks(words: list[str]) -> bool:
    """Whether a list has its numbers and nothing behind them."""
    return len(words) >= _MANY and sum(bool(_MARK.fullmatch(w)) for w in words) > len(words) * 0.8
