import pytest

from residency.core.records import Example, Message, Source
from residency.data.duplicates import conflicts, repeats, wording


def pairs(*rows: tuple[str, str]) -> list[Example]:
    return [
        Example((Message("user", ask), Message("assistant", tell)), Source("a", number))
        for number, (ask, tell) in enumerate(rows, 1)
    ]


def numbers(found: list[tuple[Example, Example]]) -> list[tuple[int, int]]:
    return [(row.source.row, earlier.source.row) for row, earlier in found]


ROWS = pairs(("Hi", "a"), ("hi!", "a"), ("Hi", "a"), ("bye", "b"), ("Hi", "c"), (" HI ", "a"), ("hi!", "a"))


def test_repeats_name_the_first_row_that_says_the_same() -> None:
    assert numbers(repeats(ROWS)) == [(3, 1), (7, 2)]


def test_conflicts_are_same_input_and_different_answers() -> None:
    assert [[row.source.row for row in group] for group in conflicts(ROWS)] == [[1, 3, 5]]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Where is  my card?", "where is my card", True),
        ("can't pay", "can\u2019t pay", True),
        ("sign-up, now", "Sign up now...", True),
        ("£1 charge", "$1 charge", True),
        ("cafe\u0301", "caf\u00e9", True),
        ("What is 3+2?", "What is 3-2?", False),
        ("price 1.5", "price 15", False),
        ("C# or C", "C or C", False),
        ("???", "!!!", False),
        ("की", "का", False),
        ("fine 👍", "fine 👎", False),
    ],
)
def test_wording(one: str, other: str, same: bool) -> None:
    first, second = pairs((one, "x"), (other, "y"))
    assert (wording(first) == wording(second)) is same


def test_wording_tells_roles_and_turns_apart() -> None:
    answer = Message("assistant", "x")
    one = Example((Message("system", "a"), Message("user", "b"), answer), Source("a", 1))
    other = Example((Message("user", "a"), Message("user", "b"), answer), Source("a", 1))
    assert wording(one) != wording(other)
