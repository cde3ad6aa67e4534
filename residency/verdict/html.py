"""The report as one HTML file that opens offline: no script, nothing loaded from anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from residency.core.money import amount
from residency.core.progress import duration
from residency.verdict import figures
from residency.verdict.charts import Dot, curve_svg, dots_svg, fates_svg, learning_svg
from residency.verdict.decide import best_baseline
from residency.verdict.report_schema import CandidateSummary, GapPart, Report
from residency.verdict.ways import TUNED

_LONGEST_TEXT = 1500
_INSIDE_A_FIGURE = re.compile(r"(?<=\d) (?=%|points\b)|(?<=\bp) (?=&lt;|=)|(?<=&lt;) (?=\d)|(?<==) (?=\d)")
_USED_ROWS = ("train", "replay", "validation", "test")


def render_html(report: Report) -> str:
    """The whole page. Every text of the report is escaped."""
    environment = page_environment()
    environment.filters |= {
        "percent": figures.percent,
        "percent_range": figures.percent_range,
        "points": figures.points,
        "points_range": figures.points_range,
        "p_value": figures.p_value,
        "thousand_cost": figures.thousand_cost,
        "incomplete": figures.incomplete,
        "paraphrased": figures.paraphrased,
        "judged": partial(figures.judged, currency=report.advice.currency),
        "ceiling_bound": figures.ceiling_bound,
        "count": figures.count,
        "choice_line": figures.choice_line,
        "configuration": figures.configuration,
        "learned_answer": figures.learned_answer,
        "trial_status": figures.trial_status,
        "duration": duration,
        "amount": partial(amount, currency=report.advice.currency),
        "unbroken": _unbroken,
        "shortened": _shortened,
    }
    template = environment.from_string(page_text("report.html.jinja"))
    by_name = {candidate.name: candidate for candidate in report.candidates}
    fates, curve = fates_in_order(report.data.fates), report.training.curve
    return template.render(
        report=report,
        style=page_style(),
        tuned=by_name[TUNED],
        costs={cost.name: cost for cost in report.advice.costs},
        best=best_baseline(report.candidates),
        held=figures.held(report.recipe),
        unwritten=figures.UNWRITTEN if report.instructions_unwritten else None,
        billed=[candidate for candidate in report.candidates if candidate.cost_per_call is not None],
        fates=fates,
        candidates_chart=_candidates_chart(report.candidates),
        curve_chart=curve_svg(curve, report.training.best_step) if curve else "",
        learning_chart=learning_svg(report.learning_curve) if report.learning_curve else "",
        gap_chart=_gap_chart(report.gap),
        fates_chart=fates_svg(fates),
        marked=_marked,
        points=figures.points,
        nats_alone=lambda gain: figures.nats(gain).removesuffix(" nats a token"),
    )


def page_environment() -> Environment:
    """Templates in which every text is escaped and every name must be there."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["count"] = figures.count
    return environment


def page_text(name: str) -> str:
    """A template or style sheet of this package."""
    return resources.files("residency.verdict").joinpath(name).read_text(encoding="utf-8")


def page_style() -> Markup:
    """The style sheet that all pages share; ours, not the user's."""
    return Markup(page_text("report.css"))


def _candidates_chart(candidates: Sequence[CandidateSummary]) -> Markup:
    dots = [Dot(c.name, c.mean, c.interval, c.name == TUNED) for c in candidates]
    return dots_svg(dots, "Held-out rows right")


def _gap_chart(gap: GapPart) -> Markup:
    rows = (("training rows", gap.train, False), ("held-out rows", gap.held_out, True))
    dots = [Dot(f"{figures.count(s.n)} {name}", s.mean, s.interval, strong) for name, s, strong in rows]
    return dots_svg(dots, "Tuned, rows right")


def fates_in_order(fates: Mapping[str, int]) -> dict[str, int]:
    """Used rows first, then the others, the most common before."""
    rank = {name: number for number, name in enumerate(_USED_ROWS)}
    order = sorted(fates, key=lambda fate: (rank.get(fate, len(rank)), -fates[fate], fate))
    return {fate: fates[fate] for fate in order}


def _unbroken(text: str) -> Markup:
    """Figures stay on one line with their unit."""
    return Markup(_INSIDE_A_FIGURE.sub("&nbsp;", escape(text)))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} … (in full in scored.jsonl)"


def _marked(text: str, other: str) -> Markup:
    """`text` with those lines marked that do not stand in `other`."""
    known = {line.strip() for line in other.splitlines()}
    lines = _shortened(text).splitlines() or [""]
    return Markup("\n").join(
        escape(line) if line.strip() in known else Markup("<mark>{}</mark>").format(line) for line in lines
    )
