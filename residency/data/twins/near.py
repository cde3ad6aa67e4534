"""Texts that are nearly the same: MinHash finds the pairs worth a look, their shared shingles decide.

A shingle is `GRAM` characters in a row. Two texts are as similar as the Jaccard index of their sets of
shingles; the chance that they share one value of a MinHash is just that (Broder 1997). Values in bands
(Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4) bring similar texts into one bucket.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from residency.data.duplicates import split_words
from residency.data.rows import BATCH, batches, hash_of
from residency.data.workers import spread

GRAM = 3
"""Characters a shingle: short questions of which a word is bent or left out still share most."""
COARSE = 5
"""Characters a shingle where candidates are looked for: texts about other things share next to none."""
PERMUTATIONS = 128
_MISSED = 0.01
"""The chance that a pair of just the similarity looked for meets in no bucket."""
_NEIGHBOURS = 50
"""In a bucket of many texts each is compared with so many after it, in the order of the alphabet."""
_PREFIX = 200
"""Characters of a text that are looked at to order it among many others."""
_BATCH = 1 << 14
_HALF = np.uint64(32)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)

_SAMPLE, _WINDOW, _SHARE, _LEAST = 1000, 32, 0.05, 20
"""Texts looked at for a template; it is a run of as many characters in this share of them, and in so many."""


class Near(NamedTuple):
    """Two texts by their places in what was given, the first before the second, and how similar they are."""

    one: int
    other: int
    similarity: float


class Sketches(NamedTuple):
    """What is held of each text."""

    values: NDArray[np.uint8]
    """The last byte of each value of its MinHash."""
    buckets: NDArray[np.uint32]
    """Of each text in each band; texts with different keys share none."""
    keys: NDArray[np.uint64]
    """Hash of what may not differ."""


def near_pairs(asked: Sequence[str], hashes: NDArray[np.uint64], threshold: float) -> list[Near]:
    """Pairs of rows that ask what is at least `threshold` similar, by what each asks as `words` has it.

    System prompts and numbers must be the same. What many of the texts have in common (a template that they
    are written into) is not compared. `hashes` are of the texts.
    """
    if not len(asked):
        return []
    sample = np.argsort(hashes)[:_SAMPLE].tolist()  # so that the order of the texts does not matter
    template = find_template([split_words(asked[place])[0] for place in sample])
    least = coarse_similarity(threshold)
    sketches = _sketch_all(asked, template, band_size(least))

    def bare(place: int) -> str:
        return _bare(split_words(asked[place])[0], template)

    order = _ranks(sketches.buckets, lambda place: (bare(place)[:_PREFIX], hashes[place]))
    found = []
    for i, j in _candidates(sketches, order, least):
        if (alike := similarity(bare(i), bare(j))) >= threshold:
            found.append(Near(i, j, alike))
    return found


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


def find_template(sample: Sequence[str]) -> re.Pattern[str] | None:
    """Pieces of text that many of a sample share, the longest first; None where there are none."""
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


def _bare(text: str, template: re.Pattern[str] | None) -> str:
    """The text but for the template; a text that is nothing else stays."""
    return text if template is None else " ".join(template.sub(" ", text).split()) or text


@lru_cache(maxsize=64)
def _grams(text: str) -> frozenset[str]:
    padded = f" {text} "
    return frozenset(padded[begin : begin + GRAM] for begin in range(max(1, len(padded) - GRAM + 1)))


def _sketch(asked: Sequence[str], template: re.Pattern[str] | None, size: int) -> Sketches:
    """The sketches of a batch of texts; bands have so many values."""
    from rensa import RMinHash

    parts = [split_words(words) for words in asked]
    keys = np.array([hash_of(key) for _, key in parts], np.uint64)
    hashes, offsets = _shingles([_bare(text, template) for text, _ in parts])
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, PERMUTATIONS, 0)
    flat = b"".join(array("Q", row) for row in matrix.to_rows())
    values = np.frombuffer(flat, np.uint64).reshape(-1, PERMUTATIONS)
    bucket = keys[:, None]
    for place in range(size):
        bucket = (bucket ^ values[:, place : PERMUTATIONS // size * size : size]) * _FACTOR
        bucket ^= bucket >> np.uint64(29)
    return Sketches((values & np.uint64(255)).astype(np.uint8), (bucket >> _HALF).astype(np.uint32), keys)


def _sketch_all(asked: Sequence[str], template: re.Pattern[str] | None, size: int) -> Sketches:
    """The sketches of all texts; buckets stand band by band."""
    count = len(asked)
    values = np.empty((count, PERMUTATIONS), np.uint8)
    buckets, keys = np.empty((PERMUTATIONS // size, count), np.uint32), np.empty(count, np.uint64)
    begin = 0
    for batch in spread(partial(_sketch, template=template, size=size), batches(asked, BATCH)):
        rows = slice(begin, begin := begin + len(batch.keys))
        values[rows], buckets[:, rows], keys[rows] = batch.values, batch.buckets.T, batch.keys
    return Sketches(values, buckets, keys)


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


def _ranks(buckets: NDArray[np.uint32], key: Callable[[int], Any]) -> NDArray[np.uint64]:
    """The order of the texts within a bucket: in one of many it is that of the alphabet, else any will do."""
    crowded = np.zeros(buckets.shape[-1], bool)
    for band in buckets:
        ordered = np.sort(band)
        many = ordered[_NEIGHBOURS + 1 :][ordered[_NEIGHBOURS + 1 :] == ordered[: -_NEIGHBOURS - 1]]
        if len(many):
            crowded |= np.isin(band, many)
    (places,) = np.nonzero(crowded)
    ranks = np.arange(len(crowded), dtype=np.uint64)
    ranks[sorted(places.tolist(), key=key)] = places
    return ranks


def _candidates(sketches: Sketches, ranks: NDArray[np.uint64], threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs of rows, i < j, that stand close in a bucket and look similar enough; each once, in order.

    Of a pair at the threshold the share of equal values is that less three standard deviations at least,
    but for one in 700.
    """
    values, buckets, keys = sketches
    least = threshold - 3 * (threshold * (1 - threshold) / PERMUTATIONS) ** 0.5
    place_of, count = np.argsort(ranks), len(values)
    pairs = [np.empty(0, np.int64)]
    for band in buckets:
        ordered = np.sort((band.astype(np.uint64) << _HALF) | ranks)  # faster than argsort
        sorted_band, order = ordered >> _HALF, place_of[ordered.astype(np.uint32)]
        for step in range(1, _NEIGHBOURS + 1):
            (shared,) = np.nonzero(sorted_band[step:] == sorted_band[:-step])
            if not len(shared):
                break
            for part in np.array_split(shared, -(-len(shared) // _BATCH)):
                one, other = order[part], order[part + step]
                alike = (values[one] == values[other]).mean(axis=1) >= least
                alike &= keys[one] == keys[other]
                one, other = one[alike], other[alike]
                pairs.append(np.minimum(one, other) * count + np.maximum(one, other))
    for pair in np.unique(np.concatenate(pairs)).tolist():
        yield divmod(pair, count)
