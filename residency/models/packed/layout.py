"""Where the nodes of a tree lie in a packed row, and what each of them sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from residency.models.packed.tree import Tree

Span = tuple[int, int]
"""First packed token and the one behind the last."""


class Run(NamedTuple):
    """A node among the ancestors of some rows: it has the same place in each of them."""

    rows: tuple[int, ...]
    place: int
    span: Span


@dataclass(frozen=True)
class Ancestors:
    """Packed tokens that the S rows of a block see besides themselves, padded to E a row.

    Attributes:
        index_X: S x E packed positions, flattened; pads are 0, and not seen.
        runs: The same, node by node.
        longest: E.
        fewest: How many all rows have at least: their places up to there are no pads.
    """

    index_X: Tensor
    runs: tuple[Run, ...]
    longest: int
    fewest: int

    def copies(self, packed_TKD: Tensor) -> Tensor:
        """What each row sees, [S, E, K, D]."""
        return packed_TKD.index_select(0, self.index_X).unflatten(0, (-1, self.longest))

    def add_copies(self, sums_TKD: Tensor, copies_SEKD: Tensor) -> None:
        """Add what is copied back to where it stands, node by node: torch would add token by token."""
        for rows, place, (start, stop) in self.runs:
            of_node = copies_SEKD[:, place : place + stop - start]
            of_rows = of_node if len(rows) == len(of_node) else of_node[list(rows)]
            sums_TKD[start:stop] += of_rows.sum(0, dtype=sums_TKD.dtype)


@dataclass(frozen=True)
class Block:
    """S nodes of like length, that the attention computes as a padded grid of S x L.

    Attributes:
        start, stop: The packed tokens of these nodes.
        place_B: Where in the flattened grid each of these stop - start tokens lies.
        nodes_S: Their numbers in the tree.
        longest: L.
        ancestors: What a row sees besides itself, if anything.
        seen_SLA: Which of its A = E + L keys a query sees; S is 1 where all rows are alike.
        depth_S: The position of each row's first token.
    """

    start: int
    stop: int
    place_B: Tensor
    nodes_S: tuple[int, ...]
    longest: int
    ancestors: Ancestors | None
    seen_SLA: Tensor
    depth_S: Tensor

    @property
    def rows(self) -> int:
        """S."""
        return len(self.nodes_S)

    @property
    def is_full(self) -> bool:
        """Whether the grid has no pads."""
        return self.stop - self.start == self.rows * self.longest

    def grid(self, packed_THD: Tensor) -> Tensor:
        """These nodes' tokens as [S, L, H, D], padded with zeros on the right."""
        own = packed_THD[self.start : self.stop]
        if not self.is_full:
            own = own.new_zeros(self.rows * self.longest, *own.shape[1:]).index_copy(0, self.place_B, own)
        return own.unflatten(0, (self.rows, self.longest))

    def tokens(self, x_SLHD: Tensor) -> Tensor:
        """The way back from a grid: these nodes' tokens, without the pads."""
        flat = x_SLHD.flatten(0, 1)
        return flat if self.is_full else flat.index_select(0, self.place_B)


@dataclass(frozen=True)
class Layout:
    """The blocks in packed order, the longest sequence in tokens, and the tokens of all blocks."""

    blocks: tuple[Block, ...]
    longest: int
    tokens: int


def lay_out(tree: Tree, device: torch.device | str) -> tuple[Layout, list[int], list[int]]:
    """Put nodes into blocks.

    Returns:
        The layout, the numbers of the nodes in packed order, and each node's first packed token.
    """
    groups = _group(tree)
    order = [number for members in groups for number in members]
    starts, packed = [0] * len(tree.nodes), 0
    for number in order:
        starts[number] = packed
        packed += len(tree.nodes[number])
    spans = [(start, start + len(node)) for start, node in zip(starts, tree.nodes, strict=True)]
    blocks = tuple(_block(tree, members, spans, device) for members in groups)
    return Layout(blocks, max(node.end for node in tree.nodes), packed), order, starts


def _group(tree: Tree) -> list[list[int]]:
    """Nodes that one block computes, the shortest first: they differ by at most a quarter, or four tokens."""
    groups: list[list[int]] = []
    shortest = -1
    for number in sorted(range(len(tree.nodes)), key=lambda n: len(tree.nodes[n])):
        length = len(tree.nodes[number])
        if shortest < 0 or length * 0.75 > shortest + 4:
            groups.append([])
            shortest = length
        groups[-1].append(number)
    return groups


def _block(tree: Tree, members: Sequence[int], spans: Sequence[Span], device: torch.device | str) -> Block:
    nodes = [tree.nodes[number] for number in members]
    longest = len(nodes[-1])
    place = [row * longest + t for row, node in enumerate(nodes) for t in range(len(node))]
    seen = torch.ones(longest, longest, dtype=torch.bool).tril()[None]
    ancestors = _ancestors([[spans[n] for n in node.parents] for node in nodes], device)
    if ancestors:
        held = torch.tensor([node.begin for node in nodes])
        seen_SE = torch.arange(ancestors.longest) < held[:, None]
        expand = (len(members), longest, -1)
        seen = torch.cat((seen_SE[:, None].expand(expand), seen.expand(expand)), dim=-1)
    return Block(
        start=spans[members[0]][0],
        stop=spans[members[-1]][1],
        place_B=torch.tensor(place, device=device),
        nodes_S=tuple(members),
        longest=longest,
        ancestors=ancestors,
        seen_SLA=seen.to(device),
        depth_S=torch.tensor([node.begin for node in nodes], device=device),
    )


def _ancestors(spans_of_row: Sequence[Sequence[Span]], device: torch.device | str) -> Ancestors | None:
    held = [sum(stop - start for start, stop in spans) for spans in spans_of_row]
    if not max(held):
        return None
    index = torch.zeros(len(spans_of_row), max(held), dtype=torch.long)
    rows_of: dict[tuple[int, Span], list[int]] = {}
    for row, spans in enumerate(spans_of_row):
        place = 0
        for start, stop in spans:
            rows_of.setdefault((place, (start, stop)), []).append(row)
            index[row, place : place + stop - start] = torch.arange(start, stop)
            place += stop - start
    runs = tuple(Run(tuple(rows), place, span) for (place, span), rows in rows_of.items())
    return Ancestors(index.flatten().to(device), runs, max(held), min(held))
