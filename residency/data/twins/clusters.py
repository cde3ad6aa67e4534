"""Clusters of things that belong together, by union-find."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def cluster(
    keys: Iterable[Key],
    joined: Iterable[Sequence[Key]],
    linked: Iterable[tuple[Key, Key]],
    largest: int,
) -> list[list[Key]]:
    """Keys in clusters, both in the order given.

    All keys of a sequence in `joined` come into one cluster, whatever its size. A link joins two
    clusters as long as they have no more than `largest` keys together: a long chain of which each link
    is near to the next, and its ends are not, does not become one cluster.
    """
    parent = {key: key for key in keys}
    size = dict.fromkeys(parent, 1)

    def root(key: Key) -> Key:
        while parent[key] != key:
            parent[key] = key = parent[parent[key]]
        return key

    def union(one: Key, other: Key, most: int) -> None:
        one, other = root(one), root(other)
        if one != other and size[one] + size[other] <= most:
            parent[other] = one
            size[one] += size[other]

    for together in joined:
        for key in together:
            union(together[0], key, len(parent))
    for one, other in linked:
        union(one, other, largest)
    clusters: dict[Key, list[Key]] = {}
    for key in parent:
        clusters.setdefault(root(key), []).append(key)
    return list(clusters.values())
