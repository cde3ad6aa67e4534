import io
import json
import re
from html.parser import HTMLParser

import pytest
from pydantic import ValidationError
from rich.console import Console

from residency.core.recipe import Prices, Verdict
from residency.evals.statistics import Interval
from residency.verdict.charts import Dot, _ticks, curve_svg, dots_svg, fates_svg
from residency.verdict.data_schema import CeilingPart
from residency.verdict.figures import held, p_value, percent, points
from residency.verdict.html import render_html
from residency.verdict.report_schema import CurvePoint, Report, TrialPart
from residency.verdict.terminal import render_terminal
from tests.verdict.sample_report import CURVE, report, row, rows

SHIPPED = report(rows(base=0, zero_shot=14, few_shot=21, tuned=132))


def test_the_report_survives_writing_and_reading():
    written = json.loads(json.dumps(SHIPPED.to_json()))
    assert written["schema"] == "residency.report/1"
    assert written["candidates"][0]["interval"] == list(SHIPPED.candidates[0].interval)
    assert Report.model_validate(written) == SHIPPED
    assert sum(written["data"]["fates"].values()) == written["data"]["rows"]


def test_unknown_keys_other_versions_and_infinite_figures_are_refused():
    written = SHIPPED.to_json()
    for change in ({"extra": 1}, {"schema": "residency.report/2"}):
        with pytest.raises(ValidationError):
            Report.model_validate(written | change)
    with pytest.raises(ValidationError):
        CurvePoint(step=1, epoch=1, train_loss=1, validation_loss=float("nan"), learning_rate=0)


def test_the_json_schema_documents_every_field():
    schema = Report.model_json_schema()
    assert "schema" in schema["properties"]
    for name, part in {**schema["$defs"], "Report": schema}.items():
        assert part.get("additionalProperties") is False or part["type"] == "array", name
        for key, field in part.get("properties", {}).items():
            assert "description" in field or "$ref" in field, f"{name}.{key}"


class Tags(HTMLParser):
    """Collects tags and attributes and checks that every element is closed in order."""

    VOID = {"meta", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parse(page):
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


def test_the_page_is_whole_and_loads_nothing():
    page = render_html(SHIPPED)
    tags = parse(page)
    assert not {"script", "link", "img", "iframe", "object", "a", "base"} & set(tags.seen)
    assert not {"src", "href", "xlink:href", "onload", "onclick"} & {name for name, _ in tags.attributes}
    assert not re.search(r"http|url\(|@import|//", page)
    assert tags.seen.count("svg") >= 4
    assert "prefers-color-scheme: dark" in page and "@media print" in page


def test_every_figure_is_on_the_page():
    page = re.sub(r"&nbsp;", " ", render_html(SHIPPED))
    figures = [
        "Ship.", "fine-tune", "88.0 %", "81.8 to 92.3 %", "14.0 %", "9.3 to 20.5 %", "+74.0 points",
        "132 of 150", "1,180", "0.125", "&lt; 0.0001", "4,884,480", "139,399,488", "3.50", "5,408", "41,236",
        "2 min 34 s", "stopped early", "kept: step 80", "8d1f0c2b5a6e7f90", "+8.0", "338", "560", "over-long",
        "tickets.jsonl:77", "5be1" * 4, "abababab", "learning_rate", "0.001", "residency.report/1",
        ".residency/stages/train-3f9a1c/adapter",
    ]  # fmt: skip
    assert [figure for figure in figures if figure not in page] == []
    escaped = [reason.replace("<", "&lt;").replace("'", "&#39;") for reason in SHIPPED.verdict.reasons]
    assert [reason for reason in escaped if reason not in page] == []
    assert page.index("Ship.") < page.index("Candidates") and page.count('class="failure"') == 10


ATTACK = '</pre><script>alert("x")</script><img src=x onerror=alert(1)>'


def test_text_of_users_and_models_is_escaped_everywhere():
    bad = {"prompt": ATTACK, "got": ATTACK, "expected": ATTACK + "\n!", "reason": ATTACK, "source": ATTACK}
    scored = [
        row(name, i, False, **bad | {"source": f"{ATTACK}{i}"})
        for name in ("tuned", ATTACK)
        for i in range(3)
    ]
    scored.append(row("tuned", 9, True, "train"))
    whole = report(scored)
    data = whole.data.model_copy(update={"fates": {ATTACK: 560}})
    page = render_html(
        whole.model_copy(update={"run": ATTACK, "data": data, "recipe": {"task": {"system": ATTACK}}})
    )
    tags = parse(page)
    assert (
        not {"script", "img"} & set(tags.seen)
        and "<script" not in page
        and "onerror" not in dict(tags.attributes)
    )
    assert "&lt;script&gt;" in page


SWEEP = [
    TrialPart(
        settings={"rank": 8, "learning_rate": 0.001},
        status=status,
        rung=rung,
        steps=steps,
        validation_loss=loss,
        seconds=75,
        reason=ATTACK if status == "failed" else "",
        chosen=status == "finished",
    )
    for status, rung, steps, loss in (
        ("finished", 2, 1200, 0.21346),
        ("stopped", 1, 40, 0.5),
        ("failed", 1, 7, None),
    )
]


def test_the_sweep_is_shown_on_page_and_terminal():
    training = SHIPPED.training.model_copy(update={"sweep": SWEEP})
    whole = SHIPPED.model_copy(update={"training": training})
    page, out = render_html(whole), io.StringIO()
    render_terminal(whole, Console(file=out, width=160))
    parse(page)
    assert "<script" not in page
    for text in (page, out.getvalue()):
        for figure in ("rank 8, learning_rate 0.001", "0.2135", "1,200", "1 min 15 s", "finished, chosen"):
            assert figure in text
        assert "stopped at rung 1" in text and "failed: " in text
        assert "chosen on the validation rows; the test rows had no part in it" in text
    assert Report.model_validate(json.loads(json.dumps(whole.to_json()))) == whole
    assert "Sweep" not in render_html(SHIPPED)


def test_lines_that_differ_are_marked():
    page = render_html(SHIPPED)
    assert "category: billing\n<mark>priority: high</mark>\nteam: payments" in page
    assert "category: billing\n<mark>priority: normal</mark>\nteam: payments" in page


def test_other_verdicts_and_empty_parts_render():
    page = render_html(report(rows(n=60, base=2, few_shot=44, tuned=47), Verdict(minimum=0.8), overlap=4))
    assert (
        "Cannot tell." in page and "more test rows would tell" in page and "<b>4</b> test rows stand" in page
    )
    page = render_html(report(rows(n=50, base=0, tuned=50), curve=[]))
    assert "got every held-out row right" in page and "kept: step" not in page
    assert "Do not fine-tune." in render_html(report(rows(base=0, few_shot=140, tuned=120)))
    assert "Do not ship." in render_html(report(rows(base=0, few_shot=0, tuned=2), Verdict(minimum=0.5)))


def test_page_and_terminal_begin_with_what_to_do_and_tell_the_costs():
    # 0.125 s a call at 0.001 EUR a second: 0.125 a thousand, and by the share right, 88 %, 0.14
    whole = report(rows(base=0, few_shot=21, tuned=132), prices=Prices(hour=3.6, currency="EUR"))
    page, out = re.sub(r"&nbsp;", " ", render_html(whole)), io.StringIO()
    render_terminal(whole, Console(file=out, width=160))
    parse(page)
    first = whole.verdict.reasons[0]
    assert first.startswith("Fine-tune: ") and page.index(first) < page.index("Recommendation:")
    assert page.count(first) == out.getvalue().count(first) == 1
    for text in (page, out.getvalue()):
        for figure in ("0.12 EUR", "0.14 EUR", "0.15 EUR", "never", "not shown"):
            assert figure in text
    assert "seconds a call stand for cost" not in page
    assert "seconds a call stand for cost" in render_html(SHIPPED)


def test_a_very_long_answer_is_cut_and_says_where_the_rest_is():
    scored = [row("base", 1, False), row("tuned", 1, False, got="x" * 90_000), row("tuned", 9, True, "train")]
    page = render_html(report(scored))
    assert "x" * 1500 + " … (in full in scored.jsonl)" in page and "x" * 1501 not in page


def test_dots_stand_where_their_shares_are():
    chart = dots_svg([Dot("a", 0.5, Interval(0.25, 1.0), False)], "shares")
    # The plot takes 98 % of the width from 1 % on.
    assert 'cx="50.0%"' in chart and 'x1="25.5%" x2="99.0%"' in chart
    assert 'aria-label="shares: a 50.0 % (25.0 to 100.0 %)"' in chart


def test_the_curve_is_drawn_to_scale():
    chart = curve_svg(CURVE, 80)
    # Ticks 0, 1, 2, 3: the first validation loss, 2.31, stands at 1 - 2.31 / 3 = 23 % from the top.
    assert '<polyline class="validation" points="0.000,23.000 ' in chart
    assert 'class="best" x1="66.333%"' in chart and "kept: step 80" in chart
    # No training loss before the first step: its line begins at step 20.
    assert '<polyline class="train" points="16.667,' in chart


@pytest.mark.parametrize(
    "highest, ticks",
    [
        (2.31, [0, 1, 2, 3]),
        (0.31, [0, 0.1, 0.2, 0.3, 0.4]),
        (8, [0, 2, 4, 6, 8]),
        (17, [0, 5, 10, 15, 20]),
        (0, [0, 1]),
    ],
)
def test_ticks_are_round(highest, ticks):
    assert _ticks(highest) == pytest.approx(ticks)


def test_the_bar_of_fates_fills_the_width():
    bars = re.findall(
        r'<rect class="(.+?)" x="([\d.]+)%" y="0" width="([\d.]+)%"', fates_svg({"train": 3, "test": 1})
    )
    assert bars == [("fate-0", "0.0", "75.0"), ("fate-1", "75.0", "25.0")]
    assert list(fates_svg({}).split("<rect"))[1:] == []


def test_figures():
    assert [percent(x) for x in (0, 0.0001, 0.8817, 0.99999, 1)] == [
        "0.0 %",
        "0.1 %",
        "88.2 %",
        "99.9 %",
        "100.0 %",
    ]
    assert [points(x) for x in (0.742, -0.05, 0.00001, -0.00001)] == ["+74.2", "−5.0", "0.0", "0.0"]
    assert [p_value(x) for x in (1e-9, 0.00034, 0.0312, 0.25, 1)] == [
        "< 0.0001",
        "0.0003",
        "0.031",
        "0.25",
        "1.00",
    ]


def test_the_terminal_shows_the_verdict_and_takes_no_markup_from_names():
    out = io.StringIO()
    verdict = SHIPPED.verdict.model_copy(update={"reasons": ["few-shot [bold]1[/bold]"]})
    whole = SHIPPED.model_copy(update={"run": "[red]run[/red]", "verdict": verdict})
    render_terminal(whole, Console(file=out, width=100))
    text = out.getvalue()
    for part in (
        "SHIP",
        "fine-tune",
        "132 of 150",
        "81.8 to 92.3 %",
        "+74.0",
        "[red]run[/red]",
        "few-shot [bold]1[/bold]",
        "train-3f9a1c/adapter",
    ):
        assert part in text


def test_scores_stand_on_the_curve_where_training_watched_them():
    scored = [point.model_copy(update={"score": 0.1 * n}) for n, point in enumerate(CURVE)]
    chart = curve_svg(scored, 120)
    # The plot's height is 100 %: the last score, 60 %, stands 40 % from the top at the right end.
    assert re.search(r'<polyline class="score" points="0.000,100.000 .* 100.000,40.000"', chart)
    assert 'class="score"' not in curve_svg(CURVE, 80)
    page = render_html(report(rows(base=0, tuned=132), curve=scored))
    assert "score on validation rows" in page and "step 120 is kept, by its score of 60.0&nbsp;%" in page
    assert "score on validation rows" not in render_html(report(rows(base=0, tuned=132)))


def test_the_ceiling_is_on_page_and_terminal():
    part = CeilingPart(value=0.912, interval=(0.88, 0.94), source="repeated inputs", inputs=40, rows=90)
    whole = report(rows(base=0, tuned=132), ceiling=part)
    page, out = re.sub(r"&nbsp;", " ", render_html(whole)), io.StringIO()
    render_terminal(whole, Console(file=out, width=160))
    parse(page)
    assert page.count("No model can exceed about 91.2 % on rows like these (88.0 to 94.0 %)") == 2
    assert "Ceiling  91.2 % (88.0 to 94.0 %)" in out.getvalue()
    assert Report.model_validate(json.loads(json.dumps(whole.to_json()))) == whole


def test_instructions_that_nobody_wrote_are_told_beside_the_candidates():
    unwritten = SHIPPED.model_copy(update={"instructions_unwritten": True})
    for told in (SHIPPED, unwritten):
        out = io.StringIO()
        render_terminal(told, Console(file=out, width=100))
        for text in (out.getvalue(), render_html(told)):
            assert (
                "instructions were never written" in " ".join(text.split())
            ) == told.instructions_unwritten


def test_who_was_held_to_a_form_is_told_by_name():
    remote = [{"name": "big", "constrain": True}, {"name": "old"}, {"name": "odd", "constrain": False}]
    told = held({"task": {"constrain": "schema"}, "candidates": {"remote": remote}})
    assert told == (
        "Base and tuned model were held to a JSON Schema as they answered, and by its server big; "
        "old, odd answered freely."
    )
    assert held({"task": {"constrain": "none"}, "candidates": {"remote": remote}}) is None
