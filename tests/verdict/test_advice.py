"""What to recommend, on rows made so that one way must win, and what each way costs."""

import pytest
from scipy import stats

from residency.core.recipe import Candidates, Prices, Remote, Verdict
from residency.evals.noninferiority import noninferiority, p_of_loss
from residency.evals.statistics import effective_rows
from residency.verdict.advice import advise
from residency.verdict.decide import best_baseline, summarise
from residency.verdict.knowledge import own_words, signs
from residency.verdict.remote_costs import add_costs
from tests.verdict.sample_report import judge, row, rows

SECONDS = {"base": 0.2, "few-shot": 0.5, "classifier": 0.001, "documents": 0.8, "tuned": 0.1}


def timed(**passed):
    """The sample's rows at a pace of each candidate's own."""
    scored = rows(**passed)
    return [row_at(one) for one in scored]


def row_at(one):
    known = one.to_json() | {"seconds": SECONDS.get(one.candidate, 0.3)}
    return type(one).from_json(known)


def costs(scored, **prices):
    return {cost.name: cost for cost in advice_on(scored, **prices).costs}


def advice_on(scored, remote=(), **prices):
    candidates = add_costs(summarise(scored, Verdict().confidence), scored, Candidates(remote=remote))
    return advise(candidates, scored, Verdict(), Prices(**prices), 154.2)


def test_a_call_costs_its_seconds_or_its_tokens():
    scored = timed(base=30, few_shot=75, tuned=120)
    found = costs(scored, hour=3.6, tokens={"few-shot": (1.0, 4.0)})
    # 0.2 s at 0.001 a second; 1,180 prompt tokens at 1 and 15 answer tokens at 4 a million
    assert found["base"].per_thousand == pytest.approx(0.2)
    assert found["few-shot"].per_thousand == pytest.approx(1.18 + 0.06)
    assert found["base"].per_thousand_right == pytest.approx(0.2 * 150 / 30)
    assert found["few-shot"].per_thousand_right == pytest.approx(1.24 * 2)
    assert (found["base"].to_start, found["base"].seconds_to_start) == (0, 0)
    assert found["tuned"].to_start == pytest.approx(0.1542)
    # tuned costs 0.1 a thousand: it saves 0.1 of base's and 1.14 of few-shot's
    assert found["tuned"].break_even == {"base": 1542, "few-shot": 136}
    assert found["base"].break_even == {}


def test_a_remote_model_costs_its_own_tokens_and_looks_up_as_the_base_does():
    remote = rows(train=(0, 0), **{"big/few-shot": 75, "big/retrieved": 75})
    scored = [*timed(base=30, tuned=120), *remote]
    big = Remote(name="big", url="https://a.example/v1", model="m", price_in=1, price_out=4)
    advice = advice_on(scored, [big], hour=3.6)
    found = {cost.name: cost for cost in advice.costs}
    assert found["big/few-shot"].per_thousand == pytest.approx((96 * 1 + 15 * 4) / 1000)
    assert found["base"].per_thousand == pytest.approx(0.2) and advice.priced
    assert advice.knowledge.looked_up == "big/retrieved"
    # without an hour's price the local ones have none, and seconds stand for all
    advice = advice_on(scored, [big])
    assert not advice.priced and advice.costs[0].per_thousand is None


def test_without_prices_seconds_stand_for_cost():
    found = costs(timed(base=30, classifier=75, tuned=120))
    assert {(c.per_thousand, c.per_thousand_right, c.to_start) for c in found.values()} == {(None,) * 3}
    assert found["tuned"].seconds_to_start == 154.2
    # 154.2 s of training, 0.1 s saved a call; a call of the classifier is the shorter one
    assert found["tuned"].break_even == {"base": 1542, "classifier": None}


def test_no_break_even_where_calls_have_prices_and_training_has_none():
    found = costs(timed(base=30, tuned=120), tokens={"base": (1, 1)})
    assert found["tuned"].break_even == {} and found["tuned"].per_thousand is None


def test_a_candidate_must_be_as_good_as_every_other():
    scored = rows(n=300, base=20, zero_shot=284, few_shot=290, tuned=289)
    found = costs(scored)
    passes = {name: [i < k for i in range(300)] for name, k in (("z", 284), ("f", 290), ("t", 289))}

    def p(other, own):
        return noninferiority(passes[other], passes[own], 0.03, 0.95).p

    # of four: few-shot has the least p, of its worst comparison, tuned's is next, then zero-shot's
    assert found["few-shot"].p_worse == pytest.approx(4 * p("t", "f"))
    assert found["tuned"].p_worse == pytest.approx(3 * p("f", "t"))
    assert found["zero-shot"].p_worse == pytest.approx(2 * p("f", "z"))
    assert found["base"].p_worse == pytest.approx(1) and not found["base"].not_worse


def test_rows_of_one_wording_count_less():
    scored = [
        type(one).from_json(one.to_json() | {"cluster": str(int(one.example_id[2:]) // 2)})
        for one in rows(n=600, base=0, few_shot=556, tuned=560)
    ]
    # only 4 rows in 2 clusters of 2 differ, both rows alike: a cluster is worth one row (and t's quantile)
    differences = [-float(556 <= i < 560) for i in range(600)]
    worth = effective_rows(differences, [str(i // 2) for i in range(600)], 0.95)
    assert 290 < worth <= 300
    expected = 2 * p_of_loss(0, 4 * worth / 600, worth, 0.03)
    assert costs(scored)["few-shot"].p_worse == pytest.approx(expected)


def test_the_tuned_model_with_retrieval_is_no_part_of_the_choice():
    scored = timed(base=0, few_shot=140, tuned=140)
    helped = [row("tuned+retrieval", i, True) for i in range(150)]
    with_it, without = costs([*scored, *helped]), costs(scored)
    assert {name: with_it[name] for name in without} == without
    assert with_it["tuned+retrieval"].seconds_to_start == 154.2


def test_the_prompt_suffices():
    result = judge(timed(n=400, base=10, few_shot=388, tuned=388), Verdict(minimum=0.8))
    assert (result.gate, result.recommend) == ("cannot tell", "prompt")
    assert result.reasons[0] == (
        "Do not fine-tune: prompt the base. The candidate few-shot is right on 97.0 % of 400 held-out rows."
    )
    assert result.reasons[1].startswith(
        "It is shown not to be worse than any other candidate by 3 points or more (p = "
    )
    # 154.2 s / (0.5 s - 0.1 s) = 385.5
    (pays,) = [reason for reason in result.reasons if reason.startswith("Training took 2 min 34 s")]
    assert pays.endswith("calls cheaper than those of few-shot pay it back after 386 of them.")


def test_where_a_remote_model_suffices_it_is_named():
    for way, advice in (
        ("big/few-shot", "prompt the remote model big"),
        ("big/documents", "look up what fits the input and prompt the remote model big"),
    ):
        result = judge(timed(n=400, base=10, tuned=388, **{way: 388}), Verdict(minimum=0.8))
        expected = f"Do not fine-tune: {advice}. The candidate {way} is right on 97.0 % of 400 held-out rows."
        assert result.reasons[0] == expected
        assert "prompt the base" not in " ".join(result.reasons)


def test_of_several_good_ones_the_cheapest_is_taken():
    scored = timed(n=400, base=10, few_shot=390, classifier=388, documents=389, tuned=380)
    assert judge(scored).recommend == "classifier"
    dear = Prices(hour=1, tokens={"classifier": (100, 100), "documents": (0.01, 0)})
    assert judge(scored, prices=dear).recommend == "retrieve"


def test_a_gate_that_says_ship_agrees_with_a_classifier_that_is_nearly_as_good():
    # 8 rows to none: p = 2/256, after Holm for 2 comparisons below 0.05; 1 point of 800 is within 3
    scored = timed(n=800, base=0, classifier=752, tuned=760)
    result = judge(scored)
    assert (result.gate, result.recommend) == ("ship", "classifier")
    assert result.reasons[0] == (
        "The tuned model may ship, but you need none: train a plain classifier. The candidate classifier is "
        "right on 94.0 % of 800 held-out rows, and a call of it costs no more."
    )
    assert (
        "The gate says ship since the tuned model is better than it, but not by 3 points"
        in (result.reasons[1])
    )
    # a few-shot prompt as good as that classifier costs more a call than tuned, and does not stand against it
    result = judge(timed(n=800, base=0, few_shot=752, tuned=760))
    assert (result.gate, result.recommend) == ("ship", "fine-tune")


def test_fine_tuning_wins():
    result = judge(timed(base=0, few_shot=75, classifier=90, tuned=140))
    assert (result.gate, result.recommend) == ("ship", "fine-tune")


def test_the_margin_counts_where_it_is_the_larger():
    scored = timed(n=400, base=0, few_shot=350, tuned=366)  # 4 points
    assert judge(scored).recommend == "fine-tune"
    assert judge(scored, Verdict(margin=0.08)).recommend == "prompt"


def test_two_baselines_that_no_row_tells_apart_still_beat_training():
    # Each is right where the other is wrong, so that neither is shown to be as good; tuned is far worse.
    scored = rows(n=100, base=0, few_shot=90, tuned=20)
    scored += [row("retrieved", i, i >= 12) for i in range(100)]
    assert not any(cost.not_worse for cost in costs(scored).values())
    result = judge(scored)
    assert (result.gate, result.recommend) == ("do not ship", "prompt")
    assert best_baseline(summarise(scored, 0.95)).name == "few-shot"


def test_cannot_tell():
    result = judge(timed(n=40, base=0, few_shot=30, tuned=33))
    assert (result.gate, result.recommend) == ("cannot tell", "cannot tell")
    assert result.reasons[0] == "These rows do not tell whether fine-tuning does more than few-shot."
    bad = judge(timed(base=0, few_shot=10, tuned=12), Verdict(minimum=0.8))
    assert (bad.gate, bad.recommend) == ("do not ship", "cannot tell")
    assert bad.reasons[0].startswith("Do not ship this model")


def facts(candidate, right, n=60):
    """Questions whose answers are a number that no question holds."""
    return [
        row(candidate, i, i < right, prompt=f"When was {i} Street {i} built?", expected=f"In {1700 + 3 * i}.")
        for i in range(n)
    ]


def knowledge_rows(looked_up, asked="documents", tuned=2):
    scored = [*facts("base", 0), *facts("few-shot", 1), *facts(asked, looked_up), *facts("tuned", tuned)]
    return [*scored, *(row("tuned", 900 + i, True, "train") for i in range(60))]


def test_a_knowledge_task_is_known_by_its_signs():
    result = judge(knowledge_rows(looked_up=40), Verdict(minimum=0.9))
    assert (result.gate, result.recommend) == ("do not ship", "retrieve")
    assert result.reasons[0].startswith("Do not fine-tune: look up what fits the input and prompt the base.")
    (told,) = [reason for reason in result.reasons if "Signs of a knowledge task" in reason]
    high = stats.binomtest(1, 60).proportion_ci(method="wilson").high
    assert f"the best prompt is right on 1.7 % (0.3 to {100 * high:.1f} %)" in told
    assert "documents changes that by +65.0 points" in told


def test_the_signs_alone_do_not_speak_against_training():
    result = judge(knowledge_rows(looked_up=30, tuned=30))
    assert (result.gate, result.recommend) == ("cannot tell", "cannot tell")
    assert any("documents changes that by +48.3 points" in reason for reason in result.reasons)


def test_the_signs_must_all_be_there():
    for scored, there in (
        (knowledge_rows(looked_up=40), True),
        (knowledge_rows(looked_up=2), False),  # looking up gains nothing
        ([*knowledge_rows(looked_up=40), *facts("zero-shot", 30)], False),  # the base knows
    ):
        assert signs(advice_on(scored).knowledge) == there
    result = judge(knowledge_rows(looked_up=0, asked="retrieved"), Verdict(minimum=0.9))
    assert result.recommend == "cannot tell"
    advised = "Name a folder that holds the facts: candidates.documents."
    assert any(advised in text for text in result.reasons)
    result = judge(knowledge_rows(looked_up=0, asked="big/documents"), Verdict(minimum=0.9))
    assert result.recommend == "cannot tell" and not any(advised in text for text in result.reasons)


@pytest.mark.parametrize(
    ("pairs", "share"),
    [
        # labels, given to several inputs each
        ([(f"text {i}", f"label-{i % 20}x") for i in range(40)], 0),
        # copied from the input, in words that all answers share
        ([(f"call number{i} now", f"phone: NUMBER{i}") for i in range(40)], 0),
        # 'costs' and 'euros' are form, the number is its own: one content word of three
        ([(f"price of a{i}?", f"It costs {i}17 euros") for i in range(40)], 1 / 3),
    ],
)
def test_words_of_the_answers_own(pairs, share):
    scored = [row("base", i, True, prompt=asked, expected=told) for i, (asked, told) in enumerate(pairs)]
    assert own_words(scored) == pytest.approx(share)
