import json

import pytest

from residency.data.checks.forms import NO_JSON, fields_of, form_of, json_fault, json_value
from residency.data.labels import labels_of


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ('{"a": 1}', "JSON"),
        ('{"a": 1', "JSON"),
        ("[1, 2]", "JSON"),
        ("[Ticket 7] is open.", "text"),
        ("{name}, hello", "text"),
        ("a: 1\n\nb: 2", "fields"),
        ("a: 1", "text"),
        ("Note: do this\nand that", "text"),
        ("- one\n- two", "list"),
        ("First:\n1. one\n2. two", "list"),
        ("- one\nand then\nmuch\nmore", "text"),
        ("```\nx\n```", "code"),
        ("def main():\n    pass", "code"),
        ("import torch\nx = 1", "code"),
        ("SELECT a FROM b", "code"),
        ("import duties are due.", "text"),
        ("class action suits are rare.", "text"),
        ("Select one of them from the list.", "text"),
        ("Hello.", "text"),
        ("", "text"),
    ],
)
def test_the_form_of_an_answer(answer, form):
    assert form_of(answer) == form


def test_json_values_and_faults():
    assert json_value("null") is None
    deep = "[" * 200_000
    for text in ("{", "[1,]", deep, "1" * 5000):
        assert json_value(text) is NO_JSON
        assert json_fault(text)
    assert json_fault('{"a": }') == "expecting value at line 1, column 7"
    assert json_fault("{}") == ""


def test_fields():
    assert fields_of("a: 1\n\n b : x: y ") == {"a": "1", "b": "x: y"}
    for text in ("a: 1\nA: 2", "a: 1\na: 2", ": 1", "a", "", "a: 1\nb", "x" * 40 + ": 1"):
        assert fields_of(text) is None


def test_labels_are_few_and_stand_again():
    assert labels_of(["b", "a", "a "] * 2) == {"a": 4, "b": 2}
    assert list(labels_of(["b", "a", "a"] * 2)) == ["a", "b"]
    assert labels_of([f"{i % 25}" for i in range(100)]) is not None
    assert labels_of([f"{i % 26}" for i in range(100)]) is None  # 26 of 100 are too many
    sentence = "so many words that no one would call this a label, whatever else it might be called"
    assert labels_of(["a"] * 95 + [sentence] * 5) is not None
    assert labels_of(["a"] * 94 + [sentence] * 6) is None
    assert labels_of(["a\nb"] * 50) is None
    assert labels_of([json.dumps({"n": i}) for i in range(50)]) is None
