"""Sequences as a tree of their shared prefixes, any depth: what several have in common stands once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_WORTH = 8
"""Tokens that a shared node must save; below that its row in the attention costs more."""


class Node(NamedTuple):
    """A run of tokens that one sequence has, or several share.

    Attributes:
        sequence: A sequence that holds these tokens.
        begin, end: Their positions in it.
        parents: Numbers of the nodes before it, from the root down.
    """

    sequence: int
    begin: int
    end: int
    parents: tuple[int, ...]

    def __len__(self) -> int:
        return self.end - self.begin


class Tree(NamedTuple):
    """The nodes, each after its parents, and for each sequence the numbers of the nodes it is made of."""

    nodes: tuple[Node, ...]
    paths: tuple[tuple[int, ...], ...]


def build_tree(sequences: Sequence[list[int]]) -> Tree:
    """Split sequences of token ids where they part ways, unless sharing would save next to nothing."""
    order = sorted(range(len(sequences)), key=lambda i: sequences[i])
    common = shared_with_previous([sequences[i] for i in order])
    nodes: list[Node] = []
    paths: list[tuple[int, ...]] = [()] * len(sequences)
    open_groups: list[tuple[int, int, int, tuple[int, ...]]] = [(0, len(order), 0, ())]
    while open_groups:
        low, high, depth, path = open_groups.pop()
        first, others = order[low], high - low - 1
        end = min(common[low + 1 : high], default=len(sequences[first]))
        if others * (end - depth) >= _WORTH or (others == 0 and end > depth):
            nodes.append(Node(first, depth, end, path))
            depth, path = end, (*path, len(nodes) - 1)
        if others == 0:
            paths[first] = path
            continue
        cuts = [low, *(i for i in range(low + 1, high) if common[i] == end), high]
        open_groups.extend((a, b, depth, path) for a, b in pairwise(cuts))
    return Tree(tuple(nodes), tuple(paths))


def keep_apart(sequences: Sequence[list[int]]) -> Tree:
    """Each sequence a node of its own, by its number, whatever they share."""
    nodes = tuple(Node(number, 0, len(ids), ()) for number, ids in enumerate(sequences))
    return Tree(nodes, tuple((number,) for number in range(len(nodes))))


def shared_with_previous(in_order: Sequence[list[int]]) -> list[int]:
    """For sequences sorted by their tokens: how many first tokens each shares with the one before it."""
    return [0, *(len(os.path.commonprefix([a, b])) for a, b in pairwise(in_order))]


def most_tokens_added(length: int, shared: int) -> int:
    """At most how many tokens a sequence adds to a tree that holds its predecessor in sorted order."""
    return length - max(0, shared - _WORTH + 1)
