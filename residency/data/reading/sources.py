"""What the recipe's sources of rows are called in the ledger, and the hash of what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from residency.core.hub_name import HubName, on_hub
from residency.core.recipe import Data, Train
from residency.core.records import fingerprint
from residency.data.reading.arrow_file import STATE, saved_files
from residency.data.reading.hub import hub_files
from residency.data.reading.read import list_files, shown_name
from residency.data.reading.row import unreadable


def sources_of(data: Data) -> dict[str, Path]:
    """Where the rows come from, by role."""
    roles = {"train": data.train, "validation": data.validation, "test": data.test}
    return {role: source for role, source in roles.items() if source is not None}


def replay_file(settings: Train) -> Path:
    """Where general rows come from: the user's file, or the one in the package."""
    return settings.replay_file or Path(str(resources.files("residency.data"))) / "replay.jsonl"


def naming_roots(sources: Mapping[str, Path]) -> dict[str, Path]:
    """By role, the folder from which a source's files are named: so near that no two share a name."""
    listings = {role: list_files(source) for role, source in sources.items()}
    roots = {role: listing.root for role, listing in listings.items()}
    while True:
        files: dict[str, set[Path]] = {}
        for role, listing in listings.items():
            for file in listing.files:
                files.setdefault(shown_name(file, roots[role]), set()).add(file)
        shared = {file for same in files.values() if len(same) > 1 for file in same}
        clashing = [role for role, listing in listings.items() if shared.intersection(listing.files)]
        nearer = roots
        roots = {role: root.parent if role in clashing else root for role, root in roots.items()}
        if roots == nearer:
            return roots


def files_of(source: Path) -> tuple[Path, ...]:
    """Every file on the disk that the rows of `source` are read from."""
    if on_hub(source):
        return hub_files(HubName.parse(source))
    files: list[Path] = []
    for file in list_files(source).files:
        files += [*(file / name for name in STATE), *saved_files(file)] if file.is_dir() else [file]
    return tuple(files)


def source_hash(source: Path) -> str:
    """Hex SHA-256 of a file's bytes; of a folder or dataset, over its files' names and hashes."""
    if source.is_file():
        return _file_hash(source)
    files = files_of(source)
    root = files[0].parent if on_hub(source) else source.absolute()
    return fingerprint([[shown_name(file, root), _file_hash(file)] for file in files], length=64)


def _file_hash(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(file, error.strerror or str(error)) from None
