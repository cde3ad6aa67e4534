import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.data.rows import hash_of
from residency.data.twins import near
from residency.data.twins.near import Near, band_size, find_template, near_pairs, similarity

WORDS = re.findall(
    r"\w+", "card lost bank paid late fee abroad help cash app limit top blocked transfer refund why when new"
)


def pairs(texts: list[str], threshold: float) -> list[Near]:
    """The pairs among questions."""
    return pairs_of([f"user {text}" for text in texts], threshold)


def pairs_of(asked: list[str], threshold: float) -> list[Near]:
    """The pairs among what rows ask."""
    return near_pairs(asked, np.array(list(map(hash_of, asked)), np.uint64), threshold)


def test_similarity_is_jaccard_of_shingles_of_three() -> None:
    """' abcd ' has ' ab', 'abc', 'bcd', 'cd '; ' abce ' shares the first two: 2 of 6."""
    assert similarity("abcd", "abce") == pytest.approx(2 / 6)
    assert similarity("same text", "same text") == 1
    assert similarity("", "a") == 0


def test_a_pair_is_found_with_its_similarity() -> None:
    texts = ["i am still waiting for my new card", "what is the fee", "i am still waiting for my new cards"]
    ((one, other, alike),) = pairs(texts, 0.8)
    assert (one, other) == (0, 2)
    assert alike == pytest.approx(similarity(texts[0], texts[2]))


def test_pairs_whose_keys_differ_are_none() -> None:
    ask, again = "user i am still waiting for my new card", "user i am still waiting for my new cards"
    assert pairs_of([f"system be short\n{ask}", f"system be kind\n{again}"], 0.8) == []
    assert pairs_of([f"{ask} 5", f"{again} 6"], 0.8) == []
    assert len(pairs_of([f"{ask} 5", f"{again} 5"], 0.8)) == 1


def quadratic(texts: list[str], threshold: float) -> set[tuple[int, int]]:
    """The pairs by comparing all with all."""
    grams = [{f" {t} "[k : k + 3] for k in range(len(t))} for t in texts]
    return {
        (i, j)
        for j in range(len(texts))
        for i in range(j)
        if len(grams[i] & grams[j]) / len(grams[i] | grams[j]) >= threshold
    }


@pytest.mark.parametrize("threshold", [0.6, 0.8, 0.9])
def test_hardly_a_pair_is_missed(threshold: float) -> None:
    """200 questions, each with a copy in which one word is another."""
    draw = random.Random(0)
    first = [draw.choices(WORDS, k=20) for _ in range(200)]
    second = [[*q[:k], draw.choice(WORDS), *q[k + 1 :]] for q in first for k in [draw.randrange(20)]]
    texts = [" ".join(q) for q in (*first, *second)]
    wanted = quadratic(texts, threshold)
    found = {(one, other) for one, other, _ in pairs(texts, threshold)}
    assert found <= wanted
    copies = {(one, other) for one, other in wanted if other == one + 200}
    assert len(copies) > 20
    assert len(found & copies) >= 0.98 * len(copies)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(st.sampled_from("ab é"), max_size=12), max_size=12, unique=True), st.randoms())
def test_order_does_not_matter(texts: list[str], shuffle: random.Random) -> None:
    def found(given: list[str]) -> set[tuple[frozenset[str], float]]:
        return {(frozenset((given[one], given[other])), alike) for one, other, alike in pairs(given, 0.6)}

    shuffled = texts.copy()
    shuffle.shuffle(shuffled)
    assert found(texts) == found(shuffled)


def test_coarse_shingles_are_less_alike() -> None:
    """At 0.8 a ninth of the shingles are one text's own; of coarse ones 5/3 as many, 5/27."""
    assert near.coarse_similarity(0.8) == pytest.approx(22 / 32)
    assert near.coarse_similarity(1) == 1


def test_the_largest_band_that_misses_hardly_a_pair() -> None:
    """Bands of 4 values: 1 - 0.65^4 = 0.8215, to the power of 128 // 4 = 32 it is 0.0019; of 5: 0.046."""
    assert band_size(0.65) == 4
    assert band_size(0.5) == 3


def test_shingles_of_one_text_do_not_reach_into_the_next() -> None:
    hashes, offsets = near._shingles(["abcd", "", "é"])
    alone = [near._shingles([text])[0].tolist() for text in ("abcd", "", "é")]
    assert np.split(hashes, offsets[1:-1].astype(int))[0].tolist() == alone[0]
    assert offsets.tolist() == [0, 2, 3, 4]
    assert hashes.tolist() == [*alone[0], *alone[1], *alone[2]]


TEMPLATE = "you get a ticket of a customer and say to which team it goes ticket "


def test_a_template_is_not_compared() -> None:
    draw = random.Random(1)
    tickets = [" ".join(draw.choices(WORDS, k=8)) for _ in range(40)]
    texts = [TEMPLATE + ticket for ticket in tickets]
    assert similarity(texts[0], texts[1]) > 0.5
    assert pairs(texts, 0.5) == pairs(tickets, 0.5)
    template = find_template(texts)
    assert template is not None and template.sub("", texts[0]).strip() in tickets[0]


def test_what_few_rows_share_is_no_template() -> None:
    assert find_template([TEMPLATE + str(i) for i in range(19)]) is None


def test_texts_that_are_nothing_but_a_template_are_compared_whole() -> None:
    draw = random.Random(2)
    texts = [TEMPLATE + " ".join(draw.choices(WORDS, k=8)) for _ in range(40)]
    bare = [TEMPLATE.strip(), TEMPLATE.removesuffix("ticket ").strip()]
    ((one, other, alike),) = pairs([*texts, *bare], 0.8)
    assert (one, other) == (40, 41) and alike == similarity(*bare)
