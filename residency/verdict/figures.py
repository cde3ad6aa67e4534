"""How figures are written, the same in reasons, page and terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from residency.core.money import amount
from residency.evals.paraphrases import LEAST_PARAPHRASES
from residency.evals.statistics import Interval
from residency.verdict.data_schema import CeilingPart
from residency.verdict.judging_schema import JudgePart
from residency.verdict.learning_schema import LearningCurvePart
from residency.verdict.memorisation_schema import MemorisationPart, ParaphrasesPart
from residency.verdict.report_schema import CandidateSummary, ChoicePart, IncompletePart, TrialPart


def percent(share: float) -> str:
    """0.8817 -> `88.2 %`; below and above all only where it is so."""
    text = f"{100 * share:.1f}"
    if text == "100.0" and share < 1:
        text = "99.9"
    if text == "0.0" and share > 0:
        text = "0.1"
    return f"{text} %"


def percent_range(interval: Interval) -> str:
    """`82.0 to 92.4 %`."""
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"


def points(difference: float) -> str:
    """0.742 -> `+74.2`, in points of a percent."""
    text = f"{100 * difference:+.1f}".replace("-", "−")
    return "0.0" if text in {"+0.0", "−0.0"} else text


def two_digits(number: int) -> int:
    """Rounded up to two digits that count: 476 -> 480."""
    unit = int(10 ** max(len(str(number)) - 2, 0))
    return -(-number // unit) * unit


def nats(gain: float) -> str:
    """1.234 -> `+1.23 nats a token`."""
    return f"{gain:+.2f} nats a token".replace("-", "−")


def points_range(interval: Interval) -> str:
    """`+66.1 to +80.2`."""
    return f"{points(interval.low)} to {points(interval.high)}"


def p_value(p: float) -> str:
    """`< 0.0001`, or two digits that count."""
    if p < 0.0001:
        return "< 0.0001"
    return f"{p:.4f}" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def configuration(settings: Mapping[str, float]) -> str:
    """`rank 8, learning_rate 0.001`."""
    return ", ".join(f"{key} {value:g}" for key, value in settings.items())


def choice_line(choice: ChoicePart) -> str:
    """`few-shot: examples 4, chosen on 60 validation rows (0: 1.7 %, 4: 5.0 %, 8: 3.3 %)`."""
    tried = ", ".join(f"{value}: {percent(score)}" for value, score in choice.tried.items())
    rows = f"{count(choice.rows)} validation rows"
    return f"{choice.candidate}: {choice.setting} {choice.chosen:g}, chosen on {rows} ({tried})"


def trial_status(trial: TrialPart) -> str:
    """`finished`, `stopped at rung 1` or `failed: ...`."""
    words = {"finished": "", "stopped": f" at rung {trial.rung}", "failed": f": {trial.reason}"}
    return f"{trial.status}{words[trial.status]}{', chosen' if trial.chosen else ''}"


def count(number: float) -> str:
    """1234 -> `1,234`."""
    return f"{number:,.0f}"


UNWRITTEN = (
    "The instructions were never written: the prompted candidates were told the form that `residency new` "
    "leaves, and may do better with instructions."
)
"""Told beside the candidates where it is so."""


def held(recipe: Mapping[str, Any]) -> str | None:
    """To what the answers were held, by a report's recipe; None where they were free."""
    constrain = recipe.get("task", {}).get("constrain", "none")
    forms = {"labels": "the labels of the training rows", "schema": "a JSON Schema"}
    if constrain not in forms:
        return None
    told = f"Base and tuned model were held to {forms[constrain]} as they answered"
    remote = recipe.get("candidates", {}).get("remote", ())
    if too := [one["name"] for one in remote if one.get("constrain", False)]:
        told += f", and by its server {', '.join(too)}"
    if free := [one["name"] for one in remote if not one.get("constrain", False)]:
        told += f"; {', '.join(free)} answered freely"
    return f"{told}."


def thousand_cost(candidate: CandidateSummary) -> str:
    """What 1,000 calls cost, in the currency of the recipe's prices; a dash where nobody bills."""
    return "–" if candidate.cost_per_call is None else f"{1000 * candidate.cost_per_call:.4g}"


def incomplete(part: IncompletePart) -> str:
    """That a candidate is not compared, and why."""
    answered = f"{count(part.answered)} of {count(part.n)} rows"
    why = f"max_cost was reached at {part.spent:.4g}, with {answered} answered"
    return f"{part.name} is incomplete and not compared: {why}."


def paraphrased(part: ParaphrasesPart) -> str:
    """`big worded 38 of 40 training rows anew; 31 count. Left out: answered otherwise (7), ...`."""
    made = f"{part.by} worded {count(part.made)} of {count(part.rows)} training rows anew"
    told = f"{made}; {count(part.kept)} count"
    if part.kept < LEAST_PARAPHRASES:
        told += f", and fewer than {LEAST_PARAPHRASES} tell nothing of rows in other words"
    left_out = ", ".join(f"{why} ({count(n)})" for why, n in part.left_out.items())
    return f"{told}. Left out: {left_out}." if left_out else f"{told}."


def judged(part: JudgePart, currency: str) -> str:
    """`m agrees with 40 golden answers by a kappa of 0.85 (0.68 to 1.00); ...`."""
    kappa = f"a kappa of {part.kappa:.2f} ({part.interval.low:.2f} to {part.interval.high:.2f})"
    told = (
        f"{part.model} agrees with people by {kappa}, on {percent(part.agreement)} of {part.golden} answers"
    )
    told += f"; {count(part.questions)} questions for {amount(part.spent, currency)}"
    if part.winner_words is not None:
        told += (
            f"; the better answer of a pair has {part.winner_words:g} words, the other {part.loser_words:g}"
        )
    return told


def learned_answer(part: MemorisationPart) -> str:
    """The answer of `part` in words, without its full stop."""
    if part.answer == "cannot tell" and part.gained is False:
        return "No gain in rows right is shown, so whether tuned generalises or memorises cannot be told"
    return {
        "generalises": "What tuned learned carries over to rows it never saw",
        "memorises": "Tuned knows its training rows rather than the task",
        "cannot tell": "Whether tuned generalises or memorises cannot be told",
    }[part.answer]


def learning_points(curve: LearningCurvePart) -> tuple[list[str], list[str]]:
    """`625`, `1,250`, `2,500` and `81.2 %`, `84.0 %`, `86.1 %`: rows trained on, and the shares right."""
    return [count(point.rows) for point in curve.points], [percent(point.mean) for point in curve.points]


def ceiling_bound(ceiling: CeilingPart) -> str:
    """`No model can exceed about 91.2 % ...`, with the interval and what it rests on."""
    rows = "these very rows" if ceiling.source == "all rows" else "rows like these"
    inputs = "pairs of near twins" if ceiling.source == "near twins" else "repeated inputs"
    return (
        f"No model can exceed about {percent(ceiling.value)} on {rows} "
        f"({percent_range(ceiling.interval)}), as {count(ceiling.inputs)} {inputs} and their answers show"
    )
