"""Twins: rows whose inputs are nearly the same, found over all files at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from residency.data.duplicates import same_words
from residency.data.findings import Finding, Flag, plural
from residency.data.rows import Rows, hex_of
from residency.data.twins.near import near_pairs


class Twins(NamedTuple):
    """Two wordings that are nearly the same, the lesser hash first, and how similar they are."""

    one: str
    other: str
    similarity: float


def find_twins(rows: Rows, threshold: float) -> tuple[Twins, ...]:
    """All pairs of different wordings among the rows that are at least `threshold` similar."""
    wordings, first = np.unique(rows.table["wording"], return_index=True)
    order = np.argsort(first)  # as the words stand on the disk
    return find_among(wordings[order], rows.words.take(first[order]), threshold)


def find_twin_words(texts: Mapping[str, str], threshold: float) -> tuple[Twins, ...]:
    """Twins among wordings, given with the words of each."""
    wordings = np.fromiter((int(wording, 16) for wording in texts), np.uint64, len(texts))
    return find_among(wordings, list(texts.values()), threshold)


def find_among(wordings: NDArray[np.uint64], asked: Sequence[str], threshold: float) -> tuple[Twins, ...]:
    """Twins among wordings, given with the words of each in the same order."""
    if threshold >= 1:
        return ()
    found = []
    for i, j, alike in near_pairs(asked, wordings, threshold):
        one, other = sorted((int(wordings[i]), int(wordings[j])))
        found.append(Twins(hex_of(one), hex_of(other), alike))
    return tuple(sorted(found))


def neighbours(twins: Iterable[Twins]) -> dict[str, list[tuple[float, str]]]:
    """Of each wording that has twins: how similar each one is, and which; the most similar first."""
    found: dict[str, list[tuple[float, str]]] = {}
    for one, other, alike in twins:
        found.setdefault(one, []).append((alike, other))
        found.setdefault(other, []).append((alike, one))
    for near in found.values():
        near.sort(key=lambda pair: (-pair[0], pair[1]))
    return found


def near_hashes(twins: Iterable[Twins]) -> dict[int, list[tuple[float, int]]]:
    """`neighbours` by the numbers that tables of rows hold."""
    found = neighbours(twins)
    return {int(one, 16): [(alike, int(other, 16)) for alike, other in near] for one, near in found.items()}


def near_findings(files: Iterable[Rows], twins: Sequence[Twins]) -> list[Finding]:
    """Near duplicates and near conflicts within each file: in the same words, or nearly so."""
    near = near_hashes(twins)
    repeats: list[Flag] = []
    conflicts: list[Flag] = []
    for rows in files:
        among = _Alike(rows, near)
        asked: set[int] = set()
        for place in among.places:
            if among.input_id[place] not in asked:
                asked.add(among.input_id[place])
                repeats += islice(among.earlier(place), 1)
            conflicts += islice(among.contradicting(place), 1)
    findings = []
    if repeats:
        what = (
            f"{plural(len(repeats), 'row', 'asks')} nearly what an earlier row of the same file asks: kept, "
            "and on the same side of the split."
        )
        fix = "Remove them, unless the differences matter."
        findings.append(Finding("near-duplicate", "warning", what, tuple(repeats), fix))
    if conflicts:
        what = (
            f"{plural(len(conflicts), 'row', 'asks')} nearly what another row of the same file asks, and the "
            "answers differ: kept."
        )
        fix = "Look at the most similar ones first: where both ask the same, decide which answer is right."
        findings.append(Finding("near-conflict", "warning", what, tuple(conflicts), fix))
    return findings


def told(similarity: float) -> str:
    """A similarity, in words."""
    return f"{100 * similarity:.0f} % similar"


class _Alike:
    """The rows of a file that ask the same as another row or nearly so, by place."""

    def __init__(self, rows: Rows, near: Mapping[int, Sequence[tuple[float, int]]]) -> None:
        wordings = rows.table["wording"]
        _, number, times = np.unique(wordings, return_inverse=True, return_counts=True)
        twins = np.fromiter(near, np.uint64, len(near))
        found = np.flatnonzero((times[number] > 1) | np.isin(wordings, twins))
        self.places: list[int] = found.tolist()
        self.input_id = dict(zip(self.places, rows.table["input_id"][found].tolist(), strict=True))
        self._wording = dict(zip(self.places, wordings[found].tolist(), strict=True))
        self._groups: dict[int, list[int]] = {}
        for place, wording in self._wording.items():
            self._groups.setdefault(wording, []).append(place)
        self._rows, self._near = rows, near

    def earlier(self, place: int) -> Iterator[Flag]:
        """The rows before this one that ask nearly the same, told by the first row of each wording."""
        source, wording = self._rows.source(place), self._wording[place]
        first = self._groups[wording][0]
        if first != place:
            yield Flag(source, "in the same words", self._rows.source(first), suspicion=0.2)
            return
        for alike, other_wording in self._near.get(wording, ()):
            for other in map(self._rows.source, self._groups.get(other_wording, ())[:1]):
                if other.row < source.row:
                    yield Flag(source, told(alike), other, suspicion=0.2)

    def contradicting(self, place: int) -> Iterator[Flag]:
        """The rows that ask nearly the same, or the same in other case or punctuation, and answer otherwise.

        Plain text asks nothing.
        """
        rows, wording = self._rows, self._wording[place]
        if rows.table["is_text"][place]:
            return
        for alike, near_wording in ((1.0, wording), *self._near.get(wording, ())):
            for other in self._groups.get(near_wording, ()):
                same_input = alike == 1 and self.input_id[other] == self.input_id[place]
                if not same_input and not self._answer_the_same(place, other):
                    suspicion = round(0.9 * alike**2, 4)
                    yield Flag(rows.source(place), told(alike), rows.source(other), suspicion)

    def _answer_the_same(self, one: int, other: int) -> bool:
        hashes, answers = self._rows.table["answer"], self._rows.answers
        return bool(hashes[one] == hashes[other]) or same_words(answers[one], answers[other])
