"""What training cost elsewhere: the tuned model against the base on the suites, item by item."""

from __future__ import annotations

from collections.abc import Sequence

from residency.core.errors import ResidencyError
from residency.evals.noninferiority import corrected, noninferiority
from residency.evals.scored import Scored
from residency.verdict.report_schema import RegressionPart
from residency.verdict.ways import BASE, TUNED


def find_regressions(rows: Sequence[Scored], margin: float, confidence: float) -> list[RegressionPart]:
    """Every suite as a whole, then each of its kinds; only rows of the split `suite` are looked at.

    Holm's correction goes over the suites, and over all of their kinds.

    Raises:
        ResidencyError: the base and the tuned model were asked different items.
    """
    passes: dict[str, dict[tuple[str, str], bool]] = {BASE: {}, TUNED: {}}
    for row in rows:
        if row.split == "suite" and row.candidate in passes:
            passes[row.candidate][row.source, row.example_id] = row.passed
    if passes[BASE].keys() != passes[TUNED].keys():
        what = "The base and the tuned model answered different items of the suites."
        raise ResidencyError(what, "the scored rows", "Run `residency compare` again.")
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for source, example_id in passes[BASE]:
        suite, _, kind = source.partition("/")
        for group in ((suite, ""), (suite, kind)):
            groups.setdefault(group, []).append((source, example_id))
    order = list(dict.fromkeys(suite for suite, _ in groups))
    measured = {}
    for group, items in sorted(groups.items(), key=lambda group: order.index(group[0][0])):
        base, tuned = ([passes[name][item] for item in items] for name in (BASE, TUNED))
        measured[group] = noninferiority(base, tuned, margin, confidence)
    for whole in (True, False):
        family = [group for group in measured if whole is not bool(group[1])]
        told = corrected([measured[group] for group in family], confidence)
        measured |= dict(zip(family, told, strict=True))
    return [
        RegressionPart(
            suite=suite,
            kind=kind,
            n=found.n,
            base=found.base / found.n,
            tuned=found.tuned / found.n,
            gained=found.gained,
            lost=found.lost,
            difference=found.difference,
            low=found.low,
            high=found.high,
            p=found.p,
            verdict=found.verdict,
        )
        for (suite, kind), found in measured.items()
    ]
