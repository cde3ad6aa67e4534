"""What calls and training cost: arithmetic on measured seconds and tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping

from residency.core.recipe import Prices
from residency.verdict.report_schema import CandidateSummary, TrainingPart

_MILLION = 1_000_000
_HOUR = 3600


def call_cost(candidate: CandidateSummary, prices: Prices) -> float | None:
    """Of a call: its tokens where they are billed, else its seconds; none where neither has a price."""
    if candidate.cost_per_call is not None:
        return candidate.cost_per_call
    billed: Mapping[str, tuple[float, float]] = {str(name): both for name, both in prices.tokens.items()}
    if candidate.name in billed:
        prompt, completion = billed[candidate.name]
        tokens = candidate.prompt_tokens_per_call * prompt + candidate.completion_tokens_per_call * completion
        return tokens / _MILLION
    return time_cost(candidate.seconds_per_call, prices)


def time_cost(seconds: float, prices: Prices) -> float | None:
    """Of time on this machine; none without a price."""
    return None if prices.hour is None else seconds / _HOUR * prices.hour


def training_seconds(training: TrainingPart) -> float:
    """Of the training, or of all configurations of the sweep."""
    return sum(trial.seconds for trial in training.sweep) if training.sweep else training.seconds


def break_even(to_start: float, dear: float, cheap: float) -> int | None:
    """Calls after which `to_start` is paid by `dear` - `cheap` saved a call; none where nothing is saved."""
    return math.ceil(to_start / (dear - cheap)) if dear > cheap else None
