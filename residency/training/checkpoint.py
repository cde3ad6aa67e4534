"""Checkpoints: all that training needs to go on as if it had never stopped.

A checkpoint is written to a temporary folder, given a manifest with the hashes of its files,
synced and renamed. One that is damaged or half-written is never taken up.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from residency.core.workspace import read_json, sync_folder, unwritable, write_json
from residency.training.distribution import laid_out_like, whole

_NAME = re.compile(r"^step-(\d{8})$")


def trainable_state(model: torch.nn.Module) -> dict[str, Tensor]:
    """The weights that are trained, by name, whole; where they are sharded every process must ask."""
    return {name: whole(p.detach()) for name, p in model.named_parameters() if p.requires_grad}


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's moments by `<number of the weight>.<name>`, whole."""
    states = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": whole(value.detach()).clone()
        if isinstance(value, Tensor)
        else torch.tensor(value)
        for number, state in states.items()
        for name, value in state.items()
    }


def load_trainable(model: torch.nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put trained weights back, in place."""
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if parameters.keys() != state.keys():
        raise ValueError("the checkpoint's weights are not those that are trained")
    for name, parameter in parameters.items():
        parameter.copy_(laid_out_like(state[name], parameter))


def write_checkpoint(
    folder: Path,
    step: int,
    weights: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
    state: Mapping[str, Any],
) -> Path:
    """Write `step-…` below `folder`: weights, the optimiser's moments and `state` (JSON).

    Raises:
        ResidencyError: the disk is full or not writable; nothing half-written stays.
    """
    final = folder / f"step-{step:08d}"
    partial = folder / f".{final.name}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file({k: v.contiguous() for k, v in weights.items()}, partial / "weights.safetensors")
        save_file(dict(moments), partial / "optimizer.safetensors")
        write_json(partial / "state.json", {"step": step, **state})
        write_json(partial / "manifest.json", {f.name: _sha256(f) for f in sorted(partial.iterdir())})
        sync_folder(partial)
        shutil.rmtree(final, ignore_errors=True)
        partial.replace(final)
    except (OSError, SafetensorError) as error:
        raise unwritable(final, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def read_checkpoint(
    checkpoint: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Restore weights and optimiser; returns the JSON state. No step draws random numbers."""
    device = next(model.parameters()).device
    load_trainable(model, load_file(checkpoint / "weights.safetensors", device=str(device)))
    tensors = load_file(checkpoint / "optimizer.safetensors", device=str(device))
    packed: dict[str, Any] = optimizer.state_dict()
    packed["state"] = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for key, tensor in tensors.items():
        number, name = key.split(".", 1)
        laid_out = laid_out_like(tensor, parameters[int(number)])
        packed["state"].setdefault(int(number), {})[name] = laid_out
    optimizer.load_state_dict(packed)
    state: dict[str, Any] = read_json(checkpoint / "state.json")
    return state


def checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first; damaged ones are left out."""
    if not folder.is_dir():
        return []
    return [f for f in sorted(folder.iterdir()) if _NAME.match(f.name) and _whole(f)]


def keep_only(folder: Path, steps: set[int]) -> None:
    """Remove all other checkpoints and what an interrupted write left."""
    for path in folder.iterdir():
        match = _NAME.match(path.name)
        if path.is_dir() and (match is None or int(match[1]) not in steps):
            shutil.rmtree(path, ignore_errors=True)


def _whole(checkpoint: Path) -> bool:
    manifest = checkpoint / "manifest.json"
    if not manifest.is_file():
        return False
    hashes: dict[str, str] = read_json(manifest)
    return all(
        (checkpoint / name).is_file() and _sha256(checkpoint / name) == h for name, h in hashes.items()
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
