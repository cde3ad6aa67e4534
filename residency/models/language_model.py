"""A model as candidates see it: conversations in, completions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from transformers import PreTrainedModel

from residency.chat import Renderer
from residency.core.errors import ResidencyError
from residency.core.progress import Advance
from residency.core.records import Completion, Conversation, Likelihood, Message
from residency.models.constrain import Constraint, answer_ids
from residency.models.generate import generate
from residency.models.likelihood import Question, answer_likelihoods
from residency.models.unanswerable import TooLong


class Continued(NamedTuple):
    """How an answer was continued from its first tokens, and what it cost."""

    given: str
    """The answer's first tokens as text."""
    expected: str
    """How the answer goes on."""
    got: str
    """How the model went on."""
    verbatim: bool
    """Whether it did so token for token."""
    prompt_tokens: int
    seconds: float


class LanguageModel(Protocol):
    """Anything that answers conversations."""

    def complete(
        self, conversations: Sequence[Conversation], max_new_tokens: int, advance: Advance
    ) -> list[Completion]:
        """One answer for each conversation, in order; `advance` is told how many are done."""

    def has_room(self, conversation: Conversation, max_new_tokens: int) -> bool:
        """Whether the context holds the conversation and an answer of that many tokens."""


class LocalModel:
    """A model in this process, greedy, rendered by the base's own template; answers may be held to a form."""

    def __init__(
        self,
        model: PreTrainedModel,
        renderer: Renderer,
        batch_size: int,
        constraint: Constraint | None = None,
    ) -> None:
        self.model, self.renderer, self.batch_size, self.constraint = model, renderer, batch_size, constraint

    def complete(
        self, conversations: Sequence[Conversation], max_new_tokens: int, advance: Advance
    ) -> list[Completion]:
        """Answer in batches of up to `batch_size`; a prefix that all share is computed once.

        Raises:
            TooLong: a prompt and its answer do not fit the model's context.
        """
        prompts = [self.renderer.prompt_ids(c) for c in conversations]
        self._require_room([len(prompt) + max_new_tokens for prompt in prompts])
        guide = None
        if self.constraint and conversations:
            guide = self.constraint.begin(self.renderer, conversations[0], max_new_tokens)
        answers = generate(
            self.model,
            prompts,
            max_new_tokens=max_new_tokens,
            stop_ids=self.renderer.stop_ids,
            batch_size=self.batch_size,
            advance=advance,
            guide=guide,
        )
        return [
            Completion(
                text=self.renderer.decode(answer.ids, conversation.tools),
                prompt_tokens=len(prompt),
                completion_tokens=len(answer.ids) + answer.stopped,
                seconds=answer.seconds,
                finish="stop" if answer.stopped else "length",
            )
            for conversation, prompt, answer in zip(conversations, prompts, answers, strict=True)
        ]

    def likelihoods(
        self,
        questions: Sequence[tuple[Conversation, Sequence[Message]]],
        advance: Advance,
        *,
        ended: bool = False,
    ) -> list[list[Likelihood]]:
        """How likely each of the turns is as the answer to its conversation, or as its beginning.

        `ended`: the stop token counts as well, so that it is the whole answer's likelihood.

        Raises:
            TooLong: a prompt and its answer do not fit the model's context.
        """
        rendered = [self._question(conversation, turns, ended) for conversation, turns in questions]
        self._require_room([len(q.prompt) + max(map(len, q.answers)) for q in rendered])
        return answer_likelihoods(self.model, rendered, batch_size=self.batch_size, advance=advance)

    def continue_answers(
        self, answered: Sequence[tuple[Conversation, Message]], given: int, tokens: int, advance: Advance
    ) -> list[Continued | None]:
        """Go on, greedily, from the first `given` tokens of each answer for as many as `tokens`.

        None where the answer is shorter than both together.

        Raises:
            TooLong: a prompt and its answer do not fit the model's context.
        """
        rendered = [self._question(conversation, [turn]) for conversation, turn in answered]
        long = [i for i, question in enumerate(rendered) if len(question.answers[0]) >= given + tokens]
        prompts = [[*rendered[i].prompt, *rendered[i].answers[0][:given]] for i in long]
        self._require_room([len(prompt) + tokens for prompt in prompts])
        found = generate(
            self.model,
            prompts,
            max_new_tokens=tokens,
            stop_ids=self.renderer.stop_ids,
            batch_size=self.batch_size,
            advance=advance,
        )
        results: list[Continued | None] = [None] * len(answered)
        for i, prompt, went_on in zip(long, prompts, found, strict=True):
            wanted = rendered[i].answers[0][given : given + tokens]
            start, expected, got = map(self.renderer.decode, (prompt[-given:], wanted, went_on.ids))
            verbatim = list(wanted) == went_on.ids
            results[i] = Continued(start, expected, got, verbatim, len(prompt), went_on.seconds)
        return results

    def _question(
        self, conversation: Conversation, turns: Sequence[Message], ended: bool = False
    ) -> Question:
        prompt = self.renderer.prompt_ids(conversation)
        return Question(prompt, answer_ids(self.renderer, conversation, turns, ended=ended))

    def can_weigh(self, conversation: Conversation, turn: Message) -> bool:
        """Whether the turn can be written as the answer to the conversation, and the context holds both."""
        whole = Conversation((*conversation, replace(turn, weight=1)), conversation.tools)
        (rendered,) = self.renderer.render_each([whole])
        return not isinstance(rendered, ResidencyError) and len(rendered.ids) <= self._context

    def has_room(self, conversation: Conversation, max_new_tokens: int) -> bool:
        """Whether the context holds the conversation and an answer of that many tokens."""
        return len(self.renderer.prompt_ids(conversation)) + max_new_tokens <= self._context

    @property
    def _context(self) -> int:
        tokens: int = self.model.config.get_text_config().max_position_embeddings
        return tokens

    def _require_room(self, lengths: Sequence[int]) -> None:
        """Refuse the longest of what is asked together, where it is too long."""
        tokens = max(lengths, default=0)
        if tokens > self._context:
            raise TooLong(
                f"A prompt and its answer take {tokens} tokens, and the base holds {self._context}.",
                "task.instructions, candidates.few_shot, task.max_new_tokens",
                "Shorten the instructions, take fewer examples, or use a base with a longer context.",
                lengths.index(tokens),
            )
