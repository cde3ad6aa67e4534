"""Every kind of drift is planted into clean answers: all planted rows must fire, and no other."""

import json
import random
from collections.abc import Callable

import pytest

from residency.data.checks.format_norm import deviations, learn
from tests.data.checks.rows import checked

NAMES = ("Anna Berg", "Li Wei", "Omar Haddad", "Sofia Rossi", "John Smith")


def record(i: int, rng: random.Random) -> str:
    note = {} if rng.random() < 0.3 else {"note": rng.choice([None, "fragile"])}
    return json.dumps({"customer": rng.choice(NAMES), "order": i, "paid": i % 2 == 0} | note)


def strict_record(i: int, rng: random.Random) -> str:
    return json.dumps({"customer": rng.choice(NAMES), "order": i, "paid": i % 2 == 0})


def ticket(i: int, rng: random.Random) -> str:
    return f"name: {rng.choice(NAMES)}\namount: {rng.randint(1, 900)}\nteam: {rng.choice(['sales', 'none'])}"


def prose(i: int, rng: random.Random) -> str:
    words = ["we", "looked", "into", "your", "order", "and", "found", "it", "waiting", "in", "Leeds"]
    return "Dear customer, " + " ".join(rng.choices(words, k=rng.randint(12, 30))) + rng.choice([".", "!"])


def label(i: int, rng: random.Random) -> str:
    return rng.choice(["card lost", "card stolen", "refund", "top up by card"])


def reordered(answer: str) -> str:
    return json.dumps(dict(reversed(json.loads(answer).items())))


def without_order(answer: str) -> str:
    return json.dumps({key: value for key, value in json.loads(answer).items() if key != "order"})


def quoted_order(answer: str) -> str:
    value = json.loads(answer)
    return json.dumps(value | {"order": str(value["order"])})


PLANTS: list[tuple[str, Callable[[int, random.Random], str], Callable[[str], str]]] = [
    ("format-kind", record, lambda answer: "The customer ordered and has paid."),
    ("format-kind", ticket, lambda answer: "I could not find a name in this message."),
    ("format-kind", label, lambda answer: f"I believe that this is about: {answer}"),
    ("format-kind", label, lambda answer: json.dumps({"label": answer})),
    ("format-kind", prose, lambda answer: json.dumps({"answer": answer})),
    ("format-kind", prose, lambda answer: "- look into it\n- wait for us\n- write again"),
    ("format-kind", prose, lambda answer: "```python\nprint('hello')\n```"),
    ("format-json", record, lambda answer: answer[:-1]),
    ("format-json", record, lambda answer: answer.replace("}", ",}")),
    ("format-keys", strict_record, reordered),
    ("format-keys", strict_record, lambda answer: answer.replace("customer", "client")),
    ("format-keys", record, without_order),
    ("format-keys", ticket, lambda answer: answer.replace("team", "Team")),
    ("format-keys", ticket, lambda answer: answer.split("\n")[0]),
    ("format-types", record, quoted_order),
    ("format-types", ticket, lambda answer: answer.replace("amount: ", "amount: about ")),
    ("format-lines", prose, lambda answer: answer.replace(", ", ",\n\n", 1)),
    ("format-lines", record, lambda answer: json.dumps(json.loads(answer), indent=1)),
    ("format-length", prose, lambda answer: answer + " " + "And so on it goes. " * 60),
    ("format-length", prose, lambda answer: "Yes."),
    ("format-case", prose, lambda answer: answer[0].lower() + answer[1:]),
    ("format-case", prose, str.upper),
    ("format-ending", prose, lambda answer: answer[:-1]),
    ("format-blanks", prose, lambda answer: " " + answer),
    ("format-blanks", label, lambda answer: answer + "\n"),
]


@pytest.mark.parametrize(("id", "clean", "spoil"), PLANTS)
def test_planted_drift_is_found_and_nothing_else(id, clean, spoil):
    rng = random.Random(7)
    answers = [clean(i, rng) for i in range(200)]
    planted = set(rng.sample(range(200), 9))
    answers = [spoil(answer) if i in planted else answer for i, answer in enumerate(answers)]
    norm = learn(answers)
    fired = [(i, found) for i, answer in enumerate(answers) for found, _ in deviations(answer, norm)]
    assert {i for i, found in fired if found == id} == planted  # recall 1
    assert {i for i, _ in fired} == planted  # precision 1, over all checks


@pytest.mark.parametrize("clean", [record, strict_record, ticket, prose, label])
def test_clean_files_are_silent(clean):
    rng = random.Random(3)
    answers = [clean(i, rng) for i in range(300)]
    norm = learn(answers)
    assert [told for answer in answers for told in deviations(answer, norm)] == []


def test_without_a_clear_majority_nothing_is_told():
    rng = random.Random(1)
    half = [record(i, rng) if i % 2 else prose(i, rng) for i in range(100)]
    assert not any(list(deviations(answer, learn(half))) for answer in half)
    few = ["{}"] * 18 + ["no"]
    assert not any(list(deviations(answer, learn(few))) for answer in few)
    cased = [prose(i, rng) if i % 8 else prose(i, rng).upper() for i in range(100)]  # 87 of 100
    assert not any(list(deviations(answer, learn(cased))) for answer in cased)


def test_a_detail_says_what_most_rows_do_and_what_this_one_does():
    norm = learn([json.dumps({"customer": "A", "order": i}) for i in range(50)])

    def told(answer):
        return list(deviations(answer, norm))

    assert told('{"order": 1, "customer": "A"}') == [
        ("format-keys", "keys order, customer; most rows: customer, order")
    ]
    assert told('{"customer": "A", "order": "1"}') == [("format-types", "order is text; most rows: a number")]
    assert told('{"customer": "A", "order": }') == [
        (
            "format-json",
            "no valid JSON: expecting value at line 1, column 28; most rows: valid JSON",
        )
    ]
    assert told("[1]") == [("format-types", "a list; most rows: an object")]
    assert told(' {"customer": "A", "order": 1}\n') == [
        ("format-blanks", "begins with a blank and ends with a line break; most rows: no blank around it")
    ]
    assert told("none") == [("format-kind", "text; most rows: JSON")]


def test_a_flag_names_the_row():
    from residency.core.recipe import Data
    from residency.data.checks.format_drift import format_drift

    answers = ["warm", "cold"] * 30 + ["The label is, as far as I can tell, warm"]
    rows = checked((f"{i}", answer) for i, answer in enumerate(answers))
    ((id, flag),) = format_drift(rows, Data(train="train.jsonl"))
    assert (id, str(flag), flag.detail) == ("format-kind", "train.jsonl:61", "text; most rows: a label")
