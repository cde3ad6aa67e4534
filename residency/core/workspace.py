"""The workspace: finished stages by the hash of their inputs, and runs that point to them.

    .residency/
      stages/<stage>-<key>/   what a stage wrote, with stage.json; complete or not there at all
      stages/.partial/        stages under way; only a resumable one is found again
      splits/<task>-<project>-<split>/  which inputs are on which side, kept through changes of the data
      runs/<run>/             run.json, report.json, report.html, scored, causes and ledger.jsonl

A stage is built in a partial folder, synced and renamed, so a folder under its final name is whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from residency.core.errors import ResidencyError
from residency.core.held import held
from residency.core.records import fingerprint

FOLDER = ".residency"
_DISK = {errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EPERM, errno.EROFS}
"""Failures of a disk, which the user can mend; any other in a stage is a bug."""
_RUN_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,80}$")


def write_json(file: Path, content: Any) -> None:
    """Write `content` so that `file` holds all of it or what it held before."""
    write_text(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, all or nothing."""
    write_lines(file, map(encode_row, rows))


def encode_row(row: Mapping[str, Any]) -> bytes:
    """A line of a JSONL file, its end included."""
    return f"{_encode(row)}\n".encode("utf-8", "surrogatepass")


def jsonl_hash(rows: Iterable[Mapping[str, Any]]) -> str:
    """Hex SHA-256 of the file that `write_jsonl` makes of these rows."""
    content = hashlib.sha256()
    for row in rows:
        content.update(encode_row(row))
    return content.hexdigest()


def write_text(file: Path, text: str) -> None:
    """Write `text` so that `file` holds all of it or what it held before."""
    write_lines(file, (text.encode("utf-8", "surrogatepass"),))


def copy_file(file: Path, to: Path) -> None:
    """Copy a file of the workspace, all or nothing."""
    with file.open("rb") as content:
        write_lines(to, iter(lambda: content.read(1 << 20), b""))


_encode = json.JSONEncoder(ensure_ascii=False).encode


def write_lines(file: Path, parts: Iterable[bytes]) -> None:
    """Write to a temporary file beside `file`, sync, rename: all or nothing."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as out:
            out.writelines(parts)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(file)
    except OSError as error:
        raise unwritable(file, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_json(file: Path) -> Any:
    """The content of a JSON file of the workspace."""
    return json.loads(file.read_text(encoding="utf-8", errors="surrogatepass"))


def read_jsonl(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file of the workspace."""
    with file.open(encoding="utf-8", errors="surrogatepass", newline="\n") as lines:
        for line in lines:
            yield json.loads(line)


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Tell the user of a run's file that is missing or damaged.

    Raises:
        ResidencyError: what is read holds no JSON, or not what the file should.
    """
    try:
        yield
    except FileNotFoundError:
        reason = "is missing"
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = f"is damaged, or was made by another version: {error}".splitlines()[0].rstrip(":. ")
    else:
        return
    fix = f"Delete the folder {file.parent} and run its recipe again; finished stages are not repeated."
    raise ResidencyError(f"A file of the run {reason}.", str(file), fix)


def unwritable(file: Path, error: Exception) -> ResidencyError:
    """The user's error for a disk that is full or a folder that may not be written."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    fix = "Free some disk space or make the folder writable, then run the same command again."
    return ResidencyError(f"Writing failed: {reason}.", str(file), fix)


def sync_folder(folder: Path) -> None:
    """Force every file below `folder`, and the folder's entries, to the disk."""
    for path in (folder, *folder.rglob("*")):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@dataclass(frozen=True)
class Workspace:
    """A `.residency` folder."""

    folder: Path

    @staticmethod
    def find(start: Path | None = None) -> Workspace:
        """`$RESIDENCY_HOME`, else the nearest `.residency` here or above, else one to be made here."""
        if home := os.environ.get("RESIDENCY_HOME"):
            return Workspace(Path(home).expanduser().absolute())
        here = (start or Path.cwd()).absolute()
        for folder in (here, *here.parents):
            if (folder / FOLDER).is_dir():
                return Workspace(folder / FOLDER)
        return Workspace(here / FOLDER)

    def stage(
        self, name: str, inputs: Mapping[str, Any], build: Callable[[Path], None], *, resumable: bool = False
    ) -> tuple[Path, bool]:
        """The folder of a finished stage, and whether it had been finished before.

        `build` is called with an empty folder unless the same inputs were built before. If it
        fails the folder goes, unless the stage is `resumable`: then the next call is given the
        same folder with what is in it.
        """
        key = fingerprint({"stage": name, **inputs})
        final = self.folder / "stages" / f"{name}-{key}"
        partial = self.folder / "stages" / ".partial" / final.name
        self._prepare(partial)
        with held(partial.with_suffix(".lock"), f"the stage {name}", partial) as sign:
            if (final / "stage.json").is_file():
                return final, True
            sign()
            if not resumable:
                shutil.rmtree(partial, ignore_errors=True)
            try:
                partial.mkdir(exist_ok=True)
                build(partial)
                write_json(partial / "stage.json", {"stage": name, "key": key, "inputs": dict(inputs)})
                sync_folder(partial)
                partial.replace(final)
            except OSError as error:
                if error.errno not in _DISK:
                    raise
                raise unwritable(partial, error) from error
            finally:
                if not resumable:
                    shutil.rmtree(partial, ignore_errors=True)
        return final, False

    def _prepare(self, partial: Path) -> None:
        """Make the folders of a stage under way, and its lock's file."""
        try:
            partial.parent.mkdir(parents=True, exist_ok=True)
            partial.with_suffix(".lock").touch()
            ignore = self.folder / ".gitignore"
            if not ignore.exists():
                write_text(ignore, "*\n")
        except OSError as error:
            raise unwritable(self.folder, error) from error

    @property
    def splits(self) -> Path:
        """The folder of the splits' locks."""
        return self.folder / "splits"

    @property
    def runs(self) -> Path:
        """The folder of runs."""
        return self.folder / "runs"

    def run_names(self) -> list[str]:
        """Names of all runs, the one that was begun last first."""
        if not self.runs.is_dir():
            return []
        folders = [f for f in self.runs.iterdir() if (f / "run.json").is_file()]
        return [folder.name for folder in sorted(folders, key=_begun, reverse=True)]

    def run(self, name: str) -> Path:
        """The folder of the run called `name`, of the only one that begins so, or of the `latest`.

        Raises:
            ResidencyError: no such run, or several; a name is never taken as a path.
        """
        names = self.run_names()
        found = (
            names[:1]
            if name == "latest"
            else [n for n in names if n == name]
            or [n for n in names if _RUN_NAME.match(name) and n.startswith(name)]
        )
        if len(found) == 1:
            return self.runs / found[0]
        what = f"Several runs begin with '{name}'." if found else f"There is no run '{name}'."
        listing = ", ".join(names[:5]) or "none yet"
        raise ResidencyError(what, str(self.runs), f"Name one of: {listing}. `residency runs` lists all.")


def _begun(run: Path) -> tuple[float, float]:
    """When the run was begun; in the same second, when its folder was changed.

    So too where `run.json` is damaged: that is told where it is read.
    """
    changed = run.stat().st_mtime
    try:
        return datetime.fromisoformat(read_json(run / "run.json")["created"]).timestamp(), changed
    except (OSError, ValueError, LookupError, TypeError):
        return changed, changed
