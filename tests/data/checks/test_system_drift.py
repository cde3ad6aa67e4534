import random

from residency.data.checks.system_drift import system_drift
from tests.data.checks.rows import DATA, checked

USUAL = "You are the support desk of a bank. Name the label, and nothing else."
OTHER = "You are a poet. Write the answer in four lines that rhyme."


def found(systems):
    rows = checked([(f"row {i}", "x") for i in range(len(systems))], systems)
    return {flag.source.row: flag for flag in system_drift(rows, DATA)}


def test_planted_slips_are_found_and_nothing_else():
    rng = random.Random(2)
    for spoil in (
        lambda text: text.replace("support", "suport"),
        lambda text: text.replace(". ", ".  "),
        lambda text: text + "\n",
        str.strip if False else lambda text: text.replace("bank.", "bank,"),
    ):
        systems = [USUAL if i % 2 else OTHER for i in range(100)]
        planted = set(rng.sample(range(1, 100, 2), 3))
        flags = found([spoil(s) if i in planted else s for i, s in enumerate(systems)])
        assert {row - 1 for row in flags} == planted
        assert {flag.suspicion for flag in flags.values()} == {0.7}
        assert {flag.other.row for flag in flags.values()} == {2 if 1 not in planted else 4}


def test_a_slip_says_where_it_differs():
    (flag,) = found([USUAL] * 20 + [USUAL.replace("desk", "dsek")]).values()
    assert flag.detail == "' support dsek of a bank. Name '; most rows: ' support desk of a bank. Name '"
    (flag,) = found([USUAL] * 20 + [USUAL + " "]).values()
    assert flag.detail.startswith("differs in blanks alone from 'You are the support desk")


def test_rows_that_stand_alone_with_their_prompt():
    flags = found([USUAL] * 30 + [OTHER, ""])
    assert [flag.detail.partition(";")[0] for flag in flags.values()] == [
        "'You are a poet. Write the answer in fou…'",
        "no system prompt",
    ]
    assert {flag.suspicion for flag in flags.values()} == {0.4}


def test_several_prompts_on_purpose_are_silent():
    assert found([USUAL, OTHER, ""] * 20) == {}
    assert found([""] * 30) == {}
    assert (
        found(
            [f"{USUAL} The customer is number {i % 4}." for i in range(60)]
            + [USUAL + " The customer is number 9."]
        )
        == {}
    )
    assert found([f"You talk to customer {i}." for i in range(40)]) == {}
