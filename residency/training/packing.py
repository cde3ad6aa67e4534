"""Sequences that share a prefix become one packed row: the trunk once, then every branch.

The trunk is the longest common prefix of the sequences. A branch attends to the trunk and to
itself, its positions go on where the trunk ends, and the trunk's last state predicts every
branch's first token. So each supervised token gets the log-probability that it has when its
sequence is computed alone, up to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from residency.chat import Rendered


@dataclass(frozen=True)
class Block:
    """Branches of like length, S of them, that the attention computes as a padded grid of S x L.

    Attributes:
        start, stop: The packed tokens of these branches.
        place_B: Where in the flattened grid each of these stop - start tokens lies.
        rows: S.
        longest: L.
    """

    start: int
    stop: int
    place_B: Tensor
    rows: int
    longest: int


@dataclass(frozen=True)
class Layout:
    """Where trunk and branches lie among the packed tokens: the trunk first, then block by block."""

    trunk: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Packed:
    """A packed row of T tokens in which N tokens are supervised.

    Attributes:
        ids_T, position_T: Token ids and their positions within their own sequence.
        predict_P: The packed positions whose states predict something, each once.
        state_N: For each supervised token, which of the P states predicts it.
        target_N: The supervised tokens.
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


def pack(sequences: Sequence[Rendered], device: torch.device | str = "cpu") -> Packed:
    """Pack sequences into one row; a supervised token of the trunk counts once a sequence."""
    trunk = _shared(sequences)
    ids = list(sequences[0].ids[:trunk])
    positions = list(range(trunk))
    predict: list[int] = []
    target: list[int] = []
    owner: list[int] = []
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i].ids))
    for number in order:
        tokens, supervised = sequences[number]
        shift = len(ids) - trunk
        ids.extend(tokens[trunk:])
        positions.extend(range(trunk, len(tokens)))
        for t in range(1, len(tokens)):
            if supervised[t]:
                predict.append(t - 1 if t <= trunk else t - 1 + shift)
                target.append(tokens[t])
                owner.append(number)
    predict_P, state_N = torch.tensor(predict, dtype=torch.long, device=device).unique(return_inverse=True)
    return Packed(
        ids_T=torch.tensor(ids, dtype=torch.long, device=device),
        position_T=torch.tensor(positions, dtype=torch.long, device=device),
        predict_P=predict_P,
        state_N=state_N,
        target_N=torch.tensor(target, dtype=torch.long, device=device),
        sequence_N=torch.tensor(owner, dtype=torch.long, device=device),
        layout=_layout(trunk, [len(sequences[i].ids) - trunk for i in order], device),
    )


def _shared(sequences: Sequence[Rendered]) -> int:
    """Length of the common prefix; every sequence keeps at least one token for its branch."""
    prefix = os.path.commonprefix([s.ids for s in sequences])
    return min(len(prefix), min(len(s.ids) for s in sequences) - 1)


def _layout(trunk: int, lengths: list[int], device: torch.device | str) -> Layout:
    """Cut the branches, shortest first, into blocks that pad at most a quarter of the longest away."""
    blocks: list[Block] = []
    begin, start = 0, trunk
    for end in range(1, len(lengths) + 1):
        if end < len(lengths) and lengths[end] * 0.75 <= lengths[begin] + 4:
            continue
        chosen, longest = lengths[begin:end], lengths[end - 1]
        place = [row * longest + t for row, length in enumerate(chosen) for t in range(length)]
        stop = start + len(place)
        blocks.append(Block(start, stop, torch.tensor(place, device=device), len(chosen), longest))
        begin, start = end, stop
    return Layout(trunk, tuple(blocks))


def micro_batches(sequences: Sequence[Rendered], budget: int) -> Iterator[list[Rendered]]:
    """Split a batch so that each part packs into at most `budget` tokens, or is one sequence.

    Sequences of like length go together, so that the attention pads little; the order within an
    optimiser step changes nothing, since its gradients are summed.
    """
    part: list[Rendered] = []
    for sequence in sorted(sequences, key=lambda s: len(s.ids)):
        if part and packed_length([*part, sequence]) > budget:
            yield part
            part = []
        part.append(sequence)
    if part:
        yield part


def packed_length(sequences: Sequence[Rendered]) -> int:
    """Number of tokens T that `pack` would compute."""
    trunk = _shared(sequences)
    return trunk + sum(len(s.ids) - trunk for s in sequences)
