import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from residency.core.records import Example, Message, Source
from residency.data.duplicates import conflicts, repeats, wording, words


def pairs(*rows: tuple[str, str]) -> list[Example]:
    return [
        Example((Message("user", ask), Message("assistant", tell)), Source("a", number))
        for number, (ask, tell) in enumerate(rows, 1)
    ]


def hashes(*values: str) -> NDArray[np.uint64]:
    return np.array([int(value, 16) for value in values], np.uint64)


ROWS = pairs(("Hi", "a"), ("hi!", "a"), ("Hi", "a"), ("bye", "b"), ("Hi", "c"), (" HI ", "a"), ("hi!", "a"))


def test_repeats_name_the_first_row_that_says_the_same() -> None:
    """By place: of the third row and of the seventh."""
    assert repeats(hashes(*(row.id for row in ROWS))) == {2: 0, 6: 1}


def test_conflicts_are_same_input_and_different_answers() -> None:
    """Rows 1, 3 and 5 ask `Hi`: the first two answer `a`, and the last `c`."""
    answers = hashes(*(row.answer for row in ROWS))
    assert conflicts(hashes(*(row.input_id for row in ROWS)), answers) == {0: 4, 2: 4, 4: 0}


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


@given(st.text(st.characters(max_codepoint=127), max_size=20))
def test_the_words_of_ascii_are_those_of_any_text(text: str) -> None:
    """A letter that is not ASCII, as a word of its own, takes the long way."""
    alone, beside = map(words, pairs((f"{text} x", ""), (f"{text} ö", "")))
    assert alone.removesuffix("x") == beside.removesuffix("ö")
