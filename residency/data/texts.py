"""Texts that stand on the disk: in memory is only where each of them begins and ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import BinaryIO, NamedTuple, overload
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from residency.core.workspace import unwritable

_BLOCK = 1 << 22
"""Bytes of texts that are read at a time."""
_END = ord("\n")
_SPARSE = 16
"""Texts are read one by one where they are less than one part in so many of the stretch they stand on."""


class Block(NamedTuple):
    """Texts as UTF-8, one behind the other."""

    content: bytes
    begins: NDArray[np.int64]
    sizes: NDArray[np.int32]

    @staticmethod
    def of(texts: Sequence[bytes]) -> Block:
        """The texts in their order; those that are one object stand there once."""
        places: dict[int, int] = {}
        content: list[bytes] = []
        begins, end = [], 0
        for text in texts:
            begin = places.setdefault(id(text), end)
            if begin == end:
                content.append(text)
                end += len(text)
            begins.append(begin)
        sizes = np.fromiter(map(len, texts), np.int32, len(texts))
        return Block(b"".join(content), np.array(begins, np.int64), sizes)


class _Held:
    """A file that stays open as long as somebody has texts of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        finalize(self, file.close)

    def read(self, begin: int, size: int) -> bytes:
        self._file.seek(begin)
        content = self._file.read(size)
        assert len(content) == size, "the file is shorter than it was"
        return content

    def write(self, begin: int, content: bytes) -> None:
        self._file.seek(begin)
        self._file.write(content)
        self._file.flush()  # what cannot be written is told here


class Texts(Sequence[str]):
    """Texts in a file, in any order."""

    def __init__(self, file: _Held, begins: NDArray[np.int64], sizes: NDArray[np.int32]) -> None:
        self._file, self._begins, self._sizes = file, begins, sizes

    @staticmethod
    def lines(file: Path) -> Texts:
        """The lines of a file, without their ends.

        Raises:
            ValueError: the last one has no end, so the file was cut off.
        """
        content = file.open("rb")
        held = _Held(content)
        ends, at = [np.zeros(1, np.int64)], 0
        while block := content.read(_BLOCK):
            ends.append(np.flatnonzero(np.frombuffer(block, np.uint8) == _END) + at + 1)
            at += len(block)
        begins = np.concatenate(ends)
        if begins[-1] != at:
            raise ValueError("its last line has no end")
        return Texts(held, begins[:-1], (np.diff(begins) - 1).astype(np.int32))

    def __len__(self) -> int:
        return len(self._begins)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Texts: ...
    def __getitem__(self, place: int | slice) -> str | Texts:
        if isinstance(place, slice):
            return self.take(place)
        return _decode(self._file.read(int(self._begins[place]), int(self._sizes[place])))

    def __iter__(self) -> Iterator[str]:
        return map(_decode, self.raw())

    def take(self, places: NDArray[np.int64] | slice) -> Texts:
        """The texts at these places."""
        return Texts(self._file, self._begins[places], self._sizes[places])

    def raw(self) -> Iterator[bytes]:
        """The texts as UTF-8, read in blocks."""
        ends = np.flatnonzero(np.diff(np.cumsum(self._sizes, dtype=np.int64) // _BLOCK)) + 1
        for first, last in zip([0, *ends.tolist()], [*ends.tolist(), len(self)], strict=True):
            yield from self._raw_block(self._begins[first:last], self._sizes[first:last])

    def _raw_block(self, begins: NDArray[np.int64], sizes: NDArray[np.int32]) -> Iterator[bytes]:
        if not len(begins):
            return
        low = int(begins.min())
        stretch = int((begins + sizes).max()) - low
        wanted = zip((begins - low).tolist(), sizes.tolist(), strict=True)
        if stretch > _SPARSE * max(_BLOCK, int(sizes.sum(dtype=np.int64))):
            yield from (self._file.read(low + begin, size) for begin, size in wanted)
        else:
            block = self._file.read(low, stretch)
            yield from (block[begin : begin + size] for begin, size in wanted)


class Spool:
    """A temporary file that takes texts; it has no name, and goes with the last of its texts."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is where it stands; by default, where the system keeps temporary files.

        Raises:
            ResidencyError: nothing can be written there; `add` raises it too.
        """
        self._folder = folder or Path(gettempdir())
        with _writing(self._folder):
            self._file = _Held(TemporaryFile(dir=self._folder))  # noqa: SIM115
        self._end = 0
        self._begins: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        self._sizes: list[NDArray[np.int32]] = [np.empty(0, np.int32)]

    def add(self, block: Block) -> None:
        """Put texts behind those that are there."""
        with _writing(self._folder):
            self._file.write(self._end, block.content)
        self._begins.append(block.begins + self._end)
        self._sizes.append(block.sizes)
        self._end += len(block.content)

    def texts(self) -> Texts:
        """All that was added."""
        if len(self._begins) > 1:
            self._begins, self._sizes = [np.concatenate(self._begins)], [np.concatenate(self._sizes)]
        return Texts(self._file, self._begins[0], self._sizes[0])


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(folder, error) from error


def as_bytes(text: str) -> bytes:
    """The text as it stands on the disk."""
    return text.encode("utf-8", "surrogatepass")


def _decode(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")
