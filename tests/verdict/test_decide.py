import json

import pytest
from scipy import stats

from residency.core.errors import ResidencyError
from residency.core.recipe import Verdict
from residency.evals.scored import Scored
from residency.verdict.data_schema import CeilingPart
from residency.verdict.decide import best_baseline, compare, measure_gap, pick_failures, summarise
from residency.verdict.report_schema import CurvePoint
from tests.verdict.sample_report import CURVE, judge, row, rows

NO_CURVE: list[CurvePoint] = []
EQUAL = (88, 100)  # tuned on training rows: no gap to 132 of 150


def verdict(scored, settings=None, curve=NO_CURVE, overlap=0, ceiling=None):
    return judge(scored, settings, curve, overlap=overlap, ceiling=ceiling)


def said(result, part):
    return [reason for reason in result.reasons if part in reason]


def test_a_summary_counts_rows_scores_and_costs():
    scored = [
        row("base", 1, True, prompt_tokens=10, completion_tokens=4, seconds=0.2),
        row("base", 2, False, prompt_tokens=20, completion_tokens=5, seconds=0.4, score=0.5),
        row("tuned", 1, True),
        row("tuned", 9, True, "train"),
    ]
    base, tuned = summarise(scored, 0.95)
    assert (base.name, base.n, base.passed, base.mean, base.mean_score) == ("base", 2, 1, 0.5, 0.75)
    costs = base.prompt_tokens_per_call, base.completion_tokens_per_call, base.seconds_per_call
    assert costs == pytest.approx((15, 4.5, 0.3))
    assert base.interval == pytest.approx(stats.binomtest(1, 2).proportion_ci(method="wilson"))
    assert tuned.n == 1


def test_comparisons_pair_by_row_whatever_the_order():
    scored = [row("base", i, i in (1, 2, 3)) for i in range(8)]
    scored += [row("tuned", i, i in (3, 4, 5, 6, 7)) for i in reversed(range(8))]
    (pair,) = compare(scored, 0.95)
    assert (pair.a, pair.b, pair.n, pair.only_a, pair.only_b) == ("base", "tuned", 8, 2, 4)
    assert pair.difference == pytest.approx(2 / 8)
    assert pair.p == pair.p_adjusted == pytest.approx(stats.binomtest(2, 6).pvalue)


def test_equal_rows_of_the_test_file_are_kept_apart():
    scored = [
        row(name, 1, passed, source=f"test.jsonl:{line}")
        for name, passes in (("base", (True, False)), ("tuned", (True, True)))
        for line, passed in enumerate(passes)
    ]
    (pair,) = compare(scored, 0.95)
    assert (pair.n, pair.only_b) == (2, 1)


def test_p_is_adjusted_over_all_comparisons():
    # Only tuned is right on 6 rows against a and on 7 against b: p = 2/64 and 2/128, Holm: 2/64 both.
    scored = rows(n=10, a=4, b=3, tuned=10)
    adjusted = {pair.a: (pair.p, pair.p_adjusted) for pair in compare(scored, 0.95)}
    assert adjusted == {"a": (2 / 64, 2 / 64), "b": (2 / 128, 4 / 128)}


def test_tuned_with_retrieval_is_compared_and_no_baseline():
    scored = rows(n=10, a=4, b=3, tuned=10)
    helped = rows(n=10, **{"tuned+retrieval": 5, "tuned": 10})[:10]
    pairs = {pair.a: pair for pair in compare([*scored, *helped], 0.95)}
    # Holm over a and b alone, as without it; its own p of 2/32 is a family of one
    assert (pairs["a"].p_adjusted, pairs["b"].p_adjusted) == (2 / 64, 4 / 128)
    assert pairs["tuned+retrieval"].p_adjusted == pairs["tuned+retrieval"].p == 2 / 32
    assert best_baseline(summarise([*scored, *helped], 0.95)).name == "a"
    alone, beside = verdict(scored), verdict([*scored, *helped])
    assert (beside.gate, beside.recommend, beside.rows_needed) == (
        alone.gate,
        alone.recommend,
        alone.rows_needed,
    )
    (told,) = said(beside, "With retrieved text in its prompt tuned changes by −50.0 points")
    assert told.endswith("0 rows are right only with it, 5 only without.")
    assert [text for text in beside.reasons if text != told] == alone.reasons
    with pytest.raises(ResidencyError):
        compare([*rows(n=10, tuned=10), *helped], 0.95)


@pytest.mark.parametrize("broken", ["missing tuned", "missing others", "other rows", "missing training rows"])
def test_rows_that_cannot_be_compared_are_refused(broken):
    scored = rows(n=5, base=1, tuned=4)
    if broken == "missing tuned":
        scored = [r for r in scored if r.candidate != "tuned"]
    elif broken == "missing others":
        scored = [r for r in scored if r.candidate == "tuned"]
    elif broken == "other rows":
        scored = scored[1:]
    else:
        scored = [r for r in scored if r.split == "test"]
    with pytest.raises(ResidencyError):
        verdict(scored)


def test_the_best_baseline_is_the_highest_and_of_equals_the_cheapest():
    scored = rows(n=10, base=1, few_shot=5, zero_shot=5, tuned=9)
    assert best_baseline(summarise(scored, 0.95)).name == "zero-shot"
    assert best_baseline(summarise(rows(n=10, base=6, few_shot=5, tuned=9), 0.95)).name == "base"


def test_the_gap_is_training_minus_held_out():
    gap = measure_gap(rows(n=80, train=(56, 70), base=0, tuned=48), 0.95)
    # Newcombe 1998 (873), Table II, example (a).
    assert gap.interval == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert (gap.train.n, gap.held_out.n) == (70, 80) and gap.difference == pytest.approx(0.2)


def test_ship():
    result = verdict(rows(train=EQUAL, base=0, zero_shot=14, few_shot=21, tuned=132))
    assert (result.gate, result.recommend, result.rows_needed) == ("ship", "fine-tune", None)
    assert result.reasons == [
        "Fine-tune: the tuned model is right on 88.0 % of 150 held-out rows, +74.0 points to the best way "
        "without training, few-shot.",
        "Tuned answers 88.0 % of 150 held-out rows right (81.8 to 92.3 %); the best baseline, few-shot, "
        "14.0 % (9.3 to 20.5 %).",
        "Row by row tuned against few-shot is +74.0 points (+65.6 to +79.9; p < 0.0001 after Holm's "
        "correction for 3 comparisons): 111 rows only tuned got right, 0 only few-shot.",
        # A failed row scores 2/3, so the marks gain a third of the 74 points.
        "With part marks the mean score is +24.7 points from few-shot's (+22.4 to +27.1, bootstrap).",
        "The whole interval of that difference lies above zero.",
        "Training took 2 min 34 s; a call of tuned costs no less than one of few-shot, so only quality pays "
        "for it.",
    ]


def test_do_not_ship_and_prompt_where_the_prompt_does_as_well():
    result = verdict(rows(train=EQUAL, base=2, few_shot=140, tuned=125), Verdict(minimum=0.8))
    assert (result.gate, result.recommend, result.rows_needed) == ("do not ship", "prompt", None)
    assert said(result, "is not above zero") and said(
        result, "reaches the minimum of 80.0 % without training"
    )


def test_a_difference_within_the_margin_is_not_enough():
    scored = rows(n=400, train=EQUAL, base=2, few_shot=350, tuned=360)
    assert verdict(scored).gate == "ship"
    result = verdict(scored, Verdict(margin=0.1))
    assert (result.gate, result.recommend) == ("do not ship", "prompt")
    assert said(result, "not above the +10.0 points asked for") and said(result, "verdict.minimum is 0")


def test_no_prompt_is_recommended_that_is_not_good_enough():
    for settings, few_shot in ((Verdict(minimum=0.8), 60), (Verdict(margin=0.2), 0)):
        result = verdict(rows(train=EQUAL, base=0, few_shot=few_shot, tuned=few_shot), settings)
        assert (result.gate, result.recommend) == ("do not ship", "cannot tell")


def test_do_not_ship_below_the_minimum_though_better():
    result = verdict(rows(train=EQUAL, base=0, few_shot=10, tuned=90), Verdict(minimum=0.9))
    assert (result.gate, result.recommend) == ("do not ship", "cannot tell")
    assert said(result, "lies below the minimum of 90.0 %")


def test_cannot_tell_with_the_rows_that_would():
    scored = rows(n=40, train=EQUAL, base=0, few_shot=30, tuned=33)
    result = verdict(scored)
    assert (result.gate, result.recommend) == ("cannot tell", "cannot tell")
    # 3 rows against none, p = 0.25, the larger of two, so that Holm leaves it. p < 0.05 needs 6 to none
    # (2 / 64), which 5.5 rounds to: 40 * 5.5 / 3 = 73.3, so 74 rows. The interval is clear before that.
    assert result.rows_needed == 34
    assert said(result, "About 34 more test rows") and said(result, "both sides of zero")


def test_rows_for_the_minimum_alone():
    # Tuned is far better and at 75 % of a minimum of 80 %: only the minimum is open.
    result = verdict(rows(n=100, train=(75, 100), base=0, tuned=75), Verdict(minimum=0.8))
    assert result.gate == "cannot tell"
    n = next(
        n
        for n in range(100, 1000, 4)
        if stats.binomtest(n * 3 // 4, n).proportion_ci(method="wilson").high < 0.8
    )
    assert n - 100 - 4 <= result.rows_needed <= n - 100 + 10  # rounded up to two digits
    assert said(result, "which its interval (65.7 to 82.5 %) includes")


def test_a_p_too_small_for_a_float_leaves_the_rows_needed():
    # 1,500 rows that only tuned passes: McNemar's p is 2 ** -1499, which is 0.0 in a float.
    scored = rows(n=1680, base=0, tuned=1500)
    result = verdict(scored, Verdict(minimum=0.9))
    assert compare(scored, 0.95)[0].p == 0
    # 1,500 of 1,680 is 25 of 28
    n = next(
        28 * k
        for k in range(60, 1000)
        if stats.binomtest(25 * k, 28 * k).proportion_ci(method="wilson").high < 0.9
    )
    assert result.gate == "cannot tell"
    assert n - 1680 - 28 <= result.rows_needed <= n - 1680 + 100  # rounded up to two digits


def test_no_number_of_rows_tells_a_tie():
    result = verdict(rows(train=EQUAL, base=0, few_shot=100, tuned=100))
    assert (result.gate, result.rows_needed) == ("cannot tell", None)
    assert said(result, "exactly on the line")


def test_an_interval_clear_of_zero_is_not_enough_without_p():
    # 5 to 0: McNemar's p is 2 / 32, while Newcombe's interval of 5 in 5 clears zero.
    result = verdict(rows(n=5, train=EQUAL, base=0, tuned=5))
    assert compare(rows(n=5, base=0, tuned=5), 0.95)[0].interval.low > 0
    assert result.gate == "cannot tell" and said(result, "its p of 0.062 is not below 0.05")
    assert result.rows_needed == 1  # 6 to 0 gives 2 / 64


@pytest.mark.parametrize(
    ("n", "baselines", "needed"),
    [
        (3, 1, 3),  # 6 to 0 is 2 / 64
        (5, 1, 1),
        (5, 3, 2),  # 7 to 0 is 3 * 2 / 2**7 = 0.047
        (4, 3, 3),
    ],
)
def test_do_not_ship_needs_a_p_as_ship_does(n, baselines, needed):
    """Newcombe's interval of 0 to 3 rows lies below zero, and McNemar's p is 0.25."""
    names = ("base", "few_shot", "zero_shot")[:baselines]
    same = dict.fromkeys(names, n)
    result = verdict(rows(n=n, train=EQUAL, tuned=0, **same))
    assert compare(rows(n=n, tuned=0, **same), 0.95)[0].interval.high < 0
    assert (result.gate, result.recommend, result.rows_needed) == ("cannot tell", "cannot tell", needed)
    (told,) = said(result, "Even the high end of that difference")
    assert "is not above zero, but its p of 0." in told and told.endswith("is not below 0.05.")
    same = dict.fromkeys(names, n + needed)
    enough = verdict(rows(n=n + needed, train=EQUAL, tuned=0, **same))
    assert (enough.gate, enough.recommend) == ("do not ship", "prompt")


def test_against_a_margin_few_rows_are_tested_exactly():
    """4 rows to none: twice 0.45**4 is 0.082; 5 to none: 0.037. Two baselines: 0.074, and 6 to none 0.033."""
    two = verdict(rows(n=5, train=EQUAL, tuned=0, base=5, few_shot=5), Verdict(margin=0.1))
    assert (two.gate, two.rows_needed) == ("cannot tell", 1)
    for names, needed in ((("base",), 1), (("base", "few_shot"), 2)):
        settings, same = Verdict(margin=0.1), dict.fromkeys(names, 4)
        result = verdict(rows(n=4, train=EQUAL, tuned=0, **same), settings)
        assert (result.gate, result.rows_needed) == ("cannot tell", needed)
        same = dict.fromkeys(names, 4 + needed)
        enough = verdict(rows(n=4 + needed, train=EQUAL, tuned=0, **same), settings)
        assert (enough.gate, enough.recommend) == ("do not ship", "prompt")


def test_a_p_of_one_still_counts_the_comparisons():
    # 1 to 0 of 4: p is 1 before and after Holm's correction. Two baselines ask for 7 to 0 (2 * 2 / 128), not
    # for 6, and a cell of 6.75 rounds to 7: 27 rows.
    result = verdict(rows(n=4, train=EQUAL, base=0, few_shot=1, tuned=0))
    assert (result.gate, result.rows_needed) == ("cannot tell", 23)


@pytest.mark.parametrize("curve, told", [(CURVE, True), (CURVE[:5], False), (CURVE[:1], False), ([], False)])
def test_memorisation_by_the_curve(curve, told):
    result = verdict(rows(train=EQUAL, base=0, tuned=132), curve=curve)
    sentence = (
        "The validation loss was lowest at step 80 (0.210) and rose after it to 0.270 while the training "
        "loss fell on from 0.190 to 0.060: since step 100 the model memorised; step 80 is kept."
    )
    assert (sentence in result.reasons) == told and bool(said(result, "memorised")) == told


@pytest.mark.parametrize("train_loss, validation_loss", [(0.19, 0.27), (0.06, 0.211)])
def test_no_memorisation_without_both_a_fall_and_a_rise(train_loss, validation_loss):
    last = CURVE[-1].model_copy(update={"train_loss": train_loss, "validation_loss": validation_loss})
    assert not said(verdict(rows(train=EQUAL, base=0, tuned=132), curve=[*CURVE[:5], last]), "memorised")


def test_the_gap_is_told_where_chance_does_not_explain_it():
    assert not said(verdict(rows(train=(92, 100), base=0, tuned=132)), "training rows")
    assert said(
        verdict(rows(train=(100, 100), base=0, tuned=132)), "100.0 % of 100 training rows against 88.0 %"
    )
    assert said(verdict(rows(train=(50, 100), base=0, tuned=132)), "easier than the training rows")


def test_overlap_few_rows_and_no_failure_are_told():
    result = verdict(rows(n=60, train=(60, 60), base=0, tuned=60), overlap=3)
    assert said(
        result, "The inputs of 3 test rows stand in the training or validation rows too (5.0 % of the test)"
    )
    assert said(result, "only 60 test rows, so tuned's interval is 6 points wide")
    assert said(result, "failed none of 60 rows, which still fits a failure rate of up to 5.0 %")
    plain = verdict(rows(n=100, train=(99, 100), base=0, tuned=99))
    assert not any(said(plain, part) for part in ("training rows too", "There are only", "failed none"))


def test_failures_are_spread_over_kinds_the_commonest_first():
    def failed(number, reason):
        return row("tuned", number, False, reason=reason)

    common = [failed(i, f"priority: expected 'high', got '{i % 2}'") for i in range(20)]
    rare = [failed(50, "team: expected 'it\\'s', got \"a 'b'\""), failed(51, "unexpected field 'note'")]
    other = [row("base", 60, False), row("tuned", 61, True), row("tuned", 62, False, "train")]
    chosen = [int(failure.example_id[2:]) for failure in pick_failures([*common, *rare, *other], 6)]
    assert chosen == [0, 50, 51, 1, 2, 3]
    assert len(pick_failures(common)) == 10


def test_the_verdict_survives_writing_and_reading_the_rows():
    scored = rows(base=3, few_shot=70, tuned=90)
    again = [Scored.from_json(json.loads(json.dumps(r.to_json()))) for r in scored]
    assert judge(again, curve=CURVE, overlap=1) == judge(scored, curve=CURVE, overlap=1)


def ceiling(value, low, high, source="repeated inputs"):
    return CeilingPart(value=value, interval=(low, high), source=source, inputs=1240, rows=2600)


def test_the_ceiling_is_told_with_how_close_tuned_is():
    scored = rows(train=EQUAL, base=0, tuned=132)  # 88.0 %, 81.8 to 92.3 %
    assert not said(verdict(scored), "No model can exceed")
    (near,) = said(verdict(scored, ceiling=ceiling(0.912, 0.88, 0.94)), "No model can exceed")
    assert near == (
        "No model can exceed about 91.2 % on rows like these (88.0 to 94.0 %), as 1,240 repeated inputs and "
        "their answers show; tuned is at 88.0 %, within reach of it: what is left is more in the labels than "
        "in the training."
    )
    (far,) = said(verdict(scored, ceiling=ceiling(0.98, 0.96, 0.99, "all rows")), "No model can exceed")
    assert "98.0 % on these very rows" in far and far.endswith("tuned is at 88.0 %.")


@pytest.mark.parametrize(
    ("minimum", "told"),
    [
        (0.91, "more in the labels than in the training."),
        (0.92, "The minimum of 92.0 % lies above that figure, within its interval."),
        (0.95, "The minimum of 95.0 % lies above it: no training reaches that, only better labels."),
    ],
)
def test_a_minimum_above_the_ceiling_is_called_out(minimum, told):
    scored = rows(train=EQUAL, base=0, tuned=132)
    result = verdict(scored, Verdict(minimum=minimum), ceiling=ceiling(0.912, 0.88, 0.94))
    assert said(result, "No model can exceed")[0].endswith(told)
