"""How much memory is free, how much is held, and how much work holds at most: measured.

On a GPU these are bytes of torch's allocator; on the CPU they are the process's resident bytes.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_PROCESS = Path("/proc/self")
_CGROUP = Path("/sys/fs/cgroup")


def used_memory(device: torch.device) -> int:
    """Bytes held now."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    resident: int = psutil.Process().memory_info().rss
    return resident


def free_memory(device: torch.device) -> int:
    """Bytes that may be taken beyond those held; on the CPU within a container's limit."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    available: int = psutil.virtual_memory().available
    return min(available, within_limit(_CGROUP, available))


def within_limit(cgroup: Path, available: int) -> int:
    """What the limit of a container (cgroup v2) leaves; `available` where there is no limit.

    Pages of files are given back on demand, so that only anonymous ones count as taken.
    """
    limit = cgroup / "memory.max"
    if not limit.is_file() or (most := limit.read_text().strip()) == "max":
        return available
    lines = (cgroup / "memory.stat").read_text().splitlines()
    taken = next(int(line.split()[1]) for line in lines if line.startswith("anon "))
    return max(0, int(most) - taken)


class PeakMemory:
    """The most memory held since this was made.

    Where the process's mark cannot be set back (no Linux, or no right to), it is the most that the
    process ever held.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        with suppress(OSError):
            (_PROCESS / "clear_refs").write_text("5")  # proc(5): sets VmHWM to what is held now

    def read(self) -> int:
        """Bytes."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        status = _PROCESS / "status"
        if status.is_file():
            lines = status.read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
        import resource  # Windows has none

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def most_held_by(work: Callable[[], object], device: torch.device) -> int:
    """Bytes of tensors that `work` holds at most, beyond those that were there before.

    On the CPU tensors are counted as they come and go: the process's mark would not tell, since it
    hides what fits into memory that was freed before but not given back.
    """
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    with _NewTensors() as tensors:
        work()
    return tensors.most


class _NewTensors(TorchDispatchMode):
    """Counts the bytes of the tensors that operators make, for as long as anything holds them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and id(tensor.untyped_storage()) not in given | self.known:
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        size, key = storage.nbytes(), id(storage)
        self.known.add(key)
        self.held += size
        self.most = max(self.most, self.held)
        weakref.finalize(storage, self._drop, key, size).atexit = False

    def _drop(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.held -= size
