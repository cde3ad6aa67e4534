"""The judge in the report: its agreement with people, its cost, and how long what it likes is."""

import io
import json
import math

import pytest
from rich.console import Console

from residency.core.recipe import Judge, Recipe
from residency.evals.asked import Asked
from residency.evals.golden import score_golden
from residency.evals.scored import Scored
from residency.evals.scorers.judge import Graded
from residency.verdict.evidence import differences, recompute
from residency.verdict.html import render_html
from residency.verdict.judging import measure_judge
from residency.verdict.report_schema import Report
from residency.verdict.terminal import render_terminal
from tests.verdict.sample_report import report, row, rows

ASKED = [Asked("a", 1_000_000, 0), Asked("b", 500_000, 10_000)]
JUDGE = Judge(model="strict", price_in=0.5, price_out=2)


def recipe_of(scorer):
    made = report(rows(base=20, tuned=80))
    return Recipe.model_validate(made.recipe | {"task": {"scorer": scorer}, "judge": JUDGE})


def golden(**pairs):
    """Answers graded so by people and so by the judge, `pass_fail=3`: three of them."""
    grades = [key.split("_") for key, n in pairs.items() for _ in range(n)]
    graded = [Graded(f"golden.jsonl:{i}", "q", "e", f"{i}", *both) for i, both in enumerate(grades)]
    return score_golden(graded)


def test_agreement_kappa_and_cost_by_hand():
    graded = golden(pass_pass=20, fail_fail=15, pass_fail=5, fail_pass=10)
    part = measure_judge(graded, ASKED, recipe_of("judge"))
    assert part is not None
    assert (part.model, part.golden, part.agreement, part.questions) == ("strict", 50, 0.7, 2)
    # chance 1/2 * 3/5 + 1/2 * 2/5 = 1/2, so kappa (7/10 - 1/2) / (1/2) = 2/5, and by the formula of 1969
    assert part.kappa == pytest.approx(0.4)
    alike = 0.4 * (1 - 1.1 * 0.6) ** 2 + 0.3 * (1 - 0.9 * 0.6) ** 2
    other = 0.6**2 * (0.1 * (0.6 + 0.5) ** 2 + 0.2 * (0.4 + 0.5) ** 2)
    error = math.sqrt(alike + other - (0.4 - 0.5 * 0.6) ** 2) / (0.5 * math.sqrt(50))
    assert part.interval == pytest.approx((0.4 - 1.959964 * error, 0.4 + 1.959964 * error), abs=1e-6)
    assert part.spent == pytest.approx(0.5 + 0.25 + 0.02)
    assert part.winner_words is part.loser_words is None


def test_the_better_answers_of_pairs_and_the_others_by_their_words():
    graded = golden(answer_answer=10, expected_expected=10)
    answers = [
        ("one two three", "one", 1.0),
        ("one", "one two three four five", 0.0),
        ("a b c d e f", "g", 0.5),
    ]
    won = [
        row("base", i, score == 1, got=got, expected=expected, score=score)
        for i, (got, expected, score) in enumerate(answers)
    ]
    other = [row("base", 9, True, "validation", got="x " * 99, expected="y")]
    part = measure_judge([*won, *other, *graded], [], recipe_of("pairwise_judge"))
    assert part is not None and (part.winner_words, part.loser_words) == (4, 1)
    ties = measure_judge([*won[2:], *graded], [], recipe_of("pairwise_judge"))
    assert ties is not None and ties.winner_words is ties.loser_words is None


def test_the_judge_is_told_on_page_and_terminal_and_follows_from_the_rows():
    scored = [*rows(base=20, tuned=80), *golden(pass_pass=20, fail_fail=19, fail_pass=1)]
    made = report(scored)
    assert made.judge is None and "agrees with people" not in render_html(made)
    made = made.model_copy(update={"recipe": recipe_of("judge").to_json()})
    made = recompute(scored, made, ASKED)
    told = (
        "strict agrees with people by a kappa of 0.95 (0.85 to 1.00), on 97.5 % of 40 answers; "
        "2 questions for 0.77"
    )
    out = io.StringIO()
    render_terminal(made, Console(file=out, width=200))
    assert f"Judge    {told}\n" in out.getvalue() and f"Judge: {told}." in render_html(made)
    read = Report.model_validate(json.loads(json.dumps(made.to_json())))
    again = [Scored.from_json(json.loads(json.dumps(r.to_json()))) for r in scored]
    assert differences(read, recompute(again, read, ASKED)) == []
    assert "judge.questions: 2, and 1" in differences(read, recompute(again, read, ASKED[:1]))
    assert any("judge.kappa" in text for text in differences(read, recompute(again[:-1], read, ASKED)))


def test_a_report_from_before_judges_were_told_is_read():
    written = report(rows(base=20, tuned=80)).to_json()
    del written["judge"]
    assert Report.model_validate(written).judge is None
