"""The paired change of two runs on one test, with figures derived by hand."""

import math

import pytest

from residency.core.errors import ResidencyError
from residency.evals.scored import Scored
from residency.verdict.change import measure_change


def scored(passes: str, first: int = 1, ids: str = "") -> list[Scored]:
    """The tuned model's test rows, `+` where it is right; their rows in the file counted from `first`."""
    return [
        Scored(
            candidate="tuned",
            split="test",
            example_id=ids[place] if ids else f"id{place}",
            source=f"rows.jsonl:{first + place}",
            prompt=f"q{place}",
            expected="warm",
            got="warm" if mark == "+" else "cold",
            score=float(mark == "+"),
            passed=mark == "+",
            reason="",
            prompt_tokens=5,
            completion_tokens=1,
            seconds=0.1,
        )
        for place, mark in enumerate(passes)
    ]


def test_the_change_is_paired_by_row():
    change = measure_change(scored("+-----++++"), scored("-+++++++++", first=3), 0.95)
    pair = change.comparison
    assert (pair.a, pair.b, pair.n, pair.only_a, pair.only_b) == ("before", "tuned", 10, 1, 5)
    assert pair.difference == pytest.approx(0.4)
    # McNemar: twice the chance of at most one of six coins
    assert pair.p == pair.p_adjusted == pytest.approx(2 * (1 + 6) / 2**6)
    # Newcombe 1998, method 10: Wilson of 5/10 and 9/10; both 4, only a 1, only b 5, neither 0
    low_a, high_a, low_b, high_b = 0.236593, 0.763407, 0.595850, 0.982124
    phi = (4 * 0 - 1 * 5) / math.sqrt(9 * 1 * 5 * 5)
    below = (0.9 - low_b) ** 2 - 2 * phi * (0.9 - low_b) * (high_a - 0.5) + (high_a - 0.5) ** 2
    above = (high_b - 0.9) ** 2 - 2 * phi * (high_b - 0.9) * (0.5 - low_a) + (0.5 - low_a) ** 2
    assert pair.interval.low == pytest.approx(0.4 - math.sqrt(below), abs=1e-4)
    assert pair.interval.high == pytest.approx(0.4 + math.sqrt(above), abs=1e-4)
    assert [told["source"] for told in change.gained] == [f"rows.jsonl:{row}" for row in range(2, 7)]
    assert change.lost == (
        {"source": "rows.jsonl:1", "prompt": "q0", "expected": "warm", "before": "warm", "after": "cold"},
    )
    assert change.said == "cannot tell that it helped"
    assert change.sentence(1).startswith("mended 1 row; test 50.0 % → 90.0 %, +40.0 points (")
    assert change.to_json()["after"]["passed"] == 9


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("-" * 12, "+" * 12, "it helped"),
        ("+" * 12, "-" * 12, "it did harm"),
        ("+-", "-+", "cannot tell that it helped"),
    ],
)
def test_what_is_said_goes_by_interval_and_p(before, after, said):
    assert measure_change(scored(before), scored(after), 0.95).said == said


def test_rows_that_say_the_same_are_matched_in_their_order():
    change = measure_change(scored("+-", ids="xx"), scored("++", first=7, ids="xx"), 0.95)
    assert [told["source"] for told in change.gained] == ["rows.jsonl:2"]
    assert change.lost == ()


def test_two_tests_are_not_compared():
    with pytest.raises(ResidencyError, match="different test rows"):
        measure_change(scored("+-"), scored("+-", ids="xy"), 0.95)
