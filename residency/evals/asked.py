"""What a judge was asked, as it stands in a stage's and a run's folder, so that its cost can be made anew."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, TypeAdapter

from residency.core.workspace import read_jsonl, reading, write_jsonl

_FILE = "judged.jsonl"


class Asked(NamedTuple):
    """A question that was put to the judge, by its hash, and the tokens of question and reply."""

    question: str
    prompt_tokens: Annotated[int, Field(ge=0)]
    completion_tokens: Annotated[int, Field(ge=0)]


def read_asked(folder: Path) -> list[Asked]:
    """What the judge was asked for a stage or a run, each question once; nothing where it asked none.

    Raises:
        ResidencyError: the file is damaged.
    """
    file = folder / _FILE
    if not file.is_file():
        return []
    with reading(file):
        return TypeAdapter(list[Asked]).validate_python(list(read_jsonl(file)))


def write_asked(folder: Path, asked: Iterable[Asked]) -> None:
    """Write what `read_asked` reads; of a question that stands there twice, the last. Nothing if none is."""
    if by_question := {one.question: one for one in asked}:
        write_jsonl(folder / _FILE, (one._asdict() for one in by_question.values()))
