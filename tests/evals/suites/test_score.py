import math

import pytest

from residency.core.records import Completion, Likelihood
from residency.evals.statistics import paired
from residency.evals.suites.items import Item
from residency.evals.suites.score import grade_answer, grade_likelihoods, score_answers, score_likelihoods

CAPITAL = Item(id="a", kind="fact", prompt="Capital?", answers=("Bogotá",), wrong=("Lima", "New York"))
SUM = Item(id="b", kind="sum", prompt="900 + 300?", answers=("1200",), wrong=("120", "1300"))


@pytest.mark.parametrize(
    ("item", "text", "passed"),
    [
        (CAPITAL, "The capital is bogota.", True),
        (CAPITAL, "Bogotá, not Lima.", True),
        (CAPITAL, "Lima. Or Bogotá?", False),
        (CAPITAL, "Bogotáns live there.", False),
        (CAPITAL, "", False),
        (SUM, "900 + 300 = 1,200", True),
        (SUM, "12000", False),
        (SUM, "It is 1300.", False),
    ],
)
def test_the_first_option_named_must_be_a_right_one(item, text, passed):
    assert grade_answer(item, text).passed is passed


def test_of_options_that_begin_alike_the_longer_is_named():
    item = Item(id="c", kind="x", prompt="?", answers=("rye",), wrong=("rye bread",))
    assert not grade_answer(item, "rye bread").passed
    assert grade_answer(item, "rye").passed


def test_likelihoods_are_taken_a_token():
    # means of the tokens: -1, -1.5 and -2; without division the second would win
    options = [Likelihood(-3.0, 3), Likelihood(-1.5, 1), Likelihood(-4.0, 2)]
    place, score = grade_likelihoods(["Bogotá", "Lima", "New York"], options)
    share = math.exp(-1) / (math.exp(-1) + math.exp(-1.5) + math.exp(-2))
    assert (place, score.passed, score.value) == (0, True, pytest.approx(share))


def test_a_tie_is_not_passed_and_the_likelier_option_is_told():
    assert not grade_likelihoods(["a", "b"], [Likelihood(-1, 1), Likelihood(-2, 2)])[1].passed
    place, score = grade_likelihoods(["a", "b"], [Likelihood(-900, 1), Likelihood(-1, 1)])
    assert (place, score.passed, score.reason) == (1, False, "'b' is likelier than 'a'")
    assert score.value == pytest.approx(0.0)


def test_rows_of_two_models_can_be_compared_row_by_row():
    asked = [
        score_answers(name, "mine", [SUM], [Completion(text, 7, 2, 0.5, "stop")])[0]
        for name, text in (("base", "120"), ("tuned", "1200"))
    ]
    weighed = [
        score_likelihoods(name, "mine", [CAPITAL], [[Likelihood(a, 1), Likelihood(b, 1), Likelihood(-9, 1)]])[
            0
        ]
        for name, a, b in (("base", -1, -2), ("tuned", -2, -1))
    ]
    assert [(row.candidate, row.split, row.source, row.example_id) for row in (*asked, *weighed)] == [
        ("base", "suite", "mine/sum", "b"),
        ("tuned", "suite", "mine/sum", "b"),
        ("base", "suite", "mine/fact", "a"),
        ("tuned", "suite", "mine/fact", "a"),
    ]
    assert (asked[0].prompt_tokens, asked[0].seconds, asked[0].expected) == (7, 0.5, "1200")
    assert [row.got for row in weighed] == ["Bogotá", "Lima"]
    base, tuned = ([row.passed for row in rows] for rows in zip(asked, weighed, strict=True))
    pair = paired(base, tuned, 0.95)
    assert (pair.only_a, pair.only_b) == (1, 1)
