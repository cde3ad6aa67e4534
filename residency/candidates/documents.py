"""Passages of a folder of documents, looked up for each row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from residency.candidates.shown import Passage, Shown
from residency.core.errors import ResidencyError
from residency.core.progress import say
from residency.core.records import Example
from residency.data.twins.nearest import Nearest, asked_text
from residency.models.vectors import Similarity

ENDINGS = (".jsonl", ".md", ".txt")
_LONGEST, _OVERLAP = 1200, 300
"""Characters of a passage at most, and of what it repeats of the one before."""
_DEPTH = 100
"""Passages of each ranking that are looked at."""
_DAMPING = 60
"""Cormack's k: how little the first places count above the next."""


def document_files(folder: Path) -> list[Path]:
    """The documents in the folder and the folders in it, by name."""
    return sorted(f for f in folder.rglob("*") if f.suffix.lower() in ENDINGS and f.is_file())


def require_documents(folder: Path) -> None:
    """Look for a document with a word, and no further than that.

    Raises:
        ResidencyError: there is none, or a document before it is not UTF-8, or not of its form.
    """
    if not any(re.search(r"\w", text) for file in document_files(folder) for _, text in _documents(file, "")):
        fix = f"Put files with text there that end in {', '.join(ENDINGS)}, or take the key out."
        raise ResidencyError("This folder holds no documents.", f"candidates.documents: {folder}", fix)


def read_passages(folder: Path) -> list[Passage]:
    """All documents in pieces, and tells of files without words.

    A line of a .jsonl file with a `text` is a document.

    Raises:
        ResidencyError: there is no document, or one is not UTF-8, or not of that form.
    """
    require_documents(folder)
    passages: list[Passage] = []
    silent: list[str] = []
    for file in document_files(folder):
        place = file.relative_to(folder).as_posix()
        found = [
            Passage(f"{name}#{number}", piece)
            for name, text in _documents(file, place)
            for number, piece in enumerate(cut(text), 1)
            if _words(piece)
        ]
        passages += found
        if not found:
            silent.append(place)
    if silent:
        say(
            f"  documents without words ({len(silent)}): {shorten(', '.join(silent), 80, placeholder=' ...')}"
        )
    return passages


def cut(text: str, longest: int = _LONGEST, overlap: int = _OVERLAP) -> list[str]:
    """Whole paragraphs up to `longest` characters; each piece begins with the end of the one before.

    What is repeated are whole paragraphs, `overlap` characters at most. A paragraph that is longer is cut
    between sentences, and a sentence that is longer where it must be.
    """
    pieces: list[list[str]] = []
    current: list[str] = []
    for part in _parts(text, longest):
        if current and _length([*current, part]) > longest:
            pieces.append(current)
            while current and (_length(current) > overlap or _length([*current, part]) > longest):
                current = current[1:]
        current = [*current, part]
    return ["\n\n".join(piece) for piece in [*pieces, current] if piece]


class NearestPassages:
    """The `k` passages that fit a row best: by BM25 and by cosine, their ranks fused.

    BM25: S. Robertson, H. Zaragoza, Foundations and Trends in IR 3 (2009) 333, as Lucene has it. Fusion:
    G. V. Cormack, C. L. A. Clarke, S. Buettcher, SIGIR 2009, p. 758.
    """

    def __init__(self, passages: Sequence[Passage], k: int, similarity: Similarity) -> None:
        from bm25s import BM25

        texts = [passage.text for passage in passages]
        self._passages, self._k = passages, k
        self._nearest = Nearest(texts, similarity)
        self._bm25: Any = BM25(method="lucene")
        self._bm25.index([_words(text) for text in texts], show_progress=False)

    def find(self, examples: Sequence[Example]) -> list[Shown]:
        """The passages of each row."""
        texts = [asked_text(example) for example in examples]
        by_cosine = self._nearest.find(texts, _DEPTH)
        found = []
        for text, near in zip(texts, by_cosine, strict=True):
            rankings = [self._by_bm25(text), [place for place, cosine in near if cosine > 0]]
            best = fuse(rankings)[: self._k]
            found.append(Shown(passages=tuple(self._passages[place] for place in reversed(best))))
        return found

    def _by_bm25(self, text: str) -> list[int]:
        known = [word for word in _words(text) if word in self._bm25.vocab_dict]
        if not known:
            return []
        scores = self._bm25.get_scores(known)
        order = np.argsort(-scores, kind="stable")[:_DEPTH]
        return [int(place) for place in order if scores[place] > 0]


def fuse(rankings: Sequence[Sequence[int]]) -> list[int]:
    """Reciprocal rank fusion: the sum of 1 / (60 + rank) over the rankings, the highest first."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, place in enumerate(ranking, 1):
            scores[place] = scores.get(place, 0.0) + 1 / (_DAMPING + rank)
    return sorted(scores, key=lambda place: (-scores[place], place))


def _documents(file: Path, name: str) -> Iterator[tuple[str, str]]:
    """Name and text of each document in the file."""
    try:
        content = file.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError):
        what = "The document cannot be read as UTF-8."
        raise ResidencyError(what, str(file), "Save it as UTF-8.") from None
    if file.suffix.lower() != ".jsonl":
        yield name, content
        return
    for number, line in enumerate(content.split("\n"), 1):  # a text may hold other marks that end lines
        if line.strip():
            yield f"{name}:{number}", _text_of(line, f"{file}:{number}")


def _text_of(line: str, place: str) -> str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str):
        fix = 'Write each line as {"text": "..."}.'
        raise ResidencyError("This line of a document is no JSON object with a text.", place, fix)
    return text


def _parts(text: str, longest: int) -> Iterator[str]:
    """Paragraphs, and of those that are too long sentences, and of those again pieces."""
    for paragraph in re.split(r"\n\s*\n", text):
        whole = paragraph.strip()
        sentences = [whole] if len(whole) <= longest else re.split(r"(?<=[.!?])\s+", whole)
        for sentence in sentences:
            yield from (sentence[at : at + longest] for at in range(0, len(sentence), longest))


def _length(parts: Sequence[str]) -> int:
    return sum(map(len, parts)) + 2 * (len(parts) - 1)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
