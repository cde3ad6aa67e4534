"""What training cost elsewhere: the tuned model against the base on the suites, item by item."""

from __future__ import annotations

from collections.abc import Sequence

from residency.evals.noninferiority import noninferiority
from residency.evals.scored import Scored
from residency.verdict.report_schema import RegressionPart
from residency.verdict.ways import BASE, TUNED


def find_regressions(rows: Sequence[Scored], margin: float, confidence: float) -> list[RegressionPart]:
    """Every suite as a whole, then each of its kinds; only rows of the split `suite` are looked at."""
    passes: dict[str, dict[tuple[str, str], bool]] = {BASE: {}, TUNED: {}}
    for row in rows:
        if row.split == "suite":
            passes[row.candidate][row.source, row.example_id] = row.passed
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for source, example_id in passes[BASE]:
        suite, _, kind = source.partition("/")
        for group in ((suite, ""), (suite, kind)):
            groups.setdefault(group, []).append((source, example_id))
    order = list(dict.fromkeys(suite for suite, _ in groups))
    parts = []
    for (suite, kind), items in sorted(groups.items(), key=lambda group: order.index(group[0][0])):
        base, tuned = ([passes[name][item] for item in items] for name in (BASE, TUNED))
        found = noninferiority(base, tuned, margin, confidence)
        parts.append(
            RegressionPart(
                suite=suite,
                kind=kind,
                n=found.n,
                base=found.base / found.n,
                tuned=found.tuned / found.n,
                difference=found.difference,
                low=found.low,
                high=found.high,
                p=found.p,
                verdict=found.verdict,
            )
        )
    return parts
