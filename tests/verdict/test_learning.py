"""The learning curve from scored rows: its sentences, its figures on page and terminal, and made anew."""

import io
import json
import re

import pytest
from rich.console import Console

from residency.core.errors import ResidencyError
from residency.core.recipe import Verdict
from residency.evals.statistics import Interval, wilson
from residency.verdict.charts import learning_svg
from residency.verdict.evidence import differences, recompute
from residency.verdict.html import render_html
from residency.verdict.learning import outlook
from residency.verdict.learning_schema import PartTrainingPart
from residency.verdict.report_schema import Report
from residency.verdict.terminal import render_terminal
from tests.verdict.sample_report import report, row, rows


def curve(*passed, n=150, best=21, settings=None):
    """A report on `passed` of `n` test rows after 84, 169 and 338 training rows, made from scored rows."""
    scored = rows(n=n, base=0, few_shot=best, tuned=passed[2])
    for name, right in zip(("tuned-25", "tuned-50"), passed, strict=False):
        scored += [row(name, i, i < right, "part") for i in reversed(range(n))]
    parts = [
        PartTrainingPart(candidate=f"tuned-{percent}", rows=count, steps=9, best_step=9, seconds=seconds)
        for percent, count, seconds in ((25, 84, 38.5), (50, 169, 77.1))
    ]
    before = report(scored, settings)
    training = before.training.model_copy(update={"parts": parts})
    return recompute(scored, before.model_copy(update={"training": training})), scored


def said(whole, part):
    return [reason for reason in whole.verdict.reasons if part in reason]


def test_a_rising_curve_says_what_twice_the_rows_would_bring():
    # failures 60, 42, 30 of 150: each doubling leaves 0.71 of them, so about 0.29 of 20 points go
    whole, _ = curve(90, 108, 120)
    learning = whole.learning_curve
    assert [(point.rows, point.mean) for point in learning.points] == [(84, 0.6), (169, 0.72), (338, 0.8)]
    assert learning.points[2].interval == wilson(120, 150, 0.95)
    assert learning.exponent == pytest.approx(0.5, abs=0.01)
    assert learning.gain == pytest.approx(0.2 * (1 - 0.5**0.5), abs=0.002)
    assert learning.outlook == "rises"
    (told,) = said(whole, "wice as many")
    assert re.match(r"Twice as many training rows \(676\) would bring about \+5\.\d points \(\+[34]\.", told)
    assert told.endswith("trained on 84, 169 and 338 rows, tuned is right on 60.0 %, 72.0 % and 80.0 %.")
    assert not said(whole, "of this kind")  # it may ship: nothing more is asked for


def test_a_flat_curve_says_that_little_would_be_gained():
    whole, _ = curve(120, 120, 120)
    assert whole.learning_curve.outlook == "flat"
    assert said(whole, "would bring about 0.0 points (0.0 to 0.0)")


def test_a_falling_curve_foresees_nothing():
    whole, _ = curve(130, 120, 100)
    assert whole.learning_curve.outlook == "falls"
    (told,) = said(whole, "wice as many")
    assert told.startswith("More training rows did harm, so what twice as many training rows (676) would")


def test_points_that_do_not_determine_the_gain_say_so():
    # other rows fail at each point, so that the same number says little
    whole, scored = curve(5, 5, 5, n=10)
    turned = [r for r in scored if r.candidate != "tuned-25"]
    turned += [row("tuned-25", i, i >= 5, "part") for i in range(10)]
    turned = recompute(turned, whole)
    assert turned.learning_curve.outlook == "cannot tell"
    assert said(turned, "would bring cannot be told, about ")
    # a model that is never right shows no law either, though no draw of the rows changes anything
    assert curve(0, 0, 0)[0].learning_curve.outlook == "cannot tell"


def test_advice_is_more_rows_or_better_ones_where_tuned_is_not_good_enough():
    more, mend = "add more rows of this kind", "mend the data or change the task"
    high = Verdict(minimum=0.95)
    rising, flat, falling = (curve(*points, settings=high)[0] for points in
                             ((90, 108, 120), (120, 120, 120), (130, 120, 100)))  # fmt: skip
    assert said(rising, more) and not said(rising, mend)
    assert said(flat, mend) and not said(flat, more)
    assert not said(falling, mend) and not said(falling, more)
    # the gate cannot tell: 3 rows more than the best baseline
    close, _ = curve(90, 108, 120, best=117)
    assert close.verdict.gate == "cannot tell" and said(close, more)


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (0.001, 0.031, "rises"),
        (0.001, 0.02, "flat"),
        (-0.01, 0.029, "flat"),
        (-0.05, -0.001, "falls"),
        (-0.01, 0.031, "cannot tell"),
        (0.0, 0.2, "cannot tell"),
    ],
)
def test_the_outlook_goes_by_the_interval_and_what_is_little(low, high, answer):
    assert outlook(Interval(low, high), 0.03) == answer


def test_the_curve_is_no_candidate_and_changes_nothing_else():
    whole, scored = curve(90, 108, 120)
    alone = report([r for r in scored if r.split != "part"])
    for part in ("candidates", "comparisons", "gap", "failures"):
        assert getattr(whole, part) == getattr(alone, part)
    reasons = [r for r in whole.verdict.reasons if "wice as many" not in r]
    assert reasons == alone.verdict.reasons


def test_it_is_made_anew_from_the_rows_and_another_row_is_found_out():
    whole, scored = curve(90, 108, 120)
    assert Report.model_validate(json.loads(json.dumps(whole.to_json()))) == whole
    assert differences(whole, recompute(scored, whole)) == []
    fewer = [r for r in scored if r.candidate != "tuned-50"]
    worse = [*fewer, *(row("tuned-50", i, i < 60, "part") for i in range(150))]
    assert any("learning_curve" in found for found in differences(whole, recompute(worse, whole)))
    with pytest.raises(ResidencyError, match="different test rows"):
        recompute([*fewer, *(row("tuned-50", i, True, "part") for i in range(149))], whole)


def test_page_and_terminal_show_points_and_gain():
    whole, _ = curve(90, 108, 120)
    page, out = re.sub(r"&nbsp;", " ", render_html(whole)), io.StringIO()
    render_terminal(whole, Console(file=out, width=160))
    gain = f"+{100 * whole.learning_curve.gain:.1f} points"
    for text in (page, out.getvalue()):
        assert gain in text and "60.0 %" in text
    for figure in ("More rows", "676, foreseen", "38.5 s", "84 rows", "676 rows"):
        assert figure in page
    assert "84: 60.0 %, 169: 72.0 %, 338: 80.0 %; twice as many: " + gain in out.getvalue()
    assert "<h2>More rows</h2>" not in render_html(report(rows(base=0, tuned=9)))


def test_nothing_is_foreseen_of_a_curve_that_falls():
    whole, _ = curve(120, 90, 60)
    assert whole.learning_curve.outlook == "falls"
    out = io.StringIO()
    render_terminal(whole, Console(file=out, width=160))
    assert "338: 40.0 %; falls" in out.getvalue() and "twice as many:" not in out.getvalue()
    assert "foreseen" not in render_html(whole)
    assert learning_svg(whole.learning_curve).count('<g class="plain">') == 0


def test_the_points_are_drawn_to_scale_and_the_last_is_foreseen():
    whole, _ = curve(90, 108, 120)
    chart = learning_svg(whole.learning_curve)
    # from 50 %, below the first interval, to 90 %, above the last: 60 % is a quarter up of 210 pixels
    assert "50 %" in chart and "90 %" in chart and "40 %" not in chart
    assert f'cx="6.88%" cy="{24 + 210 * 0.75}"' in chart
    assert chart.count('<g class="strong">') == 3 and chart.count('<g class="plain">') == 1
    # a flat line at the top has a height too
    assert "100 %" in learning_svg(curve(150, 150, 150)[0].learning_curve)
