"""The report in short, for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from residency.core.money import amount
from residency.core.progress import duration
from residency.evals.statistics import Interval
from residency.verdict.causes_schema import CausePart
from residency.verdict.figures import (
    UNWRITTEN,
    choice_line,
    configuration,
    count,
    held,
    incomplete,
    judged,
    learning_points,
    p_value,
    paraphrased,
    percent,
    percent_range,
    points,
    points_range,
    thousand_cost,
    trial_status,
)
from residency.verdict.learning_schema import LearningCurvePart
from residency.verdict.memorisation_schema import MemorisationPart
from residency.verdict.report_schema import (
    CandidateSummary,
    ComparisonPart,
    RegressionPart,
    Report,
    TrialPart,
)
from residency.verdict.ways import TUNED

_COLOURS = {"ship": "green", "do not ship": "red", "cannot tell": "yellow"}


def render_terminal(report: Report, console: Console) -> None:
    """Print the verdict with its reasons, the candidates, the comparisons, the sweep, the run's places."""
    console.print(_verdict(report))
    console.print(candidates_table(report.candidates))
    for choice in report.choices:
        console.print(Text(choice_line(choice), "dim"))
    if told := held(report.recipe):
        console.print(Text(told, "dim"), soft_wrap=True)
    if report.instructions_unwritten:
        console.print(Text(UNWRITTEN, "yellow"), soft_wrap=True)
    for part in report.incomplete:
        console.print(Text(incomplete(part), "yellow"), soft_wrap=True)
    console.print(comparisons_table(report.comparisons))
    console.print(_costs(report))
    if any(candidate.parts for candidate in report.candidates):
        console.print(_parts(report.candidates))
    if report.regressions:
        console.print(regressions_table(report.regressions))
    training = report.training
    if training.sweep:
        console.print(sweep_table(training.sweep))
    memory = f"{training.peak_memory_gib:.2f} GiB of memory"
    took = f"{training.steps:,} steps in {duration(training.seconds)}, {memory}"
    kind = "Model" if training.method == "full" else "Adapter"
    places = [("Training", took), ("Run", report.run), (kind, training.artifact)]
    if report.causes:
        places.insert(0, ("Failures", _causes(report.causes)))
    if ceiling := report.data.ceiling:
        places.insert(0, ("Ceiling", f"{percent(ceiling.value)} ({percent_range(ceiling.interval)})"))
    if learning := report.learning_curve:
        places.insert(0, ("Rows", _learning(learning)))
    if report.paraphrases:
        places.insert(0, ("Reworded", paraphrased(report.paraphrases)))
    if learned := report.memorisation:
        places.insert(0, ("Learned", _learned(learned)))
    if report.judge:
        places.insert(0, ("Judge", judged(report.judge, report.advice.currency)))
    for name, text in places:
        console.print(Text.assemble((f"{name:<9}", "dim"), text), soft_wrap=True)


def _learned(part: MemorisationPart) -> str:
    """The answer, how much of each gain carries over, and how well training rows are told from others."""
    gains = (("rows right", part.score), ("likelihood", part.likelihood))
    shares = [
        f"{100 * gain.carry_over:.0f} % of the gain in {name}"
        for name, gain in gains
        if gain and gain.carry_over is not None
    ]
    told = f"; held-out rows have {' and '.join(shares)}" if shares else ""
    if part.telling:
        told += f"; {percent(part.telling.share)} of pairs told apart"
    nothing = ", no gain is shown" if part.answer == "cannot tell" and part.gained is False else ""
    return part.answer + nothing + told


def _learning(curve: LearningCurvePart) -> str:
    """`625: 81.2 %, 1,250: 84.0 %, 2,500: 86.1 %; twice as many: +1.8 points (+0.4 to +3.1), rises`."""
    seen = ", ".join(f"{rows}: {share}" for rows, share in zip(*learning_points(curve), strict=True))
    if curve.outlook == "falls":
        return f"{seen}; falls"
    gain = f"{points(curve.gain)} points ({points_range(curve.interval)})"
    return f"{seen}; twice as many: {gain}, {curve.outlook}"


def _verdict(report: Report) -> Panel:
    colour = _COLOURS[report.verdict.gate]
    head = Text.assemble(
        (report.verdict.gate.upper(), f"bold {colour}"),
        ("   recommendation: ", "dim"),
        (report.verdict.recommend, "bold"),
    )
    reasons = Table.grid(padding=(0, 1))
    first, *others = report.verdict.reasons
    for reason in others:
        reasons.add_row(Text("•", colour), Text(reason))
    return Panel(
        Group(head, Text(), Text(first, "bold"), Text(), reasons),
        box=ROUNDED,
        border_style=colour,
        padding=(1, 2),
    )


def candidates_table(candidates: Sequence[CandidateSummary]) -> Table:
    """Each candidate with its share, interval and cost a call."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("candidate")
    for title in ("right", "share", "interval", "prompt tokens", "answer tokens", "s a call"):
        table.add_column(title, justify="right", no_wrap=title == "interval")
    billed = any(candidate.cost_per_call is not None for candidate in candidates)
    if billed:
        table.add_column("1,000 calls cost", justify="right")
    for candidate in candidates:
        table.add_row(
            Text(candidate.name),
            f"{count(candidate.passed)} of {count(candidate.n)}",
            percent(candidate.mean),
            percent_range(candidate.interval),
            count(candidate.prompt_tokens_per_call),
            f"{candidate.completion_tokens_per_call:.1f}",
            f"{candidate.seconds_per_call:.3f}",
            *([thousand_cost(candidate)] if billed else []),
            style="bold" if candidate.name == TUNED else "",
        )
    return table


def _parts(candidates: Sequence[CandidateSummary]) -> Table:
    """Each part of the answers, such as a field, with how often each candidate has it right."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("right in")
    for candidate in candidates:
        table.add_column(Text(candidate.name), justify="right")
    for part in dict.fromkeys(part for candidate in candidates for part in candidate.parts):
        shares = (candidate.parts.get(part) for candidate in candidates)
        table.add_row(Text(part), *("–" if share is None else percent(share) for share in shares))
    return table


def regressions_table(parts: Sequence[RegressionPart]) -> Table:
    """Each suite and its kinds; what became worse stands out."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("elsewhere")
    for title in ("items", "base", "tuned", "points", "bounds"):
        table.add_column(title, justify="right", no_wrap=title == "bounds")
    table.add_column("verdict")
    for part in parts:
        table.add_row(
            Text(f"  {part.kind}" if part.kind else part.suite),
            count(part.n),
            percent(part.base),
            percent(part.tuned),
            points(part.difference),
            points_range(Interval(part.low, part.high)),
            part.verdict,
            style="red" if part.verdict == "worse" else "dim" if part.kind else "",
        )
    return table


def sweep_table(trials: Sequence[TrialPart]) -> Group:
    """Each configuration with its loss; the chosen one stands out."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("configuration")
    for title in ("steps", "validation loss", "time"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("status")
    for trial in trials:
        table.add_row(
            configuration(trial.settings),
            count(trial.steps),
            "–" if trial.validation_loss is None else f"{trial.validation_loss:.4f}",
            duration(trial.seconds),
            Text(trial_status(trial)),
            style="bold" if trial.chosen else "",
        )
    return Group(table, Text("chosen on the validation rows; the test rows had no part in it"))


def _costs(report: Report) -> Table:
    """What each candidate costs; the cheapest good one stands out."""
    write = partial(amount, currency=report.advice.currency)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("cost")
    for title in ("1,000 calls", "1,000 right", "to start", "tuned pays after", "not worse"):
        table.add_column(title, justify="right")
    pays = next(cost.break_even for cost in report.advice.costs if cost.name == TUNED)
    for cost in report.advice.costs:
        amounts = (cost.per_thousand, cost.per_thousand_right, cost.to_start)
        after = pays.get(cost.name, 0)
        table.add_row(
            Text(cost.name),
            *("–" if money is None else write(money) for money in amounts),
            "never" if after is None else f"{count(after)} calls" if after else "–",
            "yes" if cost.not_worse else "not shown",
            style="bold" if cost.name == report.advice.cheapest else "",
        )
    return table


def _causes(causes: Sequence[CausePart]) -> str:
    """`12 taught, 5 far`: failures by cause, whatever the answers."""
    counts: Counter[str] = Counter()
    for part in causes:
        counts[part.cause] += part.n
    return ", ".join(f"{count(n)} {cause}" for cause, n in counts.most_common())


def comparisons_table(comparisons: Sequence[ComparisonPart]) -> Table:
    """Each pair with its difference, row by row."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("row by row")
    for title in ("points", "interval", "p after Holm"):
        table.add_column(title, justify="right", no_wrap=title == "interval")
    for pair in comparisons:
        table.add_row(
            Text(f"{pair.a} → {pair.b}"),
            points(pair.difference),
            points_range(pair.interval),
            p_value(pair.p_adjusted),
        )
    return table
