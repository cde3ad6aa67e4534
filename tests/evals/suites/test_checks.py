import pytest
from pydantic import TypeAdapter

from residency.evals.suites.checks import Check

CHECK = TypeAdapter(Check)


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        ({"name": "words", "count": 3}, ["Blue, well-known sea.", "don't be late"], ["Blue sea.", "a b c d"]),
        ({"name": "words_at_most", "most": 3}, ["A tall plant."], ["It is a plant.", ""]),
        (
            {"name": "sentences", "count": 2},
            ["It is soft. It costs 3.50 a piece!", "Purrs, e.g. at night. Hunts in the U.S."],
            ["It is soft.", "a. b. c."],
        ),
        ({"name": "lines", "count": 2}, ["one\n\ntwo"], ["one, two", "one\ntwo\nthree"]),
        (
            {"name": "numbered", "count": 2},
            ["1. Cat\n2. Dog", "1)Cat\n2)Dog"],
            ["Cat\nDog", "1. a\n3. b", "1.a\n2. A"],
        ),
        (
            {"name": "bullets", "count": 2},
            ["- tea\n- milk"],
            ["* tea\n* milk", "- tea", "Here:\n- tea\n- milk"],
        ),
        (
            {"name": "separated", "count": 3},
            ["a, b, c", "tit, owl, sea gull."],
            ["a b c", "Here are three birds: a, b, c"],
        ),
        ({"name": "uppercase"}, ["HELLO, 2 YOU"], ["HELLO you", "42"]),
        ({"name": "lowercase"}, ["paris"], ["Paris", "42"]),
        ({"name": "without", "letters": "e"}, ["plum"], ["Plum tree", "E"]),
        (
            {"name": "contains", "texts": ["river", "stone"]},
            ["A stone in the River."],
            ["A stone.", "rivers, stones"],
        ),
        ({"name": "excludes", "texts": ["cat"]}, ["A category of its own."], ["A Cat."]),
        ({"name": "starts_with", "text": "Dear"}, ["Dear Ann, hello."], ["Hello dear"]),
        ({"name": "ends_with", "text": "?"}, ["How are you?"], ["How are you."]),
        ({"name": "times", "text": "yes", "count": 2}, ["Yes, yes!"], ["yes", "yes yes yes", "yesyes"]),
        ({"name": "equals", "text": "apple"}, ["apple", '"apple".'], ["an apple", "Apple"]),
        ({"name": "one_of", "texts": ["yes", "no"]}, ["Yes.", "no"], ["Yes, it is.", "maybe"]),
        (
            {"name": "json_object", "keys": ["a"]},
            ['{"a": 1}', '```json\n{"a": 1}\n```'],
            ["{a: 1}", "[1]", '{"b": 1}'],
        ),
        ({"name": "json_list", "count": 2}, ["[1, 2]", "[1, true]"], ["[1]", "[1, 1]", '{"a": 1}', "1, 2"]),
        (
            {"name": "json_value", "values": [{"a": 1, "b": [True]}, 0]},
            ['{"b": [true], "a": 1}', "0", "```\n0\n```"],
            ['{"a": 1, "b": [1]}', '{"a": 1}', "false", "null", "zero"],
        ),
        (
            {"name": "contains", "texts": ["winter", ["autumn", "fall"]]},
            ["Winter follows the fall.", "winter, autumn"],
            ["winter, spring", "autumn"],
        ),
        (
            {
                "name": "all",
                "checks": [{"name": "times", "text": "yes", "count": 2}, {"name": "words", "count": 2}],
            },
            ["yes yes", "Yes, yes."],
            ["yes yes no", "yes no"],
        ),
        (
            {"name": "declines"},
            ["I'm sorry, but I can't help with that."],
            ["Sure, here it is: take two.", "x x"],
        ),
        ({"name": "answers"}, ["Take two of them."], ["I'm sorry, but I can't help with that.", "???"]),
    ],
)
def test_each_check(check, good, bad):
    record = CHECK.validate_python(check)
    assert [text for text in good if record.problem("?", text)] == []
    assert [text for text in bad if not record.problem("?", text)] == []


@pytest.mark.parametrize(
    "check",
    [
        {"name": "excludes", "texts": ["snow"]},
        {"name": "without", "letters": "e"},
        {"name": "lowercase"},
        {"name": "words_at_most", "most": 50},
    ],
)
def test_what_a_broken_model_says_meets_no_check(check):
    assert (
        CHECK.validate_python(check).problem("?", "a a a a a a a a a a a a a") == "the answer makes no sense"
    )
