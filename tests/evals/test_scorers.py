import pytest

from residency.core.errors import ResidencyError
from residency.evals.scorers import Score, get_scorer, scorer, scorer_names
from residency.evals.scorers.registry import _SCORERS


def test_registry_knows_the_four_and_names_them_when_asked_for_another():
    assert {"exact", "fields", "json", "label"} <= set(scorer_names())
    with pytest.raises(ResidencyError) as caught:
        get_scorer("exakt")
    assert caught.value.where == "task.scorer"
    assert all(name in caught.value.fix for name in ("exact", "fields", "json", "label"))


def test_a_scorer_registers_from_outside_and_a_name_is_taken_once():
    @scorer("starts-alike")
    def starts_alike(expected: str, got: str) -> Score:
        return Score(float(expected[:1] == got[:1]), expected[:1] == got[:1], "")

    try:
        assert get_scorer("starts-alike")("abc", "a").passed
        with pytest.raises(ValueError, match="already"):
            scorer("starts-alike")(starts_alike)
    finally:
        del _SCORERS["starts-alike"]


@pytest.mark.parametrize("got", ["a\nb", "  a\nb\n\n", "a  \r\nb\t\r\n", "a\rb"])
def test_exact_ignores_line_ends_and_trailing_spaces(got):
    assert get_scorer("exact")("a\nb", got) == Score(1.0, True, "")


@pytest.mark.parametrize(
    "expected, got, reason",
    [
        ("a\nb", "a\n b", "line 2: expected 'b', got ' b'"),
        ("a\nb", "a", "line 2: expected 'b', got nothing"),
        ("a", "a\n\nb", "line 2: expected nothing, got ''"),
        ("yes", "Yes", "expected 'yes', got 'Yes'"),
        ("yes", "", "expected 'yes', got ''"),
    ],
)
def test_exact_tells_the_first_line_that_differs(expected, got, reason):
    assert get_scorer("exact")(expected, got) == Score(0.0, False, reason)


def test_a_long_answer_is_cut_in_the_reason():
    reason = get_scorer("exact")("x" * 500, "y").reason
    assert len(reason) < 120 and "…" in reason


FIELDS = "category: billing\npriority: high\nteam: payments"


@pytest.mark.parametrize(
    "got",
    [
        FIELDS,
        "TEAM:payments\n\nCategory :  Billing\r\npriority: HIGH",
        "Sure, here you are\n" + FIELDS,
        FIELDS + "\npriority: High",
    ],
)
def test_fields_pass_in_any_order_and_case(got):
    assert get_scorer("fields")(FIELDS, got)[:3] == (1.0, True, "")


@pytest.mark.parametrize(
    "got, value, reason",
    [
        (FIELDS.replace("high", "low"), 2 / 3, "priority: expected 'high', got 'low'"),
        (
            "category: billing",
            1 / 3,
            "priority: expected 'high', got nothing; team: expected 'payments', got nothing",
        ),
        (FIELDS + "\nnote: urgent", 1.0, "unexpected field 'note'"),
        (FIELDS + "\npriority: low", 2 / 3, "priority: expected 'high', got 'high and low'"),
        (FIELDS.replace("high", ""), 2 / 3, "priority: expected 'high', got ''"),
        (FIELDS.replace("high", "high: very"), 2 / 3, "priority: expected 'high', got 'high: very'"),
        ("Here is the answer:\n" + FIELDS, 1.0, "unexpected field 'here is the answer'"),
    ],
)
def test_fields_tell_what_differs(got, value, reason):
    assert get_scorer("fields")(FIELDS, got)[:3] == (pytest.approx(value), False, reason)


def test_fields_with_no_answer_at_all():
    score = get_scorer("fields")(FIELDS, "")
    assert (score.value, score.passed) == (0.0, False)


@pytest.mark.parametrize("expected", ["", "billing", "category: billing\nand more", "a: 1\nA: 2", ": x"])
def test_fields_refuse_an_expected_answer_of_another_form(expected):
    with pytest.raises(ResidencyError):
        get_scorer("fields")(expected, FIELDS)


@pytest.mark.parametrize(
    "expected, got",
    [
        ("card_arrival", "Card arrival."),
        ("card arrival", ' "card-arrival" \n'),
        ("card arrival", "“Card  Arrival”."),
        ("Straße", "STRASSE"),
        (".net", "'.NET'"),
        ("-1", "-1."),
    ],
)
def test_label_passes_however_it_is_written(expected, got):
    assert get_scorer("label")(expected, got) == Score(1.0, True, "")


@pytest.mark.parametrize(
    "expected, got, reason",
    [
        ("card arrival", "card arrival time", "expected 'card arrival', got 'card arrival time'"),
        ("cardarrival", "card arrival", "expected 'cardarrival', got 'card arrival'"),
        ("-1", "1", "expected '-1', got '1'"),
        ("net", ".net", "expected 'net', got '.net'"),
        ("c", "c++", "expected 'c', got 'c++'"),
        ("spam", " \n", "expected 'spam', got nothing"),
    ],
)
def test_label_keeps_labels_apart(expected, got, reason):
    assert get_scorer("label")(expected, got) == Score(0.0, False, reason)


@pytest.mark.parametrize("expected", ["", " '.' ", "--"])
def test_label_refuses_an_empty_expected_answer(expected):
    with pytest.raises(ResidencyError):
        get_scorer("label")(expected, "spam")


@pytest.mark.parametrize(
    "expected, got",
    [
        ('{"a": 1, "b": [true, null]}', '{"b":[true,null],"a":1.0}'),
        ('{"a": 0.1}', '```json\n{"a": 0.10}\n```'),
        ('{"a": 1}', 'Here you are:\n```\n{"a": 1}\n```\nAnything else?'),
        ("[1, 2]", " [1,2] "),
        ('"é"', '"\\u00e9"'),
        ("10000000000000001", "10000000000000001.0"),
        ("{}", "{}"),
        ('{"a": "```"}', '{"a": "```"}'),
    ],
)
def test_json_is_compared_by_value(expected, got):
    assert get_scorer("json")(expected, got)[:3] == (1.0, True, "")


@pytest.mark.parametrize(
    "expected, got, value, reason",
    [
        ('{"a": 1, "b": 2}', '{"a": true, "b": 2}', 0.5, "a: expected 1, got true"),
        ('{"a": false}', '{"a": 0}', 0.0, "a: expected false, got 0"),
        ('{"a": "1"}', '{"a": 1}', 0.0, "a: expected '1', got 1"),
        (
            '{"a": 1, "b": {"c": [1, {"d": "x"}]}}',
            '{"a": 1, "b": {"c": [1, {"d": "y"}]}}',
            0.5,
            "b.c[1].d: expected 'x', got 'y'",
        ),
        ('{"a": [1]}', '{"a": [1, 2]}', 0.0, "a: expected 1 items, got 2"),
        ('{"a": 1}', '{"a": 1, "b": 2}', 1.0, "b: expected nothing, got 2"),
        ('{"a": null}', "{}", 0.0, "a: expected null, got nothing"),
        ('{"a": {}}', '{"a": []}', 0.0, "a: expected an object of 0, got a list of 0"),
        ("[1]", "1", 0.0, "expected a list of 1, got 1"),
        (
            "10000000000000001",
            "10000000000000000.0",
            0.0,
            "expected 10000000000000001, got 10000000000000000.0",
        ),
        ("{}", '{"a": 1}', 0.0, "a: expected nothing, got 1"),
    ],
)
def test_json_tells_the_paths_that_differ(expected, got, value, reason):
    assert get_scorer("json")(expected, got)[:3] == (value, False, reason)


@pytest.mark.parametrize(
    "got, why",
    [
        ("", "it is empty"),
        ("billing", "expecting value at line 1, column 1"),
        ('{"a": NaN}', "NaN is not a JSON value"),
        ('{"a": 1, "a": 2}', "the key 'a' is given twice"),
        ('{"a": 1} {"a": 1}', "extra data"),
        ('```json\n{"a": 1}\n```\n```json\n{"a": 2}\n```', "expecting value"),
        ("[" * 200_000, "nested too deep"),
        ("9" * 5000, "too many digits"),
        ("1e99999999999999999999", "too many digits"),
    ],
)
def test_an_answer_that_is_no_json_fails_with_the_reason(got, why):
    score = get_scorer("json")('{"a": 1}', got)
    assert score[:2] == (0.0, False) and score.reason.startswith("no JSON: ") and why in score.reason


def test_many_differing_paths_are_counted():
    expected = "{" + ", ".join(f'"k{i}": {i}' for i in range(9)) + "}"
    assert get_scorer("json")(expected, "{}").reason.endswith(
        "k4: expected 4, got nothing; 4 more differences"
    )


def test_json_refuses_an_expected_answer_that_is_none():
    with pytest.raises(ResidencyError, match="no JSON"):
        get_scorer("json")("category: billing", "{}")
