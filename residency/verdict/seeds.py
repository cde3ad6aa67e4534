"""Runs that differ by the seed of their training alone, taken together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from residency.core.errors import ResidencyError
from residency.evals.scored import Scored
from residency.evals.statistics import SeedSpread, seed_spread
from residency.verdict.decide import best_baseline, by_row, summarise
from residency.verdict.report_schema import Report
from residency.verdict.ways import TUNED


class AcrossSeeds(NamedTuple):
    """Tuned over several seeds."""

    share: SeedSpread
    """Of the rows that tuned gets right."""
    baseline: str
    """The best one."""
    difference: SeedSpread
    """Of tuned to that baseline, row by row."""


def across_seeds(reports: Sequence[Report], rows: Mapping[str, Sequence[Scored]]) -> AcrossSeeds:
    """The spread over the runs' seeds; `rows` are the scored rows by the run's name.

    Raises:
        ResidencyError: the runs differ by more than the seed, or by nothing.
    """
    _require_seeds_alone(reports)
    confidence = reports[0].recipe["verdict"]["confidence"]
    first = rows[reports[0].run]
    best = best_baseline(summarise(first, confidence)).name
    base = by_row(first, best)
    tuned = [by_row(rows[report.run], TUNED) for report in reports]
    if any(seed.keys() != base.keys() for seed in tuned):
        what = "These runs were scored on different test rows."
        raise ResidencyError(what, ", ".join(rows), "Name runs on the same frozen test rows.")
    passes = [[float(seed[key].passed) for key in base] for seed in tuned]
    gained = [[seed[key].passed - float(base[key].passed) for key in base] for seed in tuned]
    share, difference = seed_spread(passes, confidence, (0, 1)), seed_spread(gained, confidence, (-1, 1))
    return AcrossSeeds(share, best, difference)


def _require_seeds_alone(reports: Sequence[Report]) -> None:
    names = ", ".join(report.run for report in reports)
    fix = "Name runs of one recipe with different seeds: residency run --set train.seed=1"
    seeds = [report.recipe["train"]["seed"] for report in reports]
    if len(set(seeds)) < len(seeds):
        raise ResidencyError("Some of these runs have the same train.seed.", names, fix)
    first = _without_seed(reports[0])
    other = next((report for report in reports if _without_seed(report) != first), None)
    if other:
        keys = [
            f"{section}.{key}"
            for section, held in first.items()
            for key in held
            if _without_seed(other).get(section, {}).get(key) != held[key]
        ]
        what = f"{other.run} differs from {reports[0].run} by more than its seed: {', '.join(keys)}."
        raise ResidencyError(what, names, fix)


def _without_seed(report: Report) -> dict[str, Any]:
    return {**report.recipe, "train": {**report.recipe["train"], "seed": None}}
