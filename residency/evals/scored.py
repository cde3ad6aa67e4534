"""Scored rows: one line of `scored.jsonl` for each answer of each candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from residency.core.errors import ResidencyError
from residency.core.records import Completion, Example
from residency.evals.scorers import Score, Scorer

Split = Literal["test", "train", "suite"]


@dataclass(frozen=True, slots=True)
class Scored:
    """One answer with its score and cost; every figure of the verdict comes from these."""

    candidate: str
    split: Split
    example_id: str
    source: str
    """`file:row`; with `example_id` it names the row even where two rows say the same."""
    prompt: str
    """The last user turn."""
    expected: str
    got: str
    score: float
    passed: bool
    reason: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        return asdict(self)

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Scored:
        """The row that `to_json` wrote."""
        return Scored(**row)


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
    return [
        _score(candidate, split, example, completion, scorer)
        for example, completion in zip(examples, completions, strict=True)
    ]


def require_form(scorer: Scorer, example: Example) -> None:
    """Refuse an answer wanted that the scorer cannot read.

    Raises:
        ResidencyError: names file and row.
    """
    _grade(scorer, example, example.answer)


def _grade(scorer: Scorer, example: Example, got: str) -> Score:
    try:
        return scorer(example.answer, got)
    except ResidencyError as error:
        raise ResidencyError(error.what, str(example.source), error.fix) from None


def _score(candidate: str, split: Split, example: Example, completion: Completion, scorer: Scorer) -> Scored:
    score = _grade(scorer, example, completion.text)
    reason = score.reason
    if not score.passed and completion.finish == "length":
        reason += f"; cut off after {completion.completion_tokens} tokens"
    return Scored(
        candidate=candidate,
        split=split,
        example_id=example.id,
        source=str(example.source),
        prompt=next((turn.content for turn in reversed(example.prompt) if turn.role == "user"), ""),
        expected=example.answer,
        got=completion.text,
        score=score.value,
        passed=score.passed,
        reason=reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        seconds=completion.seconds,
    )
