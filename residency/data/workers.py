"""Sharing the work on a large file among processes; a small one is done with before they would have begun."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain
from typing import Any, TypeVar

from residency.core.errors import ResidencyError

ALONE = 50
"""Batches that are worked on before others are asked to help: they take a second or two to begin."""
_MOST = 6
"""Processes at most: one reader does not keep more of them busy."""
Batch = TypeVar("Batch")
Done = TypeVar("Done")


def spread(work: Callable[[Batch], Done], batches: Iterable[Batch]) -> Iterator[Done]:
    """`work` done on each batch, in their order, after `ALONE` of them by a process for each core.

    `work` must be pure, and known by name to another process.

    Raises:
        ResidencyError: a process ended, or could not begin. What `work` raises is raised here.
    """
    left = iter(batches)
    for number, batch in enumerate(left):
        if number == ALONE and (count := min(_MOST, os.cpu_count() or 1)) > 1:
            yield from _by_processes(work, batch, left, count)
            return
        yield work(batch)


def _by_processes(
    work: Callable[[Batch], Done], first: Batch, left: Iterator[Batch], count: int
) -> Iterator[Done]:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    helpers = ProcessPoolExecutor(count, context, _begin, (work,))
    waiting: deque[Future[Done]] = deque()
    try:
        for batch in chain((first,), left):
            with _interrupts_held():
                waiting.append(helpers.submit(_work, batch))
            if len(waiting) > 2 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        what = "A process that helped to examine the rows was ended, or could not begin."
        fix = (
            "Free some memory, then run the same command again. In a script of your own, begin the work "
            'below `if __name__ == "__main__":`, since each process imports the script.'
        )
        raise ResidencyError(what, "data", fix) from error
    finally:
        helpers.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits for the end of it; processes begun meanwhile hear of none, from their first import on."""
    if sys.platform == "win32":  # where signals cannot be held back
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_given: Callable[[Any], Any]
"""The work of this process, if it is a helper."""


def _begin(work: Callable[[Any], Any]) -> None:
    """Take up the work; Ctrl-C is for the process that asked for help, and none outlives it."""
    global _given
    _given = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # every core has its process
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(batch: Any) -> Any:
    return _given(batch)
