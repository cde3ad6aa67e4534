"""Many processes that train one model, started by torchrun: who computes what, and what is summed.

Accelerate sets the processes up and carries what they tell each other. A step's gradient is the sum
over all its rows, wherever they are computed, so any number of processes takes the same step, up to
rounding. One process alone divides nothing and waits for nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor
from torch.distributed import DistStoreError, all_reduce
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from residency.chat import Rendered
from residency.core.errors import ResidencyError
from residency.core.processes import process_count
from residency.core.recipe import Distribution

Part = tuple[list[Rendered], bool]
"""Rows computed at a time, and whether they count: those that do not keep the processes in step."""

_TORCHRUN = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets for every process, beside WORLD_SIZE."""
_LONGEST_WAIT = timedelta(days=7)
"""The others wait while the main process asks the baselines; one that dies ends all, by torchrun."""


class Alone:
    """One process that does everything."""

    main = True
    size = 1
    sharded = False
    """Whether no process can compute without the others."""

    def prepare(self, model: torch.nn.Module) -> None:
        """Lay the model out over the processes."""

    def share(self, rows: Sequence[Rendered]) -> Sequence[Rendered]:
        """The rows that this process computes."""
        return rows

    def in_step(self, parts: Iterable[list[Rendered]], rows: Sequence[Rendered]) -> Iterable[Part]:
        """The parts of `rows` here, as many as the others have where that matters."""
        return ((part, True) for part in parts)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of this process' part of the loss."""
        loss.backward()

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Sum the gradients of all processes, in place."""

    def sum(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Sums over all processes, by name."""
        return dict(figures)

    def tell(self, content: Any) -> Any:
        """What the main process says, for all."""
        return content

    def wait(self) -> None:
        """Until all are here."""


class Replicas(Alone):
    """Every process holds the whole model; gradients are summed once a step.

    Nothing is exchanged before, so that a process that runs out of memory halves its parts alone.
    """

    def __init__(self, state: PartialState) -> None:
        self.main, self.size = state.is_main_process, state.num_processes
        self._state = state

    def share(self, rows: Sequence[Rendered]) -> Sequence[Rendered]:
        """About as many tokens as every other process has."""
        return deal(rows, self.size)[self._state.process_index]

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """One exchange for all; a process that had no rows adds zeros."""
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = torch.cat([grad.flatten() for grad in grads])
        all_reduce(flat)
        for parameter, part in zip(parameters, flat.split([g.numel() for g in grads]), strict=True):
            parameter.grad = part.view_as(parameter)

    def sum(self, figures: Mapping[str, float]) -> dict[str, float]:
        """In the order of the processes, so that all get the same to the bit."""
        sums: dict[str, float] = {}
        for told in gather_object([dict(figures)]):
            for name, value in told.items():
                sums[name] = sums.get(name, 0.0) + value
        return sums

    def tell(self, content: Any) -> Any:
        """What the main process says, for all; what others say is not heard."""
        return broadcast_object_list([content])[0]

    def wait(self) -> None:
        """Until all are here."""
        self._state.wait_for_everyone()


class Shards(Replicas):
    """Every process holds a share of each layer's weights and gathers a layer while it computes it.

    That is torch's `fully_shard` (FSDP2; Zhao et al. 2023, arXiv:2304.11277) over decoder layers.
    Accelerate would apply it to GPUs alone. Computing a layer takes all processes at once, so all
    have as many parts, and none can halve its own.
    """

    sharded = True

    def prepare(self, model: torch.nn.Module) -> None:
        """Shard each decoder layer, and together what is left: the head is used after the forward pass."""
        mesh = init_device_mesh(self._state.device.type, (self.size,))
        names = set(getattr(model, "_no_split_modules", None) or ())
        for module in list(model.modules()):
            if type(module).__name__ in names:
                fully_shard(module, mesh=mesh)
        fully_shard(model, mesh=mesh, reshard_after_forward=False)

    def in_step(self, parts: Iterable[list[Rendered]], rows: Sequence[Rendered]) -> Iterable[Part]:
        """Filled up with the shortest row, which then does not count."""
        own = list(parts)
        most = max(gather_object([len(own)]))
        shortest = min(rows, key=lambda row: len(row.ids))
        return [(part, True) for part in own] + [([shortest], False)] * (most - len(own))

    def backward(self, loss: Tensor) -> None:
        """The mean over processes, which sharding takes, of so many times the loss is the sum."""
        (loss * self.size).backward()

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """They are summed already, each part in its backward pass."""


def deal(rows: Sequence[Rendered], processes: int) -> list[list[Rendered]]:
    """The rows by process: the longest first, each to the process that has least to compute.

    Every process computes the prefix that all rows share, so only what comes after it counts.
    """
    shared = len(os.path.commonprefix([row.ids for row in rows]))
    shares: list[list[Rendered]] = [[] for _ in range(processes)]
    load = [0] * processes
    for row in sorted(rows, key=lambda row: -len(row.ids)):
        least = min(range(processes), key=lambda process: (load[process], len(shares[process])))
        shares[least].append(row)
        load[least] += len(row.ids) - shared
    return shares


def connect(distribution: Distribution = "ddp") -> Alone:
    """The place of this process among those that torchrun started, if it did.

    Raises:
        ResidencyError: something else set WORLD_SIZE, and the processes cannot find each other.
    """
    if process_count() == 1:
        return Alone()
    if missing := [name for name in _TORCHRUN if name not in os.environ]:
        what = f"WORLD_SIZE tells of {process_count()} processes, but {', '.join(missing)} is not set."
        raise ResidencyError(what, "environment", "Start it with torchrun, or unset WORLD_SIZE.")
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=_LONGEST_WAIT)
    return Shards(state) if distribution == "fsdp" else Replicas(state)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be sharded; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def laid_out_like(tensor: Tensor, other: Tensor) -> Tensor:
    """`tensor`, whole on every process, sharded as `other` is."""
    if not isinstance(other, DTensor) or tensor.shape != other.shape:
        return tensor
    return distribute_tensor(tensor, other.device_mesh, other.placements, src_data_rank=None)


def first_to_end() -> bool:
    """Whether no other process has ended in an error before: the first alone tells the user.

    The processes of one torchrun share its store, which outlives them; without a store each tells.
    """
    if not {"MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        return True
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        seconds = timedelta(seconds=10)
        store = torch.distributed.TCPStore(address, port, is_master=False, timeout=seconds)  # type: ignore[attr-defined]
        return store.add("residency/ended", 1) == 1
    except DistStoreError:
        return False
