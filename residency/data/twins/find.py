"""Twins: rows whose inputs are nearly the same, found over all files at once."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from residency.core.records import Source
from residency.data.duplicates import same_words, split_words, words
from residency.data.findings import Finding, Flag, plural
from residency.data.ledger import Checked
from residency.data.twins.near import near_pairs


class Twins(NamedTuple):
    """Two wordings that are nearly the same, the lesser hash first, and how similar they are."""

    one: str
    other: str
    similarity: float


def find_twins(rows: Iterable[Checked], threshold: float) -> tuple[Twins, ...]:
    """All pairs of different wordings among the rows that are at least `threshold` similar."""
    first: dict[str, Checked] = {}
    for row in rows:
        first.setdefault(row.wording, row)
    hashes = sorted(first)
    return _find(hashes, (words(first[wording].example) for wording in hashes), threshold)


def find_twin_words(texts: Mapping[str, str], threshold: float) -> tuple[Twins, ...]:
    """Twins among wordings, given with the words of each."""
    hashes = sorted(texts)
    return _find(hashes, map(texts.__getitem__, hashes), threshold)


def _find(hashes: Sequence[str], texts: Iterable[str], threshold: float) -> tuple[Twins, ...]:
    """Twins by hash; of each text only the parts are kept, and of those that may not differ one copy."""
    if threshold >= 1:
        return ()
    free: list[str] = []
    fixed: list[str] = []
    for text in texts:
        may_differ, may_not = split_words(text)
        free.append(may_differ)
        fixed.append(sys.intern(may_not))
    return tuple(Twins(hashes[i], hashes[j], alike) for i, j, alike in near_pairs(free, fixed, threshold))


def neighbours(twins: Iterable[Twins]) -> dict[str, list[tuple[float, str]]]:
    """Of each wording that has twins: how similar each one is, and which; the most similar first."""
    found: dict[str, list[tuple[float, str]]] = {}
    for one, other, alike in twins:
        found.setdefault(one, []).append((alike, other))
        found.setdefault(other, []).append((alike, one))
    for near in found.values():
        near.sort(key=lambda pair: (-pair[0], pair[1]))
    return found


def near_findings(files: Sequence[Sequence[Checked]], twins: Sequence[Twins]) -> list[Finding]:
    """Near duplicates and near conflicts within each file: in the same words, or nearly so."""
    near = neighbours(twins)
    repeats: list[Flag] = []
    conflicts: list[Flag] = []
    for rows in files:
        times = Counter(row.wording for row in rows)
        among = [row for row in rows if times[row.wording] > 1 or row.wording in near]
        by_wording = group_by_wording(among)
        asked: set[str] = set()
        for row in among:
            if row.example.input_id not in asked:
                asked.add(row.example.input_id)
                repeats += islice(_earlier(row, near, by_wording), 1)
            conflicts += islice(_contradicting(row, near, by_wording), 1)
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


def group_by_wording(rows: Iterable[Checked]) -> dict[str, list[Checked]]:
    """Rows by wording, in their order."""
    groups: dict[str, list[Checked]] = {}
    for row in rows:
        groups.setdefault(row.wording, []).append(row)
    return groups


def told(similarity: float) -> str:
    """A similarity, in words."""
    return f"{100 * similarity:.0f} % similar"


Found = Mapping[str, Sequence[tuple[float, str]]]
Groups = Mapping[str, Sequence[Checked]]


def _earlier(row: Checked, near: Found, groups: Groups) -> Iterator[Flag]:
    """The rows before this one that ask nearly the same, told by the first row of each wording."""
    source = row.example.source
    first = groups[row.wording][0]
    if first is not row:
        yield Flag(source, "in the same words", first.example.source, suspicion=0.2)
        return
    for alike, wording in near.get(row.wording, ()):
        for other in groups.get(wording, ())[:1]:
            if other.example.source.row < source.row:
                yield Flag(source, told(alike), other.example.source, suspicion=0.2)


def _contradicting(row: Checked, near: Found, groups: Groups) -> Iterator[Flag]:
    """The rows that ask nearly the same, or the same in other case or punctuation, and answer otherwise.

    Plain text asks nothing.
    """
    if row.example.is_text:
        return
    for alike, wording in ((1.0, row.wording), *near.get(row.wording, ())):
        for other in groups.get(wording, ()):
            same_input = alike == 1 and other.example.input_id == row.example.input_id
            if not same_input and not same_words(row.example.answer, other.example.answer):
                yield _contradiction(row.example.source, other.example.source, alike)


def _contradiction(source: Source, other: Source, alike: float) -> Flag:
    return Flag(source, told(alike), other, suspicion=round(0.9 * alike**2, 4))
