"""Rows that stand on the disk, with what is compared of each in memory: hashes and numbers, and no text.

A row is decoded when it is asked for, and forgotten again. So a file of long rows takes no more memory than
one of short rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from itertools import islice
from operator import eq
from pathlib import Path
from typing import NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from residency.core.records import Example, Source, fingerprint
from residency.core.workspace import encode_row, reading
from residency.data.duplicates import words
from residency.data.labels import LONGEST, is_short
from residency.data.ledger import Checked, Fate
from residency.data.texts import Block, Spool, Texts, as_bytes

BATCH = 1024
"""Rows that are decoded and stored at a time."""
ROW = np.dtype(
    [
        ("id", "u8"),
        ("input_id", "u8"),
        ("wording", "u8"),
        ("answer", "u8"),  # hash of the answer
        ("label", "u8"),  # hash of the answer without the blanks around it
        ("system", "u8"),  # hash of the system prompt
        ("group", "u8"),  # hash of the group; 0 for none
        ("row", "i8"),
        ("file", "i4"),  # place in the list of files
        ("tokens", "i4"),
        ("supervised", "i4"),
        ("turns", "i4"),
        ("is_text", "?"),
        ("is_short", "?"),  # whether the answer is short enough for a label
    ]
)
"""What is held of a row."""
Places = NDArray[np.int64]
T = TypeVar("T")
Found = TypeVar("Found")


class Packed(NamedTuple):
    """A batch of rows ready to be stored: each as JSON, the words it asks, its answer, and its `ROW`."""

    lines: Block
    words: Block
    answers: Block
    table: NDArray[np.void]
    files: Sequence[str]


class Known(NamedTuple):
    """What is known of rows without decoding them."""

    table: NDArray[np.void]
    files: Sequence[str]
    words: Texts
    answers: Texts


class Rows(Sequence[Checked]):
    """Rows in their order; each is decoded anew whenever it is asked for."""

    def __init__(self, lines: Texts, known: Known | None = None) -> None:
        self._lines, self._known = lines, known
        self._clusters: dict[int, str] = {}

    @staticmethod
    def of(rows: Iterable[Checked], folder: Path | None = None) -> Rows:
        """Rows put into temporary files; `folder` is where these stand."""
        store = Store(folder)
        for batch in batches(rows, BATCH):
            store.add(pack(batch))
        return store.rows()

    @staticmethod
    def read(file: Path) -> Rows:
        """The rows of a file of the workspace that holds `lines` of others.

        Raises:
            ResidencyError: it is missing, or was cut off.
        """
        with reading(file):
            return Rows(Texts.lines(file))

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, place: int) -> Checked: ...
    @overload
    def __getitem__(self, place: slice) -> Rows: ...
    def __getitem__(self, place: int | slice) -> Checked | Rows:
        if isinstance(place, slice):
            return self.take(place)
        return self._in_cluster(range(len(self))[place], _decoded(self._lines[place]))

    def __iter__(self) -> Iterator[Checked]:
        for place, line in enumerate(self._lines):
            yield self._in_cluster(place, _decoded(line))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rows):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def take(self, places: Places | slice) -> Rows:
        """The rows at these places; a slice holds no numbers of its own."""
        known = self._known
        if known is not None:
            words, answers = known.words.take(places), known.answers.take(places)
            known = Known(known.table[places], known.files, words, answers)
        rows = Rows(self._lines.take(places), known)
        if self._clusters:
            new = enumerate(np.arange(len(self))[places].tolist())
            rows._clusters = {place: name for place, old in new if (name := self._clusters.get(old))}
        return rows

    def where(self, mask: NDArray[np.bool_]) -> Rows:
        """The rows that the mask is true for."""
        return self.take(np.flatnonzero(mask))

    def in_clusters(self, names: dict[int, str]) -> Rows:
        """The same rows, those at the places given with the name of their cluster."""
        rows = Rows(self._lines, self._known)
        rows._clusters = names
        return rows

    def lines(self) -> Iterator[bytes]:
        """Each row as a line of JSON, as `Checked.to_json` has it."""
        named = self._clusters
        for place, line in enumerate(self._lines.raw()):
            yield encode_row(self[place].to_json()) if named and place in named else line + b"\n"

    @property
    def known(self) -> Known:
        """What is known of the rows; those of a file are all decoded for it once."""
        if self._known is None:
            store = Store()
            for batch in batches(self, BATCH):
                store.add(pack(batch)._replace(lines=Block.of(())))  # these stand in their file
            self._known = store.known()
        return self._known

    @property
    def table(self) -> NDArray[np.void]:
        """The `ROW` of each."""
        return self.known.table

    @property
    def words(self) -> Texts:
        """What each row asks, as `duplicates.words` has it."""
        return self.known.words

    @property
    def answers(self) -> Texts:
        """What each row answers."""
        return self.known.answers

    @cached_property
    def labels(self) -> list[str] | None:
        """The label of each row where answers are labels, as `labels_of` has them, and None where not."""
        table = self.table
        few = len(np.unique(table["label"])) <= max(2, len(self) // 4)
        if not few or 20 * np.count_nonzero(table["is_short"]) < 19 * len(self):
            return None
        first, number = self._answers
        told = [self.answers[place].strip() for place in first.tolist()]
        return [told[place] for place in number.tolist()]

    def source(self, place: int) -> Source:
        """Where a row stands."""
        told = self.table[place]
        return Source(self.known.files[told["file"]], int(told["row"]))

    def fate(self, place: int, fate: str, detail: str = "") -> Fate:
        """The fate of a row."""
        told = self.table[place]
        tokens, supervised = int(told["tokens"]), int(told["supervised"])
        return Fate(self.source(place), fate, detail, hex_of(told["id"]), tokens, supervised)

    def with_different_answers(self) -> Rows:
        """The first row of each answer."""
        return self.take(np.sort(self._answers[0]))

    def different_answers(self) -> Iterator[str]:
        """Each answer once, in the order of the rows that give them first."""
        return iter(self.answers.take(np.sort(self._answers[0])))

    def look_at_answers(self, look: Callable[[str], Found | None]) -> dict[int, Found]:
        """What `look` finds in the rows' answers, by place; those that are the same are looked at once."""
        first, number = self._answers
        of = zip(np.argsort(first).tolist(), self.different_answers(), strict=True)
        found = {which: seen for which, answer in of if (seen := look(answer)) is not None}
        (places,) = np.nonzero(np.isin(number, np.fromiter(found, np.int64, len(found))))
        which_of = zip(places.tolist(), number[places].tolist(), strict=True)
        return {place: found[which] for place, which in which_of}

    @cached_property
    def _answers(self) -> tuple[Places, Places]:
        """The first row of each different answer, and for each row which of them it has."""
        _, first, number = np.unique(self.table["answer"], return_index=True, return_inverse=True)
        return first, number

    def _in_cluster(self, place: int, row: Checked) -> Checked:
        if name := self._clusters.get(place):
            return replace(row, example=replace(row.example, cluster=name))
        return row


class Store:
    """Where rows are put, one batch after the other."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is where their temporary files stand."""
        self._lines, self._words, self._answers = Spool(folder), Spool(folder), Spool(folder)
        self._tables: list[NDArray[np.void]] = [np.empty(0, ROW)]
        self._files: dict[str, int] = {}
        self._count = 0

    def add(self, batch: Packed) -> None:
        """Put a batch behind the others."""
        self._lines.add(batch.lines)
        self._words.add(batch.words)
        self._answers.add(batch.answers)
        numbers = [self._files.setdefault(file, len(self._files)) for file in batch.files]
        batch.table["file"] = np.array(numbers, np.int32)[batch.table["file"]]
        self._tables.append(batch.table)
        self._count += len(batch.table)

    def __len__(self) -> int:
        return self._count

    def known(self) -> Known:
        """What is known of all of them."""
        self._tables = [np.concatenate(self._tables)] if len(self._tables) > 1 else self._tables
        return Known(self._tables[0], tuple(self._files), self._words.texts(), self._answers.texts())

    def rows(self, begin: int = 0) -> Rows:
        """All of them, or those from a place on."""
        return Rows(self._lines.texts(), self.known())[begin:]


def pack(rows: Sequence[Checked]) -> Packed:
    """The rows of a batch, ready to be stored."""
    files: dict[str, int] = {}
    answers: dict[str, bytes] = {}
    asked, table, told = [], [], []
    for row in rows:
        example, source = row.example, row.example.source
        said, answer = words(example), example.answer
        asked.append(as_bytes(said))
        told.append(answers.get(answer) or answers.setdefault(answer, as_bytes(answer)))
        label, system = answer.strip(), system_of(example)
        table.append(
            (
                int(example.id, 16),
                int(example.input_id, 16),
                int(fingerprint(said), 16),
                hash_of(answer),
                hash_of(label),
                hash_of(system),
                hash_of(example.group) if example.group else 0,
                source.row,
                files.setdefault(source.file, len(files)),
                row.tokens,
                row.supervised_tokens,
                len(example.messages),
                example.is_text,
                is_short(label),
            )
        )
    lines = [encode_row(row.to_json())[:-1] for row in rows]
    blocks = Block.of(lines), Block.of(asked), Block.of(told)
    return Packed(*blocks, np.array(table, ROW), list(files))


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items, so many at a time."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


def system_of(example: Example) -> str:
    """The row's own system prompt; empty where it has none."""
    turn = example.messages[0]
    return turn.content if turn.role == "system" else ""


def hash_of(text: str) -> int:
    """A hash of 64 bits, the same in every process."""
    return _hash_of_short(text) if len(text) < LONGEST else _hash(text)


@lru_cache(maxsize=4096)
def _hash_of_short(text: str) -> int:
    return _hash(text)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(as_bytes(text), digest_size=8).digest(), "big")


def hex_of(number: int) -> str:
    """A hash of 64 bits as ids and wordings are written."""
    return f"{number:016x}"


def _decoded(line: str) -> Checked:
    return Checked.from_json(json.loads(line))
