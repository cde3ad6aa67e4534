"""A report against its scored rows; clusters; several seeds."""

import json

import numpy as np
import pytest

from residency.core.errors import ResidencyError
from residency.core.recipe import Verdict
from residency.evals.scored import Scored
from residency.verdict.decide import summarise
from residency.verdict.evidence import differences, recompute
from residency.verdict.report_schema import Report
from residency.verdict.seeds import across_seeds
from tests.verdict.sample_report import judge, report, row, rows


def test_a_report_follows_from_its_rows_as_written_and_read():
    scored = rows(base=3, few_shot=70, tuned=90)
    made = report(scored, Verdict(margin=0.05, confidence=0.9), overlap=2)
    read = Report.model_validate(json.loads(json.dumps(made.to_json())))
    again = [Scored.from_json(json.loads(json.dumps(r.to_json()))) for r in scored]
    assert differences(read, recompute(again, read)) == []


def test_a_figure_that_the_rows_do_not_bear_out_is_named():
    scored = rows(n=10, base=3, tuned=9)
    made = report(scored)
    scored[0] = row("base", 0, False)
    found = differences(made, recompute(scored, made))
    assert "candidates[0].passed: 3, and 2" in found
    assert any(text.startswith("comparisons[0].difference: 0.6") for text in found)
    assert not any(text.startswith(("gap", "candidates[1]")) for text in found)


def test_a_field_that_the_file_of_before_does_not_have_is_passed_over():
    scored = rows(base=3, tuned=90) + [row("base", 1000 + i, i < 40, "train") for i in range(100)]
    scored += [row(name, i, True, "suite", source="mine/x") for name in ("base", "tuned") for i in range(60)]
    made = report(scored)
    made = recompute(scored, made)
    assert made.memorisation is not None and made.memorisation.gained and made.regressions[0].lost == 0
    told = json.loads(json.dumps(made.to_json()))
    assert differences(Report.model_validate(told), made) == []
    del told["memorisation"]["gained"], told["regressions"][0]["gained"], told["regressions"][0]["lost"]
    assert differences(Report.model_validate(told), made) == []
    told["memorisation"]["gained"] = None
    assert differences(Report.model_validate(told), made) == ["memorisation.gained: None, and True"]
    del told["memorisation"], told["regressions"]
    assert differences(Report.model_validate(told), made) == ["regressions: 0 entries, and 2"]


def test_sums_may_differ_by_rounding_and_no_more():
    made = report(rows(base=20, tuned=80))
    mean = made.candidates[0].mean

    def found(off: float) -> list[str]:
        other = made.candidates[0].model_copy(update={"mean": mean + off})
        return differences(made, made.model_copy(update={"candidates": [other, *made.candidates[1:]]}))

    assert found(1e-12) == []
    assert found(1e-6) == [f"candidates[0].mean: {mean}, and {mean + 1e-6}"]


def test_rows_that_say_the_same_make_the_interval_wider_and_are_told():
    alone = rows(n=60, base=10, tuned=60)
    alike = [
        Scored(**{**r.to_json(), "cluster": f"c{int(r.source.split(':')[1]) // 3}"})
        if r.split == "test"
        else r
        for r in alone
    ]
    # 20 clusters that agree in themselves, and t's quantiles of 59 and 19 degrees of freedom.
    worth = 20 * (2.0010 / 2.0930) ** 2
    (_, before), (_, after) = summarise(alone, 0.95), summarise(alike, 0.95)
    assert before.effective_n == 60 and after.effective_n == pytest.approx(worth, rel=1e-3)
    assert after.interval.low < before.interval.low
    verdict = judge(alike)
    assert any("the 60 count as 18 independent ones" in reason for reason in verdict.reasons)
    assert any("a failure rate of up to 16.4 %" in reason for reason in verdict.reasons)  # 3 / 18.3


def test_where_rows_do_not_tell_the_difference_that_they_would_is_said():
    verdict = judge(rows(n=40, train=(88, 100), base=0, few_shot=30, tuned=33))
    said = "In 40 rows of which 7.5 % are right in one of the two alone, no difference can be told 80.0 %"
    assert any(reason.startswith(said) for reason in verdict.reasons)


def seeded(seed, passed, n=100, **other):
    scored = rows(n=n, base=20, tuned=passed)
    made = report(scored)
    recipe = {**made.recipe, "train": {**made.recipe["train"], "seed": seed, **other}}
    return made.model_copy(update={"run": f"run{seed}", "recipe": recipe}), scored


def together(*runs):
    return across_seeds([made for made, _ in runs], {made.run: scored for made, scored in runs})


def test_seeds_are_taken_together_row_by_row():
    told = together(seeded(0, 80), seeded(1, 90), seeded(2, 85))
    assert (told.baseline, told.share.seeds, told.share.n) == ("base", 3, 100)
    assert told.share.mean == pytest.approx(0.85)
    assert told.difference.mean == pytest.approx(0.65)
    # By the definition of the mean squares: shares 0.80, 0.90, 0.85 on 100 rows.
    table = np.array([[i < k for i in range(100)] for k in (80, 90, 85)], dtype=float)
    rest = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    of_rest = (rest**2).sum() / (2 * 99)
    assert told.share.seed_deviation**2 == pytest.approx(0.05**2 - of_rest / 100)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (seeded(0, 90), "the same train.seed"),
        (seeded(1, 90, rank=4), "more than its seed: train.rank"),
        (seeded(1, 90, n=99), "different test rows"),
    ],
)
def test_runs_that_differ_by_another_thing_are_refused(other, said):
    with pytest.raises(ResidencyError, match=said):
        together(seeded(0, 80), other)
