"""How much an answer that the tuned model gives instead speaks against a row's own, worked out by hand."""

from math import log

import pytest

from residency.core.records import Example, Likelihood, Message, Source
from residency.verdict.unlearned import unlearned


def sign(answer, given, own, other, tokens=4):
    row = Example((Message("user", "hot"), Message("assistant", answer)), Source("train.jsonl", 1))
    return unlearned(row, given, Likelihood(log(own), tokens), Likelihood(log(other), 9))


def test_the_margin_is_the_probability_of_one_whole_answer_less_that_of_the_other():
    found = sign("warm", "cold", 0.1, 0.8)
    assert found.margin == pytest.approx(0.7)
    assert found.nll == pytest.approx(-log(0.1) / 4)
    assert found.detail == "trained on it, the tuned model answers 'cold' (margin 0.70)"
    assert sign("warm", "cold", 0.1, 0.8, tokens=400).margin == pytest.approx(0.7)  # however long they are


def test_a_row_whose_own_answer_is_as_likely_has_no_sign():
    assert sign("warm", "cold", 0.4, 0.4) is None
    assert sign("warm", "cold", 0.5, 0.4) is None
    assert sign("warm", "cold", 1e-30, 1e-20).margin == pytest.approx(0.0)


def test_of_fields_those_that_differ_are_named():
    found = sign("is: warm\nof: tin\nby: Ann", "is: cold\nof: tin", 0.1, 0.9)
    assert "answers is: 'cold', no by (margin" in found.detail
    found = sign('{"n": 1, "of": [2]}', '{"of": [3], "n": 1}', 0.1, 0.9)
    assert "answers of: [3] (margin" in found.detail
    assert "answers 'none' (margin" in sign("is: warm\nof: tin", "none", 0.1, 0.9).detail
