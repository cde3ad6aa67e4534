"""Running out of memory, told from other failures, and going on with less at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from residency.core.progress import say
from residency.models.unanswerable import Unanswerable

_WORDS = (
    "not enough memory",
    "DefaultCPUAllocator",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
    "MPS backend out of memory",
)
"""A CPU's allocator, Metal's and some of CUDA's calls raise a plain RuntimeError, known by its text alone."""


class DoesNotFitError(Exception):
    """Memory ran out while these rows were computed together."""

    def __init__(self, rows: Sequence[Any]) -> None:
        super().__init__(f"{len(rows)} rows")
        self.rows = rows


@contextmanager
def within_memory(rows: Sequence[Any]) -> Iterator[None]:
    """Work on `rows`.

    Raises:
        DoesNotFitError: memory ran out; every other error passes.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise DoesNotFitError(rows) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, the process or torch's CPU allocator has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def give_back(device: torch.device) -> None:
    """Give back what the allocator keeps for later; to be called once no failed tensor is held any more."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps" and torch.backends.mps.is_available():
        torch.mps.empty_cache()


def work_in_batches(
    batches: Iterable[Sequence[int]],
    work: Callable[[Sequence[int]], None],
    device: torch.device,
    *,
    fewer: Callable[[int, int], None],
    alone: Callable[[int], None],
) -> None:
    """Work on batch after batch, each the places of its rows; after one that does not fit, half as many rows.

    `work` may be called again with rows that it failed on. `fewer` is told how many rows did not fit, and
    how many there will be at most; `alone` which row does not fit on its own.
    """
    left, most = deque(batches), 0
    while left:
        batch = left.popleft()
        if most and len(batch) > most:
            left.appendleft(batch[most:])
            batch = batch[:most]
        try:
            with within_memory(batch):
                work(batch)
            continue
        except DoesNotFitError:
            pass
        # Here, since only after the handler nothing holds the failed computation's tensors.
        give_back(device)
        if len(batch) == 1:
            alone(batch[0])
            continue
        most = len(batch) // 2
        left.appendleft(batch)
        fewer(len(batch), most)


def answer_in_batches(
    batches: Iterable[Sequence[int]],
    lengths: Sequence[int],
    answer: Callable[[Sequence[int]], None],
    device: torch.device,
) -> None:
    """Answer batch after batch as `work_in_batches` does; `lengths` are the rows' tokens with answers.

    Raises:
        Unanswerable: a row does not fit on its own.
    """

    def fewer(rows: int, most: int) -> None:
        say(
            f"  {rows:,} rows at a time do not fit into memory as they are answered: going on with "
            f"{most:,} (candidates.batch_size = {most} begins so)"
        )

    def alone(place: int) -> None:
        raise does_not_fit(lengths[place], place)

    work_in_batches(batches, answer, device, fewer=fewer, alone=alone)


def does_not_fit(tokens: int, place: int) -> Unanswerable:
    """The user's error for a prompt that no memory is left for."""
    return Unanswerable(
        f"A prompt and its answer, up to {tokens:,} tokens, do not fit into memory on their own.",
        "task.max_new_tokens, candidates.few_shot, candidates.retrieved",
        "Lower one of these, or data.max_tokens where the rows are long; or take a smaller base.model.",
        place,
    )
