"""Running out of memory, told from other failures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from residency.chat import Rendered
from residency.core.errors import ResidencyError

_WORDS = (
    "not enough memory",
    "DefaultCPUAllocator",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
)
"""A CPU's allocator and some of CUDA's calls raise a plain RuntimeError, known by its text alone."""


class DoesNotFitError(Exception):
    """Memory ran out while these rows were computed together."""

    def __init__(self, rows: Sequence[Rendered]) -> None:
        super().__init__(f"{len(rows)} rows")
        self.rows = rows


class TooLarge(ResidencyError):
    """Training holds more than there is memory, even a row at a time; it took `step` steps."""

    def __init__(self, what: str, where: str, fix: str, step: int) -> None:
        super().__init__(what, where, fix)
        self.step = step


@contextmanager
def within_memory(rows: Sequence[Rendered]) -> Iterator[None]:
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
