"""Scored rows: one line of `scored.jsonl` for each answer of each candidate."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from residency.core.errors import ResidencyError
from residency.core.records import Completion, Example
from residency.core.workspace import read_jsonl, reading
from residency.data.duplicates import wording
from residency.evals.scorers import EXPECTED, Score, Scorer

Split = Literal["test", "train", "validation", "twin", "recital", "recital-test", "suite", "part", "golden"]
"""`twin`: a training row in other words. `recital`: a training answer continued from its first tokens,
`recital-test` one of the test. `part`: a test row, asked of a model tuned on a part of the training rows.
`golden`: an answer graded by people, with the judge's grade: `expected` and `got`."""
_CUT_OFF = "; cut off after "


@dataclass(frozen=True, slots=True)
class Scored:
    """One answer with its score and cost; every figure of the verdict comes from these."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, revalidate_instances="always")

    candidate: str
    split: Split
    example_id: str
    source: str
    """`file:row`; with `example_id` it names the row even where two rows say the same."""
    prompt: str
    """The last user turn."""
    expected: str
    got: str
    score: Annotated[float, Field(ge=0, le=1)]
    passed: bool
    reason: str
    prompt_tokens: Annotated[int, Field(ge=0)]
    completion_tokens: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0)]
    parts: dict[str, bool] = field(default_factory=dict)
    """Each part of the expected answer that the scorer tells apart, and whether it was right."""
    cluster: str = ""
    """Shared by rows of one group or wording and by near twins: no independent evidence. Empty: alone."""
    retrieved: tuple[str, ...] = ()
    """What was looked up for the row and stood in its prompt, the nearest first."""
    nll: float | None = None
    """Negative log-likelihood of the expected answer, in nats a token; none where it was not asked."""
    cached: bool = False
    """Whether the answer had been paid for before it was asked for."""

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        return asdict(self)

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Scored:
        """The row that `to_json` wrote."""
        return Scored(**{**row, "retrieved": tuple(row.get("retrieved", ()))})


def read_scored(file: Path) -> list[Scored]:
    """The rows of a `scored.jsonl`.

    Raises:
        ResidencyError: it is missing or damaged.
    """
    with reading(file):
        return [_checked(number, row) for number, row in enumerate(read_jsonl(file), 1)]


def _checked(number: int, row: Mapping[str, Any]) -> Scored:
    """The row in line `number`; a ValueError tells what in it is of another type or out of bounds."""
    try:
        return _form().validate_python(Scored.from_json(row))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise ValueError(f"line {number}, {place}: {fault['msg']}") from None


@cache
def _form() -> TypeAdapter[Scored]:
    return TypeAdapter(Scored)


def score_rows(
    candidate: str,
    split: Split,
    examples: Sequence[Example],
    completions: Sequence[Completion],
    scorer: Scorer,
) -> list[Scored]:
    """Score the completions of `candidate`, one for each example.

    Raises:
        ResidencyError: an expected answer is not of the scorer's form; names file and row.
    """
    score = partial(_score, candidate, split, scorer)
    rows = list(zip(examples, completions, strict=True))
    if not scorer.costly:
        return [score(row) for row in rows]
    with ThreadPoolExecutor(os.cpu_count()) as side_by_side:
        return list(side_by_side.map(score, rows))


def require_form(scorer: Scorer, examples: Iterable[Example]) -> None:
    """Refuse answers wanted that the scorer cannot read; a costly one is tried on the first alone.

    Raises:
        ResidencyError: names file and row.
    """
    for example in islice(examples, 1 if scorer.costly else None):
        grade(scorer, example, example.answer)


def grade(scorer: Scorer, example: Example, got: str) -> Score:
    """The score of one answer to `example`.

    Raises:
        ResidencyError: the answer wanted is not of the scorer's form; names file and row.
    """
    try:
        return scorer(example.answer, got, _asked(example))
    except ResidencyError as error:
        if error.where != EXPECTED:
            raise
        raise ResidencyError(error.what, str(example.source), error.fix) from None


def was_cut_off(row: Scored) -> bool:
    """Whether the answer failed and ended only because its room did."""
    return not row.passed and _CUT_OFF in row.reason


def cluster_of(example: Example) -> str:
    """What the row shares with those beside which it is no independent evidence."""
    return example.cluster or example.group or wording(example)


def _asked(example: Example) -> str:
    return next((turn.content for turn in reversed(example.prompt) if turn.role == "user"), "")


def _score(candidate: str, split: Split, scorer: Scorer, row: tuple[Example, Completion]) -> Scored:
    example, completion = row
    score = grade(scorer, example, completion.text)
    reason = score.reason
    if not score.passed and completion.finish == "length":
        reason += f"{_CUT_OFF}{completion.completion_tokens} tokens"
    return Scored(
        candidate=candidate,
        split=split,
        example_id=example.id,
        source=str(example.source),
        prompt=_asked(example),
        expected=example.answer,
        got=completion.text,
        score=score.value,
        passed=score.passed,
        reason=reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        seconds=completion.seconds,
        parts=dict(score.parts),
        cluster=cluster_of(example),
        retrieved=completion.retrieved,
        cached=completion.cached,
    )
