"""The side of each row: as locked before, as its cluster's locked rows, or as drawn."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from residency.core.records import Source, fingerprint
from residency.data.duplicates import words
from residency.data.ledger import Checked, Fate
from residency.data.split.draw import Labels, draw, label_each
from residency.data.split.lock import Locked
from residency.data.twins.clusters import cluster
from residency.data.twins.find import Twins, group_by_wording, neighbours

SIDES = ("train", "validation", "test")
_SHARE, _LEAST = 0.05, 10
"""The largest cluster that similarity makes: this share of the wordings, or so many."""


class New(NamedTuple):
    """A row whose input is to be locked: words are made of many rows only as they are written."""

    row: Checked
    side: str
    left_out: bool

    @property
    def locked(self) -> Locked:
        """Its entry in the lock."""
        example = self.row.example
        return Locked(words(example), self.side, example.group, self.left_out)


@dataclass(frozen=True)
class Bonds:
    """What keeps rows together, and where the lock holds them."""

    twins: Sequence[Twins] = ()
    locked: Sequence[Locked] = ()


def place(
    rows: Sequence[Checked], wanted: Mapping[str, int], seed: int, bonds: Bonds
) -> tuple[dict[str, list[Checked]], list[Fate]]:
    """Rows by side, in their order, and the fates of those left out.

    Rows with the same words, near twins and rows of one group make a cluster, which stays on one side. A
    cluster of new rows joins the side of the locked rows that it belongs to; one that belongs to rows on
    two sides is left out, and so is a row of locked words in a group of another side. What no lock holds is
    drawn, each label by its share.
    """
    side_of = _locked_sides(bonds.locked)
    ties = _Ties(side_of, bonds, group_by_wording(row for row in rows if row.wording in side_of))
    fates = [_torn(row, sides) for row in rows if len(sides := ties.of_locked(row)) > 1]
    torn = {fate.source for fate in fates}
    rows = [row for row in rows if row.example.source not in torn]
    bound, free, left_out = _bind(rows, bonds.twins, ties, side_of)
    side_of |= bound
    drawn = _draw(rows, free, side_of, (wanted, seed))
    side_of.update((wording, drawn[name]) for wording, name in free.items())
    placed: dict[str, list[Checked]] = {side: [] for side in SIDES}
    for row in rows:
        if row.wording in side_of:
            placed[side_of[row.wording]].append(row)
    return placed, [*fates, *left_out]


def _bind(
    rows: Iterable[Checked], twins: Sequence[Twins], ties: _Ties, side_of: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str], list[Fate]]:
    """Of rows that no lock holds, by wording: the side it is bound to, or the name of its free cluster.

    And the fates of those that would join two sides.
    """
    new = group_by_wording(row for row in rows if row.wording not in side_of)
    bound: dict[str, str] = {}
    free: dict[str, str] = {}
    torn: list[Fate] = []
    for members in _clusters(new, twins):
        sides = ties.of([row for wording in members for row in new[wording]])
        if len(sides) > 1:
            torn += [_torn(row, sides) for wording in members for row in new[wording]]
        elif sides:
            bound |= dict.fromkeys(members, next(iter(sides)))
        else:
            free |= dict.fromkeys(members, min(members))
    return bound, free, torn


def in_clusters(rows: Sequence[Checked], twins: Sequence[Twins]) -> list[Checked]:
    """The rows in their order, each with the name of its cluster; one that is alone in it has none."""
    by_wording = group_by_wording(rows)
    name_of: dict[str, str] = {}
    for members in _clusters(by_wording, twins):
        if sum(len(by_wording[wording]) for wording in members) > 1:
            name_of |= dict.fromkeys(members, min(members))
    return [_named(row, name_of.get(row.wording, "")) for row in rows]


def _named(row: Checked, cluster: str) -> Checked:
    return replace(row, example=replace(row.example, cluster=cluster)) if cluster else row


def newly_locked(
    placed: Mapping[str, Iterable[Checked]], left_out: Collection[Source], locked: Iterable[Locked]
) -> list[New]:
    """Each input that has a side and was not locked before, once for each of its groups.

    `left_out` are the rows that were taken off their sides again, as twins of test rows.
    """
    known: dict[tuple[str, bool], set[str]] = defaultdict(set)
    """Wordings by group and by whether they were left out; those of any group are without one as well."""
    for before in locked:
        wording = fingerprint(before.words)
        for group in (before.group, ""):
            known[group, before.left_out].add(wording)
    new: list[New] = []
    for side, rows in placed.items():
        for row in rows:
            out = row.example.source in left_out
            if row.wording not in known[row.example.group, out]:
                new.append(New(row, side, out))
                for group in (row.example.group, ""):
                    known[group, out].add(row.wording)
    return new


def _locked_sides(locked: Iterable[Locked]) -> dict[str, str]:
    """The side of each locked wording, as it was locked first."""
    side_of: dict[str, str] = {}
    for known in locked:
        side_of.setdefault(fingerprint(known.words), known.side)
    return side_of


def _torn(row: Checked, sides: Mapping[str, str]) -> Fate:
    return Fate.of(row, "twin", "would join two sides: it belongs to " + " and to ".join(sides.values()))


class _Ties:
    """What binds rows to locked ones.

    A group is on the sides that it was locked on; one that never was, on those of its rows in locked words.
    """

    def __init__(self, side_of: Mapping[str, str], bonds: Bonds, present: Mapping[str, Sequence[Checked]]):
        self._side_of, self._present = dict(side_of), present
        self._near = neighbours(bonds.twins)
        self._known = {(fingerprint(locked.words), locked.group) for locked in bonds.locked if locked.group}
        self._groups: dict[str, set[str]] = {}
        for locked in bonds.locked:
            if locked.group:
                self._groups.setdefault(locked.group, set()).add(locked.side)
        joined: dict[str, set[str]] = {}
        for wording, rows in present.items():
            for group in {row.example.group for row in rows} - {""} - self._groups.keys():
                if side := self._side_of.get(wording):
                    joined.setdefault(group, set()).add(side)
        self._groups |= joined

    def of_locked(self, row: Checked) -> dict[str, str]:
        """The sides of a row in locked words: of these and, where it is new to its group, of that."""
        side, group = self._side_of.get(row.wording), row.example.group
        if not side or not group or (row.wording, group) in self._known:
            return {}
        return _in_order({side: f"its words ({side})", **self._of_group(group, but=side)})

    def of(self, rows: Iterable[Checked]) -> dict[str, str]:
        """Each side that the rows belong to, with the row or the group there that binds them."""
        sides: dict[str, str] = {}
        if not self._side_of:
            return sides
        for row in rows:
            for _, wording in self._near.get(row.wording, ()):
                if side := self._side_of.get(wording):
                    sides.setdefault(side, f"{self._name(wording)} ({side})")
            sides = {**self._of_group(row.example.group), **sides}
        return _in_order(sides)

    def _of_group(self, group: str, but: str = "") -> dict[str, str]:
        sides = self._groups.get(group, set()) - {but}
        return {side: f"the group {group!r} ({side})" for side in sides}

    def _name(self, wording: str) -> str:
        rows = self._present.get(wording)
        return str(rows[0].example.source) if rows else "a row since removed"


def _in_order(sides: Mapping[str, str]) -> dict[str, str]:
    return {side: sides[side] for side in SIDES if side in sides}


def _clusters(new: Mapping[str, Sequence[Checked]], twins: Sequence[Twins]) -> Iterator[list[str]]:
    """Wordings that must stay together."""
    groups: dict[str, list[str]] = {}
    for wording, rows in new.items():
        for row in rows:
            if row.example.group:
                groups.setdefault(row.example.group, []).append(wording)
    closest_first = sorted(twins, key=lambda pair: (-pair.similarity, pair))
    links = ((one, other) for one, other, _ in closest_first if one in new and other in new)
    return cluster(new, groups.values(), links, max(_LEAST, int(_SHARE * len(new))))


def _draw(
    rows: Sequence[Checked],
    free: Mapping[str, str],
    side_of: Mapping[str, str],
    how: tuple[Mapping[str, int], int],
) -> dict[str, str]:
    """Draw a side for each cluster that `free` names, given the rows that have one."""
    clusters: dict[str, Labels] = {}
    of_one: dict[str, Labels] = {}
    """The counts of one row with a label: most clusters are one row, and share them."""
    present: dict[str, Labels] = {side: Counter() for side in SIDES}
    for row, label in zip(rows, label_each(rows), strict=True):
        if name := free.get(row.wording):
            one = of_one.setdefault(label, Counter((label,)))
            clusters[name] = clusters[name] + one if name in clusters else one
        elif side := side_of.get(row.wording):
            present[side][label] += 1
    wanted, seed = how
    return draw(clusters, wanted, seed, present)
