"""Rows that are computed together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def batches(
    order: Sequence[int], lengths: Sequence[int], batch_size: int, tokens: int
) -> Iterator[list[int]]:
    """The places in `order` in runs of up to `batch_size`, shorter where rows are long.

    A batch takes memory by its rows times its longest one, which `tokens` bounds; one row is always
    taken.
    """
    batch: list[int] = []
    longest = 0
    for place in order:
        longest = max(longest, lengths[place])
        if batch and (len(batch) == batch_size or (len(batch) + 1) * longest > tokens):
            yield batch
            batch, longest = [], lengths[place]
        batch.append(place)
    if batch:
        yield batch
