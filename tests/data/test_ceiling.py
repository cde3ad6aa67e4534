import random
from collections import Counter

import pytest

from residency.core.records import Example, Message, Source
from residency.data.ceiling import Ceiling, clustered_interval, find_ceiling, right_held_out
from residency.data.duplicates import wording
from residency.data.ledger import Checked
from residency.data.rows import Rows
from residency.data.twins.find import Twins


def row(text, answer):
    return Checked(
        Example((Message("user", text), Message("assistant", answer)), Source("train.jsonl", 1)), 1, 1
    )


def ceiling(rows, twins=()):
    return find_ceiling(Rows.of(rows), twins)


def rows(groups):
    """One input for each group of answers, written otherwise each time."""
    return [
        row(f"input {i}{'!' * number}", answer)
        for i, answers in enumerate(groups)
        for number, answer in enumerate(answers)
    ]


def test_copies_are_no_evidence_of_agreement():
    """By hand: 30 inputs in two ways of writing, of which 6 disagree: held out 24 of 30, own 27 of 30."""
    pairs = rows([("a", "a")] * 24 + [("a", "b")] * 6)
    found = ceiling(pairs)
    assert (found.inputs, found.rows) == (30, 60)
    assert found.value == pytest.approx((24 / 30 + 27 / 30) / 2)
    assert ceiling(pairs + pairs[:1] * 9 + pairs) == found
    copied = [row(f"input {i}", "ab"[i % 2]) for i in range(100) for _ in range(10)]
    assert ceiling(copied) is None
    # What contradicts a row in its own characters is no draw either, nor is what agrees with it.
    torn = [row(f"input {i}", "c") for i in range(24)]
    assert ceiling([*pairs, *torn]) == found


def test_the_bound_counts_copies_once():
    """By hand: 30 inputs with two answers and 60 others, all copied: 30 + 60 of 120 rows can be right."""
    torn = [row(f"input {i}", answer) for i in range(30) for answer in "ab"]
    once = [row(f"other {i}", "a") for i in range(60)]
    found = ceiling(torn * 3 + once * 5)
    assert (found.value, found.source, found.rows) == (0.75, "all rows", 60)
    assert ceiling(torn[2:] + once) is None


@pytest.mark.parametrize(
    ("answers", "right"),
    [
        ("aa", 2),
        ("ab", 0),
        ("aab", 1),
        ("aaab", 3),
        ("aabb", 0),
        ("abc", 0),
        ("aabbc", 1),
        ("aaabb", 1.5 + 0),
    ],
)
def test_rows_that_the_other_rows_get_right(answers, right):
    """By hand. aab: each a sees one a and one b, a tie, and is half right; b sees two a and is wrong.
    aabb: an a sees a, b, b. aabbc: c sees a tie without it; an a sees b, b before its own.
    aaabb: an a sees two of each, half right each; a b sees three a."""
    expected = {"aabbc": 0}.get(answers, right)
    assert right_held_out(Counter(answers)) == expected


def test_the_value_is_the_middle_of_both_figures():
    # 40 pairs of which 4 disagree: held out 36 of 40, own 36 + 4 / 2 of 40.
    found = ceiling(rows([("a", "a")] * 36 + [("a", "b")] * 4))
    assert found.value == pytest.approx((0.9 + 0.95) / 2)
    assert (found.source, found.inputs, found.rows) == ("repeated inputs", 40, 80)
    assert found.interval[0] < 0.9 and 0.95 < found.interval[1] < 1
    assert Ceiling.from_json(found.to_json()) == found


def test_inputs_and_answers_are_one_but_for_case_blanks_and_marks():
    pairs = [
        ("Where is it?", "lost"),
        ("where is IT", "Lost "),
        ("Wo\u0308 ist es", "a"),
        ("w\u00f6 ist es!", "a"),
    ]
    examples = [row(f"{i} {text}", answer) for i in range(20) for text, answer in pairs]
    found = ceiling(examples)
    assert (found.value, found.inputs, found.rows) == (1, 40, 80)


def test_too_few_repeated_inputs_cannot_tell():
    assert ceiling(rows([("a", "b")] * 29 + [("a",)] * 1000)) is None
    assert ceiling(rows([("a", "b")] * 30 + [("a",)] * 1000)) is not None
    assert ceiling([]) is None


def test_a_file_whose_repeats_were_removed_gets_the_bound_of_its_own_rows():
    # 100 pairs that all disagree, among 800 rows that stand once: 900 of 1,000 can be right.
    found = ceiling(rows([("a", "b")] * 100 + [("a",)] * 800))
    assert (found.value, found.source) == (0.9, "all rows")
    assert found.interval[0] < 0.9 < found.interval[1]


def test_near_twins_stand_in_where_few_inputs_repeat():
    # 40 pairs of which 2 disagree; a third wording is a twin of one in a pair already, another too far off.
    once = rows([("a",)] * 78 + [("b",)] * 4)
    words = [wording(one.example) for one in once]
    twins = [Twins(words[i], words[80 - i], 0.95) for i in range(40)]
    more = [Twins(words[0], words[40], 0.92), Twins(words[40], words[81], 0.85)]
    found = ceiling(once, [*more, *twins])
    assert (found.source, found.inputs, found.rows) == ("near twins", 40, 80)
    assert found.value == pytest.approx((37 / 40 + 38.5 / 40) / 2)
    assert ceiling(once, twins[:29]) is None
    assert ceiling(rows([(f"{i}",) for i in range(82)]), twins) is None  # no twins agree


def test_the_interval_of_rows_that_stand_alone_is_clopper_and_pearsons():
    from scipy import stats

    right = [1] * 45 + [0] * 5
    expected = stats.binomtest(45, 50).proportion_ci(method="exact")
    # The linearised variance divides by n - 1, so 50 rows count as 49.
    assert clustered_interval(right, [1] * 50) == pytest.approx(tuple(expected), abs=2e-3)
    assert clustered_interval([2] * 30, [2] * 30) == pytest.approx(
        tuple(stats.binomtest(30, 30).proportion_ci(method="exact"))
    )
    pairs = clustered_interval([2] * 45 + [0] * 5, [2] * 50)
    assert pairs == pytest.approx(clustered_interval(right, [1] * 50))


def slips(rng, share, copies):
    """Every row is wrong now and then; wrong answers seldom agree."""
    return lambda: ["right" if rng.random() >= share else f"{rng.random()}" for _ in range(copies)], 1 - share


def open_inputs(rng, share, copies):
    """Some inputs have two answers as good as each other, the others have one."""

    def answers():
        free = rng.random() < share
        return [rng.choice("ab") if free else "a" for _ in range(copies)]

    return answers, 1 - share / 2


@pytest.mark.parametrize("copies", [2, 3, 5])
@pytest.mark.parametrize("noise", [slips, open_inputs])
@pytest.mark.parametrize("share", [0.05, 0.15])
def test_the_interval_covers_the_truth_of_simulated_data(noise, share, copies):
    rng = random.Random(f"{noise.__name__} {share} {copies}")
    answers, truth = noise(rng, share, copies)
    found = [ceiling(rows([answers() for _ in range(100)])) for _ in range(60)]
    covered = sum(low <= truth <= high for low, high in (ceiling.interval for ceiling in found))
    assert covered >= 55  # of 60; 57 are expected at least
    mean = sum(ceiling.value for ceiling in found) / len(found)
    assert mean == pytest.approx(truth, abs=0.55 * share)


def test_the_figures_of_many_copies_meet_the_truth():
    rng = random.Random(0)
    answers, truth = slips(rng, 0.1, 8)
    found = ceiling(rows([answers() for _ in range(2000)]))
    assert found.value == pytest.approx(truth, abs=0.01)


def test_none_is_told_of_answers_that_are_no_labels_or_of_plain_text():
    assert ceiling(rows([(f"{i}", f"or {i}") for i in range(40)])) is None
    texts = [Checked(Example((Message("text", "a"),), Source("t.jsonl", i)), 1, 1) for i in range(100)]
    assert ceiling(texts) is None
    labelled = rows([("a", "b", "a")] * 40)
    assert ceiling([*labelled, *texts]) == ceiling(labelled) is not None
