"""Sequences that share prefixes become one packed row: every shared prefix once, then what differs.

A node of the tree attends to its ancestors and to itself, and its positions go on where its parent
ends; the state that predicts a node's first token is its parent's last. So each supervised token
gets the log-probability that it has when its sequence is computed alone, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from residency.chat import Rendered
from residency.models.packed.layout import Layout, lay_out
from residency.models.packed.tree import Tree, build_tree, keep_apart, most_tokens_added, shared_with_previous


@dataclass(frozen=True)
class Packed:
    """A packed row of T tokens in which N tokens are supervised; the last few may be pads.

    Attributes:
        ids_T, position_T: Token ids and their positions within their own sequence.
        predict_P: The packed positions whose states predict something, each once.
        state_N: For each supervised token, which of the P states predicts it.
        target_N: The supervised tokens; one that k sequences share stands k times.
        sequence_N: The number of the sequence, in the order given to `pack`.
        layout: For the attention.
    """

    ids_T: Tensor
    position_T: Tensor
    predict_P: Tensor
    state_N: Tensor
    target_N: Tensor
    sequence_N: Tensor
    layout: Layout


_MULTIPLE = 64
"""T is a multiple of this: a CPU's matrix library prepares, and keeps, a kernel for each new size."""


def pack(sequences: Sequence[Rendered], device: torch.device | str = "cpu", *, apart: bool = False) -> Packed:
    """Pack sequences into one row; the supervised tokens keep the order of the sequences.

    Those kept `apart` share no token: each is the node of its number.
    """
    read = [_read(s) for s in sequences]
    tree = keep_apart(read) if apart else build_tree(read)
    layout, order, starts = lay_out(tree, device)
    nodes = [tree.nodes[number] for number in order]
    predict: list[int] = []
    target: list[int] = []
    owner: list[int] = []
    for number, (ids, supervised) in enumerate(sequences):
        where = _places(tree, starts, number)
        supervised_T = [t for t in range(1, len(ids)) if supervised[t]]
        predict += [where[t - 1] for t in supervised_T]
        target += [ids[t] for t in supervised_T]
        owner += [number] * len(supervised_T)

    def tensor(values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    predict_P, state_N = tensor(predict).unique(return_inverse=True)
    pads = [0] * (-layout.tokens % _MULTIPLE)
    return Packed(
        ids_T=tensor([i for n in nodes for i in read[n.sequence][n.begin : n.end]] + pads),
        position_T=tensor([position for n in nodes for position in range(n.begin, n.end)] + pads),
        predict_P=predict_P,
        state_N=state_N,
        target_N=tensor(target),
        sequence_N=tensor(owner),
        layout=layout,
    )


def _read(sequence: Rendered) -> list[int]:
    """The tokens up to the last one that foretells a supervised token; the states behind it teach nothing."""
    last = len(sequence.ids) - 1
    while last > 1 and not sequence.supervised[last]:
        last -= 1
    return sequence.ids[: max(last, 1)]


def _places(tree: Tree, starts: Sequence[int], sequence: int) -> list[int]:
    """Where each token of a sequence lies in the packed row."""
    return list(
        chain.from_iterable(
            range(starts[number], starts[number] + len(tree.nodes[number])) for number in tree.paths[sequence]
        )
    )


_CLUSTER = 32
"""Tokens beyond what a whole batch shares that keep two sequences together in a micro-batch."""


def micro_batches(sequences: Sequence[Rendered], budget: int) -> Iterator[list[Rendered]]:
    """Split a batch so that each part packs into at most `budget` tokens, or is one sequence.

    Sequences with a prefix in common go together, so that it is computed once; apart from that,
    sequences of like length do, so that the attention pads little. The order within an optimiser
    step changes nothing, since its gradients are summed; the steps themselves are drawn at random.
    """
    if packed_length(sequences) <= budget:
        yield list(sequences)
        return
    part: list[Rendered] = []
    tokens = 0
    for sequence, length, shared in _by_prefix_and_length(sequences):
        added = most_tokens_added(length, shared if part else 0)
        if part and tokens + added > budget:
            yield part
            part, added = [], length
            tokens = 0
        part.append(sequence)
        tokens += added
    if part:
        yield part


def _by_prefix_and_length(sequences: Sequence[Rendered]) -> Iterator[tuple[Rendered, int, int]]:
    """Clusters that share a prefix, the shortest first.

    With each sequence go how many of its tokens are read, and how many of these the one before it has too.
    """
    ordered = sorted(((_read(s), s) for s in sequences), key=lambda pair: pair[0])
    shared = shared_with_previous([read for read, _ in ordered])
    everywhere = min(shared[1:], default=0)
    clusters: list[list[tuple[Rendered, int, int]]] = []
    for (read, sequence), tokens in zip(ordered, shared, strict=True):
        if not clusters or tokens < everywhere + _CLUSTER:
            clusters.append([(sequence, len(read), everywhere)])
        else:
            clusters[-1].append((sequence, len(read), tokens))
    clusters.sort(key=lambda cluster: max(length for _, length, _ in cluster))
    return chain.from_iterable(clusters)


def packed_length(sequences: Sequence[Rendered]) -> int:
    """Number of tokens that `pack` would compute, pads not counted."""
    return sum(len(node) for node in build_tree([_read(s) for s in sequences]).nodes)
