"""The report's pictures: inline SVG, coloured by the page's style sheet.

Widths are per cent and heights are pixels, so that a chart fits any column while its text keeps its size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from residency.evals.statistics import Interval
from residency.verdict.figures import count, percent, percent_range
from residency.verdict.learning_schema import LearningCurvePart
from residency.verdict.report_schema import CurvePoint

_ROW, _PLOT = 50, 210
_LEFT, _WIDTH = 1.0, 98.0
_LONGEST_NAME = 34


class Dot(NamedTuple):
    """A share with its interval."""

    name: str
    mean: float
    interval: Interval
    strong: bool
    """Whether it is the one the chart is about."""


def dots_svg(dots: Sequence[Dot], title: str) -> Markup:
    """Shares from 0 to 100 % as dots with interval whiskers, one under the other."""
    bottom = _ROW * len(dots) + 6
    parts = [
        Markup('<line class="grid" x1="{x}%" x2="{x}%" y1="0" y2="{y}"/>').format(x=_x(tick), y=bottom)
        for tick in (0, 0.25, 0.5, 0.75, 1)
    ]
    for number, dot in enumerate(dots):
        parts.append(_dot(dot, _ROW * number))
    for tick, anchor in ((0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1, "end")):
        parts.append(_text(f"{100 * tick:.0f} %", _x(tick), bottom + 16, "tick", anchor))
    told = "; ".join(f"{dot.name} {percent(dot.mean)} ({percent_range(dot.interval)})" for dot in dots)
    return _svg(parts, bottom + 22, f"{title}: {told}")


def _dot(dot: Dot, top: float) -> Markup:
    y = top + 36
    whisker = Markup(
        '<g class="{kind}"><line class="rail" x1="{left}%" x2="{right}%" y1="{y}" y2="{y}"/>'
        '<line class="whisker" x1="{low}%" x2="{high}%" y1="{y}" y2="{y}"/>'
        '<circle cx="{mean}%" cy="{y}" r="6"/></g>'
    ).format(
        kind="strong" if dot.strong else "plain",
        left=_x(0),
        right=_x(1),
        low=_x(dot.interval.low),
        high=_x(dot.interval.high),
        mean=_x(dot.mean),
        y=y,
    )
    name = _text(dot.name, _x(0), top + 20, "name strong" if dot.strong else "name", "start")
    figures = f"{percent(dot.mean)}  ({percent_range(dot.interval)})"
    return whisker + name + _text(figures, _x(1), top + 20, "figure", "end")


def curve_svg(curve: Sequence[CurvePoint], best_step: int) -> Markup:
    """Training and validation loss by step, with the kept step marked; scores, if any, fill the height."""
    last_step = max(point.step for point in curve) or 1
    losses = [loss for p in curve for loss in (p.train_loss, p.validation_loss) if loss is not None]
    ticks = _ticks(max(losses))

    def place(step: int, loss: float) -> tuple[float, float]:
        return step / last_step, 1 - loss / ticks[-1]

    parts = []
    for tick in ticks:
        y = round(24 + _PLOT * place(0, tick)[1], 2)
        rule = Markup('<line class="grid" x1="{}%" x2="{}%" y1="{y}" y2="{y}"/>')
        parts.append(rule.format(_x(0), _x(1), y=y))
        parts.append(_text(f"{tick:g}", _x(1), y - 4, "tick", "end"))
    fraction = best_step / last_step
    best = Markup('<line class="best" x1="{x}%" x2="{x}%" y1="18" y2="{y}"/>')
    best = best.format(x=_x(fraction), y=24 + _PLOT)
    anchor = "end" if fraction > 0.7 else "start" if fraction < 0.3 else "middle"
    parts += [best, _text(f"kept: step {count(best_step)}", _x(fraction), 12, "mark", anchor)]
    trained = [place(p.step, p.train_loss) for p in curve if p.train_loss is not None]
    validated = [place(p.step, p.validation_loss) for p in curve]
    parts += [_line(trained, "train"), _line(validated, "validation")]
    if scored := [(p.step / last_step, p.score) for p in curve if p.score is not None]:
        parts.append(_line([(x, 1 - score) for x, score in scored], "score"))
        x, score = scored[-1]
        parts.append(_text(percent(score), _x(x), 24 + _PLOT * (1 - score) + 14, "tick", "end"))
    for step, anchor in ((0, "start"), (last_step // 2, "middle"), (last_step, "end")):
        parts.append(_text(f"step {count(step)}", _x(step / last_step), 24 + _PLOT + 18, "tick", anchor))
    ends = f"validation loss from {curve[0].validation_loss:.3f} to {curve[-1].validation_loss:.3f}"
    return _svg(parts, 24 + _PLOT + 24, f"Loss by training step: {ends}, step {best_step} kept")


def learning_svg(curve: LearningCurvePart) -> Markup:
    """The share right by training rows, each doubling as wide as the next; the last is foreseen, if any."""
    last, shares = curve.points[-1], [(point.mean, point.interval) for point in curve.points]
    rows = [point.rows for point in curve.points]
    foreseen = 2 * last.rows if curve.outlook != "falls" else None
    if foreseen:
        low, high = (last.mean + gain for gain in curve.interval)
        shares.append((min(1.0, max(0.0, last.mean + curve.gain)), Interval(max(0.0, low), min(1.0, high))))
        rows.append(foreseen)
    floor = math.floor(10 * min(interval.low for _, interval in shares)) / 10
    ceiling = math.ceil(10 * max(interval.high for _, interval in shares)) / 10
    reach = max(ceiling - floor, 0.1)

    def place(share: float) -> float:
        return 1 - (share - floor) / reach

    parts = []
    for tick in range(round(10 * reach) + 1):
        y = round(24 + _PLOT * place(floor + tick / 10), 2)
        rule = Markup('<line class="grid" x1="{}%" x2="{}%" y1="{y}" y2="{y}"/>')
        parts.append(rule.format(_x(0), _x(1), y=y))
        parts.append(_text(f"{100 * floor + 10 * tick:.0f} %", _x(1), y - 4, "tick", "end"))
    across = [0.06 + 0.8 * math.log(n / rows[0]) / math.log(rows[-1] / rows[0]) for n in rows]
    ends = [(x, place(share)) for x, (share, _) in zip(across, shares, strict=True)]
    parts.append(_line(ends[: len(curve.points)], "validation"))
    if foreseen:
        parts.append(_line(ends[-2:], "train"))
    for x, n, (share, interval) in zip(across, rows, shares, strict=True):
        kind = "plain" if n == foreseen else "strong"
        ys = [round(24 + _PLOT * place(of), 2) for of in (interval.low, interval.high, share)]
        parts.append(
            Markup(
                '<g class="{}"><line class="whisker" x1="{x}%" x2="{x}%" y1="{}" y2="{}"/>'
                '<circle cx="{x}%" cy="{}" r="6"/></g>'
            ).format(kind, *ys, x=_x(x))
        )
        parts.append(_text(f"{count(n)} rows", _x(x), 24 + _PLOT + 18, "tick", "middle"))
    told = "; ".join(f"{count(n)} {percent(share)}" for n, (share, _) in zip(rows, shares, strict=True))
    title = f"Held-out rows right by training rows{', the last foreseen' if foreseen else ''}: {told}"
    return _svg(parts, 24 + _PLOT + 24, title)


def _line(points: Sequence[tuple[float, float]], kind: str) -> Markup:
    """A polyline in a box of its own, stretched to the plot, and its points, which are not stretched."""
    path = " ".join(f"{100 * x:.3f},{100 * y:.3f}" for x, y in points)
    line = Markup(
        '<svg x="{}%" y="24" width="{}%" height="{}" viewBox="0 0 100 100" preserveAspectRatio="none">'
        '<polyline class="{}" points="{}"/></svg>'
    ).format(_LEFT, _WIDTH, _PLOT, kind, path)
    return line + Markup("").join(
        Markup('<circle class="{}" cx="{}%" cy="{}" r="2.5"/>').format(kind, _x(x), round(24 + _PLOT * y, 2))
        for x, y in points
    )


def _ticks(highest: float) -> list[float]:
    """From 0 to at least `highest` in two to five even steps of 1, 2 or 5 times a power of ten."""
    if highest <= 0:
        return [0.0, 1.0]
    power = 10 ** math.floor(math.log10(highest / 4))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step * 4 >= highest)
    return [round(step * i, 12) for i in range(math.ceil(highest / step) + 1)]


def fates_svg(fates: Mapping[str, int]) -> Markup:
    """The rows by fate as one bar, in the order given."""
    total = sum(fates.values()) or 1
    parts, before = [], 0
    for number, (fate, rows) in enumerate(fates.items()):
        left, width = round(100 * before / total, 3), round(100 * rows / total, 3)
        bar = Markup(
            '<rect class="fate-{}" x="{}%" y="0" width="{}%" height="30"><title>{}: {}</title></rect>'
        )
        parts.append(bar.format(number % 8, left, width, fate, count(rows)))
        before += rows
    told = ", ".join(f"{fate} {rows}" for fate, rows in fates.items())
    return _svg(parts, 30, f"Rows by fate: {told}")


def bars_svg(bars: Mapping[str, int], title: str) -> Markup:
    """Counts as bars, one under the other in the order given, each with its name before it."""
    most = max(bars.values(), default=0) or 1
    parts = []
    for number, (name, rows) in enumerate(bars.items()):
        top, width = 24 * number, round(50 * rows / most, 3)
        shown = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        parts.append(_text(shown, 34, top + 15, "tick", "end"))
        parts.append(
            Markup('<rect class="fate-1" x="36%" y="{}" width="{}%" height="16"/>').format(top + 2, width)
        )
        parts.append(_text(count(rows), 37 + width, top + 15, "tick", "start"))
    told = ", ".join(f"{name} {rows}" for name, rows in bars.items())
    return _svg(parts, 24 * len(bars), f"{title}: {told}")


def _x(share: float) -> float:
    return round(_LEFT + _WIDTH * share, 3)


def _text(text: str, x: float, y: float, kind: str, anchor: str) -> Markup:
    template = Markup('<text class="{}" x="{}%" y="{}" text-anchor="{}">{}</text>')
    return template.format(kind, x, round(y, 2), anchor, text)


def _svg(parts: Sequence[Markup], height: float, told: str) -> Markup:
    opening = Markup('<svg class="chart" role="img" width="100%" height="{}" aria-label="{}">')
    return opening.format(height, escape(told)) + Markup("").join(parts) + Markup("</svg>")
