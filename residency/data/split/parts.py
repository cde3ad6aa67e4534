"""Nested parts of the training rows, for what more of them would bring."""

from __future__ import annotations

from dataclasses import replace

from residency.data.ledger import Checked
from residency.data.split.freeze import Frozen


def part_of(frozen: Frozen, share: float) -> Frozen:
    """The split with `share` of its training rows, in their order; the held-out rows stay as they are.

    The rows are taken in the order of the hash of their content, so that a larger part holds a smaller one
    and the same rows give the same part wherever they stand.
    """
    ranked = sorted(range(len(frozen.train)), key=lambda number: _rank(frozen.train[number]))
    taken = sorted(ranked[: max(1, round(share * len(ranked)))])
    return replace(frozen, train=tuple(frozen.train[number] for number in taken))


def _rank(row: Checked) -> tuple[str, str, int]:
    """Rows that say the same come by their places."""
    return row.example.id, row.example.source.file, row.example.source.row
