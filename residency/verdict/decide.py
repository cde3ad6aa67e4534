"""From scored rows to the verdict: pure functions, so that any figure can be recomputed.

The gate holds tuned against the best baseline. Which one is best is seen only afterwards, on the
same rows, so its p-value counts as one of several: the gate goes by Holm's adjusted p over all
baselines. Intervals are not adjusted, and too narrow for few rows: that tuned is better, or that it is
not, is shown only where a p says so too. The tuned model with retrieved text in its prompt is no baseline:
the gate does not look at it, and it counts neither in Holm's correction nor as the best.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from residency.core.errors import ResidencyError
from residency.core.recipe import Verdict
from residency.evals.noninferiority import exact_p_of_loss
from residency.evals.scored import Scored, Split
from residency.evals.statistics import (
    Interval,
    Paired,
    bootstrap_difference,
    effective_rows,
    holm,
    least_rows,
    own_cluster_each,
    paired,
    rows_to_clear,
    rows_to_significance,
    rows_to_tell,
    unpaired,
    wilson,
)
from residency.verdict import headline, reasons
from residency.verdict.advice_schema import AdvicePart
from residency.verdict.data_schema import CeilingPart
from residency.verdict.figures import two_digits
from residency.verdict.knowledge import signs
from residency.verdict.learning_schema import LearningCurvePart
from residency.verdict.memorisation import measure_memorisation
from residency.verdict.report_schema import (
    CandidateSummary,
    ComparisonPart,
    FailurePart,
    GapPart,
    Gate,
    Recommendation,
    ShareOfRows,
    VerdictPart,
)
from residency.verdict.ways import TRAINED, TUNED, TUNED_RETRIEVAL, way_of

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+")


def summarise(rows: Sequence[Scored], confidence: float) -> list[CandidateSummary]:
    """Each candidate on the test rows, in the order in which they first occur."""
    names = dict.fromkeys(row.candidate for row in rows if row.split == "test")
    return [summarise_one(name, _select(rows, name, "test"), confidence) for name in names]


def compare(rows: Sequence[Scored], confidence: float) -> list[ComparisonPart]:
    """Tuned against every other candidate, on the same test rows, in their order.

    Raises:
        ResidencyError: there is no tuned candidate, no other, or they answered different rows.
    """
    pairs = _pairs(rows, confidence)
    baselines = [name for name in pairs if name != TUNED_RETRIEVAL]
    adjusted = dict(zip(baselines, holm([pairs[name].p for name in baselines]), strict=True))
    scores = {name: _score_difference(rows, name, confidence) for name in pairs}
    return [
        ComparisonPart(
            a=name,
            b=TUNED,
            difference=pair.difference,
            interval=pair.interval,
            p=pair.p,
            p_adjusted=adjusted.get(name, pair.p),
            n=pair.n,
            only_a=pair.only_a,
            only_b=pair.only_b,
            score_difference=scores[name][0],
            score_interval=scores[name][1],
        )
        for name, pair in pairs.items()
    ]


def measure_gap(rows: Sequence[Scored], confidence: float) -> GapPart:
    """The tuned model on training rows against the held-out rows.

    Raises:
        ResidencyError: one of the two was not scored.
    """
    train = summarise_one(TUNED, _select(rows, TUNED, "train"), confidence)
    held_out = summarise_one(TUNED, _select(rows, TUNED, "test"), confidence)
    gap = unpaired(held_out.passed, held_out.n, train.passed, train.n, confidence)
    return GapPart(
        train=ShareOfRows(n=train.n, mean=train.mean, interval=train.interval),
        held_out=ShareOfRows(n=held_out.n, mean=held_out.mean, interval=held_out.interval),
        difference=gap.difference,
        interval=gap.interval,
        p=gap.p,
    )


def pick_failures(rows: Sequence[Scored], most: int = 10) -> list[FailurePart]:
    """Test rows tuned failed, of as many kinds as there are; common kinds come first.

    Two failures are of one kind if their reasons are the same but for what stands in quotes.
    """
    left = [row for row in rows if row.candidate == TUNED and row.split == "test" and not row.passed]
    kind = {row.reason: _QUOTED.sub("", row.reason) for row in left}
    kinds, causes = Counter(kind[row.reason] for row in left), Counter(row.reason for row in left)
    seen_kinds: Counter[str] = Counter()
    seen_causes: Counter[str] = Counter()

    def rank(row: Scored) -> tuple[int, int, int, int]:
        k, c = kind[row.reason], row.reason
        return seen_kinds[k], seen_causes[c], -kinds[k], -causes[c]

    chosen: list[Scored] = []
    while left and len(chosen) < most:
        row = min(left, key=rank)
        left.remove(row)
        seen_kinds[kind[row.reason]] += 1
        seen_causes[row.reason] += 1
        chosen.append(row)
    return [
        FailurePart(
            example_id=row.example_id,
            source=row.source,
            prompt=row.prompt,
            expected=row.expected,
            got=row.got,
            reason=row.reason,
        )
        for row in chosen
    ]


def best_baseline(candidates: Sequence[CandidateSummary]) -> CandidateSummary:
    """The candidate without training that has the highest mean; of equals the one with the shorter prompt."""
    return max(
        (candidate for candidate in candidates if candidate.name not in TRAINED),
        key=lambda candidate: (candidate.mean, -candidate.prompt_tokens_per_call),
    )


class Beside(NamedTuple):
    """What the reasons tell beside the scored rows; it decides nothing."""

    overlap: int = 0
    """Test rows whose input stands in the training rows too."""
    regressed: str | None = None
    """What the suites say."""
    ceiling: CeilingPart | None = None
    """What no model can exceed."""
    overfitted: str | None = None
    """What the training curve says, if it says that the model memorised."""
    learning: LearningCurvePart | None = None
    """What more training rows would bring."""


def decide(rows: Sequence[Scored], settings: Verdict, advice: AdvicePart, beside: Beside) -> VerdictPart:
    """The verdict from the scored rows, the recipe's [verdict], the advice, and what else is known.

    Raises:
        ResidencyError: rows are missing that a verdict needs; see `compare` and `measure_gap`.
    """
    comparisons = {comparison.a: comparison for comparison in compare(rows, settings.confidence)}
    candidates = {candidate.name: candidate for candidate in summarise(rows, settings.confidence)}
    tuned, best = candidates[TUNED], best_baseline(list(candidates.values()))
    pair, paired_rows = comparisons[best.name], _pairs(rows, settings.confidence)[best.name]
    baselines = len(comparisons.keys() - {TUNED_RETRIEVAL})
    p_no_better = _p_no_better(pair, paired_rows, baselines, settings.margin)
    no_better = pair.interval.high <= settings.margin and p_no_better < 1 - settings.confidence
    gate = _gate(tuned, pair, no_better, settings)
    recommend, way = _recommend(gate, best, no_better, settings, advice)
    memorisation = measure_memorisation(rows, settings.confidence)
    needed = None
    if gate == "cannot tell":
        needed = _rows_needed(tuned, paired_rows, pair, baselines, settings)
    said = [
        headline.what_to_do(recommend, gate, candidates.get(way or ""), pair),
        headline.as_good(way, gate, advice),
        reasons.use_instead(candidates[way], settings.minimum) if way and way != TUNED else None,
        headline.knowledge(recommend, advice.knowledge),
        reasons.level(tuned, best),
        reasons.difference(pair, baselines),
        reasons.part_marks(pair),
        reasons.against_margin(pair, p_no_better, settings),
        reasons.against_minimum(tuned, settings.minimum),
        reasons.below_ceiling(tuned, beside.ceiling, settings.minimum),
        headline.pays_back(way, pair, advice),
        reasons.more_rows(gate, needed),
        reasons.could_tell(gate, paired_rows, settings.confidence),
        reasons.twice_the_rows(beside.learning),
        reasons.rows_or_data(gate, tuned, settings.minimum, beside.learning),
        reasons.with_retrieval(comparisons.get(TUNED_RETRIEVAL)),
        beside.regressed,
        reasons.overlapping(beside.overlap, tuned.n),
        beside.overfitted,
        reasons.learned(memorisation)
        if memorisation
        else reasons.train_gap(measure_gap(rows, settings.confidence)),
        reasons.few_rows(tuned),
        reasons.alike(tuned),
        reasons.no_failure(tuned, settings.confidence),
    ]
    return VerdictPart(
        recommend=recommend, gate=gate, reasons=[text for text in said if text], rows_needed=needed
    )


def _p_no_better(pair: ComparisonPart, rows: Paired, baselines: int, margin: float) -> float:
    """Of the hypothesis that tuned is better than the best baseline by the margin or more.

    Two-sided and for as many baselines, as the gate's own p is; without a margin that one itself.
    """
    if not margin:
        return pair.p_adjusted
    _, only_a, only_b, _ = rows.cells(rows.n)
    return min(1.0, 2 * baselines * exact_p_of_loss(only_a, only_b, rows.effective_n, margin))


def _gate(tuned: CandidateSummary, pair: ComparisonPart, no_better: bool, settings: Verdict) -> Gate:
    clear = pair.interval.low > settings.margin and pair.p_adjusted < 1 - settings.confidence
    if clear and tuned.mean >= settings.minimum:
        return "ship"
    if no_better or tuned.interval.high < settings.minimum:
        return "do not ship"
    return "cannot tell"


def _recommend(
    gate: Gate, best: CandidateSummary, no_better: bool, settings: Verdict, advice: AdvicePart
) -> tuple[Recommendation, str | None]:
    """The way, and the candidate that stands for it; tuned only where it may ship and nothing saves it.

    Where no candidate is shown to be as good as all others, the best baseline is still advised if tuned is
    shown not to be better and it is good enough itself. What is looked up is advised by its signs only where
    tuned is shown not to do.
    """
    if advice.cheapest is not None and (gate != "ship" or advice.saves):
        return way_of(advice.cheapest), advice.cheapest
    if gate == "ship":
        return "fine-tune", TUNED
    if no_better and best.passed and best.mean >= settings.minimum:
        return way_of(best.name), best.name
    if gate == "do not ship" and advice.knowledge is not None and signs(advice.knowledge):
        return "retrieve", advice.knowledge.looked_up
    return "cannot tell", None


def _rows_needed(
    tuned: CandidateSummary, pair: Paired, comparison: ComparisonPart, baselines: int, settings: Verdict
) -> int | None:
    """Test rows in addition, to two digits, until the gate would open or shut at the observed rates.

    A single condition that is not met shuts the gate, so the fewest rows that show one are enough;
    where all are met, each must be shown.
    """
    tell, level = rows_to_tell(pair, settings.margin, settings.confidence), 1 - settings.confidence
    share = comparison.p / comparison.p_adjusted if 0 < comparison.p_adjusted < 1 else 1 / baselines
    significant = rows_to_significance(pair, level * share)
    shut = []
    if pair.difference <= settings.margin:
        shown = _rows_to_no_better(pair, baselines, settings) if settings.margin else significant
        shut.append(_most(tell, shown))
    if tuned.mean < settings.minimum:
        shut.append(
            rows_to_clear(tuned.mean, tuned.n, tuned.effective_n, settings.minimum, settings.confidence)
        )
    if shut:
        needed = min((rows for rows in shut if rows is not None), default=None)
    else:
        needed = tell if comparison.p_adjusted < level else _most(tell, significant)
    return None if needed is None else two_digits(needed)


def _rows_to_no_better(pair: Paired, baselines: int, settings: Verdict) -> int | None:
    """About how many test rows more until `_p_no_better` is small enough."""
    if pair.difference >= settings.margin:
        return None
    level = (1 - settings.confidence) / (2 * baselines)

    def clears(rows: int) -> bool:
        cells = pair.cells(rows)
        return exact_p_of_loss(cells[1], cells[2], sum(cells), settings.margin) < level

    return least_rows(clears, pair.n) - pair.n


def _most(*rows: int | None) -> int | None:
    """So many rows that each is reached; none where one cannot be."""
    numbers = [number for number in rows if number is not None]
    return max(numbers) if len(numbers) == len(rows) else None


def _pairs(rows: Sequence[Scored], confidence: float) -> dict[str, Paired]:
    """Each other candidate paired with tuned, by example and place in the file."""
    tuned = by_row(rows, TUNED)
    names = dict.fromkeys(row.candidate for row in rows if row.split == "test" and row.candidate != TUNED)
    if not names.keys() - {TUNED_RETRIEVAL}:
        raise ResidencyError(
            "There is nothing to compare the tuned model with.", "the scored rows", "Score the base as well."
        )
    clusters = own_cluster_each(row.cluster for row in tuned.values())
    pairs = {}
    for name in names:
        other = by_row(rows, name)
        if other.keys() != tuned.keys():
            what = f"'{name}' and '{TUNED}' answered different test rows, so they cannot be compared."
            raise ResidencyError(what, "the scored rows", "Score both on the same frozen test rows.")
        passes = [other[key].passed for key in tuned], [row.passed for row in tuned.values()]
        pairs[name] = paired(*passes, confidence, clusters)
    return pairs


def _score_difference(
    rows: Sequence[Scored], name: str, confidence: float
) -> tuple[float | None, Interval | None]:
    """Tuned's mean score less that of `name`, with its interval; nothing where a score is a pass or none."""
    tuned, other = by_row(rows, TUNED), by_row(rows, name)
    scores = [other[key].score for key in tuned], [row.score for row in tuned.values()]
    if all(score in (0, 1) for side in scores for score in side):
        return None, None
    clusters = own_cluster_each(row.cluster for row in tuned.values())
    return fmean(scores[1]) - fmean(scores[0]), bootstrap_difference(*scores, clusters, confidence)


def by_row(rows: Sequence[Scored], candidate: str, split: Split = "test") -> dict[tuple[str, str], Scored]:
    """The candidate's rows of a split by example and place in the file."""
    return {(row.example_id, row.source): row for row in _select(rows, candidate, split)}


def _select(rows: Sequence[Scored], candidate: str, split: Split) -> list[Scored]:
    found = [row for row in rows if row.candidate == candidate and row.split == split]
    if not found:
        what = f"There are no scored {split} rows of the candidate '{candidate}'."
        raise ResidencyError(what, "the scored rows", "Run `residency compare` again.")
    return found


def summarise_one(name: str, rows: Sequence[Scored], confidence: float) -> CandidateSummary:
    """How often these rows of a candidate are right, and what a call took."""
    passed = sum(row.passed for row in rows)
    clusters = own_cluster_each(row.cluster for row in rows)
    worth = effective_rows([row.passed for row in rows], clusters, confidence)
    return CandidateSummary(
        name=name,
        n=len(rows),
        effective_n=worth,
        passed=passed,
        mean=passed / len(rows),
        interval=wilson(passed / len(rows) * worth, worth, confidence),
        mean_score=fmean(row.score for row in rows),
        parts=_parts(rows),
        prompt_tokens_per_call=fmean(row.prompt_tokens for row in rows),
        completion_tokens_per_call=fmean(row.completion_tokens for row in rows),
        seconds_per_call=fmean(row.seconds for row in rows),
    )


def _parts(rows: Sequence[Scored]) -> dict[str, float]:
    """Of each part that answers may have, the share of the rows with it in which it was right."""
    names = dict.fromkeys(name for row in rows for name in row.parts)
    return {name: fmean(row.parts[name] for row in rows if name in row.parts) for name in names}
