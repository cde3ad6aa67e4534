"""From scored rows of base and tuned to the answer: models that generalise, memorise or neither."""

from io import StringIO

import pytest
from rich.console import Console

from residency.core.recipe import Recipe
from residency.evals.scored import Scored
from residency.verdict.evidence import differences, recompute, weigh
from residency.verdict.figures import learned_answer
from residency.verdict.html import render_html
from residency.verdict.memorisation import measure_memorisation
from residency.verdict.terminal import render_terminal
from tests.verdict.sample_report import judge, report, row


def side(split, n, base, tuned, nll=(3.0, 0.5), spread=0.2):
    """Rows of a split: the first so many right; likelihoods that differ a little from row to row."""
    first = {"test": 0, "validation": 500, "train": 1000, "twin": 1000}.get(split, 2000)
    return [
        row(name, first + i, i < passed, split, nll=mean + spread * (i % 3 - 1) * (name == "tuned"))
        for name, passed, mean in (("base", base, nll[0]), ("tuned", tuned, nll[1]))
        for i in range(n)
    ]


def learned(*sides):
    return measure_memorisation([row for side in sides for row in side], 0.95)


UNDERSTOOD = (side("train", 40, 2, 40, (3.0, 0.1)), side("test", 60, 3, 54, (3.1, 0.4)))
KNOWN = (side("train", 40, 2, 40, (3.0, 0.0)), side("test", 60, 3, 9, (3.1, 3.4)))


def test_the_figures_are_those_of_the_rows():
    part = learned(*UNDERSTOOD, side("validation", 9, 0, 6, (3.0, 0.3)))
    assert part.answer == "generalises"
    assert [(s.side, s.n, s.base, s.tuned) for s in part.sides] == [
        ("train", 40, 0.05, 1),
        ("validation", 9, 0, pytest.approx(2 / 3)),
        ("test", 60, 0.05, 0.9),
    ]
    assert part.sides[2].base_nll == pytest.approx(3.1) and part.sides[1].tuned_nll == pytest.approx(0.3)
    assert part.score.train == pytest.approx(0.95) and part.score.held_out == pytest.approx(0.85)
    assert part.score.carry_over == pytest.approx(0.85 / 0.95)
    assert part.score.excess == pytest.approx(0.1)
    assert part.likelihood.held_out == pytest.approx(2.7)
    assert part.twins is None and part.recitals is None


def test_a_model_that_is_right_on_its_training_rows_alone_memorises():
    part = learned(*KNOWN)
    assert (part.answer, part.score.sign, part.likelihood.sign) == ("memorises",) * 3
    assert part.likelihood.carry_over == 0 and part.likelihood.carry_over_interval.low == 0


def test_rows_that_are_harder_for_the_base_too_do_not_count():
    easy, hard = side("train", 60, 30, 60, (2.0, 0.5)), side("test", 60, 3, 30, (6.0, 4.4))
    part = learned(easy, hard)
    assert part.sides[0].tuned - part.sides[1].tuned == 0.5
    assert part.score.carry_over == pytest.approx(0.9)
    assert part.answer == "generalises"


def test_without_a_gain_on_training_rows_or_with_few_rows_nothing_is_told():
    nothing = learned(side("train", 40, 20, 20, (1.0, 1.0)), side("test", 60, 30, 31, (1.0, 1.0)))
    assert (nothing.answer, nothing.score.carry_over, nothing.likelihood.carry_over) == (
        "cannot tell",
        None,
        None,
    )
    few = learned(side("train", 10, 0, 10, (3, 1), 0), side("test", 4, 0, 2, (3, 1.6), 2.9))
    assert few.answer == "cannot tell"


def test_the_likelihood_speaks_where_the_score_is_silent():
    few = learned(side("train", 5, 0, 2, (3, 0.1)), side("test", 60, 0, 20, (3, 0.4)))
    assert (few.answer, few.gained, few.score.sign) == ("generalises", True, "cannot tell")
    known = learned(side("train", 40, 0, 0, (3, 0.1)), side("test", 40, 0, 0, (3, 2.9)))
    assert (known.answer, known.gained, known.score.sign) == ("memorises", False, "cannot tell")
    without = learned(*([Scored(**{**r.to_json(), "nll": None}) for r in rows] for rows in UNDERSTOOD))
    assert without.likelihood is None and without.answer == "generalises"
    assert without.sides[0].nll_n == 0 and without.sides[0].base_nll is None


@pytest.mark.parametrize("test", [side("test", 5, 0, 0, (3, 0.4)), side("test", 5, 0, 4, (3, 0.4))])
def test_answers_that_became_likelier_and_not_right_do_not_generalise(test):
    """4 rows of 5 to none: 2 / 2**4 is 0.125. On 3 training rows all are right: 2 / 2**3."""
    scored = [*side("train", 3, 0, 3 if test[-1].passed else 0, (3, 0.1)), *test]
    part = learned(scored)
    assert (part.likelihood.sign, part.gained, part.answer) == ("generalises", False, "cannot tell")
    (told,) = [reason for reason in judge(scored).reasons if "generalises" in reason]
    assert told.startswith("No gain in rows right is shown, so whether tuned generalises or memorises cannot")
    made = report(scored).model_copy(update={"memorisation": part})
    assert "No gain in rows right is shown" in render_html(made)
    console = Console(file=StringIO(), width=120)
    render_terminal(made, console)
    assert "Learned  cannot tell, no gain is shown; held-out rows have" in console.file.getvalue()


def test_a_report_of_before_gains_were_told_is_not_said_to_show_none():
    part = learned(side("train", 3, 0, 0, (3, 0.1)), side("test", 5, 0, 0, (3, 0.4)))
    before = part.model_copy(update={"gained": None})
    assert (before.answer, learned_answer(before)) == (
        "cannot tell",
        "Whether tuned generalises or memorises cannot be told",
    )
    made = report(side("test", 5, 0, 0) + side("train", 3, 0, 0)).model_copy(update={"memorisation": before})
    console = Console(file=StringIO(), width=120)
    render_terminal(made, console)
    assert "Learned  cannot tell; held-out rows have" in console.file.getvalue()


def test_a_gain_on_one_side_must_stand_holms_correction_over_both():
    # 6 training rows to none: 2 / 2**6 = 0.031, and twice that is above 0.05; 7 to none: 0.031
    for rows_gained, shown in ((6, False), (7, True)):
        part = learned(side("train", 40, 0, rows_gained), side("test", 5, 0, 0))
        assert part.gained == shown
    assert not learned(side("train", 40, 20, 0), side("test", 5, 0, 0)).gained


def test_training_rows_that_their_likelihood_gives_away_are_a_sign_where_the_score_is_silent():
    """Half of the held-out rows are right, so that rows right cannot tell; no held-out answer is as sure."""
    train, silent = side("train", 8, 0, 8, (3, 0.001), 0), side("test", 40, 0, 20, (3, 0.5))
    part = learned(train, silent)
    assert (part.score.sign, part.likelihood.sign) == ("cannot tell", "generalises")
    assert (part.telling.share, part.telling.sign, part.answer) == (1, "memorises", "memorises")
    alike = learned(train, side("test", 40, 0, 20, (3, 0.001), 0))
    assert (alike.telling.share, alike.answer) == (0.5, "cannot tell")
    heard = learned(train, side("test", 40, 0, 36, (3, 0.5)))
    assert (heard.telling.sign, heard.answer) == ("memorises", "generalises")
    one = learned(train[:1] + train[8:9], silent)
    assert one.telling is None


def test_a_loss_in_other_words_speaks_against_the_score():
    twins = side("twin", 40, 0, 24)
    part = learned(*UNDERSTOOD, twins)
    assert (part.twins.original, part.twins.twin, part.twins.difference) == (1, 0.6, pytest.approx(-0.4))
    assert (part.twins.sign, part.answer) == ("memorises", "cannot tell")
    assert learned(*KNOWN, twins).answer == "memorises"
    assert learned(*UNDERSTOOD, side("twin", 40, 0, 38)).answer == "generalises"


def test_answers_recited_of_training_rows_alone_are_a_sign():
    recited = (side("recital", 40, 1, 20), side("recital-test", 30, 0, 1))
    part = learned(*KNOWN, *recited)
    assert (part.recitals.base, part.recitals.tuned, part.recitals.held_out) == (0.025, 0.5, 1 / 30)
    assert part.recitals.sign == "memorises"
    assert learned(*KNOWN, side("recital", 9, 0, 9), recited[1]).recitals is None
    given_away = learned(*KNOWN, recited[0], side("recital-test", 30, 0, 14))
    assert given_away.recitals.sign == "cannot tell"


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        (
            UNDERSTOOD,
            "What tuned learned carries over to rows it never saw. Rows right: +95.0 points",
        ),
        (KNOWN, "Tuned knows its training rows rather than the task. Rows right: "),
    ],
)
def test_the_report_says_so_and_is_made_anew_from_its_rows(sides, said):
    scored = [row for side in (*sides, side("twin", 40, 0, 24)) for row in side]
    scored += side("recital", 40, 1, 30) + side("recital-test", 30, 0, 1)
    if sides is UNDERSTOOD:
        scored = [r for r in scored if r.split not in ("twin", "recital", "recital-test")]
    assert any(reason.startswith(said) for reason in judge(scored).reasons)
    made = report(scored)
    made = made.model_copy(update={"memorisation": measure_memorisation(scored, 0.95)})
    read = [Scored.from_json(r.to_json()) for r in scored]
    assert differences(made, recompute(read, made)) == []
    changed = [Scored(**{**r.to_json(), "nll": 9.0 if r.nll else None}) for r in scored]
    assert any(text.startswith("memorisation.") for text in differences(made, recompute(changed, made)))
    page = render_html(made)
    assert "rows right, points" in page and "likelihood, nats a token" in page
    console = Console(file=StringIO(), width=120)
    render_terminal(made, console)
    assert f"Learned  {made.memorisation.answer}; held-out rows have" in console.file.getvalue()


def test_rows_of_before_have_no_such_part():
    scored = [*UNDERSTOOD[1], *(r for r in UNDERSTOOD[0] if r.candidate == "tuned")]
    made = report(scored)
    assert weigh(scored, made.training, Recipe.model_validate(made.recipe), made.data).memorisation is None


def test_rows_that_all_say_one_of_two_things_give_the_likelihood_no_interval():
    alike = [
        [Scored(**{**r.to_json(), "cluster": "ab"[i % 2]}) for i, r in enumerate(rows)] for rows in UNDERSTOOD
    ]
    part = learned(*alike)
    assert part.likelihood is None
    assert part.score.sign == part.answer == "cannot tell"
