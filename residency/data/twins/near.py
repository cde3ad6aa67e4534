"""Texts that are nearly the same: MinHash finds the pairs worth a look, their shared shingles decide.

A shingle is `GRAM` characters in a row. Two texts are as similar as the Jaccard index of their sets of
shingles; the chance that they share one value of a MinHash is just that (Broder 1997). Values in bands
(Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4) bring similar texts into one bucket.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

GRAM = 3
"""Characters a shingle: short questions of which a word is bent or left out still share most."""
COARSE = 5
"""Characters a shingle where candidates are looked for: texts about other things share next to none."""
PERMUTATIONS = 128
_MISSED = 0.01
"""The chance that a pair of just the similarity looked for meets in no bucket."""
_NEIGHBOURS = 50
"""In a bucket of many texts each is compared with so many after it, in the order of the alphabet."""
_BATCH = 1024
_HALF = np.uint64(32)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)

_SAMPLE, _WINDOW, _SHARE, _LEAST = 1000, 32, 0.05, 20
"""Texts looked at for a template; it is a run of as many characters in this share of them, and in so many."""


class Near(NamedTuple):
    """Two texts by their places in what was given, the first before the second, and how similar they are."""

    one: int
    other: int
    similarity: float


def near_pairs(texts: Sequence[str], keys: Sequence[str], threshold: float) -> list[Near]:
    """Pairs of texts at least `threshold` similar, of those whose keys are the same.

    What many of the texts have in common (a template that they are written into) is not compared.
    """
    template = find_template(texts)
    bare = [_without(text, template) for text in texts] if template else texts
    order = sorted(range(len(texts)), key=keys.__getitem__)
    order.sort(key=bare.__getitem__)  # stable: of texts that are the same by their keys
    ordered = [bare[place] for place in order]
    least = coarse_similarity(threshold)
    sketches, buckets = _sketch(ordered, [keys[place] for place in order], least)
    found = []
    for i, j in _candidates(sketches, buckets, least):
        if keys[order[i]] == keys[order[j]] and (alike := similarity(ordered[i], ordered[j])) >= threshold:
            found.append(Near(min(order[i], order[j]), max(order[i], order[j]), alike))
    return sorted(found)


def similarity(one: str, other: str) -> float:
    """Jaccard index of the two texts' shingles, from 0 to 1."""
    first, second = _grams(one), _grams(other)
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def coarse_similarity(similarity: float) -> float:
    """The Jaccard index of coarse shingles, where single letters differ here and there.

    Each such letter takes `GRAM` shingles of one text away, and `COARSE` coarse ones: with a share d of
    either's shingles not in the other, the index is (1 - d) / (1 + d).
    """
    different = (1 - similarity) / (1 + similarity) * COARSE / GRAM
    return (1 - different) / (1 + different)


def find_template(texts: Sequence[str]) -> re.Pattern[str] | None:
    """Pieces of text that many rows share, the longest first; None where there are none.

    The rows looked at are chosen by hash, so that their order does not matter.
    """
    sample = heapq.nsmallest(_SAMPLE, texts, key=lambda text: (crc32(text.encode()), text))
    windows = Counter(window for text in sample for window in _windows(text))
    least = max(_LEAST, _SHARE * len(sample))
    shared = {window for window, count in windows.items() if count >= least}
    pieces = {piece for text in sample for piece in _runs(text, shared)} if shared else set()
    longest_first = sorted(pieces, key=lambda piece: (-len(piece), piece))
    return re.compile("|".join(map(re.escape, longest_first))) if pieces else None


def _windows(text: str) -> set[str]:
    return {text[begin : begin + _WINDOW] for begin in range(len(text) - _WINDOW + 1)}


def _runs(text: str, shared: set[str]) -> Iterator[str]:
    """The longest pieces of `text` all of whose windows are shared."""
    begin = None
    for place in range(len(text) - _WINDOW + 2):
        if text[place : place + _WINDOW] in shared:
            begin = place if begin is None else begin
        elif begin is not None:
            yield text[begin : place - 1 + _WINDOW]
            begin = None


def _without(text: str, template: re.Pattern[str]) -> str:
    """The text but for the template; a text that is nothing else stays."""
    return " ".join(template.sub(" ", text).split()) or text


@lru_cache(maxsize=256)
def _grams(text: str) -> frozenset[str]:
    padded = f" {text} "
    return frozenset(padded[begin : begin + GRAM] for begin in range(max(1, len(padded) - GRAM + 1)))


def _sketch(
    texts: Sequence[str], keys: Sequence[str], threshold: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """The last byte of each value of each text's MinHash, and for each band the texts' buckets.

    Texts with different keys share no bucket.
    """
    from rensa import RMinHash

    size = band_size(threshold)
    used = PERMUTATIONS // size * size
    sketches = np.empty((len(texts), PERMUTATIONS), np.uint8)
    buckets = np.empty((PERMUTATIONS // size, len(texts)), np.uint32)
    for begin in range(0, len(texts), _BATCH):
        rows = slice(begin, begin + _BATCH)
        hashes, offsets = _shingles(texts[rows])
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, PERMUTATIONS, 0)
        flat = chain.from_iterable(matrix.to_rows())
        values = np.fromiter(flat, np.uint64, matrix.len() * PERMUTATIONS).reshape(-1, PERMUTATIONS)
        sketches[rows] = values & np.uint64(255)
        bucket = np.array([crc32(key.encode()) for key in keys[rows]], np.uint64)[:, None]
        for place in range(size):
            bucket = (bucket ^ values[:, place:used:size]) * _FACTOR
            bucket ^= bucket >> np.uint64(29)
        buckets[:, rows] = (bucket >> _HALF).T
    return sketches, buckets


def band_size(threshold: float) -> int:
    """The most values a band with which hardly a pair at the threshold is missed."""
    sizes = range(PERMUTATIONS, 0, -1)
    return next((r for r in sizes if (1 - threshold**r) ** (PERMUTATIONS // r) <= _MISSED), 1)


def _shingles(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Hashes of the coarse shingles of one text after the other; where each text's begin, and the end."""
    padded = [f" {text} ".ljust(COARSE) for text in texts]
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    hashes = np.zeros(len(codes) - COARSE + 1, np.uint64)
    for place in range(COARSE):
        hashes = (hashes ^ codes[place : place + len(hashes)]) * _FACTOR
        hashes ^= hashes >> np.uint64(32)
    whole = np.ones(len(hashes), bool)
    whole[np.subtract.outer(lengths.cumsum()[:-1], np.arange(1, COARSE)).ravel()] = False
    offsets = np.concatenate(([0], (lengths - COARSE + 1).cumsum()))
    return hashes[whole], offsets.astype(np.uint64)


def _candidates(
    sketches: NDArray[np.uint8], buckets: NDArray[np.uint32], threshold: float
) -> Iterator[tuple[int, int]]:
    """Pairs of rows, i < j, that stand close in a bucket and look similar enough; each once, in order.

    Of a pair at the threshold the share of equal values is that less three standard deviations at least,
    but for one in 700.
    """
    count = len(sketches)
    places = np.arange(count, dtype=np.uint64)
    pairs = [np.empty(0, np.int64)]
    for band in buckets:
        ordered = np.sort((band.astype(np.uint64) << _HALF) | places)  # faster than argsort
        sorted_band, order = ordered >> _HALF, ordered.astype(np.uint32).astype(np.int64)
        for step in range(1, _NEIGHBOURS + 1):
            (shared,) = np.nonzero(sorted_band[step:] == sorted_band[:-step])
            if not len(shared):
                break
            pairs.append(order[shared] * count + order[shared + step])
    least = threshold - 3 * (threshold * (1 - threshold) / PERMUTATIONS) ** 0.5
    different = np.unique(np.concatenate(pairs))
    for begin in range(0, len(different), _BATCH):
        i, j = np.divmod(different[begin : begin + _BATCH], count)
        similar = (sketches[i] == sketches[j]).mean(axis=1) >= least
        yield from zip(i[similar].tolist(), j[similar].tolist(), strict=True)
