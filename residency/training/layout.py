"""Where the nodes of a tree lie in a packed row, and what each of them sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

import torch
from torch import Tensor

from residency.training.tree import Tree

Span = tuple[int, int]
"""First packed token and the one behind the last."""


@dataclass(frozen=True)
class Ancestors:
    """Packed tokens that the S rows of a block see besides the trunk and themselves, padded to E a row.

    Attributes:
        index_X: S x E packed positions, flattened; pads are 0, and not seen.
        runs: Row, place in the row, and the packed tokens that stand there.
        longest: E.
    """

    index_X: Tensor
    runs: tuple[tuple[int, int, Span], ...]
    longest: int


@dataclass(frozen=True)
class Block:
    """S nodes of like length under one trunk, that the attention computes as a padded grid of S x L.

    Attributes:
        start, stop: The packed tokens of these nodes.
        place_B: Where in the flattened grid each of these stop - start tokens lies.
        rows: S.
        longest: L.
        trunk: The packed tokens that all rows see.
        ancestors: What a row sees besides, where that differs from row to row.
        seen_SLA: Which of its own A = E + L keys a query sees; S is 1 where all rows are alike.
        depth_S: The position of each row's first token.
    """

    start: int
    stop: int
    place_B: Tensor
    rows: int
    longest: int
    trunk: tuple[Span, ...]
    ancestors: Ancestors | None
    seen_SLA: Tensor
    depth_S: Tensor


@dataclass(frozen=True)
class Layout:
    """The blocks in packed order, and the longest sequence in tokens."""

    blocks: tuple[Block, ...]
    longest: int


def lay_out(tree: Tree, device: torch.device | str) -> tuple[Layout, list[int], list[int]]:
    """Put nodes into blocks.

    Returns:
        The layout, the numbers of the nodes in packed order, and each node's first packed token.
    """
    groups = _group(tree)
    order = [number for _, members in groups for number in members]
    starts, packed = [0] * len(tree.nodes), 0
    for number in order:
        starts[number] = packed
        packed += len(tree.nodes[number])
    spans = [(start, start + len(node)) for start, node in zip(starts, tree.nodes, strict=True)]
    blocks = tuple(_block(tree, trunk, members, spans, device) for trunk, members in groups)
    return Layout(blocks, max(node.end for node in tree.nodes)), order, starts


_WIDE = 1024
"""Keys that copying a shared node to all its sequences would take, from which it becomes a trunk."""


def _group(tree: Tree) -> list[tuple[tuple[int, ...], list[int]]]:
    """Nodes that one block computes, with the nodes that are their trunk.

    A block's rows differ in length by at most a quarter, or four tokens.
    """

    def is_wide(number: int) -> bool:
        node = tree.nodes[number]
        return node.shared_by == len(tree.paths) or (node.shared_by - 1) * len(node) >= _WIDE

    def trunk(number: int) -> tuple[int, ...]:
        return tuple(takewhile(is_wide, tree.nodes[number].parents))

    numbers = sorted(range(len(tree.nodes)), key=lambda n: (trunk(n), len(tree.nodes[n])))
    groups: list[tuple[tuple[int, ...], list[int]]] = []
    for shared, members in groupby(numbers, trunk):
        shortest = -1
        for number in members:
            length = len(tree.nodes[number])
            if shortest < 0 or length * 0.75 > shortest + 4:
                groups.append((shared, []))
                shortest = length
            groups[-1][1].append(number)
    return groups


def _block(
    tree: Tree,
    trunk: tuple[int, ...],
    members: Sequence[int],
    spans: Sequence[Span],
    device: torch.device | str,
) -> Block:
    lengths = [len(tree.nodes[number]) for number in members]
    longest = lengths[-1]
    place = [row * longest + t for row, length in enumerate(lengths) for t in range(length)]
    seen = torch.ones(longest, longest, dtype=torch.bool).tril()[None]
    others = [tree.nodes[number].parents[len(trunk) :] for number in members]
    ancestors = _ancestors([[spans[n] for n in parents] for parents in others], device)
    if ancestors:
        held = torch.tensor([sum(len(tree.nodes[n]) for n in parents) for parents in others])
        seen_SE = torch.arange(ancestors.longest) < held[:, None]
        expand = (len(members), longest, -1)
        seen = torch.cat((seen_SE[:, None].expand(expand), seen.expand(expand)), dim=-1)
    return Block(
        start=spans[members[0]][0],
        stop=spans[members[-1]][1],
        place_B=torch.tensor(place, device=device),
        rows=len(members),
        longest=longest,
        trunk=tuple(spans[number] for number in trunk),
        ancestors=ancestors,
        seen_SLA=seen.to(device),
        depth_S=torch.tensor([tree.nodes[number].begin for number in members], device=device),
    )


def _ancestors(spans_of_row: Sequence[Sequence[Span]], device: torch.device | str) -> Ancestors | None:
    longest = max(sum(stop - start for start, stop in spans) for spans in spans_of_row)
    if not longest:
        return None
    index = torch.zeros(len(spans_of_row), longest, dtype=torch.long)
    runs = []
    for row, spans in enumerate(spans_of_row):
        place = 0
        for start, stop in spans:
            runs.append((row, place, (start, stop)))
            index[row, place : place + stop - start] = torch.arange(start, stop)
            place += stop - start
    return Ancestors(index.flatten().to(device), tuple(runs), longest)
