"""Mending a file of examples: what is certain is done, what was decided in the review is applied.

Nothing is changed in place: the rows that are left make a new file, and a patch holds every action.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from residency.core.recipe import Data
from residency.core.records import Example, Source
from residency.data.checks.redact import FINDERS, Redaction
from residency.data.excerpt import example_in
from residency.data.ledger import Fate
from residency.data.mending.patch import Action, Content, Verb
from residency.data.mending.review import Decision
from residency.data.mending.texts import (
    JsonForm,
    Mend,
    clear_majority,
    map_texts,
    mend_blanks,
    mend_encoding,
    replace_answer,
)
from residency.data.reading.row import Row
from residency.data.shapes.detect import shape_of

MENDS = {
    "refused": "rows that cannot be read or used are left out",
    "over-long": "rows longer than data.max_tokens are left out",
    "review": "what you decided in the review is applied",
    "encoding": "text that was decoded wrongly is mended, where it is certain how",
    "personal-data": "personal data becomes a placeholder, e.g. [EMAIL]",
    "secrets": "keys and passwords become a placeholder",
    "format-blanks": "blanks around an answer are taken off, where most answers have none",
    "format-json": "keys and spacing of a JSON answer become those of most answers",
    "duplicate": "exact repeats of an earlier row are left out",
    "conflict": "of contradicting rows the answer that two thirds of them give stays, else none",
}
"""What a mending does by itself, by the check that asks for it, in the order in which it is done."""


@dataclass(frozen=True)
class Fixed:
    """The rows of the new file, what was done, and a fate for every row read."""

    rows: tuple[Content, ...]
    actions: tuple[Action, ...]
    fates: tuple[Fate, ...]


@dataclass
class _Line:
    """A row while it is mended."""

    position: int
    row: Row
    content: Content | None
    example: Example | None
    original_id: str | None
    judged_good: bool = False
    changed: list[Action] = field(default_factory=list)

    @property
    def is_left(self) -> bool:
        return not self.changed or self.changed[-1].after is not None


class _Bench:
    """The rows of a file while they are mended, and the only place where that happens."""

    def __init__(self, rows: Iterable[Row], data: Data, only: frozenset[str]) -> None:
        self.data, self.only = data, only
        self.lines = [self._line(position, row) for position, row in enumerate(rows, 1)]
        self.actions = 0

    def _line(self, position: int, row: Row) -> _Line:
        example = example_in(row, self.data)
        content = None if row.content is None else plain(row.content)
        return _Line(position, row, content, example, example.id if example else None)

    def usable(self) -> Iterator[tuple[_Line, Content, Example]]:
        """The rows still there that hold an example."""
        for line in self.lines:
            if line.is_left and line.content is not None and line.example is not None:
                yield line, line.content, line.example

    def compared(self) -> Iterator[tuple[_Line, Content, Example]]:
        """Those whose answers count: one rated bad is left in the file, and held against no other."""
        return (found for found in self.usable() if found[2].is_learned)

    def drop(self, line: _Line, check: str, why: str, verb: Verb = "drop") -> None:
        """Leave a row out."""
        self._note(line, verb, check, None, why)

    def change(self, line: _Line, verb: Verb, check: str, after: Content, why: str) -> None:
        """Give a row other columns, unless it would hold no example then."""
        example = example_in(Row(line.row.source, after, None), self.data)
        if after != line.content and example is not None:
            self._note(line, verb, check, after, why)
            line.content, line.example = after, example

    def change_answer(self, line: _Line, verb: Verb, check: str, new: str, why: str) -> None:
        """Give a row another answer, if that changes the answer and nothing else."""
        if line.content is not None and line.example is not None and new != line.example.answer:
            after = with_answer(line.content, line.example, new, self.data)
            if after is not None:
                self.change(line, verb, check, after, why)

    def _note(self, line: _Line, verb: Verb, check: str, after: Content | None, why: str) -> None:
        self.actions += 1
        source, before = line.row.source, line.content
        line.changed.append(Action(source, line.original_id, verb, check, before, after, why, line.position))


def fix(
    rows: Iterable[Row],
    data: Data,
    refused: Mapping[Source, Fate],
    decisions: Mapping[str, Decision],
    only: Iterable[str] = MENDS,
) -> Fixed:
    """Mend the rows of one file.

    Args:
        rows: As they are read, those that cannot be read included.
        data: How examples are taken from them.
        refused: The fates of those among them that the check refused.
        decisions: Of a review, by the example's id.
        only: Ids in `MENDS`; what is not named is not done.
    """
    bench = _Bench(rows, data, frozenset(only))
    steps: dict[str, Callable[[], None]] = {
        "refused": lambda: _drop_unusable(bench, refused, "refused"),
        "over-long": lambda: _drop_unusable(bench, refused, "over-long"),
        "review": lambda: _apply(bench, decisions),
        "encoding": lambda: _mend_texts(bench, "encoding", "reformat", lambda: mend_encoding),
        **{check: _redactor(bench, check) for check in FINDERS},
        "format-blanks": lambda: _trim(bench),
        "format-json": lambda: _unify_json(bench),
    }
    _drop_unreadable(bench)
    before = -1
    while before < bench.actions:  # with repeats gone, another form may be that of most
        before = bench.actions
        for check, step in steps.items():
            if check in bench.only:
                step()
        _compare(bench)
    return Fixed(
        tuple(line.content for line in bench.lines if line.content is not None and line.is_left),
        tuple(action for line in bench.lines for action in line.changed),
        tuple(_fate(line) for line in bench.lines),
    )


def example_columns(content: Content, data: Data) -> tuple[str, ...]:
    """The columns from which the example is taken."""
    shape = shape_of(content, data.input, data.output)
    return shape.needed + shape.optional


def with_answer(content: Content, example: Example, answer: str, data: Data) -> Content | None:
    """The row with another answer; None where the row would not hold just that then."""
    after = replace_answer(content, example_columns(content, data), example.answer, answer)
    found = example_in(Row(example.source, after, None), data)
    return after if found and found.answer == answer and found.prompt == example.prompt else None


def plain(content: Content) -> dict[str, Any]:
    """The columns as JSON can hold them: dates and the like as text, what is no number as null."""
    return {name: _plain(value) for name, value in content.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value - value != 0:  # infinite, or no number
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def _fate(line: _Line) -> Fate:
    done = "; ".join(f"{action.check}: {action.why}" for action in line.changed)
    fate = "dropped" if not line.is_left else "mended" if done else "kept"
    checks = tuple(dict.fromkeys(action.check for action in line.changed))
    return Fate(line.row.source, fate, done, line.original_id, checks=checks)


def _drop_unreadable(bench: _Bench) -> None:
    """Rows without columns cannot be written again, whatever else is asked for."""
    for line in bench.lines:
        if line.content is None:
            bench.drop(line, "refused", line.row.problem or "unreadable")


def _drop_unusable(bench: _Bench, refused: Mapping[Source, Fate], fate: str) -> None:
    for line in bench.lines:
        told = refused.get(line.row.source)
        is_rated_bad = line.example is not None and not line.example.is_learned
        if told is not None and told.fate == fate and line.is_left and not is_rated_bad:
            bench.drop(line, fate, told.detail)


def _apply(bench: _Bench, decisions: Mapping[str, Decision]) -> None:
    for line, _, _ in bench.usable():
        decision = decisions.get(line.original_id or "")
        if decision is None:
            continue
        line.judged_good = decision.action in ("keep", "edit")
        if decision.action == "drop":
            bench.drop(line, "review", decision.why)
        elif decision.answer is not None:
            bench.change_answer(line, "edit", "review", decision.answer, decision.why)


def _redactor(bench: _Bench, check: str) -> Callable[[], None]:
    return lambda: _mend_texts(bench, check, "redact", lambda: Redaction(FINDERS[check]))


def _mend_texts(bench: _Bench, check: str, verb: Verb, mend: Callable[[], Mend]) -> None:
    """Mend all texts of the rows; `mend` begins anew with each row.

    Not only where the check fired: it does not look at rows that were left out as a conflict.
    """
    for line, content, _ in bench.usable():
        if not line.judged_good:
            after = map_texts(content, example_columns(content, bench.data), mend())
            bench.change(line, verb, check, after, MENDS[check])


def _trim(bench: _Bench) -> None:
    mend = mend_blanks([example.answer for _, _, example in bench.compared()])
    for line, _, example in bench.compared():
        if not line.judged_good:
            why = "most answers have no blanks around them"
            bench.change_answer(line, "reformat", "format-blanks", mend(example.answer), why)


def _unify_json(bench: _Bench) -> None:
    form = JsonForm.of(example.answer for _, _, example in bench.compared())
    for line, _, example in bench.compared():
        if not line.judged_good:
            why = "keys and spacing as in most answers"
            bench.change_answer(line, "reformat", "format-json", form.mend(example.answer), why)


def _compare(bench: _Bench) -> None:
    """Repeats and conflicts, by the rows as they are now."""
    answers = _count_answers(bench)
    if "duplicate" in bench.only and bench.data.duplicates == "drop":
        _drop_repeats(bench)
    if "conflict" in bench.only and bench.data.conflicts == "drop":
        _settle_conflicts(bench, answers)


def _count_answers(bench: _Bench) -> dict[str, Counter[str]]:
    """How often each answer is given to each input, repeats included."""
    answers: dict[str, Counter[str]] = {}
    for _, _, example in bench.compared():
        answers.setdefault(example.input_id, Counter())[example.answer] += 1
    return answers


def _drop_repeats(bench: _Bench) -> None:
    first: dict[str, Source] = {}
    for line, _, example in bench.usable():
        earlier = first.setdefault(example.id, line.row.source)
        if earlier is not line.row.source:
            bench.drop(line, "duplicate", f"says the same as {earlier}")


def _settle_conflicts(bench: _Bench, answers: Mapping[str, Counter[str]]) -> None:
    """Rows that contradict each other: those judged good stay, else those of a clear majority, else none."""
    groups: dict[str, list[tuple[_Line, Example]]] = {}
    for line, _, example in bench.compared():
        if len(answers[example.input_id]) > 1:
            groups.setdefault(example.input_id, []).append((line, example))
    for input_id, group in groups.items():
        _settle(bench, group, answers[input_id])


def _settle(bench: _Bench, group: Sequence[tuple[_Line, Example]], given: Counter[str]) -> None:
    judged = {example.answer for line, example in group if line.judged_good}
    majority = clear_majority(given)
    right = judged or ({majority} if majority is not None else set())
    stays = next((line.row.source for line, example in group if example.answer in right), None)
    for line, example in group:
        if stays is None:
            why = (
                f"{len(given)} answers to one input, none of them given by two thirds of {given.total()} rows"
            )
            bench.drop(line, "conflict", why)
        elif example.answer not in right:
            by = (
                "judged right in the review"
                if judged
                else f"given by {given[majority or '']} of {given.total()}"
            )
            bench.drop(line, "conflict", f"the answer of {stays} stays: {by}", verb="merge")
