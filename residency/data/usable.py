"""From a file to the rows that can be trained on, with their tokens, and the rows refused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from residency.core.errors import ResidencyError
from residency.core.recipe import Data
from residency.core.records import Conversation, Example, Message, with_system
from residency.data.checks.registry import flag_row
from residency.data.findings import Flag, plural
from residency.data.ledger import Checked, Fate
from residency.data.reading.read import read_rows
from residency.data.reading.row import Row
from residency.data.rows import BATCH, Packed, Rows, Store, batches, pack
from residency.data.shapes import RowError, read_row
from residency.data.workers import spread

if TYPE_CHECKING:
    from residency.chat import Counts

Placed = tuple[int, str, Flag]
"""The place of a row, the id of a check that fired on it, and the flag."""
RATED_BAD = "rated-bad"
"""The check that leaves out answers rated bad: no mistakes, so `max_refused` does not count them."""


class Renderer(Protocol):
    """What the check needs of `residency.chat.Renderer`."""

    def count_each(self, conversations: Sequence[Conversation]) -> Sequence[Counts | ResidencyError]:
        """Tokens of each conversation and how many of them are supervised, or why it has none."""

    def prompt_ids(self, conversation: Conversation) -> Sequence[int]:
        """The tokens before the answer."""

    def special_token_in(self, conversation: Conversation) -> str | None:
        """The first text in it that would be read as structure."""


@dataclass(frozen=True)
class Refusal:
    """A row that cannot be used: its fate, the check that fired, and what to do."""

    fate: Fate
    check: str
    fix: str

    def __str__(self) -> str:
        return f"{self.fate.source} {self.fate.detail}"


@dataclass
class Reading:
    """One of the recipe's sources of rows, read and measured."""

    source: Path
    usable: Rows
    rows: int = 0
    flags: list[Placed] = field(default_factory=list)
    """What the row checks found in the rows that are usable."""
    refusals: list[Refusal] = field(default_factory=list)
    unused: dict[str, None] = field(default_factory=dict)
    """Columns that no row's shape asked for, in the order met."""
    shapes: Counter[str] = field(default_factory=Counter)
    """Rows by shape."""
    stop: ResidencyError | None = None
    """Why training refuses the file: more of it is refused than `data.max_refused` allows."""


@dataclass
class Surveyed:
    """A batch of rows, measured: those usable are packed, and no text of the others is kept."""

    rows: int
    usable: Packed
    flags: list[Placed]
    refusals: list[Refusal]
    unused: dict[str, None]
    shapes: Counter[str]


@dataclass(frozen=True)
class Measure:
    """What rows are measured by."""

    data: Data
    system: str
    renderer: Renderer
    group: str | None = None
    """The column that names a row's group."""

    def read(self, source: Path, root: Path, store: Store) -> Reading:
        """Every row of `source`, either usable, and put into the store, or refused.

        Files are named from `root`.

        Raises:
            ResidencyError: it cannot be read, or none of its rows can be used.
        """
        begin = len(store)
        reading = Reading(source, store.rows(begin))  # none so far
        for batch in spread(self.survey, batches(read_rows(source, root), BATCH)):
            offset = len(store) - begin
            reading.flags += [(offset + place, check, flag) for place, check, flag in batch.flags]
            store.add(batch.usable)
            reading.rows += batch.rows
            reading.refusals += batch.refusals
            reading.unused |= batch.unused
            reading.shapes.update(batch.shapes)
        reading.usable = store.rows(begin)
        reading.refusals.sort(key=lambda refusal: (refusal.fate.source.file, refusal.fate.source.row))
        reading.stop = self._judge(reading)
        return reading

    def survey(self, rows: Sequence[Row]) -> Surveyed:
        """Measure a batch of rows, and look at each by itself."""
        examples: list[Example] = []
        refusals: list[Refusal] = []
        unused: dict[str, None] = {}
        shapes: Counter[str] = Counter()
        for row in rows:
            try:
                examples.append(self._example(row, unused, shapes))
            except RowError as error:
                refusals.append(_refusal(row, error))
        outcomes = list(self._count_tokens(examples))
        refusals += [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
        usable = [outcome for outcome in outcomes if isinstance(outcome, Checked)]
        flags = [
            (place, check, flag)
            for place, row in enumerate(usable)
            for check, flag in flag_row(row.example).items()
        ]
        return Surveyed(len(rows), pack(usable), flags, refusals, unused, shapes)

    def _example(self, row: Row, unused: dict[str, None], shapes: Counter[str]) -> Example:
        example, shape = read_row(row, self.data.input, self.data.output)
        shapes[shape.name] += 1
        for name in row.content or ():
            if name not in shape.needed and name not in shape.optional and name != self.group:
                unused[name] = None
        if group := _group(row.content or {}, self.group):
            example = replace(example, group=group)
        if not example.is_learned:
            reason = "rated bad: sft learns only from good answers"
            raise RowError(reason, "Nothing is to be done.", RATED_BAD)
        if token := self.renderer.special_token_in(example.conversation):
            reason = f"its text holds {token!r}, which the model reads as the structure of the chat"
            raise RowError(reason, "Take it out, or write it in another way.", "special-token")
        return example

    def _count_tokens(self, examples: Sequence[Example]) -> Iterator[Checked | Refusal]:
        conversations = [with_system(example.conversation, self.system) for example in examples]
        for example, outcome in zip(examples, self.renderer.count_each(conversations), strict=True):
            if isinstance(outcome, ResidencyError):
                fate = Fate(example.source, "refused", outcome.what, example.id)
                yield Refusal(fate, "template", outcome.fix)
            else:
                row = Checked(example, *outcome)
                yield self._refuse(row) or row

    def _refuse(self, row: Checked) -> Refusal | None:
        if row.supervised_tokens == 0:
            fate = Fate.of(row, "refused", "no token of it would be trained on")
            return Refusal(fate, "zero-supervised", "Give the row an answer, or remove it.")
        over = row.tokens - self.data.max_tokens
        if over <= 0:
            return None
        detail = f"over-long by {plural(over, 'token')}"
        if not row.example.is_text:
            prompt = len(self.renderer.prompt_ids(with_system(row.example.prompt, self.system)))
            if prompt >= self.data.max_tokens:
                detail += f": the prompt alone has {prompt:,}, so that the answer would be cut away entirely"
        fix = f"Shorten it, or allow it: --set data.max_tokens={row.tokens}"
        return Refusal(Fate.of(row, "over-long", detail), "over-long", fix)

    def _judge(self, reading: Reading) -> ResidencyError | None:
        mistakes = [refusal for refusal in reading.refusals if refusal.check != RATED_BAD]
        refused = len(mistakes)
        if reading.usable and refused / reading.rows <= self.data.max_refused:
            return None
        told = mistakes or reading.refusals
        rows = "; ".join(str(refusal) for refusal in told[:3])
        fix = told[0].fix
        if not reading.usable:
            what = f"None of {plural(reading.rows, 'row')} can be used: {rows}."
            raise ResidencyError(what, str(reading.source), fix)
        allowed = math.ceil(100 * refused / reading.rows) / 100
        what = (
            f"{refused:,} of {reading.rows:,} rows cannot be used, more than "
            f"data.max_refused = {self.data.max_refused:g} allows: {rows}."
        )
        fix = f"{fix.rstrip('.')}. Or go on without these rows: --set data.max_refused={allowed:g}"
        return ResidencyError(what, str(reading.source), fix)


def check_system(system: str, renderer: Renderer) -> None:
    """Raise a ResidencyError if the system prompt holds text that would be read as structure."""
    if system and (token := renderer.special_token_in(Conversation((Message("system", system),)))):
        what = f"The system prompt holds {token!r}, which the model reads as the structure of the chat."
        raise ResidencyError(what, "task.system", "Take it out, or write it in another way.")


def _group(content: Mapping[str, Any], column: str | None) -> str:
    """The row's group; rows without a value are of none."""
    if column is None:
        return ""
    if column not in content:
        fix = "Name the right one, or take split.group out of the recipe."
        raise RowError(f"no column {column!r}, which split.group names", fix, "columns")
    return "" if content[column] is None else str(content[column])


def _refusal(row: Row, error: RowError) -> Refusal:
    return Refusal(Fate(row.source, "refused", error.reason), error.check, error.fix)
