import random

import pytest

from residency.core.recipe import Data
from residency.data.checks.label_errors import (
    MOST,
    find_doubted,
    label_errors,
    note_unsearched,
    word_counts,
)
from tests.data.checks.rows import DATA, checked

WORDS = {
    "card": ("card", "plastic", "chip", "wallet", "letterbox", "deliver", "envelope", "arrive", "post"),
    "rate": ("rate", "exchange", "euro", "pound", "convert", "market", "weekend", "price", "percent"),
    "login": ("password", "login", "code", "phone", "fingerprint", "reset", "screen", "app", "device"),
    "cash": ("cash", "machine", "withdraw", "notes", "atm", "counter", "coins", "queue", "receipt"),
}
COMMON = ("please", "my", "the", "a", "is", "was", "can", "you", "when", "why", "still", "it", "help", "for")


def planted(seed, wrong):
    """240 questions on four subjects, with `wrong` labels turned into another; the numbers of these."""
    rng = random.Random(seed)
    pairs = []
    for i in range(240):
        label = list(WORDS)[i % 4]
        pairs.append((" ".join(rng.sample(WORDS[label], 4) + rng.sample(COMMON, 5)), label))
    chosen = rng.sample(range(240), wrong)
    for number in chosen:
        text, label = pairs[number]
        pairs[number] = text, rng.choice([other for other in WORDS if other != label])
    return pairs, set(chosen)


def test_planted_errors_are_found_and_little_else():
    pairs, wrong = planted(1, 12)
    flags = list(label_errors(checked(pairs), DATA))
    found = {flag.source.row - 1 for flag in flags}
    assert len(found & wrong) >= 10 and len(found - wrong) <= 1
    assert [flag.suspicion for flag in flags] == sorted((flag.suspicion for flag in flags), reverse=True)
    for flag in flags:
        text, label = pairs[flag.source.row - 1]
        right = max(WORDS, key=lambda name: len(set(WORDS[name]) & set(text.split())))
        assert flag.detail.startswith(f"labelled {label!r}, rows like it {right!r} (p 0.")
        assert pairs[flag.other.row - 1][1] == right
        assert 0 < flag.suspicion < 1


def test_words_alone_find_them_too_and_the_same_each_time():
    pairs, wrong = planted(2, 12)
    texts, labels = zip(*pairs, strict=True)
    doubted = find_doubted(word_counts(texts), labels)
    found = {one.row for one in doubted}
    assert len(found & wrong) >= 11 and len(found - wrong) <= 1
    assert find_doubted(word_counts(texts), labels) == doubted


@pytest.mark.parametrize("seed", [3, 4])
def test_clean_labels_and_labels_that_nothing_predicts_are_silent(seed):
    texts, labels = zip(*planted(seed, 0)[0], strict=True)
    assert find_doubted(word_counts(texts), labels) == []
    rng = random.Random(seed)
    assert find_doubted(word_counts(texts), [rng.choice(list(WORDS)) for _ in texts]) == []


@pytest.mark.parametrize(
    ("pairs", "data"),
    [
        (planted(1, 12)[0], Data(train="train.jsonl", label_errors="off")),
        (planted(1, 12)[0][:99], DATA),
        ([(f"row {i}", f"A sentence of its own, number {i}.") for i in range(200)], DATA),
        ([(f"row {i}", "one") for i in range(200)], DATA),
    ],
)
def test_where_it_is_not_done(pairs, data):
    assert list(label_errors(checked(pairs), data)) == []


def test_a_file_too_long_to_search_is_told():
    many = checked([("text", "label")] * (MOST + 1))
    assert note_unsearched([many[1:]], DATA) == []
    (note,) = note_unsearched([many], DATA)
    assert (note.severity, note.rows) == (
        "note",
        (),
    ) and "train.jsonl: more than 20,000 rows" in note.explanation
    assert note_unsearched([many], Data(train="train.jsonl", label_errors="off")) == []


def test_inputs_without_a_word_in_common_and_blank_ones_are_silent():
    labels = ["yes", "no"] * 50
    alone = [chr(0x4E00 + place) * 3 for place in range(100)]  # 100 words that stand in one row each
    assert find_doubted(word_counts(alone), labels) == []
    assert list(label_errors(checked((" ", label) for label in labels), DATA)) == []
