"""A new project folder: the examples, a commented recipe, instructions to edit."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from residency.core.errors import ResidencyError
from residency.core.hub_name import on_hub
from residency.core.recipe import Recipe, Section
from residency.core.recipe_file import default_of
from residency.core.records import Example, Source
from residency.core.workspace import unwritable, write_text
from residency.data.checks.forms import fields_of, json_value
from residency.data.labels import labels_of
from residency.data.reading.read import read_rows
from residency.data.reading.sources import files_of
from residency.data.shapes import RowError, to_example
from residency.evals.scorers.chrf import likeness

Kind = Literal["extract", "classify", "write", "chat"]

_LOOK = 500
"""Rows read to tell what sort of task it is."""
_COMPARED = 100
"""Answers compared with each other to tell how alike they are."""

_SYSTEM = {
    "extract": "Extract the fields.",
    "classify": "Name the label.",
    "write": "Write the answer in our style.",
    "chat": "You answer for us.",
}
_INSTRUCTIONS = """Say here, as to a new colleague, how the task is done. The prompted baselines see this;
the tuned model does not: it learns from the examples.

What the input is, and what the answer must look like:

What decides each case, with the rules for the hard ones:

{labels}"""


def start_project(
    folder: Path, source: Path, kind: Kind | None, columns: tuple[str | None, str | None]
) -> str:
    """Make `folder` from the examples in `source`; returns what was made, for the user.

    Files are copied into it; a dataset on the hub stays where it is.

    Raises:
        ResidencyError: the folder is there already, or no row of the file can be used.
    """
    if folder.exists():
        raise ResidencyError("This folder is there already.", str(folder), "Name a new one, or remove it.")
    examples = _first_examples(source, columns)
    kind = kind or guess_kind(examples)
    scorer = choose_scorer(kind, examples)
    train = str(source) if on_hub(source) else source.absolute().name
    pass_mark = choose_pass_mark(examples) if scorer == "chrf" else None
    chosen: dict[str, dict[str, Any]] = {
        "data": {
            "train": train,
            "input": columns[0],
            "output": columns[1],
        },
        "task": {
            "name": _task_name(folder),
            "kind": kind,
            "system": _SYSTEM[kind],
            "instructions": "instructions.md",
            "scorer": scorer,
            "max_new_tokens": _room(examples),
        },
        "scoring": {"pass_mark": pass_mark},
    }
    try:
        folder.mkdir(parents=True)
        for file in () if on_hub(source) else files_of(source):
            copy = folder / file.relative_to(source.absolute().parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        write_text(folder / "residency.toml", recipe_text(chosen))
        write_text(folder / "instructions.md", _INSTRUCTIONS.format(labels=_label_list(kind, examples)))
    except (OSError, ResidencyError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise unwritable(folder, error) if isinstance(error, OSError) else error from None
    mark = "" if pass_mark is None else f", which passes from {pass_mark:g} on"
    return f"{kind}, scored by '{scorer}'{mark}"


def is_template(instructions: str) -> bool:
    """Whether nobody has edited the instructions since `start_project` wrote them."""
    return instructions.startswith(_INSTRUCTIONS.partition("{")[0].strip())


def guess_kind(examples: Sequence[Example]) -> Kind:
    """`extract` where answers have fields, `classify` where few short ones repeat, else `write`."""
    answers = [e.answer for e in examples]
    if any(is_chat(len(e.messages)) for e in examples):
        return "chat"
    if all(map(is_record, answers)):
        return "extract"
    return "classify" if labels_of(answers) else "write"


def is_chat(turns: int) -> bool:
    """Whether a row of so many turns is more than a question and its answer."""
    return turns > 3


def is_record(answer: str) -> bool:
    """Whether an answer has fields."""
    return isinstance(json_value(answer), dict) or bool(fields_of(answer))


def choose_scorer(kind: Kind, examples: Sequence[Example]) -> str:
    """The scorer that fits the answers' form; `chrf` for free text, which is never wanted word for word."""
    if kind == "classify":
        return "label"
    if kind == "extract" and all(isinstance(json_value(e.answer), dict) for e in examples):
        return "json"
    if kind == "extract" and all(fields_of(e.answer) for e in examples):
        return "fields"
    return "exact" if kind == "extract" else "chrf"


def choose_pass_mark(examples: Sequence[Example]) -> float:
    """The likeness that only an answer to this very row reaches: 0.5, or more where answers are alike.

    Where 1 in 100 answers to other rows is more like a row's answer than 0.5, as in letters that share
    their opening and close, the mark is the likeness that they do not reach, in steps of 0.05.
    """
    answers = list(dict.fromkeys(example.answer for example in examples))[:_COMPARED]
    others = sorted(
        likeness(a, b) for step in (1, 2, 3) for a, b in zip(answers, answers[step:], strict=False)
    )
    if not others:
        return 0.5
    highest = others[min(len(others) - 1, len(others) * 99 // 100)]
    return min(0.95, max(0.5, math.ceil(20 * highest) / 20))


def recipe_text(chosen: Mapping[str, Mapping[str, Any]]) -> str:
    """A recipe with every key and its meaning; keys not chosen stand as comments with their defaults."""
    lines = ["# The recipe of this project. Lines that begin with '#' show the defaults."]
    for name, field in Recipe.model_fields.items():
        section: type[Section] = field.annotation  # type: ignore[assignment]
        lines += ["", f"[{name}]  # {section.__doc__}"]
        for key, option in section.model_fields.items():
            value = chosen.get(name, {}).get(key)
            lines += [f"# {line}" for line in (option.description or "").splitlines()]
            if value is not None:
                lines.append(f"{key} = {_toml(value)}")
            else:
                default = None if option.is_required() else default_of(option)
                lines.append(f"# {key} = {'...' if default is None else _toml(default)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _first_examples(source: Path, columns: tuple[str | None, str | None]) -> list[Example]:
    examples: list[Example] = []
    refused: list[tuple[Source, RowError]] = []
    for row in itertools.islice(read_rows(source), _LOOK):
        try:
            examples.append(to_example(row, *columns))
        except RowError as error:
            refused.append((row.source, error))
    if examples:
        return examples
    if not refused:
        raise ResidencyError("The file has no rows.", str(source), "Name a file with examples.")
    place, first = refused[0]
    fix = first.fix.replace("--set data.input=... --set data.output=...", "--input ... --output ...")
    raise ResidencyError(f"No row can be used; the first: {first.reason}.", str(place), fix)


def _task_name(folder: Path) -> str:
    name = "".join(c if c.isalnum() and c.isascii() else "-" for c in folder.resolve().name.lower()).strip(
        "-"
    )
    return name[:60] or "task"


def _room(examples: Sequence[Example]) -> int:
    """Enough new tokens for the longest answer seen: a token is at least a byte."""
    longest = max(len(e.answer.encode()) for e in examples)
    return max(16, min(4096, 8 * (longest // 8 + 2)))


def _label_list(kind: Kind, examples: Sequence[Example]) -> str:
    if kind != "classify":
        return ""
    labels = sorted({e.answer for e in examples})[:200]
    return "The labels, each in its own words:\n" + "".join(f"- {label}: \n" for label in labels)
