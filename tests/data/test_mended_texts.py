import json
from collections import Counter

import pytest

from residency.data.checks.redact import Redaction, without_secrets
from residency.data.checks.spans import Span, merge_overlaps
from residency.data.excerpt import shorten
from residency.data.mending.texts import (
    JsonForm,
    clear_majority,
    map_texts,
    mend_blanks,
    mend_encoding,
    replace_answer,
)


@pytest.mark.parametrize(
    ("counts", "majority"),
    [
        ({"a": 2, "b": 1}, "a"),
        ({"a": 3, "b": 2}, None),
        ({"a": 1, "b": 1}, None),
        ({"a": 1}, "a"),
        ({}, None),
    ],
)
def test_two_thirds_are_a_clear_majority(counts, majority):
    assert clear_majority(Counter(counts)) == majority


def test_blanks_go_where_most_answers_have_none():
    assert mend_blanks(["a", "b", " c\n"])(" c\n") == "c"
    assert mend_blanks(["a\n", "b\n", "c"])("a\n") == "a\n"


SPACED = '{"name": "Ann", "age": 3}'


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ('{"age":3,"name":"Ann"}', SPACED),
        ('{ "name" : "Ann",\n"age":3 }', SPACED),
        (' {"age": 3, "name": "Ann"}\n', f" {SPACED}\n"),
        ('{"other":[1,{"a":2}]}', '{"other": [1, {"a": 2}]}'),
        ('{"name":"Zo\\u00eb"}', '{"name": "Zo\\u00eb"}'),
        ('{"name":"Zoë"}', '{"name": "Zoë"}'),
        # nothing but blanks may change: a number's digits, a key that stands twice
        ('{"age":1.00}', '{"age":1.00}'),
        ('{"age":1,"age":2}', '{"age":1,"age":2}'),
        ("no JSON", "no JSON"),
        ("{}", "{}"),
        ("[1,2]", "[1,2]"),
    ],
)
def test_json_answers_take_the_form_of_most(text, mended):
    form = JsonForm.of(
        [SPACED, '{"name": "Bob", "age": 4}', '{"name": "Cy", "age": 5}', '{"age":3,"name":"D"}']
    )
    assert form.mend(text) == mended
    assert form.mend(mended) == mended


def test_without_a_clear_majority_json_answers_stay():
    texts = ['{"a": 1, "b": 2}', '{"b":2,"a":1}']
    form = JsonForm.of(texts)
    assert [form.mend(text) for text in texts] == texts


def test_the_layout_may_be_indented():
    rows = [json.dumps({"a": n}, indent=2) for n in range(3)]
    assert JsonForm.of([*rows, '{"a": 9}']).mend('{"a": 9}') == '{\n  "a": 9\n}'


@pytest.mark.parametrize(
    "text", ["schön und grün", "Käse → 5 €", "naïve café", "你好，世界", "plain", "Ãndré"]
)
def test_sound_text_is_not_touched(text):
    assert mend_encoding(text) == text


@pytest.mark.parametrize("text", ["schön und grün", "it’s “fine", "crème brûlée", "€ 5"])
def test_utf8_read_as_windows_1252_is_mended(text):
    assert mend_encoding(text.encode().decode("windows-1252", errors="replace")) == text


def test_texts_are_mapped_however_deep_and_other_columns_are_left():
    row = {"messages": [{"role": "user", "content": "hi"}, {"content": 5}], "id": "hi", "n": None}
    changed = map_texts(row, ["messages", "missing"], str.upper)
    assert changed == {**row, "messages": [{"role": "USER", "content": "HI"}, {"content": 5}]}
    assert row["messages"][0]["content"] == "hi"


def test_the_last_text_that_is_the_answer_is_replaced():
    row = {"messages": [{"content": "yes"}, {"content": "yes"}], "note": "yes"}
    assert replace_answer(row, ["messages"], "yes", "no") == {
        "messages": [{"content": "yes"}, {"content": "no"}],
        "note": "yes",
    }
    assert replace_answer({"input": 5, "output": 5}, ["input", "output"], "5", "6") == {
        "input": 5,
        "output": "6",
    }


def test_one_value_is_one_placeholder_within_a_row():
    from residency.data.checks.personal import find_personal_data

    redact = Redaction(find_personal_data)
    assert redact("ann.lee@example.org wrote to bob.ray@example.org") == "[EMAIL] wrote to [EMAIL_2]"
    assert (
        redact("bob.ray@example.org did not answer ann.lee@example.org") == "[EMAIL_2] did not answer [EMAIL]"
    )
    assert Redaction(find_personal_data)("bob.ray@example.org") == "[EMAIL]"


def test_nothing_secret_is_shown():
    shown = without_secrets("pay 4111 1111 1111 1111 by card, mail ann.lee@example.org")
    assert "4111" not in shown
    assert "ann.lee" not in shown
    assert shown.startswith("pay [PAYMENT_CARD")


def test_a_key_longer_than_an_excerpt_is_not_shown():
    key = f"-----BEGIN PRIVATE KEY-----\n{'MIIEvQ8x' * 200}\n-----END PRIVATE KEY-----"
    assert shorten(f"my key {key} leaked") == "my key [PRIVATE_KEY] leaked"
    assert shorten(f"my key {key[:700]}") == "my key [PRIVATE_KEY]"


def test_stretches_that_overlap_are_replaced_to_the_end_of_the_last():
    """a: 0-6, b: 4-9, c: 8-11 overlap in a chain; d begins where they end."""
    spans = [Span("b", 4, 9), Span("a", 0, 6), Span("c", 8, 11), Span("d", 11, 13)]
    assert merge_overlaps(spans) == [Span("a", 0, 11), Span("d", 11, 13)]
    assert Redaction(lambda text: spans)("0123456789abcdef") == "[A][D]def"
