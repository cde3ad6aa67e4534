"""What changed on one frozen test between two runs, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from residency.data.findings import plural
from residency.evals.scored import Scored
from residency.verdict.decide import compare, summarise
from residency.verdict.figures import percent, points, points_range
from residency.verdict.report_schema import CandidateSummary, ComparisonPart
from residency.verdict.ways import TUNED

BEFORE = "before"
"""The name under which the earlier run's tuned model stands."""
Said = Literal["it helped", "it did harm", "cannot tell that it helped"]


@dataclass(frozen=True)
class Change:
    """The tuned models of two runs on the same test rows."""

    candidates: tuple[CandidateSummary, ...]
    """The earlier one, called `before`, and the later one."""
    comparison: ComparisonPart
    gained: tuple[dict[str, str], ...]
    """Rows that only the later one has right."""
    lost: tuple[dict[str, str], ...]
    """Rows that only the earlier one had right."""
    said: Said

    def to_json(self) -> dict[str, Any]:
        """Shares, difference with interval and p, and the rows won and lost."""
        pair = self.comparison
        before, after = (
            {"passed": c.passed, "mean": c.mean, "interval": list(c.interval)} for c in self.candidates
        )
        return {
            "n": pair.n,
            "before": before,
            "after": after,
            "difference": pair.difference,
            "interval": list(pair.interval),
            "p": pair.p,
            "gained": list(self.gained),
            "lost": list(self.lost),
            "said": self.said,
        }

    def sentence(self, mended: int) -> str:
        """`mended 14 rows; test 83.1 % → 85.4 %, +2.3 points (−0.4 to +5.0): cannot tell that it helped`."""
        before, after = (percent(candidate.mean) for candidate in self.candidates)
        pair = self.comparison
        change = f"{points(pair.difference)} points ({points_range(pair.interval)})"
        return f"mended {plural(mended, 'row')}; test {before} → {after}, {change}: {self.said}"


def measure_change(before: Sequence[Scored], after: Sequence[Scored], confidence: float) -> Change:
    """Compare the tuned models of two runs, each given by its scored rows.

    Rows are matched by what they say: dropped training rows move the test rows up in their file.

    Raises:
        ResidencyError: the two answered different test rows.
    """
    earlier, later = _matched(before, BEFORE), _matched(after, TUNED)
    rows = [*earlier.values(), *later.values()]
    (pair,) = compare(rows, confidence)
    places = dict(zip(earlier, (row.source for row in _tuned(before)), strict=True))
    turned = {
        key: {
            "source": places[key],
            "prompt": row.prompt,
            "expected": row.expected,
            "before": row.got,
            "after": later[key].got,
        }
        for key, row in earlier.items()
        if row.passed != later[key].passed
    }
    return Change(
        tuple(summarise(rows, confidence)),
        pair,
        tuple(told for key, told in turned.items() if later[key].passed),
        tuple(told for key, told in turned.items() if not later[key].passed),
        _said(pair, confidence),
    )


def _said(pair: ComparisonPart, confidence: float) -> Said:
    if pair.p < 1 - confidence and pair.interval.low > 0:
        return "it helped"
    if pair.p < 1 - confidence and pair.interval.high < 0:
        return "it did harm"
    return "cannot tell that it helped"


def _tuned(rows: Sequence[Scored]) -> list[Scored]:
    return [row for row in rows if row.candidate == TUNED and row.split == "test"]


def _matched(rows: Sequence[Scored], name: str) -> dict[tuple[str, int], Scored]:
    """The tuned model's test rows by example, those that say the same told apart by their order."""
    seen: Counter[str] = Counter()
    matched = {}
    for row in _tuned(rows):
        number = seen[row.example_id]
        seen[row.example_id] += 1
        matched[row.example_id, number] = replace(row, candidate=name, source=str(number))
    return matched
