"""The verdict's reasons: plain sentences, each with the figures it rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from residency.core.recipe import Verdict
from residency.evals.noninferiority import items_to_judge
from residency.evals.statistics import POWER, Interval, Paired, detectable, rule_of_three
from residency.training.curve import lowest_loss, overfits_since
from residency.verdict.data_schema import CeilingPart
from residency.verdict.figures import (
    ceiling_bound,
    count,
    learned_answer,
    learning_points,
    nats,
    p_value,
    percent,
    percent_range,
    points,
    points_range,
    two_digits,
)
from residency.verdict.learning_schema import LearningCurvePart
from residency.verdict.memorisation_schema import (
    GainPart,
    MemorisationPart,
    RecitalPart,
    TellingPart,
    TwinsPart,
)
from residency.verdict.report_schema import (
    CandidateSummary,
    ComparisonPart,
    CurvePoint,
    GapPart,
    Gate,
    RegressionPart,
)

FEW_ROWS = 100


def level(tuned: CandidateSummary, best: CandidateSummary) -> str:
    """How often tuned and the best baseline are right."""
    return (
        f"Tuned answers {percent(tuned.mean)} of {count(tuned.n)} held-out rows right "
        f"({percent_range(tuned.interval)}); the best baseline, {best.name}, {percent(best.mean)} "
        f"({percent_range(best.interval)})."
    )


def difference(pair: ComparisonPart, comparisons: int) -> str:
    """The paired difference to the best baseline."""
    corrected = f" after Holm's correction for {comparisons} comparisons" if comparisons > 1 else ""
    p = p_value(pair.p_adjusted)
    return (
        f"Row by row tuned against {pair.a} is {points(pair.difference)} points "
        f"({points_range(pair.interval)}; p {p if p.startswith('<') else '= ' + p}{corrected}): "
        f"{count(pair.only_b)} rows only tuned got right, {count(pair.only_a)} only {pair.a}."
    )


def against_margin(pair: ComparisonPart, p_no_better: float, settings: Verdict) -> str:
    """What the interval of the difference says of the margin asked for, and the p that must say so too."""
    margin = f"the {points(settings.margin)} points asked for" if settings.margin else "zero"
    level = 1 - settings.confidence
    if pair.interval.high <= settings.margin:
        high = points(pair.interval.high)
        unsure = (
            f", but its p of {p_value(p_no_better)} is not below {level:.2g}" if p_no_better >= level else ""
        )
        return f"Even the high end of that difference, {high} points, is not above {margin}{unsure}."
    if pair.interval.low <= settings.margin:
        return f"That interval reaches to both sides of {margin}, so these rows do not tell."
    if pair.p_adjusted >= level:
        p = p_value(pair.p_adjusted)
        return f"That interval lies above {margin}, but its p of {p} is not below {level:.2g}."
    return f"The whole interval of that difference lies above {margin}."


def against_minimum(tuned: CandidateSummary, minimum: float) -> str | None:
    """Whether tuned is good enough in itself; nothing where no minimum is asked for."""
    if not minimum:
        return None
    mean, interval, wanted = percent(tuned.mean), percent_range(tuned.interval), percent(minimum)
    if tuned.interval.high < minimum:
        return f"Tuned's whole interval, {interval}, lies below the minimum of {wanted}."
    if tuned.mean < minimum:
        return f"Tuned's {mean} is below the minimum of {wanted}, which its interval ({interval}) includes."
    return f"Tuned's {mean} reaches the minimum of {wanted}."


def below_ceiling(tuned: CandidateSummary, ceiling: CeilingPart | None, minimum: float) -> str | None:
    """How close tuned is to what the contradictions in the data leave, and whether the minimum is."""
    if ceiling is None:
        return None
    told = f"{ceiling_bound(ceiling)}; tuned is at {percent(tuned.mean)}"
    near = tuned.interval.high >= ceiling.interval.low
    close = ", within reach of it: what is left is more in the labels than in the training" if near else ""
    if minimum <= ceiling.value:
        return f"{told}{close}."
    wanted = percent(minimum)
    if minimum > ceiling.interval.high:
        return f"{told}. The minimum of {wanted} lies above it: no training reaches that, only better labels."
    return f"{told}. The minimum of {wanted} lies above that figure, within its interval."


def use_instead(best: CandidateSummary, minimum: float) -> str:
    """Why the best baseline is recommended."""
    asked = best.prompt_tokens_per_call > 0
    way = f"The prompt of {best.name}" if asked else f"The {best.name}"
    cost = f"without training, at {count(best.prompt_tokens_per_call)} prompt tokens a call"
    cost = cost if asked else "without a language model"
    if minimum:
        return f"{way} reaches the minimum of {percent(minimum)} {cost}."
    return (
        f"{way} does as much {cost}; whether {percent(best.mean)} "
        "is enough is yours to say, since verdict.minimum is 0."
    )


def with_retrieval(pair: ComparisonPart | None) -> str | None:
    """What retrieved text in its prompt does for the tuned model; told, and no part of the gate."""
    if pair is None:
        return None
    gain, interval = points(-pair.difference), Interval(-pair.interval.high, -pair.interval.low)
    return (
        f"With retrieved text in its prompt tuned changes by {gain} points ({points_range(interval)}): "
        f"{count(pair.only_a)} rows are right only with it, {count(pair.only_b)} only without."
    )


def more_rows(gate: Gate, needed: int | None) -> str | None:
    """How many test rows would tell, where these do not."""
    if gate != "cannot tell":
        return None
    if needed is None:
        return "The observed figures lie exactly on the line, so no number of further rows can be named."
    return f"About {count(needed)} more test rows would tell, if the rates seen so far held."


def could_tell(gate: Gate, pair: Paired, confidence: float) -> str | None:
    """The least difference that these rows tell, where they do not tell the one there is."""
    discordance = (pair.only_a + pair.only_b) / pair.n
    if gate != "cannot tell" or not discordance:
        return None
    least = detectable(pair.effective_n, discordance, confidence)
    differ = f"{count(pair.n)} rows of which {percent(discordance)} are right in one of the two alone"
    if least is None:
        return f"In {differ}, no difference can be told {percent(POWER)} of the time."
    return f"In {differ}, a difference of {points(least)} points would be told {percent(POWER)} of the time."


def twice_the_rows(curve: LearningCurvePart | None) -> str | None:
    """What twice as many training rows would bring, by the learning curve."""
    if curve is None:
        return None
    rows, shares = (_listed(texts) for texts in learning_points(curve))
    seen = f"trained on {rows} rows, tuned is right on {shares}"
    twice = f"twice as many training rows ({count(2 * curve.points[-1].rows)}) would bring"
    gain = f"about {points(curve.gain)} points ({points_range(curve.interval)})"
    if curve.outlook in ("rises", "flat"):
        return f"{twice.capitalize()} {gain}: {seen}."
    if curve.outlook == "falls":
        return f"More training rows did harm, so what {twice} cannot be told: {seen}."
    return f"What {twice} cannot be told, {gain} by the curve: {seen}."


def rows_or_data(
    gate: Gate, tuned: CandidateSummary, minimum: float, curve: LearningCurvePart | None
) -> str | None:
    """Whether more rows of the same kind would help, where tuned is not shown to be good enough."""
    if curve is None or (gate != "cannot tell" and tuned.mean >= minimum):
        return None
    if curve.outlook == "rises":
        return "To do better by training, add more rows of this kind: the learning curve still rises."
    if curve.outlook == "flat":
        return "More rows like these bring little: mend the data or change the task."
    return None


def _listed(texts: Sequence[str]) -> str:
    """`a, b and c`."""
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def part_marks(pair: ComparisonPart) -> str | None:
    """The difference of the mean scores, where they give part marks."""
    if pair.score_difference is None or pair.score_interval is None:
        return None
    return (
        f"With part marks the mean score is {points(pair.score_difference)} points from {pair.a}'s "
        f"({points_range(pair.score_interval)}, bootstrap)."
    )


def alike(tuned: CandidateSummary) -> str | None:
    """Test rows of one group, or that ask nearly the same."""
    if tuned.effective_n > tuned.n - 0.5:
        return None
    return (
        "Some test rows are of one group or ask nearly the same: for tuned's share the "
        f"{count(tuned.n)} count as {count(tuned.effective_n)} independent ones."
    )


def overfitted(curve: Sequence[CurvePoint], kept_step: int) -> str | None:
    """Steps that lowered the training loss and raised the validation loss."""
    since = overfits_since(curve)
    if since is None:
        return None
    lowest, last = lowest_loss(curve), curve[-1]
    kept = next(point for point in curve if point.step == kept_step)
    fall = f"from {lowest.train_loss:.3f} to {last.train_loss:.3f}"
    by_score = "" if kept.score is None else f", by its score of {percent(kept.score)}"
    return (
        f"The validation loss was lowest at step {count(lowest.step)} ({lowest.validation_loss:.3f}) and "
        f"rose after it to {last.validation_loss:.3f} while the training loss fell on {fall}: since step "
        f"{count(since)} the model memorised; step {count(kept.step)} is kept{by_score}."
    )


def train_gap(gap: GapPart) -> str | None:
    """A gap between training and held-out rows that chance does not explain."""
    figures = (
        f"{percent(gap.train.mean)} of {count(gap.train.n)} training rows against "
        f"{percent(gap.held_out.mean)} of {count(gap.held_out.n)} held-out rows "
        f"({points(gap.difference)} points, {points_range(gap.interval)})"
    )
    if gap.interval.low > 0:
        return f"Tuned is right on {figures}: part of what it learned is memorised and does not carry over."
    if gap.interval.high < 0:
        return f"Tuned is right on {figures}: the held-out rows are easier than the training rows."
    return None


def learned(part: MemorisationPart) -> str:
    """Whether tuned generalises or memorises, with the figures that say so."""
    said = [
        _carried("rows right", part.score, lambda gain: f"{points(gain)} points"),
        part.likelihood and _carried("likelihood of the answers wanted", part.likelihood, nats),
        part.telling and part.telling.sign == "memorises" and _told_apart(part.telling),
        part.twins and part.twins.sign == "memorises" and _lost_in_twins(part.twins),
        part.recitals and part.recitals.sign == "memorises" and _recited(part.recitals),
    ]
    figures = "; ".join(text for text in said if text)
    return f"{learned_answer(part)}. {figures[0].upper()}{figures[1:]}."


def _carried(measure: str, gain: GainPart, told: Callable[[float], str]) -> str:
    gained = f"{measure}: {told(gain.train)} against the base on training rows and {told(gain.held_out)} on"
    if gain.carry_over is None or gain.carry_over_interval is None:
        return f"{gained} held-out ones, where the first may be nothing"
    low, high = gain.carry_over_interval
    share = f"{100 * gain.carry_over:.0f} % carry over, {100 * low:.0f} to {100 * high:.0f} %"
    return f"{gained} held-out ones ({share})"


def _told_apart(telling: TellingPart) -> str:
    return (
        f"by the likelihood of its answer, a training row is told from a held-out one in "
        f"{percent(telling.share)} of pairs ({percent_range(telling.interval)})"
    )


def _lost_in_twins(twins: TwinsPart) -> str:
    return (
        f"in other words, {percent(twins.twin)} of {count(twins.n)} training rows right instead of "
        f"{percent(twins.original)} ({points(twins.difference)} points, {points_range(twins.interval)})"
    )


def _recited(recitals: RecitalPart) -> str:
    return (
        f"{percent(recitals.tuned)} of {count(recitals.n)} training answers recited from their beginning, "
        f"{percent(recitals.base)} by the base, and {percent(recitals.held_out)} of "
        f"{count(recitals.held_out_n)} held-out ones"
    )


def overlapping(overlap: int, n: int) -> str | None:
    """Test rows that the model was trained on."""
    if not overlap:
        return None
    inputs, stand = ("input", "row stands") if overlap == 1 else ("inputs", "rows stand")
    return (
        f"The {inputs} of {count(overlap)} test {stand} in the training or validation rows too "
        f"({percent(overlap / n)} of the test), so tuned's figure is partly recall."
    )


def regressed(parts: Sequence[RegressionPart], margin: float, confidence: float) -> str | None:
    """What the suites say of abilities outside the task, with advice where one was lost."""
    wholes = [part for part in parts if not part.kind]
    worse = [part for part in parts if part.verdict == "worse"]
    if worse:
        lost = "; ".join(
            f"{part.suite}{part.kind and f' ({part.kind})'} {percent(part.base)} before and "
            f"{percent(part.tuned)} now ({points(part.difference)} points, "
            f"{points(part.low)} to {points(part.high)})"
            for part in worse
        )
        advice = "Train fewer epochs or at a lower rate, or mix in general rows (train.replay)."
        return f"Training cost ability elsewhere: {lost}. {advice}"
    unclear = [part for part in wholes if part.verdict == "cannot tell"]
    if unclear:
        named = " and ".join(part.suite for part in unclear)
        counts = [
            (part.gained, part.lost, part.n)
            for part in unclear
            if part.gained is not None and part.lost is not None
        ]
        more = " and ".join(
            count(two_digits(items_to_judge(*seen, margin, confidence, len(wholes)))) for seen in counts
        )
        would = f"; about {more} more would tell, if the rates seen so far held"
        return (
            f"Whether tuned lost more than {100 * margin:g} points on {named} cannot be told from these "
            f"items{would if len(counts) == len(unclear) else ''}."
        )
    if parts:
        named = " and ".join(part.suite for part in wholes)
        return f"On {named} tuned is not worse than the base by {100 * margin:g} points or more."
    return None


def few_rows(tuned: CandidateSummary) -> str | None:
    """A test set too small for fine differences."""
    if tuned.n >= FEW_ROWS:
        return None
    width = 100 * (tuned.interval.high - tuned.interval.low)
    return f"There are only {count(tuned.n)} test rows, so tuned's interval is {width:.0f} points wide."


def no_failure(tuned: CandidateSummary, confidence: float) -> str | None:
    """What no failure at all still allows."""
    if tuned.passed < tuned.n:
        return None
    most = rule_of_three(tuned.effective_n, confidence)
    return (
        f"Tuned failed none of {count(tuned.n)} rows, which still fits a failure rate of up to "
        f"{percent(most)} (rule of three, {100 * confidence:g} % confidence)."
    )
