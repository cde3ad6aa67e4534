"""A lock between processes; who waits for another one is told so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from residency.core.progress import say

_SILENT = 1.0
"""Seconds that a process waits before it says so."""


@contextmanager
def held(lock: Path, work: str, place: Path) -> Iterator[Callable[[], None]]:
    """Hold `lock`; where another process has it, wait, and tell once for whom, at what and where.

    Gives what signs the lock, to be called where there is work to do: others are then told the process's id.
    """
    guard, holder = FileLock(lock), lock.with_suffix(".pid")
    try:
        guard.acquire(timeout=_SILENT)
    except Timeout:
        process = "another process"
        with suppress(OSError):
            process = f"process {holder.read_text()}"
        say(f"  waiting for {process}, which is at work on {work}: {place}")
        guard.acquire()

    def sign() -> None:
        with suppress(OSError):  # it is only to be told to others
            holder.write_text(str(os.getpid()))

    try:
        yield sign
    finally:
        with suppress(OSError):
            holder.unlink()
        guard.release()
