"""Failures and the training rows that explain them, on rows of which each cause is known."""

import pytest

from residency.core.records import Example, Message, Source
from residency.data.findings import Finding, Flag
from residency.data.twins.nearest import Neighbour
from residency.evals.scored import Scored
from residency.verdict.causes import group_causes, trace
from residency.verdict.causes_schema import TracingPart
from residency.verdict.html import render_html
from tests.verdict.sample_report import report, rows

LOST = [f"my {colour} card got lost on the way" for colour in ("red", "blue", "green", "grey", "gold")]
FEES = [f"why was a {kind} fee taken from me" for kind in ("small", "large", "strange", "double", "hidden")]


def example(file, number, text, answer):
    return Example((Message("user", text), Message("assistant", answer)), Source(file, number))


def training(*more):
    pairs = [*((text, "card") for text in LOST), *((text, "fees") for text in FEES), *more]
    return [example("train.jsonl", n, text, answer) for n, (text, answer) in enumerate(pairs, 1)]


def failure(text, expected, got, reason="another answer"):
    asked = example("test.jsonl", 1, text, expected)
    scored = Scored(
        "tuned", "test", asked.id, "test.jsonl:1", text, expected, got, 0.0, False, reason, 9, 2, 0.1
    )
    return scored, asked


def traced(text, expected, got, train, findings=(), ranking=None, **other):
    scored, asked = failure(text, expected, got, **other)
    (part,) = trace([scored], {"test.jsonl:1": asked}, train, findings, "words", ranking)
    return part


ODD = ("my pink card got lost on the way", "fees")
"""A row with the wrong label among those it looks like."""
DOUBT = Finding("label-error", "warning", "doubted", (Flag(Source("train.jsonl", 11)),), "look")


@pytest.mark.parametrize(
    ("cause", "pair", "text", "expected", "got", "more", "findings"),
    [
        ("taught", "card → fees", "my pink card got lost on the road", "card", "fees", [ODD], []),
        ("doubted row", "card → fees", "my pink card got lost on the road", "card", "fees", [ODD], [DOUBT]),
        ("confused", "card → fees", "my red card got lost on the road", "card", "fees", [], []),
        ("far", "", "zzz qqq xxx", "card", "fees", [], []),
        ("unseen label", "loan", "my red card got lost", "loan", "card", [], []),
        ("form", "", "my red card got lost", "card", "I am not sure", [], []),
    ],
)
def test_each_cause_is_told(cause, pair, text, expected, got, more, findings):
    part = traced(text, expected, got, training(*more), findings)
    assert (part.cause, part.pair) == (cause, pair)


def test_the_row_that_teaches_the_wrong_answer_comes_first_though_others_are_nearer():
    more = [(f"my {kind} card got lost on the way", "card") for kind in ("new", "old", "thin", "tin", "wet")]
    train = training(ODD, *more)
    part = traced("my red card got lost on the way today", "card", "fees", train, [DOUBT])
    first, second, _ = part.nearest
    assert (first.source, first.teaches_wrong, first.checks) == ("train.jsonl:11", True, ["label-error"])
    assert second.source == "train.jsonl:1" and second.cosine > first.cosine and not second.teaches_wrong


def test_an_answer_cut_off_is_that_before_all_else():
    reason = "no JSON; cut off after 6 tokens"
    assert traced("zzz", "loan", "{", training(), reason=reason).cause == "cut off"


def test_of_free_answers_the_form_is_looked_at_and_no_pair_is_told():
    train = [example("train.jsonl", n, f"note {n} of the day", f'{{"n": {n}}}') for n in range(1, 9)]
    assert traced("note 3 of the day", '{"n": 30}', "n is 30", train).cause == "form"
    assert traced("note 3 of the day", '{"n": 30}', '{"n": 30', train).cause == "form"
    taught = traced("note 3 of the day", '{"n": 30}', '{"n": 3}', train)
    assert (taught.cause, taught.pair) == ("taught", "")
    assert [(near.teaches_wrong, near.wrong_fields) for near in taught.nearest] == [
        (True, ["n"]),
        (False, []),
        (False, []),
    ]
    assert traced("note 3 of the day", '{"n": 30}', '{"n": 31}', train).cause == "other"


def test_causes_are_counted_by_pair_the_commonest_first_and_none_is_lost():
    train = training(ODD)
    parts = [traced("my red card got lost", "card", "oops", train) for _ in range(2)]
    parts += [traced("my pink card got lost", "card", "fees", train, [DOUBT]) for _ in range(5)]
    groups = group_causes(parts)
    assert [(g.cause, g.pair, g.n, len(g.failures)) for g in groups] == [
        ("doubted row", "card → fees", 5, 3),
        ("form", "", 2, 2),
    ]


def farthest_last(failures, asked, found):
    """A ranking that turns the nearest rows round, and says how it found them."""
    assert [row.got for row in failures] == ["fees"] and asked[0].answer == "card"
    assert len(found[0]) == 11, "all rows are to be looked at, where they are few"
    return [[Neighbour(near.place, 0.25) for near in reversed(found[0])]]


def test_a_ranking_decides_on_the_rows_shown_and_not_on_the_cause():
    train = training(ODD)
    plain = traced("my pink card got lost on the road", "card", "fees", train, [DOUBT])
    ranked = traced("my pink card got lost on the road", "card", "fees", train, [DOUBT], farthest_last)
    assert (plain.ranked_by, ranked.ranked_by) == ("similarity", "gradients")
    assert (plain.cause, plain.pair) == (ranked.cause, ranked.pair) == ("doubted row", "card → fees")
    assert [(near.answer, near.cosine) for near in ranked.nearest] == [("fees", 0.25)] * 3
    assert all(near.teaches_wrong for near in ranked.nearest)
    left = traced("my pink card got lost on the road", "card", "fees", train, [DOUBT], lambda *_: [None])
    assert left == plain


def test_no_failure_no_cause():
    assert trace([], {}, training(), [], "words") == []


def test_the_page_shows_the_cause_with_its_rows_and_says_that_the_test_was_looked_at():
    whole = report(rows(base=3, tuned=140))
    groups = group_causes([traced("my pink card got lost", "card", "fees", training(ODD), [DOUBT])])
    page = render_html(whole.model_copy(update={"causes": groups}))
    assert "doubted row</b> · card → fees" in page and "train.jsonl:11" in page
    assert "<mark>fees</mark>" in page and "fits the test" in page
    assert "by the gradients" not in page and "Training row like it" in page
    assert "Causes" not in render_html(whole)


def test_the_page_says_where_rows_were_ranked_by_gradients_and_what_it_took():
    groups = group_causes(
        [traced("a pink card", "card", "fees", training(ODD), ranking=lambda *_: [[Neighbour(10, 0.5)]])]
    )
    told = {"causes": groups, "tracing": TracingPart(failures=7, rows=1234, seconds=95.0)}
    page = render_html(report(rows(base=3, tuned=140)).model_copy(update=told))
    assert "of the 1,234 nearest to 7 failures; it took 1 min 35 s" in page
    assert "Training row that teaches this answer, by gradients" in page
    assert "Training row like it" not in page
