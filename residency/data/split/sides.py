"""The side of each row: as locked before, as its cluster's locked rows, or as drawn."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from residency.core.records import Source, fingerprint
from residency.data.ledger import Fate
from residency.data.rows import Rows, hash_of, hex_of
from residency.data.split.draw import Labels, draw, label_each
from residency.data.split.lock import Locked
from residency.data.twins.clusters import cluster
from residency.data.twins.find import Twins, near_hashes

SIDES = ("train", "validation", "test")
_SHARE, _LEAST = 0.05, 10
"""The largest cluster that similarity makes: this share of the wordings, or so many."""
_FREE, _TORN = -1, -2
"""In the place of a side: drawn, and left out."""


class Hold(NamedTuple):
    """An entry of the lock by the hash of its words: what stays in memory of it."""

    wording: int
    side: str
    group: str
    left_out: bool

    @staticmethod
    def of(locked: Locked) -> Hold:
        """What stays of an entry."""
        return Hold(int(fingerprint(locked.words), 16), locked.side, locked.group, locked.left_out)


@dataclass(frozen=True)
class Bonds:
    """What keeps rows together, and where the lock holds them."""

    twins: Sequence[Twins] = ()
    holds: Sequence[Hold] = ()


def place(
    rows: Rows, wanted: Mapping[str, int], seed: int, bonds: Bonds
) -> tuple[dict[str, Rows], list[Fate]]:
    """Rows by side, in their order, and the fates of those left out.

    Rows with the same words, near twins and rows of one group make a cluster, which stays on one side. A
    cluster of new rows joins the side of the locked rows that it belongs to; one that belongs to rows on
    two sides is left out, and so is a row of locked words in a group of another side. What no lock holds is
    drawn, each label by its share.
    """
    ties = _Ties(rows, bonds)
    fates, torn = list[Fate](), np.zeros(len(rows), bool)
    for row in ties.in_groups:
        if len(sides := ties.of_locked(row)) > 1:
            fates.append(_torn(rows, row, sides))
            torn[row] = True
    rows = rows.where(~torn)
    wordings = rows.table["wording"]
    side = ties.held(wordings)
    name, left_out = _bind(rows, side, bonds.twins, ties)
    _draw(rows, name, side, (wanted, seed))
    return {told: rows.where(side == i) for i, told in enumerate(SIDES)}, [*fates, *left_out]


def _bind(
    rows: Rows, side: NDArray[np.int8], twins: Sequence[Twins], ties: _Ties
) -> tuple[NDArray[np.uint64], list[Fate]]:
    """The name of each row's cluster; `side` is set for those that are bound to one, or would join two.

    And the fates of the latter.
    """
    names, groups = rows.table["wording"].copy(), rows.table["group"].tolist()
    torn: list[Fate] = []
    new = _tied(rows, side == _FREE, twins)
    for members in _clusters(new, rows, twins, len(np.unique(names[side == _FREE]))):
        among = [(wording, row) for wording in members for row in new[wording]]
        places = [row for _, row in among]
        sides = ties.of((wording, groups[row]) for wording, row in among)
        if len(sides) > 1:
            torn += [_torn(rows, row, sides) for row in places]
        names[places] = min(members)
        side[places] = _TORN if len(sides) > 1 else SIDES.index(next(iter(sides))) if sides else _FREE
    return names, torn


def in_clusters(rows: Rows, twins: Sequence[Twins]) -> Rows:
    """The rows in their order, each with the name of its cluster; one that is alone in it has none."""
    tied = _tied(rows, np.ones(len(rows), bool), twins)
    name_of: dict[int, str] = {}
    for members in _clusters(tied, rows, twins, len(np.unique(rows.table["wording"]))):
        places = [row for wording in members for row in tied[wording]]
        if len(places) > 1:
            name_of |= dict.fromkeys(places, hex_of(min(members)))
    return rows.in_clusters(name_of)


class NewlyLocked:
    """The inputs drawn for the first time, as entries of the lock; words are read when they are asked for."""

    def __init__(self, parts: Iterable[tuple[str, Rows, Sequence[bool]]]) -> None:
        """`parts` are the rows of each side, and whether each of them was left out of it."""
        self._parts = tuple(parts)

    def __iter__(self) -> Iterator[Locked]:
        for side, rows, left_out in self._parts:
            groups = rows.table["group"].tolist()
            for place, (words, out) in enumerate(zip(rows.words, left_out, strict=True)):
                yield Locked(words, side, rows[place].example.group if groups[place] else "", out)


def newly_locked(
    placed: Mapping[str, Rows], left_out: Collection[Source], holds: Iterable[Hold]
) -> NewlyLocked:
    """Each input that has a side and was not locked before, once for each of its groups.

    `left_out` are the rows that were taken off their sides again, as twins of test rows.
    """
    known: dict[tuple[int, bool], set[int]] = defaultdict(set)
    """Wordings by group and by whether they were left out; those of any group are without one as well."""
    for hold in holds:
        for group in (hash_of(hold.group) if hold.group else 0, 0):
            known[group, hold.left_out].add(hold.wording)
    new = []
    for side, rows in placed.items():
        out = [bool(left_out) and rows.source(place) in left_out for place in range(len(rows))]
        told = zip(rows.table["wording"].tolist(), rows.table["group"].tolist(), out, strict=True)
        places = []
        for place, (wording, group, is_out) in enumerate(told):
            if wording not in known[group, is_out]:
                places.append(place)
                known[group, is_out].add(wording)
                known[0, is_out].add(wording)
        new.append((side, rows.take(np.array(places, np.int64)), [out[place] for place in places]))
    return NewlyLocked(new)


def _torn(rows: Rows, row: int, sides: Mapping[str, str]) -> Fate:
    return rows.fate(row, "twin", "would join two sides: it belongs to " + " and to ".join(sides.values()))


class _Ties:
    """What binds rows to locked ones.

    A group is on the sides that it was locked on; one that never was, on those of its rows in locked words.
    """

    def __init__(self, rows: Rows, bonds: Bonds) -> None:
        self._rows, self._near = rows, near_hashes(bonds.twins)
        self._side_of: dict[int, str] = {}
        self._known = {(hold.wording, hash_of(hold.group)) for hold in bonds.holds if hold.group}
        self._groups: dict[int, set[str]] = {}
        self._names: dict[int, str] = {}
        for hold in bonds.holds:
            self._side_of.setdefault(hold.wording, hold.side)
            if hold.group:
                self._join(hash_of(hold.group), hold.group, hold.side, self._groups)
        wordings, groups = rows.table["wording"], rows.table["group"]
        held = np.isin(wordings, _array(self._side_of)) & (groups != 0)
        self.in_groups: list[int] = np.flatnonzero(held).tolist()
        """Places of the rows in locked words that are of a group."""
        joined: dict[int, set[str]] = {}
        for row in self.in_groups:
            if (group := int(groups[row])) not in self._groups:
                self._join(group, rows[row].example.group, self._side_of[int(wordings[row])], joined)
        self._groups |= joined

    def _join(self, group: int, name: str, side: str, groups: dict[int, set[str]]) -> None:
        self._names[group] = name
        groups.setdefault(group, set()).add(side)

    def held(self, wordings: NDArray[np.uint64]) -> NDArray[np.int8]:
        """The side that the lock holds each wording on, by its place in `SIDES`."""
        side = np.full(len(wordings), _FREE, np.int8)
        for row in np.flatnonzero(np.isin(wordings, _array(self._side_of))).tolist():
            side[row] = SIDES.index(self._side_of[int(wordings[row])])
        return side

    def of_locked(self, row: int) -> dict[str, str]:
        """The sides of a row in locked words: of these and, where it is new to its group, of that."""
        told = self._rows.table[row]
        wording, group = int(told["wording"]), int(told["group"])
        if (wording, group) in self._known:
            return {}
        side = self._side_of[wording]
        return _in_order({side: f"its words ({side})", **self._of_group(group, but=side)})

    def of(self, rows: Iterable[tuple[int, int]]) -> dict[str, str]:
        """Each side that rows, by wording and group, belong to, with the row or group that binds them."""
        sides: dict[str, str] = {}
        if not self._side_of:
            return sides
        for own, group in rows:
            for _, wording in self._near.get(own, ()):
                if side := self._side_of.get(wording):
                    sides.setdefault(side, f"{self._name(wording)} ({side})")
            sides = {**self._of_group(group), **sides}
        return _in_order(sides)

    def _of_group(self, group: int, but: str = "") -> dict[str, str]:
        sides = self._groups.get(group, set()) - {but}
        return {side: f"the group {self._names[group]!r} ({side})" for side in sides}

    def _name(self, wording: int) -> str:
        places = np.flatnonzero(self._rows.table["wording"] == np.uint64(wording))
        return str(self._rows.source(int(places[0]))) if len(places) else "a row since removed"


def _in_order(sides: Mapping[str, str]) -> dict[str, str]:
    return {side: sides[side] for side in SIDES if side in sides}


def _array(numbers: Collection[int]) -> NDArray[np.uint64]:
    return np.fromiter(numbers, np.uint64, len(numbers))


def _tied(rows: Rows, among: NDArray[np.bool_], twins: Sequence[Twins]) -> dict[int, list[int]]:
    """Places by wording, of rows that may be in a cluster with others: most are not."""
    wordings, groups = rows.table["wording"], rows.table["group"]
    _, number, times = np.unique(wordings, return_inverse=True, return_counts=True)
    near = _array(near_hashes(twins))
    tied = (times[number] > 1) | (groups != 0) | np.isin(wordings, near)
    found: dict[int, list[int]] = {}
    for row in np.flatnonzero(tied & among).tolist():
        found.setdefault(int(wordings[row]), []).append(row)
    return found


def _clusters(
    new: Mapping[int, Sequence[int]], rows: Rows, twins: Sequence[Twins], count: int
) -> Iterator[list[int]]:
    """Those of `count` wordings that must stay together."""
    groups: dict[int, list[int]] = {}
    of = rows.table["group"].tolist()
    for wording, places in new.items():
        for row in places:
            if of[row]:
                groups.setdefault(of[row], []).append(wording)
    closest_first = sorted(twins, key=lambda pair: (-pair.similarity, pair))
    pairs = ((int(one, 16), int(other, 16)) for one, other, _ in closest_first)
    links = ((one, other) for one, other in pairs if one in new and other in new)
    return cluster(new, groups.values(), links, max(_LEAST, int(_SHARE * count)))


def _draw(
    rows: Rows, names: NDArray[np.uint64], side: NDArray[np.int8], how: tuple[Mapping[str, int], int]
) -> None:
    """Draw a side for each cluster whose rows have none, given those that have."""
    clusters: dict[str, Labels] = {}
    of_one: dict[str, Labels] = {}
    """The counts of one row with a label: most clusters are one row, and share them."""
    present: dict[str, Labels] = {side: Counter() for side in SIDES}
    names_of = list(map(hex_of, names.tolist()))
    for name, held, label in zip(names_of, side.tolist(), label_each(rows), strict=True):
        if held == _FREE:
            one = of_one.get(label) or of_one.setdefault(label, Counter((label,)))
            clusters[name] = clusters[name] + one if name in clusters else one
        elif held >= 0:
            present[SIDES[held]][label] += 1
    wanted, seed = how
    drawn = draw(clusters, wanted, seed, present)
    number = {told: i for i, told in enumerate(SIDES)}
    for row in np.flatnonzero(side == _FREE).tolist():
        side[row] = number[drawn[names_of[row]]]
