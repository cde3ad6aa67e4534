"""Counting the tokens of texts word by word, with tokenizers that never join a space to what is before it.

Texts of one file repeat their words, so nearly all of them have been counted before. The tokenizers meant are
those of byte-level BPE: they cut a text by a regular expression first, and nothing they find reaches from a
character into a space behind it. Cut there by us, each piece gives the tokens that it gives in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers.models import BPE

from residency.chat.template import Template

_GAP = re.compile(r"\s\s")
"""White space that expressions look ahead in."""
_CUT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_KNOWN = tuple(_CUT.replace("DIGITS", digits) for digits in (r"\p{N}{1,3}", r"\p{N}"))
"""The expressions of Llama 3 and of Qwen 2 and 3."""
_KEPT = 1 << 17
"""Words kept with their counts, some 20 MB."""


class WordCounts:
    """How many tokens texts have."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._by_word = _cuts_before_spaces(template)
        self._first: dict[str, int] = {}
        """Tokens of a text up to its first space."""
        self._later: dict[str, int] = {}
        """Tokens of a word with a space before it."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text."""
        if not self._by_word:
            return self._encoded(texts)
        counts = [self._told(text) for text in texts]
        left = [place for place, count in enumerate(counts) if count is None]
        self._learn(texts[place] for place in left)
        for place in left:
            counts[place] = self._told(texts[place])
        whole = [place for place in left if counts[place] is None]
        found = dict(zip(whole, self._encoded([texts[place] for place in whole]), strict=True))
        return [found[place] if count is None else count for place, count in enumerate(counts)]

    def _told(self, text: str) -> int | None:
        """The sum over words that are known; None where one is not, or the text cannot be cut."""
        first, *later = text.split(" ")
        try:
            count = self._first[first] + sum(map(self._later.__getitem__, later))
        except KeyError:
            return None
        return None if _GAP.search(text) else count

    def _learn(self, texts: Iterable[str]) -> None:
        """Count the words of these texts that are not known."""
        if len(self._first) + len(self._later) > _KEPT:
            self._first, self._later = {}, {}
        firsts: set[str] = set()
        others: set[str] = set()
        for text in texts:
            first, *later = text.split(" ")
            firsts.add(first)
            others.update(later)
        new = sorted(firsts.difference(self._first))
        self._first.update(zip(new, self._encoded(new), strict=True))
        new = sorted(others.difference(self._later))
        self._later.update(zip(new, self._encoded([f" {word}" for word in new]), strict=True))

    def _encoded(self, texts: Sequence[str]) -> list[int]:
        return [len(encoding) for encoding in self._template.encode_fast(texts)]


def _cuts_before_spaces(template: Template) -> bool:
    """Whether a single space in a text is always the first character of what the tokenizer cuts out."""
    backend = template.tokenizer.backend_tokenizer
    added = backend.get_added_tokens_decoder().values()
    if any(token.lstrip or token.rstrip or re.search(r"\s", token.content) for token in added):
        return False
    normalizer = _settings(backend.normalizer)
    if normalizer not in ({}, {"type": "NFC"}):  # in NFC nothing is joined with a space
        return False
    if not isinstance(backend.model, BPE) or backend.model.dropout:
        return False
    return _is_known(_settings(backend.pre_tokenizer))


def _settings(part: Any) -> dict[str, Any]:
    """A part of a tokenizer as tokenizer.json has it; empty where there is no such part."""
    settings: dict[str, Any] = {} if part is None else json.loads(part.__getstate__())
    return settings


def _is_known(cutter: Mapping[str, Any]) -> bool:
    """GPT-2's own expression, which `ByteLevel` has in it, or one of those above in front of it."""
    *before, last = cutter.get("pretokenizers") or [cutter]
    if last.get("type") != "ByteLevel" or last["add_prefix_space"]:
        return False
    splits = [one for one in before if one["type"] != "Digits"]
    known = all(one["type"] == "Split" and _isolates(one) for one in splits)
    return known and bool(splits or last["use_regex"])


def _isolates(split: Mapping[str, Any]) -> bool:
    whole = split["behavior"] == "Isolated" and not split["invert"]
    return whole and split["pattern"].get("Regex") in _KNOWN
