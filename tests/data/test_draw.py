from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from residency.core.records import fingerprint
from residency.data.split.draw import _by_hash, apportion, draw, label_each
from tests.data.checks.rows import checked


def test_apportion_gives_the_rest_to_the_largest_remainders() -> None:
    """10 of 60: exact 5.83, 3.5, 0.67; whole 5, 3, 0; the two left go to 0.83 and 0.67."""
    assert apportion(10, {"a": 35, "b": 21, "c": 4}) == {"a": 6, "b": 3, "c": 1}


def test_each_label_is_held_out_by_its_share() -> None:
    clusters = {
        f"{label}{i}": Counter([label]) for label, n in (("a", 60), ("b", 30), ("c", 10)) for i in range(n)
    }
    side_of = draw(clusters, {"test": 20, "validation": 10}, 0, {})
    counts = Counter((name[0], side) for name, side in side_of.items())
    assert [counts[label, "test"] for label in "abc"] == [12, 6, 2]
    assert [counts[label, "validation"] for label in "abc"] == [6, 3, 1]


def test_a_rare_label_is_never_held_out_entirely() -> None:
    clusters = {str(i): Counter([f"label {i // 2}"]) for i in range(20)} | {"alone": Counter(["one"])}
    for seed in range(20):
        side_of = draw(clusters, {"test": 10, "validation": 10}, seed, {})
        trained = {label for name, side in side_of.items() if side == "train" for label in clusters[name]}
        assert len(trained) == 11
        assert side_of["alone"] == "train"


def test_what_groups_leave_open_is_filled_up() -> None:
    """No label's share of 2 holds a group of 4, the test's 8 hold two."""
    clusters = {f"{label}{i}": Counter({label: 4}) for label in "abcd" for i in range(5)}
    side_of = draw(clusters, {"test": 8}, 0, {})
    assert Counter(side_of.values()) == {"train": 18, "test": 2}


def test_rows_already_there_count() -> None:
    clusters = {f"{label}{i}": Counter([label]) for label in "ab" for i in range(20)}
    present = {"train": Counter(a=40, b=40), "test": Counter(a=12, b=3)}
    side_of = draw(clusters, {"test": 27}, 0, present)
    counts = Counter((name[0], side) for name, side in side_of.items())
    assert (counts["a", "test"], counts["b", "test"]) == (2, 10)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), min_size=1), min_size=1, max_size=40),
    st.integers(0, 15),
    st.integers(0, 5),
)
def test_no_side_holds_more_than_wanted(groups: list[dict[str, int]], test: int, validation: int) -> None:
    clusters = {str(i): Counter(group) for i, group in enumerate(groups)}
    side_of = draw(clusters, {"test": test, "validation": validation}, 3, {})
    rows = {
        side: sum((clusters[n] for n in clusters if side_of[n] == side), Counter())
        for side in ("train", "test", "validation")
    }
    assert rows["test"].total() <= test and rows["validation"].total() <= validation
    assert set(rows["train"]) == set().union(*clusters.values())


def test_blanks_around_a_label_make_no_other() -> None:
    rows = checked((f"row {i}", "spam" + "\n" * (i % 2)) for i in range(8))
    assert label_each(rows) == ["spam"] * 8


def test_the_order_is_that_of_the_fingerprints_of_seed_and_name() -> None:
    names = ["b", 'q"uote', "größe", "", *map(str, range(50))]
    assert _by_hash(names, 3) == sorted(names, key=lambda name: fingerprint([3, name], length=32))
