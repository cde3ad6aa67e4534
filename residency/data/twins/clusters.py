"""Clusters of things that belong together, by union-find."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def cluster(
    keys: Collection[Key],
    joined: Iterable[Sequence[Key]],
    linked: Iterable[tuple[Key, Key]],
    largest: int,
) -> Iterator[list[Key]]:
    """Keys in clusters, both in the order given.

    All keys of a sequence in `joined` come into one cluster, whatever its size. A link joins two
    clusters as long as they have no more than `largest` keys together: a long chain of which each link
    is near to the next, and its ends are not, does not become one cluster.
    """
    above: dict[Key, Key] = {}
    """A key nearer to the root, of each key that is none; not of keys that stand alone, as most do."""
    size: dict[Key, int] = {}

    def root(key: Key) -> Key:
        while (parent := above.get(key, key)) != key:
            above[key] = key = above.get(parent, parent)
        return key

    def union(one: Key, other: Key, most: int) -> None:
        one, other = root(one), root(other)
        if one != other and (both := size.get(one, 1) + size.get(other, 1)) <= most:
            above[other] = one
            size[one] = both

    for together in joined:
        for key in together:
            union(together[0], key, len(keys))
    for one, other in linked:
        union(one, other, largest)
    clusters: dict[Key, list[Key]] = {}
    for key in keys:
        if key in above or key in size:
            clusters.setdefault(root(key), []).append(key)
    for key in keys:
        if key not in above and key not in size:
            yield [key]
        elif members := clusters.pop(root(key), None):
            yield members
