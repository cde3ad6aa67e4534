"""Twins say the same in other words, and are made only where that is plain."""

import json

import pytest

from residency.core.errors import ResidencyError
from residency.core.records import Example, Message, Source
from residency.data.duplicates import wording
from residency.evals.paraphrases import Paraphrases, asking, fault_of, surface_twin


def example(asked, answer="label"):
    turns = (Message("system", "S"), Message("user", asked), Message("assistant", answer))
    return Example(turns, Source("rows.jsonl", 3))


@pytest.mark.parametrize(
    ("asked", "core"),
    [
        ("I'm sure that you do not have it", "I am sure that you don't have it"),
        ("It's got what is not mine", "t's got what's not mine"),  # it has, not it is
        ("Paris is where I am not known", "Paris is where I'm not known"),
        ("Cannot you do the thing today", "an't you do the thing today"),
        ("What is the price of a box?", "hat's the price of a box?"),
        ("Do you know what it is?", "o you know what it is?"),  # nothing is contracted at the end
    ],
)
def test_a_twin_has_other_contractions_and_a_greeting(asked, core):
    row = example(asked)
    twin = surface_twin(row)
    assert core in twin.messages[1].content
    assert len(twin.messages[1].content) > len(core) + 4
    assert (twin.messages[0], twin.answer, twin.source) == (row.messages[0], row.answer, row.source)
    assert surface_twin(row) == twin


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("Warum ist die Karte gesperrt", "card"),
        ("def f(x): {do the thing}", "code"),
        ('What does "it is" mean to you?', "label"),
        ("The card\nis lost", "card"),
        ("Put into capitals: the card is lost", "THE CARD IS LOST"),
        ("the", "label"),
    ],
)
def test_no_twin_is_made_where_it_might_ask_for_another_answer(asked, answer):
    assert surface_twin(example(asked, answer)) is None


def test_no_twin_of_plain_text_or_of_what_a_tool_said():
    assert surface_twin(Example((Message("text", "This is the text of it"),), Source("a", 1))) is None
    turns = (Message("user", "What is the time?"), Message("tool", "it is five"), Message("assistant", "5"))
    assert surface_twin(Example(turns, Source("a", 1))) is None


def test_given_paraphrases_are_found_by_input_and_by_id(tmp_path):
    one, other, third = example("Where is my card?"), example("Is it blue?"), example("Is it red?")
    file = tmp_path / "twins.jsonl"
    rows = [
        {"input": "Where is my card?", "paraphrase": "My card has not come."},
        {"input": "Where is my card?", "paraphrase": "I wait for a card."},
        {"id": other.id, "paraphrase": "What about blue?"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = Paraphrases(file)
    asked = [[twin.messages[1].content for twin in given.of(row)] for row in (one, other, third)]
    assert asked == [["My card has not come.", "I wait for a card."], ["What about blue?"], []]
    given.require_known([third, one])
    with pytest.raises(ResidencyError, match="of a training row"):
        given.require_known([third])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Has my card been sent?", None),
        ("where is MY card", "the words of the original"),
        ("is it blue", "the words of another row"),
        ("My card: late-delivery?", None),  # words of the answer, and not one after the other
        ("Is this a card, delivery?", "quotes the answer"),
        ("Is this a carddelivery?", None),
    ],
)
def test_what_is_wrong_with_the_wording_of_a_paraphrase(text, fault):
    row, other = example("Where is my card?", "card_delivery"), example("Is it blue?")
    assert fault_of(row, asking(row, text), {wording(row), wording(other)}) == fault


def test_an_answer_that_the_original_quotes_may_be_quoted():
    row = example("Is it warm or cold?", "Warm.")
    assert fault_of(row, asking(row, "Cold or warm?"), set()) is None


@pytest.mark.parametrize(
    "row", ['{"input": "a"}', '{"paraphrase": "a"}', "{", '{"id": "a", "paraphrase": " "}']
)
def test_a_row_that_lacks_something_is_named(tmp_path, row):
    file = tmp_path / "twins.jsonl"
    file.write_text('{"id": "a", "paraphrase": "b"}\n' + row + "\n")
    with pytest.raises(ResidencyError) as caught:
        Paraphrases(file)
    assert caught.value.where == "twins.jsonl:2"
