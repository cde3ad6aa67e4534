"""The ledger of all rows read, told row by row from what is held of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residency.core.records import Source
from residency.core.workspace import encode_row
from residency.data.findings import Finding
from residency.data.ledger import Fate, checks_by_row, in_order
from residency.data.rows import ROW, Rows, hex_of
from residency.data.texts import as_bytes

_PART = 1 << 15
"""Rows that are told at a time."""
_LINE = (
    '{"source": {"file": %s, "row": %d}, "fate": "%s", "detail": "", "example_id": "%016x", '
    '"tokens": %d, "supervised_tokens": %d, "checks": []}\n'
)
"""What `Fate.to_json` gives for a row that is kept and that no check fired on, as nearly all are."""


class Ledger:
    """The fate of every row in the order of files and rows, with the checks that fired on it."""

    def __init__(
        self, kept: Mapping[str, Rows], left_out: Sequence[Fate], findings: Iterable[Finding]
    ) -> None:
        """Set up.

        Args:
            kept: The rows kept, by what became of them.
            left_out: The fates of all others.
            findings: Tell what fired, and on which rows.
        """
        self._kept, self._left_out = kept, left_out
        self._fired = checks_by_row(findings)
        of_kept = (rows.known.files for rows in kept.values())
        self._files = sorted({fate.source.file for fate in left_out}.union(*of_kept))
        self._number = {file: place for place, file in enumerate(self._files)}

    def __iter__(self) -> Iterator[Fate]:
        return (self._fate(*told) for told in self._rows())

    def lines(self) -> Iterator[bytes]:
        """Each as a line of JSON."""
        names, files = list(self._kept), [json.dumps(file, ensure_ascii=False) for file in self._files]
        for which, place, is_flagged, file, row, *rest in self._rows():
            if which == len(names) or is_flagged:
                yield encode_row(self._fate(which, place, is_flagged, file, row, *rest).to_json())
            else:
                yield as_bytes(_LINE % (files[file], row, names[which], *rest))

    def flagged(self) -> Iterator[Fate]:
        """The rows that checks fired on."""
        return (self._fate(*told) for told in self._rows() if told[2])

    def counts(self) -> dict[str, int]:
        """Rows by fate; they sum to the rows read."""
        counts = Counter(fate.fate for fate in self._left_out)
        counts.update({fate: len(rows) for fate, rows in self._kept.items()})
        return in_order(counts)

    def _fate(self, which: int, place: int, is_flagged: bool, file: int, row: int, *rest: int) -> Fate:
        source = Source(self._files[file], row)
        checks = self._fired[source] if is_flagged else ()
        if which == len(self._kept):
            return replace(self._left_out[place], checks=checks)
        id, tokens, supervised = rest
        return Fate(source, list(self._kept)[which], "", hex_of(id), tokens, supervised, checks)

    def _rows(self) -> Iterator[Any]:
        """Of each row: what became of it, its place there, whether a check fired, and what is held of it."""
        tables = [*map(self._numbered, self._kept.values()), self._lost()]
        table, sizes = np.concatenate(tables), list(map(len, tables))
        which = np.repeat(np.arange(len(tables)), sizes)
        place = np.concatenate([np.arange(size) for size in sizes])
        flagged = self._is_flagged(table)
        order = np.lexsort((table["row"], table["file"]))
        for start in range(0, len(order), _PART):
            part = order[start : start + _PART]
            held = (table[part][name] for name in ("file", "row", "id", "tokens", "supervised"))
            columns = (which[part], place[part], flagged[part], *held)
            yield from zip(*(column.tolist() for column in columns), strict=True)

    def _numbered(self, rows: Rows) -> NDArray[np.void]:
        """What is held of the rows, their files by their places among all."""
        table = rows.table.copy()
        table["file"] = np.array([self._number[file] for file in rows.known.files])[table["file"]]
        return table

    def _lost(self) -> NDArray[np.void]:
        lost = np.zeros(len(self._left_out), ROW)
        lost["file"] = [self._number[fate.source.file] for fate in self._left_out]
        lost["row"] = [fate.source.row for fate in self._left_out]
        return lost

    def _is_flagged(self, table: NDArray[np.void]) -> NDArray[np.bool_]:
        count, number = len(self._files), self._number
        fired = [count * source.row + number[source.file] for source in self._fired if source.file in number]
        return np.isin(count * table["row"] + table["file"], fired)
