"""Rows for the training benchmark: three workloads, written here, the same on every machine.

shared_prompt  about 345 tokens, of which 280, a system prompt, are the same in all rows; the
               answer, 20 to 25 tokens, is supervised.
long_tail      log-normal lengths, median 90, at most 1,000; a third is the answer. Every row has
               a system prompt of its own, so that only the template's first tokens are shared.
multi_turn     3 to 6 questions with their answers, 150 to 600 tokens, every answer supervised.
               The rows share the system prompt that the template puts in where there is none.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

from residency.chat import Rendered, Renderer
from residency.core.records import Conversation, Message

BLOCK = 32
"""Lengths are drawn evenly from their distribution within every so many rows, so that steps compare."""


class Row(NamedTuple):
    """A conversation and its tokens."""

    messages: Conversation
    rendered: Rendered


SYSTEM = """\
You answer letters for a small museum of clocks in a harbour town. The museum is open from Tuesday to \
Sunday, from ten until five, and on the first Thursday of a month until nine. A ticket costs eight coins, \
four for pupils and nothing for children under six. Groups of more than ten people must write a week \
before they come, because the tower stairs carry only twelve visitors at a time. Guided tours begin at \
eleven and at three, last fifty minutes, and are held in the language that most of the guests speak. The \
workshop on the ground floor repairs clocks that visitors bring, but it gives no estimate by letter: \
somebody has to open the case first. Nothing may be photographed with a flash, since the old dials fade. \
Dogs wait in the yard, where there is water for them. The lift reaches every floor but the last one. \
Write one or two short sentences, be friendly and exact, never promise a refund, never guess a price that \
is not named here, and send everything about lost property, invoices or the press to the office. If a \
letter asks for several things, answer the one that the writer needs first. If you do not know the \
answer, say who does. Sign nothing, and do not repeat the question. Keep to plain words that a \
guest who learns the language will understand."""

_WHO = "The gardener|A young pilot|Our neighbour|The night nurse|Somebody|My teacher|The ferry crew|Nobody"
_WHO += "|An old printer|The baker's son|Every driver|Her cousin|The clerk|A visitor|Two students|The owner"
_DID = "carried|measured|painted|forgot|repaired|counted|borrowed|described|cleaned|ordered|found|sold"
_DID += "|wrapped|lost|weighed|sketched|returned|hid|copied|examined"
_WHAT = "a copper kettle|the blue ladder|eleven letters|a torn map|the second clock|some wet rope|the ledger"
_WHAT += "|a box of pears|the narrow window|three coins|an iron key|the wooden boat|her grey coat|a lamp"
_WHEN = "before the rain began|near the old bridge|on a cold Monday|while the bells rang|after the market"
_WHEN += "|behind the mill|without a word|for the winter fair|with great care|under the long roof|at noon"
_WHEN += "|because the road was closed|as soon as the train left|in less than an hour|against all advice"
_SLOTS = [slot.split("|") for slot in (_WHO, _DID, _WHAT, _WHEN)]

Count = Callable[[str], int]


class _Writer:
    """Writes text of about as many tokens as asked for."""

    def __init__(self, seed: int, count: Count) -> None:
        self.random, self.count = random.Random(seed), count

    def text(self, tokens: int) -> str:
        """Sentences drawn at random; the last is cut where the tokens are used up."""
        words: list[str] = []
        left = tokens
        while left > 0:
            sentence = " ".join(self.random.choice(slot) for slot in _SLOTS) + "."
            for word in sentence.split(" "):
                left -= self.count(f" {word}")
                if left < 0 and words:
                    break
                words.append(word)
        return " ".join(words)

    def number(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def evenly(self) -> list[float]:
        """BLOCK numbers between 0 and 1, one in each of as many equal parts, in random order."""
        parts = [(part + self.random.random()) / BLOCK for part in range(BLOCK)]
        self.random.shuffle(parts)
        return parts


_TURN = 5
"""Tokens that the template puts around a turn."""


def _shared_prompt(writer: _Writer) -> list[Conversation]:
    return [
        Conversation(
            (
                Message("system", SYSTEM),
                Message("user", writer.text(writer.number(34, 44))),
                Message("assistant", writer.text(writer.number(19, 24))),
            )
        )
        for _ in range(BLOCK)
    ]


def _long_tail(writer: _Writer) -> list[Conversation]:
    rows = []
    for part in writer.evenly():
        length = 90 * math.exp(0.9 * NormalDist().inv_cdf(min(max(part, 1e-6), 1 - 1e-6)))
        length = round(min(max(length, 36), 1000))
        answer = length // 3
        system = f"{writer.number(1000, 9999)}: {writer.text(3)}"
        asked = length - answer - 3 * _TURN - writer.count(system)
        turns = (("system", system), ("user", writer.text(max(asked, 3))), ("assistant", writer.text(answer)))
        rows.append(Conversation(tuple(Message(role, text) for role, text in turns)))
    return rows


def _multi_turn(writer: _Writer) -> list[Conversation]:
    rows = []
    for part in writer.evenly():
        pairs = writer.number(3, 6)
        length = 150 + 435 * part
        default_system = 20
        each = (length - default_system - 2 * pairs * _TURN) / (2 * pairs)
        turns: list[Message] = []
        for _ in range(pairs):
            turns.append(Message("user", writer.text(max(4, round(0.8 * each)))))
            turns.append(Message("assistant", writer.text(max(4, round(1.2 * each)))))
        rows.append(Conversation(tuple(turns)))
    return rows


WORKLOADS: dict[str, Callable[[_Writer], list[Conversation]]] = {
    "shared_prompt": _shared_prompt,
    "long_tail": _long_tail,
    "multi_turn": _multi_turn,
}


def make_rows(workload: str, number: int, renderer: Renderer, count: Count) -> list[Row]:
    """At least `number` rows; those asked for first do not depend on how many there are."""
    writer = _Writer(seed=0, count=count)
    conversations: list[Conversation] = []
    while len(conversations) < number:
        conversations += WORKLOADS[workload](writer)
    return [Row(c, r) for c, r in zip(conversations, renderer.render_many(conversations), strict=True)]


def describe(rows: list[Row]) -> str:
    """Lengths and supervised tokens, in a line."""
    lengths = sorted(len(row.rendered.ids) for row in rows)
    supervised = sum(sum(row.rendered.supervised) for row in rows) / len(rows)
    median, mean = lengths[len(lengths) // 2], sum(lengths) / len(lengths)
    return (
        f"{lengths[0]} to {lengths[-1]} tokens a row, median {median}, mean {mean:.0f}, "
        f"{supervised:.0f} supervised"
    )
