"""What candidates behind an API cost, by the recipe's prices and the tokens of the scored rows."""

from __future__ import annotations

from collections.abc import Sequence

from residency.core.recipe import Candidates
from residency.evals.scored import Scored
from residency.verdict.report_schema import CandidateSummary


def add_costs(
    summaries: Sequence[CandidateSummary], rows: Sequence[Scored], candidates: Candidates
) -> list[CandidateSummary]:
    """The summaries with the cost of a call, as if none had been cached, and of what this run asked."""
    return [_with_cost(summary, rows, candidates) for summary in summaries]


def _with_cost(summary: CandidateSummary, rows: Sequence[Scored], candidates: Candidates) -> CandidateSummary:
    remote = candidates.remote_of(summary.name)
    if remote is None:
        return summary
    own = [row for row in rows if row.candidate == summary.name and row.split == "test"]
    costs = [remote.cost(row.prompt_tokens, row.completion_tokens) for row in own]
    update = {
        "cost_per_call": sum(costs) / len(costs),
        "spent": sum(cost for cost, row in zip(costs, own, strict=True) if not row.cached),
        "cached": sum(row.cached for row in own),
    }
    return summary.model_copy(update=update)
