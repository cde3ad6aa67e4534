"""What a row teaches of a failure, on answers told apart by hand."""

import pytest

from residency.verdict.teaching import teaching

WANTED, GIVEN = (
    "category: refund\npriority: high\nteam: payments",
    "category: refund\npriority: low\nteam: sales",
)


@pytest.mark.parametrize(
    ("answer", "taught"),
    [
        (GIVEN, (True, False, ("priority", "team"))),
        (WANTED, (False, True, ())),
        # the category was right, so that it tells nothing; of the two others one is as it was given
        ("category: login\npriority: low\nteam: accounts", (True, False, ("priority",))),
        ("category: login\npriority: high\nteam: payments", (False, True, ())),
        ("category: refund\npriority: high\nteam: accounts", (False, False, ())),
    ],
)
def test_of_lines_the_fields_that_were_wrong_count(answer, taught):
    assert teaching(answer, WANTED, GIVEN, are_labels=False) == taught


def test_so_do_those_of_a_json_object_however_it_is_laid_out_and_one_left_out_is_wrong():
    wanted, given = '{"name": "Ann", "age": 7, "town": null}', '{"age": 7, "name": "Bob"}'
    assert teaching('{"town":"Rome","name":"Bob"}', wanted, given, False) == (True, False, ("name",))
    assert teaching('{"name": "Cy", "age": 8}', wanted, given, False) == (True, False, ("town",))
    assert teaching('{"name": "Ann", "town": null}', wanted, given, False) == (False, True, ())
    assert teaching("no object", wanted, given, False) == (False, False, ())


@pytest.mark.parametrize(
    ("answer", "wrong", "right"),
    [
        ("you get it today", True, False),  # as it was given
        ("you get it today!", True, False),  # 1 of 17 letters away from it; the two are 3 and more apart
        ("we send it today", False, True),  # as it was wanted
        ("sorry, we cannot say", False, False),  # nearer to one, and no nearer than the two are to each other
    ],
)
def test_of_other_texts_the_closest_pair_of_the_three_counts(answer, wrong, right):
    assert teaching(answer, "we send it today", "you get it today", False) == (wrong, right, ())


def test_a_label_teaches_itself_alone():
    assert teaching("card lost ", "card", "card lost", are_labels=True) == (True, False, ())
    assert teaching("card lots", "card", "card lost", are_labels=True) == (False, False, ())
    assert teaching(" card", "card", "card lost", are_labels=True) == (False, True, ())
