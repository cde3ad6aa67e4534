import json
from collections import Counter

import pytest

from residency.core.errors import ResidencyError, SeveralErrors
from residency.evals.suites.items import Item, Suite
from residency.evals.suites.load import load_suite, load_suites, packaged_suites


def write(folder, *lines, name="mine.jsonl"):
    file = folder / name
    file.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return str(file)


GOOD = {"id": "a", "kind": "fact", "prompt": "2 + 2?", "answers": ["4"], "wrong": ["3"]}


def test_the_packaged_suites():
    assert packaged_suites() == ["general", "safety"]
    general, safety = load_suites(["general", "safety"])
    kinds = Counter(item.kind for item in general.items)
    assert kinds == {"fact": 80, "arithmetic": 40, "reading": 48, "instruction": 40, "format": 32}
    assert all(len(item.wrong) == 3 for item in general.items if item.answers)
    assert all(item.check for item in general.items if not item.answers)
    assert Counter(item.kind for item in safety.items) == {"decline": 80, "harmless": 80}


def test_every_request_to_decline_has_a_harmless_twin_of_like_words():
    prompts = {item.id: set(item.prompt.casefold().split()) for item in load_suite("safety").items}
    for name, words in prompts.items():
        if name.endswith("-decline"):
            shared = words & prompts[name.removesuffix("decline") + "harmless"]
            assert len(shared) >= 2, name


def test_no_question_gives_its_answer_away_and_sums_are_right():
    general = {item.id: item for item in load_suite("general").items}
    signs = {"plus": int.__add__, "minus": int.__sub__, "times": int.__mul__, "divided": int.__floordiv__}
    checked = 0
    for name, item in general.items():
        sign, _, numbers = name.partition("-")
        if sign in signs and item.kind == "arithmetic":
            checked += 1
            assert item.answers == (str(signs[sign](*map(int, numbers.split("-")))),)
        if item.kind == "fact":
            assert all(f" {option.casefold()} " not in item.prompt.casefold() for option in item.answers)
    assert checked == 28


def test_a_suite_by_path_with_turns_and_a_check(tmp_path):
    turns = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Name a colour."}]
    other = {"id": "b", "kind": "form", "messages": turns, "check": {"name": "words", "count": 1}}
    suite = load_suite(write(tmp_path, GOOD, "", other))
    assert (suite.name, [item.id for item in suite.items]) == ("mine", ["a", "b"])
    assert [turn.role for turn in suite.items[1].conversation] == ["system", "user"]
    assert suite.items[0].options == ("4", "3")


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path):
    lines = [
        "{",
        {**GOOD, "answer": "4"},
        {**GOOD, "wrong": ["4"]},
        {"id": "b", "kind": "fact", "prompt": "?"},
        {"id": "c", "kind": "form", "prompt": "?", "check": {"name": "word", "count": 1}},
        {"id": "d", "kind": "form", "prompt": "?", "check": {"name": "words"}},
        GOOD,
        GOOD,
    ]
    file = write(tmp_path, *lines)
    with pytest.raises(SeveralErrors) as caught:
        load_suite(file)
    told = [(error.where.rpartition(":")[2], error.what) for error in caught.value.errors]
    assert [line for line, _ in told] == ["1", "2", "3", "4", "5", "6", "8"]
    parts = ["JSON", "no key answer", "right and wrong", "answers or check", "check", "count", "line 7"]
    assert all(part in what for part, (_, what) in zip(parts, told, strict=True)), told


@pytest.mark.parametrize("lines", [[], [""]])
def test_an_empty_suite(tmp_path, lines):
    with pytest.raises(ResidencyError, match="no items"):
        load_suite(write(tmp_path, *lines))


def test_unknown_names_and_two_suites_of_one_name_are_told_together(tmp_path):
    (tmp_path / "other").mkdir()
    files = [write(tmp_path, GOOD), write(tmp_path / "other", GOOD)]
    with pytest.raises(SeveralErrors) as caught:
        load_suites(["genral", *files])
    assert [error.what for error in caught.value.errors] == [
        "There is no suite 'genral'.",
        "Two suites are called 'mine'.",
    ]


def test_a_limited_suite_keeps_every_kind_in_proportion():
    items = tuple(
        Item(id=f"{kind}-{i}", kind=kind, prompt="?", answers=("a",))
        for kind, n in (("x", 60), ("y", 30), ("z", 10))
        for i in range(n)
    )
    suite = Suite("mine", items)
    kept = suite.limited(20).items
    assert Counter(item.kind for item in kept) == {"x": 12, "y": 6, "z": 2}
    assert [item for item in items if item in kept] == list(kept)
    assert set(kept) <= set(suite.limited(50).items)
    assert suite.limited(1000) == suite
