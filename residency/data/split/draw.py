"""Drawing the held-out sides: clusters of rows by the order of a hash, each label by its share."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np

from residency.core.records import canonical
from residency.data.rows import Rows

Labels = Counter[str]
"""Rows by label."""


def draw(
    clusters: Mapping[str, Labels], wanted: Mapping[str, int], seed: int, present: Mapping[str, Labels]
) -> dict[str, str]:
    """The side of each cluster: as many rows on each side as `wanted`, or as close below as clusters permit.

    Clusters are taken in the order of a hash of seed and name, so that their order does not matter. First
    each label gets its share of a side, then what is still wanted is filled up whatever the label. No
    label is held out entirely. `present` are the rows by label that are on each side before.
    """
    labels: Labels = Counter()
    distinct = {id(counts): counts for counts in (*clusters.values(), *present.values())}
    for key, times in Counter(map(id, (*clusters.values(), *present.values()))).items():
        _add(labels, distinct[key], times)
    quotas = {side: apportion(count, labels) for side, count in wanted.items()}
    room = dict(wanted)
    left = labels.copy()
    for side in wanted:
        room[side] -= present.get(side, Counter()).total()
        _add(quotas[side], present.get(side, Counter()), -1)
        _add(left, present.get(side, Counter()), -1)
    order = _by_hash(clusters, seed)
    side_of: dict[str, str] = {}
    for by_label in (True, False):
        for name in order:
            if max(room.values(), default=0) <= 0:
                break
            rows = clusters[name]
            if name in side_of or any(left[label] <= count for label, count in rows.items()):
                continue
            limits = {s: min(room[s], quotas[s][main_label(rows)]) if by_label else room[s] for s in room}
            for side in [side for side in room if rows.total() <= limits[side]][:1]:
                side_of[name] = side
                room[side] -= rows.total()
                _add(quotas[side], rows, -1)
                _add(left, rows, -1)
    return {name: side_of.get(name, "train") for name in clusters}


def _by_hash(names: Collection[str], seed: int) -> list[str]:
    """The names in the order of 16 bytes of a hash of seed and name."""
    told = (f"[{seed},{canonical(name)}]".encode() for name in names)
    digests = (hashlib.sha256(text).digest()[:16] for text in told)
    high_low = np.frombuffer(b"".join(digests), ">u8").reshape(-1, 2).astype(np.uint64)
    listed = list(names)
    return [listed[place] for place in np.lexsort((high_low[:, 1], high_low[:, 0])).tolist()]


def _add(counts: Labels, rows: Labels, times: int = 1) -> None:
    """`counts + times * rows` in place, in the time of `rows` alone; Counter's own does more for each."""
    for label, count in rows.items():
        counts[label] += times * count


def apportion(total: int, shares: Mapping[str, int]) -> Labels:
    """`total` shared out in whole numbers in proportion to `shares`, by largest remainders (Hamilton)."""
    everything = sum(shares.values())
    exact = {name: total * share / everything for name, share in shares.items()}
    whole = Counter({name: int(part) for name, part in exact.items()})
    by_rest = sorted(exact, key=lambda name: (whole[name] - exact[name], name))
    whole.update(by_rest[: total - whole.total()])
    return whole


def main_label(rows: Labels) -> str:
    """The label of most rows, of several the first in the alphabet."""
    return min(rows, key=lambda label: (-rows[label], label))


def label_each(rows: Rows) -> list[str]:
    """The label of each row: its answer where answers are labels, else the same for all."""
    return rows.labels or [""] * len(rows)
