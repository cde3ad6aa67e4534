"""Writing a mended file beside the data, with its patch and ledger; and taking a patch back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residency.core.errors import ResidencyError
from residency.core.recipe import Data
from residency.core.workspace import jsonl_hash, read_jsonl, write_jsonl
from residency.data.ledger import Fate
from residency.data.mending.fix import MENDS, Fixed, fix
from residency.data.mending.patch import PATCH, Between, Patch, beside, undo
from residency.data.mending.review import Decision, decisions_file, read_decisions
from residency.data.reading.read import read_rows
from residency.data.reading.row import unreadable
from residency.data.reading.sources import naming_roots, source_hash, sources_of

_LEDGER = ".ledger.jsonl"


@dataclass(frozen=True)
class Mended:
    """A mended file, and what was done."""

    out: Path
    fixed: Fixed

    @property
    def patch(self) -> Path:
        """The file of actions, one a line."""
        return self.out.with_suffix(PATCH)

    @property
    def ledger(self) -> Path:
        """The file of fates: kept, mended or dropped."""
        return self.out.with_suffix(_LEDGER)

    def to_json(self) -> dict[str, Any]:
        """What was done, in numbers, and where it is written."""
        done = Counter((action.check, action.action) for action in self.fixed.actions)
        return {
            "rows": len(self.fixed.fates),
            "fates": dict(Counter(fate.fate for fate in self.fixed.fates)),
            "actions": [{"check": c, "action": verb, "rows": rows} for (c, verb), rows in done.items()],
            "out": str(self.out),
            "patch": str(self.patch),
            "ledger": str(self.ledger),
        }


def mend_file(
    data: Data,
    checked: Path,
    out: Path | None,
    only: Sequence[str],
    decisions: Mapping[str, Decision] | None = None,
) -> Mended:
    """Mend the training file into a new one, as its examination and the decisions of its review say.

    `decisions` are the ones to apply, by the example's id; without them all that are kept for the file.

    Raises:
        ResidencyError: `only` names what cannot be mended, or `out` is a file that must not be overwritten.
    """
    _require_known(only)
    file = data.train
    out = _require_free(out or beside(file, ".fixed.jsonl"), data)
    fates = (Fate.from_json(row) for row in read_jsonl(checked / "fates.jsonl"))
    refused = {fate.source: fate for fate in fates if fate.fate in ("refused", "over-long")}
    decisions = read_decisions(decisions_file(file)) if decisions is None else decisions
    fixed = fix(
        read_rows(file, naming_roots(sources_of(data))["train"]), data, refused, decisions, only or MENDS
    )
    mended = Mended(out, fixed)
    between = Between.of(file, jsonl_hash(fixed.rows), mended.patch)
    Patch(between, fixed.actions).write(mended.patch)
    write_jsonl(mended.ledger, (_with_patch(fate.to_json(), mended.patch) for fate in fixed.fates))
    write_jsonl(out, fixed.rows)
    return mended


@dataclass(frozen=True)
class Undone:
    """A file with the rows as they were before a mending."""

    out: Path
    rows: int
    lost: int
    """Rows that could not be read then."""
    original_edited: bool
    """Whether the original has been edited since, so that it holds other rows than these."""


def undo_file(file: Path, out: Path | None) -> Undone:
    """Write the rows as they were before the mending whose patch is `file`.

    Raises:
        ResidencyError: there is no such patch, or the mended file beside it is not the one it belongs to.
    """
    if not file.name.endswith(PATCH) or not file.is_file():
        fix = "Name the file that ends in .patch.jsonl, which `residency check --fix` wrote."
        raise ResidencyError("There is no such patch.", str(file), fix)
    mended = file.with_name(file.name.removesuffix(PATCH) + ".jsonl")
    out = out or file.with_name(file.name.removesuffix(PATCH) + ".undone.jsonl")
    if out.exists():
        raise ResidencyError("This file is there already.", str(out), "Name another one: --out FILE")
    patch = Patch.read(file)
    if source_hash(mended) != patch.between.mended_sha256:
        fix = "Put back the file as it was mended. Or go on with it: undoing would mix your edits up with it."
        raise ResidencyError("The mended file was edited since it was written.", str(mended), fix)
    rows = undo(_read_objects(mended), patch.actions)
    write_jsonl(out, rows)
    lost = sum(action.before is None for action in patch.actions)
    return Undone(out, len(rows), lost, patch.between.is_original_edited(file))


def _require_known(only: Sequence[str]) -> None:
    if unknown := [check for check in only if check not in MENDS]:
        what = f"Nothing mends {' and '.join(map(repr, unknown))}."
        raise ResidencyError(what, f"--only {','.join(only)}", f"Name some of: {', '.join(MENDS)}.")


def _require_free(out: Path, data: Data) -> Path:
    """`out`, unless it holds something that no mending wrote."""
    if out.suffix != ".jsonl":
        raise ResidencyError("A mended file is written as .jsonl.", f"--out {out}", "Name it so.")
    inputs = [file.resolve() for file in (data.train, data.validation, data.test) if file is not None]
    if out.resolve() in inputs or (out.exists() and not out.with_suffix(PATCH).exists()):
        fix = "Name another one: --out FILE"
        raise ResidencyError("This file is there already, and is never overwritten.", str(out), fix)
    return out


def _with_patch(fate: dict[str, Any], patch: Path) -> dict[str, Any]:
    return fate if fate["fate"] == "kept" else {**fate, "detail": f"{fate['detail']} ({patch.name})"}


def _read_objects(file: Path) -> list[dict[str, Any]]:
    """What a mending wrote; an empty file where all rows were left out."""
    try:
        return list(read_jsonl(file))
    except OSError as error:
        raise unreadable(file, error.strerror or str(error)) from None
    except ValueError as error:
        raise unreadable(file, f"not valid JSON: {error}") from None
