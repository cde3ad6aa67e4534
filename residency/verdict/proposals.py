"""Training rows to look at again: those that misled the model on validation rows, and those checks doubt.

Test rows have no part in it: a training row that is changed because of them fits the test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from residency.core.records import Example, Source
from residency.data.excerpt import shorten
from residency.data.findings import Flag, plural
from residency.data.labels import labels_of
from residency.data.mending.review import Reason, Suspect
from residency.data.twins.nearest import Nearest, Neighbour, asked_text
from residency.models.vectors import Similarity
from residency.verdict.causes_schema import NearRowPart, TracedPart
from residency.verdict.unlearned import Unlearned

_NEIGHBOURS = 10
"""Training rows that vote on a row's label."""
_ONE_OF_TWO = ("conflict", "near-conflict")
"""Checks that say that one of two rows is wrong, and not which."""
Doubt = tuple[str, Flag]
"""A check that doubts a row's answer, by its id, and what it found."""
Blames = Mapping[str, Sequence[tuple[TracedPart, NearRowPart]]]
"""By training row, `file:row`: each failure that it taught the wrong answer of, with the row beside it."""


@dataclass(frozen=True)
class Proposal:
    """A training row to judge, with the answer that is suggested for it, if there is one."""

    suspect: Suspect
    failures: tuple[str, ...]
    """The validation rows, `file:row`, that it misled the model on."""

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        return {**self.suspect.to_json(), "failures": list(self.failures)}

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Proposal:
        """The proposal that `to_json` wrote."""
        return Proposal(Suspect.from_json(row), tuple(row["failures"]))


class _Vote(NamedTuple):
    """The label that the rows around a row give it instead of its own."""

    label: str
    margin: float
    """Its share of the votes less that of the row's own label, each vote weighed by its cosine."""
    nearest: int
    """The place of the row most like it that has this label."""


class _Signs(NamedTuple):
    """What speaks against a row's answer."""

    doubts: tuple[Doubt, ...]
    vote: _Vote | None
    unlearned: Unlearned | None

    @property
    def suspicion(self) -> float:
        """The strongest sign; of two rows that contradict each other one is as likely wrong as the other."""
        signs = [
            flag.suspicion / 2 if check in _ONE_OF_TWO else flag.suspicion for check, flag in self.doubts
        ]
        signs += [sign.margin for sign in (self.vote, self.unlearned) if sign is not None]
        return max(signs)

    def answer(self, train: Sequence[Example], place_of: Mapping[Source, int]) -> str | None:
        """The answer that all signs which name one say is right; none where they differ, or it is blank."""
        rows = [flag.other for check, flag in self.doubts if check not in _ONE_OF_TWO]
        places = [place_of[row] for row in rows if row is not None]
        places += [] if self.vote is None else [self.vote.nearest]
        answers = [train[place].answer for place in places]
        answers += [] if self.unlearned is None else [self.unlearned.given]
        return answers[0] if len(set(map(str.strip, answers))) == 1 and answers[0].strip() else None


def propose(
    train: Sequence[Example],
    blames: Blames,
    doubts: Iterable[Doubt],
    not_learned: Mapping[Source, Unlearned],
    similarity: Similarity,
) -> list[Proposal]:
    """The rows to judge; those that most failures blame come first, then the most suspected.

    A row that is blamed is proposed where its own neighbours give another answer too, the tuned model has
    not learned it, or a check doubts it: else the failed row may well be the odd one. Suspicion is the
    strongest sign: all go by what like rows answer, so that two of them make the row no more suspect than
    one. Of equal ones that comes first whose answer the tuned model finds least likely.

    Args:
        train: The rows trained on.
        blames: By failures on validation rows, traced to their nearest training rows.
        doubts: Of checks that looked at training rows alone.
        not_learned: Rows that the tuned model answers otherwise.
        similarity: How likeness is told.
    """
    doubted: dict[Source, list[Doubt]] = defaultdict(list)
    for check, flag in doubts:
        doubted[flag.source].append((check, flag))
    places = [
        place
        for place, example in enumerate(train)
        if str(example.source) in blames or example.source in doubted or example.source in not_learned
    ]
    if not places:
        return []
    place_of = {example.source: place for place, example in enumerate(train)}
    found = []
    for place, vote in zip(places, _votes(train, places, similarity), strict=True):
        source = train[place].source
        signs = _Signs(tuple(doubted.get(source, ())), vote, not_learned.get(source))
        if any(signs):
            answer = signs.answer(train, place_of)
            found.append(_proposal(train, place, signs, answer, blames.get(str(source), ())))
    nll = {str(source): sign.nll for source, sign in not_learned.items()}
    return sorted(found, key=lambda proposal: _rank(proposal, nll))


def _rank(proposal: Proposal, nll: Mapping[str, float]) -> tuple[int, float, float, str, int]:
    suspect, source = proposal.suspect, proposal.suspect.source
    unlikely = nll.get(str(source), 0.0)
    return -len(proposal.failures), -suspect.suspicion, -unlikely, source.file, source.row


def blames_of(failures: Iterable[TracedPart]) -> Blames:
    """The failures that each training row taught the wrong answer of; the rows that most blame come first."""
    blames: dict[str, list[tuple[TracedPart, NearRowPart]]] = defaultdict(list)
    for failure in failures:
        for near in failure.nearest:
            if near.teaches_wrong:
                blames[near.source].append((failure, near))
    return dict(sorted(blames.items(), key=lambda row: -len(row[1])))


def _votes(train: Sequence[Example], places: Sequence[int], similarity: Similarity) -> list[_Vote | None]:
    """For each of `places` the label its neighbours give it; None where that is its own, or none is one."""
    if labels_of([example.answer for example in train]) is None:
        return [None] * len(places)
    texts = [asked_text(example) for example in train]
    near = Nearest(texts, similarity).find([texts[place] for place in places], _NEIGHBOURS + 1)
    labels = [example.answer.strip() for example in train]
    return [
        _vote(labels, labels[place], [neighbour for neighbour in found if neighbour.place != place])
        for place, found in zip(places, near, strict=True)
    ]


def _vote(labels: Sequence[str], own: str, near: Sequence[Neighbour]) -> _Vote | None:
    """The vote of the nearest rows, in their order (S. A. Dudani, IEEE Trans SMC 6 (1976) 325)."""
    weights: dict[str, float] = defaultdict(float)
    for place, cosine in near[:_NEIGHBOURS]:
        weights[labels[place]] += max(cosine, 0.0)
    total = sum(weights.values())
    others = {label: weight for label, weight in weights.items() if label != own}
    if not others or not total:
        return None
    label = max(others, key=others.__getitem__)
    margin = (others[label] - weights.get(own, 0.0)) / total
    nearest = next(place for place, _ in near if labels[place] == label)
    return _Vote(label, min(margin, 1.0), nearest) if margin > 0 else None


def _proposal(
    train: Sequence[Example],
    place: int,
    signs: _Signs,
    answer: str | None,
    blamed: Sequence[tuple[TracedPart, NearRowPart]],
) -> Proposal:
    example, vote, not_learned = train[place], signs.vote, signs.unlearned
    reasons = [Reason(check, shorten(flag.detail), flag.other) for check, flag in signs.doubts]
    if not_learned is not None:
        reasons.insert(0, Reason("unlearned", shorten(not_learned.detail), None))
    if vote is not None:
        detail = f"rows like it answer {vote.label!r} (margin {vote.margin:.2f})"
        reasons.insert(0, Reason("neighbours", shorten(detail), train[vote.nearest].source))
    failures = [failure for failure, _ in blamed]
    if failures:
        rows = f"{plural(len(failures), 'validation row')} failed with {_shared(blamed)}"
        detail = f"{rows}, e.g. {failures[0].source}: {failures[0].prompt}"
        reasons.insert(0, Reason("blamed", shorten(detail), None))
    suspect = Suspect(example.source, example.id, round(signs.suspicion, 4), tuple(reasons), answer)
    return Proposal(suspect, tuple(failure.source for failure in failures))


def _shared(blamed: Sequence[tuple[TracedPart, NearRowPart]]) -> str:
    """What the row has in common with the wrong answers given."""
    if fields := dict.fromkeys(field for _, near in blamed for field in near.wrong_fields):
        return f"its {' and '.join(fields)}"
    is_same = all(near.answer.strip() == failure.got.strip() for failure, near in blamed)
    return "its answer" if is_same else "an answer like its own"
