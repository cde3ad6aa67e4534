"""Counting the tokens of a conversation of one question and one answer without running the template on it.

A template mostly writes fixed text around the contents of such turns. That text, the frame, is learned once
from conversations whose contents are known; where a content could make the template write anything else,
there is no count, and the template itself must be run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jinja2 import Environment, nodes

from residency.chat.probe import MARK, Surroundings
from residency.chat.template import SURROGATE, Template
from residency.chat.word_counts import WordCounts
from residency.core.errors import ResidencyError
from residency.core.records import Conversation, Message

_ASKED = "residency-probe-question"
_PROOFS = (("Is it 5?", "Größe (1): yes, it's \U0001f600."), ("two\n\nlines\tand", "{a: 1}\n- b"))
"""Contents that a frame must hold for too, as question and answer."""
_FRAMES = 64
"""Frames kept, one a system prompt; with more of them prompts are written row by row."""
_GENERATION = re.compile(r"{%-?\s*(?:end)?generation\s*-?%}")
"""Tags that transformers adds to the language, around what the assistant wrote."""
_HARMLESS = frozenset(("strip", "lstrip", "rstrip", "trim", "join"))
"""What a template may do without looking into a text that has no white space around it."""


class Counts(NamedTuple):
    """Tokens of a conversation, and how many of them are supervised."""

    tokens: int
    supervised: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around question and answer, cut where a token of structure begins: no token crosses it."""

    head_tokens: int
    before_question: str
    after_question: str
    before_answer: str
    after_answer: str
    prompt_end: list[int]
    """Tokens of the prompt from the cut before the answer on."""

    def parts(self, question: str, answer: str) -> tuple[str, str]:
        """The two texts behind the head whose tokens, one after the other, are the conversation's."""
        return (
            f"{self.before_question}{question}{self.after_question}",
            f"{self.before_answer}{answer}{self.after_answer}",
        )


class Frames:
    """The frames of a template, by system prompt."""

    def __init__(self, template: Template, surroundings: Surroundings) -> None:
        self._template, self._stop_ids = template, surroundings.stop_ids
        self._frames: dict[str | None, Frame | None] = {}
        self._words = WordCounts(template)
        self._telling = _any_of((*_looked_for(template.source), *surroundings.structure))
        added = template.tokenizer.added_tokens_decoder.values()
        solid = [t.content for t in added if t.special and not (t.lstrip or t.rstrip or t.single_word)]
        self._solid = _any_of(solid)

    def count(self, conversations: Sequence[Conversation]) -> list[Counts | None]:
        """Counts where a frame tells them."""
        framed = [self._framed(conversation) for conversation in conversations]
        parts = [frame.parts(c[-2].content, c[-1].content) if frame else None for frame, c in framed]
        questions, answers = (list(dict.fromkeys(pair[i] for pair in parts if pair)) for i in (0, 1))
        asked = dict(zip(questions, self._words.count(questions), strict=True))
        encoded = dict(zip(answers, self._template.encode_fast(answers), strict=True))
        counts: list[Counts | None] = []
        supervised: dict[str, int | None] = {}
        for (frame, _), pair in zip(framed, parts, strict=True):
            if frame is None or pair is None:
                counts.append(None)
                continue
            question, answer = pair
            if answer not in supervised:
                supervised[answer] = self._supervised(encoded[answer].ids, frame.prompt_end)
            learned = supervised[answer]
            tokens = frame.head_tokens + asked[question] + len(encoded[answer])
            counts.append(None if learned is None else Counts(tokens, learned))
        return counts

    def _framed(self, conversation: Conversation) -> tuple[Frame | None, Conversation]:
        turns = conversation.turns
        roles = tuple(turn.role for turn in turns)
        if roles not in _SIMPLE or conversation.calls_tools or not turns[-1].weight:
            return None, conversation
        system = turns[0].content if len(turns) == 3 else None
        if system not in self._frames:
            self._frames[system] = self._learn(system) if len(self._frames) < _FRAMES else None
        frame = self._frames[system]
        if frame is None or not (self._is_plain(turns[-2].content) and self._is_plain(turns[-1].content)):
            return None, conversation
        return frame, conversation

    def _is_plain(self, text: str) -> bool:
        """Whether the template can do nothing with a text but write it down."""
        if not text or text[0].isspace() or text[-1].isspace() or self._telling.search(text):
            return False
        return text.isascii() or not SURROGATE.search(text)

    def _supervised(self, ids: Sequence[int], prompt_end: list[int]) -> int | None:
        """Tokens from the end of the prompt through the stop token; None where they cannot be told so."""
        begin = len(prompt_end)
        if list(ids[:begin]) != prompt_end:
            return None
        end = next((place for place in range(begin, len(ids)) if ids[place] in self._stop_ids), None)
        return None if end is None else end + 1 - begin

    def _learn(self, system: str | None) -> Frame | None:
        """The frame under a system prompt, or None where the template is not seen to write one."""
        try:
            text, prompt = self._shown(system, _ASKED, MARK)
            head, asked, behind = text.partition(_ASKED)
            middle, answered, tail = behind.partition(MARK)
            end = prompt.removeprefix(head + _ASKED)
            verbatim = all(
                self._shown(system, question, answer)
                == (f"{head}{question}{middle}{answer}{tail}", f"{head}{question}{end}")
                for question, answer in ((_ASKED, MARK), *_PROOFS)
            )
        except ResidencyError:
            return None
        cuts = [found.start() for found in self._solid.finditer(end)]
        if not (asked and answered and verbatim and middle.startswith(end) and cuts):
            return None
        first = max((found.start() for found in self._solid.finditer(head)), default=0)
        encoded = self._template.encode([head[:first], end[cuts[-1] :]])
        return Frame(
            len(encoded[head[:first]]),
            head[first:],
            middle[: cuts[-1]],
            middle[cuts[-1] :],
            tail,
            encoded[end[cuts[-1] :]],
        )

    def _shown(self, system: str | None, question: str, answer: str) -> tuple[str, str]:
        """The conversation and its prompt, as the template writes them."""
        first = () if system is None else (Message("system", system),)
        asked = Conversation((*first, Message("user", question)))
        whole = Conversation((*asked.turns, Message("assistant", answer)))
        return self._template.text(whole), self._template.text(asked, generation_prompt=True)


_SIMPLE = frozenset((("user", "assistant"), ("system", "user", "assistant")))


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(set(texts), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def _looked_for(source: str) -> Iterator[str]:
    """Texts that a template looks for in others, or does something with: a content with one may change it.

    A word that a whole text is compared with, as each role is, is none of them.
    """
    environment = Environment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    tree = environment.parse(_GENERATION.sub("", source))
    for compared in tree.find_all(nodes.Compare):
        for text in _constants(compared):
            if isinstance(compared.expr, nodes.Const) or not text.isalnum():
                yield text
    for filtered in tree.find_all(nodes.Filter):
        if filtered.name not in _HARMLESS:
            yield from _constants(*filtered.args)
    for called in tree.find_all(nodes.Call):
        if not (isinstance(called.node, nodes.Getattr) and called.node.attr in _HARMLESS):
            yield from _constants(*called.args)


def _constants(*found: nodes.Node) -> Iterator[str]:
    for node in found:
        own = [node] if isinstance(node, nodes.Const) else []
        for constant in (*own, *node.find_all(nodes.Const)):
            if isinstance(constant.value, str) and constant.value:
                yield constant.value
