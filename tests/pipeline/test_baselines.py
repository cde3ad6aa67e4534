"""Tasks made so that one candidate must win, asked of a model that plays one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from residency.candidates.classifier import MOST_LABELS, unfit
from residency.candidates.prompted import Prompted
from residency.core.errors import ResidencyError
from residency.core.progress import Silent, no_progress
from residency.core.recipe import Recipe
from residency.evals.scored import score_rows
from residency.evals.scorers import get_scorer
from residency.models.scripted import ScriptedModel
from residency.pipeline.baselines import Sides, baselines, retrievers
from residency.verdict.decide import summarise
from residency.verdict.ways import TUNED, TUNED_RETRIEVAL
from tests.candidates.rows import row
from tests.conftest import Said
from tests.verdict.sample_report import judge

COLOURS = ("red", "blue", "green", "black", "white")
NOBODY = ScriptedModel(lambda _: "no idea")


def recipe_with(**candidates):
    return Recipe.model_validate({"data": {"train": Path("x.jsonl")}, "candidates": candidates})


def labelled(n, start=0):
    """Rows whose label is the colour in them; their numbers are noise."""
    return [
        row(start + i, f"case {start + i} of {COLOURS[i % 5]} paint", f"is-{COLOURS[i % 5]}")
        for i in range(n)
    ]


def looked_up(n, start=0):
    """Rows whose answer only a row, or a document, on the same thing tells: too many to be labels."""
    return [row(start + i, f"price of part{i}x, please ({start + i})", f"{i * 7} euros") for i in range(n)]


def judged(recipe, model, train, test, tuned=NOBODY, instructions=""):
    """Shares right by candidate, the choices, and the verdict."""
    sides = Sides(
        train, [row(900 + i, one.prompt[0].content, one.answer) for i, one in enumerate(train[:10])]
    )
    candidates, choices = baselines(recipe, instructions, model, sides, Silent())
    candidates.append(Prompted(TUNED, tuned))
    if recipe.candidates.tuned_retrieval:
        found = tuple(retrievers(recipe, train).values())
        candidates.append(Prompted(TUNED_RETRIEVAL, tuned, retrievers=found))
    scorer = get_scorer("exact")
    rows = [
        scored
        for candidate in candidates
        for scored in score_rows(
            candidate.name, "test", test, candidate.answer(test, 50, no_progress), scorer
        )
    ]
    sample = train[:10]
    rows += score_rows(TUNED, "train", sample, Prompted(TUNED, tuned).answer(sample, 50, no_progress), scorer)
    shares = {summary.name: summary.mean for summary in summarise(rows, 0.95)}
    return shares, choices, judge(rows, recipe.verdict)


def copy_last(conversation):
    """The answer shown last, if any."""
    return next((t.content for t in reversed(conversation) if t.role == "assistant"), "nothing shown")


def test_the_classifier_wins_where_words_tell_the_label():
    recipe = recipe_with(retrieved=0)
    shares, (choice,), verdict = judged(recipe, NOBODY, labelled(60), labelled(40, start=500))
    assert shares == {"base": 0, "few-shot": 0, "classifier": 1, "tuned": 0}
    assert (choice.candidate, choice.setting, choice.chosen, choice.rows) == ("classifier", "C", 1, 10)
    assert verdict.recommend == "classifier" and verdict.gate == "do not ship"
    assert any(
        text.startswith("The classifier does as much without a language model") for text in verdict.reasons
    )


def test_there_is_no_classifier_where_answers_are_no_labels():
    shares, choices, _ = judged(recipe_with(), NOBODY, looked_up(40), looked_up(40, start=500))
    assert list(shares) == ["base", "few-shot", "retrieved", "tuned"] and choices == []
    often = [one for start in (0, 100, 200) for one in looked_up(12, start)]  # 12 answers for 36 rows
    for wanted, there in (("auto", False), ("on", True)):
        shares, _, _ = judged(recipe_with(classifier=wanted), NOBODY, often, looked_up(12, start=500))
        assert ("classifier" in shares) == there
    assert shares["classifier"] == 1


@pytest.mark.parametrize(("wanted", "said"), [("on", 1), ("auto", 1), ("off", 0)])
def test_a_classifier_needs_two_answers_that_differ_in_more_than_blanks(wanted, said):
    train = [row(i, f"case {i}", "yes" if i % 2 else "yes ") for i in range(20)]
    report = Said()
    recipe = recipe_with(classifier=wanted, retrieved=0)
    candidates, choices = baselines(recipe, "", NOBODY, Sides(train, train[:4]), report)
    assert [candidate.name for candidate in candidates] == ["base", "few-shot"] and choices == []
    assert report.lines == ["  no classifier: the training rows all have the same answer"] * said


def test_retrieved_rows_win_where_a_row_like_it_tells_the_answer():
    model = ScriptedModel(copy_last)
    shares, _, verdict = judged(recipe_with(), model, looked_up(40), looked_up(40, start=500))
    assert (shares["base"], shares["retrieved"]) == (0, 1) and shares["few-shot"] < 0.1
    assert verdict.recommend == "retrieve"


def test_documents_win_where_only_they_know(tmp_path):
    for one in looked_up(40):
        name = one.prompt[0].content.split()[2].strip(",")
        (tmp_path / f"{name}.txt").write_text(f"The {name} costs {one.answer}.")

    def read(conversation):
        told, _, asked = conversation[-1].content.partition("Input:")
        name = asked.split()[2].strip(",") if asked else "?"
        return next(
            (line.partition("costs ")[2][:-1] for line in told.splitlines() if f"The {name} " in line), "?"
        )

    train = [row(i, f"hello {i}", "hello") for i in range(40)]
    recipe = recipe_with(documents=tmp_path, passages=1, tuned_retrieval=True)
    model = ScriptedModel(read)
    shares, _, verdict = judged(recipe, model, train, looked_up(40, start=500), tuned=model)
    assert shares["documents"] == 1 and shares["retrieved"] == 0
    # tuned with retrieval is told, is no baseline, and moves neither gate nor correction
    assert shares[TUNED_RETRIEVAL] == 1 and shares["tuned"] == 0
    assert verdict.recommend == "retrieve"
    assert any(
        "With retrieved text in its prompt tuned changes by +100.0 points" in text for text in verdict.reasons
    )
    assert any("Holm's correction for 4 comparisons" in text for text in verdict.reasons)


def test_the_prompt_suffices_where_the_instructions_say_it_all():
    def obey(conversation):
        follows = "is-" in conversation[0].content
        return f"is-{conversation[-1].content.split()[3]}" if follows else "no idea"

    shares, _, verdict = judged(
        recipe_with(classifier="off", few_shot=0, retrieved=0),
        ScriptedModel(obey),
        labelled(60),
        labelled(40, start=500),
        instructions="Answer is- and the colour.",
    )
    assert shares == {"base": 0, "zero-shot": 1, "tuned": 0}
    assert verdict.recommend == "prompt"


@pytest.mark.parametrize(("wanted", "chosen"), [([0, 2, 6], 2), ([6, 0], 0), (3, None)])
def test_the_number_of_examples_is_chosen_on_validation_rows(wanted, chosen):
    def best_with_two(conversation):
        shown = sum(turn.role == "assistant" for turn in conversation)
        right = f"is-{conversation[-1].content.split()[3]}"
        return right if shown == 2 or (shown == 3 and wanted == 3) else "no idea"

    recipe = recipe_with(few_shot=wanted, retrieved=0, classifier="off")
    shares, choices, _ = judged(recipe, ScriptedModel(best_with_two), labelled(60), labelled(40, start=500))
    assert [choice.chosen for choice in choices] == ([] if chosen is None else [chosen])
    assert shares["few-shot"] == (chosen != 0)
    if chosen == 2:
        assert choices[0].tried == {"0": 0, "2": 1, "6": 0} and choices[0].rows == 10


def test_tuned_retrieval_needs_something_to_find():
    with pytest.raises(ValidationError, match="nothing to retrieve"):
        recipe_with(retrieved=0, tuned_retrieval=True)


@pytest.mark.parametrize(
    ("labels", "rows", "said"),
    [
        (501, 4 * 501, "501 different answers are more than the 500 that it holds in memory"),
        (20, 39, "39 training rows have 20 different answers, and each should stand in 2 rows or more"),
    ],
)
def test_too_many_answers_for_a_classifier_are_refused_or_told(labels, rows, said):
    train = [row(i, f"case {i}", f"is-{i % labels}") for i in range(rows)]
    sides = Sides(train, train[:4])
    with pytest.raises(ResidencyError, match=said) as caught:
        baselines(recipe_with(classifier="on", retrieved=0), "", NOBODY, sides, Said())
    assert caught.value.where == "candidates.classifier"
    report = Said()
    candidates, _ = baselines(recipe_with(retrieved=0), "", NOBODY, sides, report)
    assert [candidate.name for candidate in candidates] == ["base", "few-shot"]
    told = [line for line in report.lines if "no classifier" in line]
    assert len(told) == (labels > 500)  # so few rows an answer are no labels: nothing is wanted
    assert all(said in line for line in told)


def test_as_many_answers_as_a_classifier_holds_are_told_apart():
    assert unfit([f"{i % MOST_LABELS}" for i in range(2 * MOST_LABELS)]) == ""
    assert unfit(["a", "b", "b", "a"]) == ""
