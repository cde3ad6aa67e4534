"""The sides of the benchmark: each in a process of its own, computing a round only when asked."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch
from training_machine import Size, peak_rss_gib
from transformers.utils import logging

from residency.chat import Rendered
from residency.training.engine import supervised_count

ENOUGH = 0.75
"""Share of the machine's memory beyond which a side gets no more, before the machine itself runs out."""


class Round(NamedTuple):
    """What a side measured over one round of rows.

    Attributes:
        seconds: Of its optimiser steps.
        rows, tokens, supervised: Of the round's rows.
        executed: Positions that the trunk computed: packed tokens, or rows with their pads.
        flop: The matrix products that these need, by `Size.step_flop`.
        peak_rss_gib: The most memory that the process has held so far.
    """

    seconds: float
    rows: int
    tokens: int
    supervised: int
    executed: int
    flop: int
    peak_rss_gib: float

    @staticmethod
    def of(rows: list[Rendered], size: Size, seconds: float, executed: int) -> Round:
        """The round of these rows, by the process that took the steps."""
        tokens, supervised = sum(len(row.ids) for row in rows), supervised_count(rows)
        flop = size.step_flop(executed, supervised)
        return Round(seconds, len(rows), tokens, supervised, executed, flop, peak_rss_gib())


class Side:
    """A process that runs `work(connection, *arguments)`, which answers each message with one."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._here, there = spawn.Pipe()
        start = (work, there, torch.get_num_threads(), arguments)
        self._process = spawn.Process(target=_start, args=start, daemon=True)
        self._process.start()
        there.close()

    def ask(self) -> Any:
        """The next answer.

        Raises:
            EOFError: the process has ended, out of memory perhaps; it has printed its traceback.
        """
        try:
            self._here.send("go")
            return self._here.recv()
        except ConnectionError:
            raise EOFError from None

    def close(self) -> None:
        """End the process; one that has answered all ends by itself."""
        self._here.close()
        self._process.join(timeout=10)
        self._process.kill()
        self._process.join()


def _start(work: Callable[..., None], there: Connection, threads: int, arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore", FutureWarning)  # of the libraries among themselves
    logging.disable_progress_bar()
    if sys.platform == "linux":
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (int(ENOUGH * memory), hard))
    with suppress(EOFError):  # nobody asks any more
        work(there, *arguments)
