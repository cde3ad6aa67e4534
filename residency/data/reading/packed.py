"""Opening a file as bytes, unpacked on the way where it is packed, a little at a time."""

from __future__ import annotations

import io
from pathlib import Path

PACKED = {".gz": "gzip", ".zst": "zstd"}
"""Endings of packed files, and pyarrow's names of what packed them."""
MAX_RATIO = 200
"""A packed file may unpack to this many times its size; text seldom reaches 20."""
ALWAYS = 1 << 30
"""Bytes that any packed file may unpack to, however small it is."""


def open_bytes(file: Path) -> io.BufferedReader:
    """What `file` holds, unpacked.

    Raises:
        OSError: it cannot be opened; raised by reading too: it is cut off, damaged, or unpacks to too much.
    """
    codec = PACKED.get(file.suffix.lower())
    return file.open("rb") if codec is None else io.BufferedReader(_Unpacked(file, codec), 1 << 16)


class _Unpacked(io.RawIOBase):
    """A packed file as it was before. pyarrow notes where one is cut off, and never unpacks ahead."""

    def __init__(self, file: Path, codec: str) -> None:
        from pyarrow import CompressedInputStream

        self._packed = file.open("rb")
        self._stream = CompressedInputStream(self._packed, codec)
        self._room = max(ALWAYS, MAX_RATIO * file.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._stream.readinto(buffer)
        self._room -= count
        if self._room < 0:
            raise OSError(f"it unpacks to more than {MAX_RATIO} times its size")
        return int(count)

    def close(self) -> None:
        self._stream.close()
        self._packed.close()
        super().close()
