"""A patch: what was done to which row of a file, an action a line, enough to take all of it back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from residency.core.errors import ResidencyError
from residency.core.hub_name import on_hub
from residency.core.records import Source
from residency.data.reading.row import unreadable

Content = Mapping[str, Any]
"""A row's columns, as JSON holds them."""
Verb = Literal["keep", "edit", "drop", "merge", "redact", "reformat"]


@dataclass(frozen=True)
class Action:
    """One thing done to one row, by a fix or by a person in the review."""

    source: Source
    example_id: str | None
    """The example in the row before anything was done to it; None where there was none."""
    action: Verb
    check: str
    """The check that asked for it, or `review`."""
    before: Content | None
    """The row's columns; None for a row that could not be read."""
    after: Content | None
    """None where the row was left out."""
    why: str
    position: int = 0
    """The row's place among all rows read, from 1; 0 for a decision, which holds wherever the row stands."""

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        content = {key: value for key, value in self.__dict__.items() if key != "source"}
        return {**asdict(self.source), **content}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Action:
        """The action that `to_json` wrote."""
        rest = {key: value for key, value in content.items() if key not in ("file", "row")}
        return Action(source=Source(content["file"], content["row"]), **rest)


def read_actions(file: Path) -> list[Action]:
    """The actions of a patch, or of a review.

    Raises:
        ResidencyError: the file cannot be read, or a line of it holds no action.
    """
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogatepass").split("\n")
    except OSError as error:
        raise unreadable(file, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise unreadable(file, "not UTF-8") from None
    return [_action(line, f"{file}:{number}") for number, line in enumerate(lines, 1) if line.strip()]


def _action(line: str, where: str) -> Action:
    try:
        action = Action.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError):  # no JSON, or not the keys of an action
        action = None
    if action is None or action.action not in get_args(Verb):
        fix = "Mend this line or delete it; what it said is then not done."
        raise ResidencyError("This line holds no action: it is half written, or was edited.", where, fix)
    return action


def beside(data: Path, ending: str) -> Path:
    """A file named after the data, beside it; for a dataset on the hub, in the current folder."""
    if on_hub(data):
        return Path.cwd() / f"{data.name.replace(':', '-')}{ending}"
    return data.with_name(f"{data.stem}{ending}")


def undo(rows: Iterable[Content], actions: Sequence[Action]) -> list[Content]:
    """The rows as they were, from those of the new file; a row that could not be read stays lost.

    Raises:
        ResidencyError: the rows are not those that the actions left.
    """
    by_position: dict[int, list[Action]] = {}
    for action in actions:
        by_position.setdefault(action.position, []).append(action)
    left = iter(rows)
    restored: list[Content] = []
    position = 0
    while True:
        position += 1
        done = by_position.pop(position, [])
        current = None
        if not done or done[-1].after is not None:
            current = next(left, None)
            if current is None:
                break
        for action in reversed(done):
            if action.after != current:
                raise _changed(f"the row that was {action.source}")
            current = action.before
        if current is not None:
            restored.append(current)
    if by_position or done:
        raise _changed("rows are missing at its end")
    return restored


def _changed(where: str) -> ResidencyError:
    fix = "Fix the original again; or undo with the file and the patch that one fix wrote."
    return ResidencyError("The new file is not the one that this patch belongs to.", where, fix)
