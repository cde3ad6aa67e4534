"""Which training rows are proposed, with numbers worked out by hand."""

import pytest

from residency.core.records import Example, Message, Source
from residency.data.findings import Flag
from residency.verdict.causes_schema import NearRowPart, TracedPart
from residency.verdict.proposals import Proposal, blames_of, propose
from residency.verdict.unlearned import Unlearned


def row(number: int, text: str, answer: str) -> Example:
    return Example((Message("user", text), Message("assistant", answer)), Source("train.jsonl", number))


def failure(source: str, got: str, *near: tuple[Example, bool], fields: tuple[str, ...] = ()) -> TracedPart:
    """A validation row that was answered `got`, with its near training rows and whether they teach that."""
    parts = [
        NearRowPart(
            source=str(example.source),
            prompt="",
            answer=example.answer,
            cosine=0.9,
            teaches_wrong=wrong,
            wrong_fields=list(fields),
            checks=[],
        )
        for example, wrong in near
    ]
    return TracedPart(
        cause="taught",
        pair="",
        example_id="",
        source=source,
        prompt="hot",
        expected="warm",
        got=got,
        nearest=parts,
    )


def proposed(train, failures=(), doubts=(), not_learned=None) -> list[Proposal]:
    return propose(train, blames_of(failures), doubts, not_learned or {}, "words")


# Four rows in the very same words but for case, so that each is as near to each other one: cosine 1.
SAME = [row(1, "hot", "cold"), row(2, "Hot", "warm"), row(3, "HOT", "warm"), row(4, "hOt", "warm")]
REST = [row(number, "snow", "cold") for number in range(5, 9)]
TRAIN = [*SAME, *REST]


def test_a_row_that_misled_and_that_its_neighbours_contradict_is_proposed_with_their_answer():
    (proposal,) = proposed(TRAIN, [failure("v.jsonl:1", "cold", (SAME[0], True), (SAME[1], False))])
    suspect = proposal.suspect
    assert (suspect.source, suspect.example_id, suspect.answer) == (SAME[0].source, SAME[0].id, "warm")
    # its neighbours: three votes for warm of weight 1, and the four snows of weight 0 for cold
    assert suspect.suspicion == 1.0
    assert proposal.failures == ("v.jsonl:1",)
    blamed, neighbours = suspect.reasons
    assert (blamed.check, blamed.detail) == (
        "blamed",
        "1 validation row failed with its answer, e.g. v.jsonl:1: hot",
    )
    assert (neighbours.check, neighbours.other) == ("neighbours", SAME[1].source)
    assert neighbours.detail == "rows like it answer 'warm' (margin 1.00)"
    assert Proposal.from_json(proposal.to_json()) == proposal


def test_the_margin_is_the_weighted_share_of_the_other_label_less_that_of_its_own():
    train = [*SAME, row(9, "hOT", "cold"), *REST]
    (proposal,) = proposed(train, [failure("v.jsonl:1", "cold", (SAME[0], True))])
    # three warm against one cold, of four votes that weigh anything: 3/4 - 1/4
    assert proposal.suspect.suspicion == pytest.approx(0.5, abs=1e-3)


def test_a_row_that_is_blamed_but_agrees_with_its_neighbours_is_left_alone():
    """The failed row is perhaps the one with the wrong label."""
    assert proposed(TRAIN, [failure("v.jsonl:1", "warm", (SAME[1], True))]) == []


def test_a_near_row_with_the_right_answer_is_not_blamed():
    assert proposed(TRAIN, [failure("v.jsonl:1", "cold", (SAME[0], False))]) == []


def test_the_rows_that_most_failures_blame_come_first_then_the_most_suspected():
    odd = row(9, "Snow", "warm")
    train = [*TRAIN, odd]
    failures = [failure(f"v.jsonl:{n}", "warm", (odd, True)) for n in (1, 2)]
    failures.append(failure("v.jsonl:3", "cold", (SAME[0], True)))
    doubts = [
        ("label-error", Flag(SAME[2].source, "d", REST[0].source, 0.6)),
        ("label-error", Flag(SAME[3].source, "d", REST[0].source, 0.7)),
    ]
    found = proposed(train, failures, doubts)
    assert [(p.suspect.source.row, len(p.failures)) for p in found] == [(9, 2), (1, 1), (4, 0), (3, 0)]


def test_a_doubted_row_is_proposed_without_a_failure_and_takes_the_strongest_sign():
    doubts = [("label-error", Flag(SAME[0].source, "labelled 'cold'", SAME[2].source, suspicion=0.3))]
    (proposal,) = proposed(TRAIN, [], doubts)
    assert proposal.suspect.suspicion == 1.0  # its neighbours' vote
    assert proposal.suspect.answer == "warm"
    assert [reason.check for reason in proposal.suspect.reasons] == ["neighbours", "label-error"]


def test_signs_that_name_different_answers_suggest_none():
    train = [*TRAIN, row(9, "tepid", "mild"), row(10, "tepid", "mild")]
    train += [row(number, "snow", "cold") for number in range(11, 16)]  # or these would be no labels
    doubts = [("label-error", Flag(SAME[0].source, "d", train[8].source, suspicion=0.9))]
    (proposal,) = proposed(train, [], doubts)
    assert proposal.suspect.answer is None


def test_of_two_rows_in_conflict_each_is_half_as_suspect_and_no_answer_is_suggested():
    train = [row(number, f"text {number}", f"answer {number}") for number in range(1, 9)]
    doubts = [("near-conflict", Flag(train[0].source, "90 % similar", train[1].source, suspicion=0.8))]
    (proposal,) = proposed(train, [], doubts)
    assert (proposal.suspect.suspicion, proposal.suspect.answer) == (0.4, None)


FREE = [row(number, f"text {number}", f"answer {number}") for number in range(1, 9)]
"""Rows whose answers are no labels."""


def not_learned(example: Example, given: str, margin: float, nll: float = 1.0) -> dict[Source, Unlearned]:
    return {example.source: Unlearned(given, "", margin, nll)}


def test_a_free_answer_that_the_tuned_model_did_not_learn_is_proposed_with_the_one_it_gives():
    (proposal,) = proposed(FREE, not_learned=not_learned(FREE[2], "another", 0.7))
    suspect = proposal.suspect
    assert (suspect.source, suspect.suspicion, suspect.answer) == (FREE[2].source, 0.7, "another")
    (reason,) = suspect.reasons
    assert (reason.check, reason.other) == ("unlearned", None)
    assert reason.detail == "trained on it, the tuned model answers 'another' (margin 0.70)"


def test_a_free_answer_that_is_blamed_alone_is_left_alone_and_one_not_learned_says_in_what_it_is_alike():
    failures = [failure("v.jsonl:1", "answers 1", (FREE[0], True), (FREE[1], True))]
    (proposal,) = proposed(FREE, failures, not_learned=not_learned(FREE[1], "another", 0.2))
    assert proposal.failures == ("v.jsonl:1",)
    first, second = proposal.suspect.reasons
    assert (first.check, second.check) == ("blamed", "unlearned")
    assert first.detail == "1 validation row failed with an answer like its own, e.g. v.jsonl:1: hot"
    failures = [failure("v.jsonl:1", "x", (FREE[1], True), fields=("team", "tone"))]
    (proposal,) = proposed(FREE, failures, not_learned=not_learned(FREE[1], "another", 0.2))
    assert proposal.suspect.reasons[0].detail.startswith(
        "1 validation row failed with its team and tone, e.g."
    )


def test_the_tuned_model_decides_which_of_two_rows_in_conflict_is_wrong_unless_another_sign_says_otherwise():
    conflict = ("near-conflict", Flag(FREE[0].source, "d", FREE[1].source, suspicion=0.8))
    (proposal,) = proposed(FREE, (), [conflict], not_learned(FREE[0], "answer 2", 0.9))
    assert (proposal.suspect.suspicion, proposal.suspect.answer) == (0.9, "answer 2")
    doubt = ("label-error", Flag(FREE[0].source, "d", FREE[1].source, suspicion=0.8))
    (proposal,) = proposed(FREE, (), [doubt], not_learned(FREE[0], "answer 3", 0.9))
    assert proposal.suspect.answer is None


def test_a_blank_answer_is_suggested_to_nobody():
    (proposal,) = proposed(FREE, not_learned=not_learned(FREE[2], " ", 0.7))
    assert (proposal.suspect.suspicion, proposal.suspect.answer) == (0.7, None)


def test_of_rows_equally_suspect_the_one_with_the_least_likely_answer_comes_first():
    signs = not_learned(FREE[0], "x", 1e-9, nll=2.0) | not_learned(FREE[1], "y", 1e-8, nll=5.0)
    signs |= not_learned(FREE[2], "z", 0.1, nll=0.5)
    found = proposed(FREE, not_learned=signs)
    assert [(p.suspect.source.row, p.suspect.suspicion) for p in found] == [(3, 0.1), (2, 0.0), (1, 0.0)]
