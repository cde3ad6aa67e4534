"""A model behind an OpenAI-compatible API, asked as a local one is, with a cap on what it may cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from threading import Condition
from typing import TYPE_CHECKING, Any

from residency.core.errors import ResidencyError
from residency.core.progress import Advance
from residency.core.recipe import Judge, Priced, Remote
from residency.core.records import Completion, Conversation, Message, ToolCall, fingerprint, join_calls
from residency.models.endpoint import Body, Client, Reply, chat, known, strictly
from residency.models.unanswerable import TooLong

if TYPE_CHECKING:
    from residency.models.constrain import Constraint


class CapReached(ResidencyError):
    """The next call could have cost more than is left; `answered` of `asked` conversations have answers."""

    def __init__(self, remote: Remote, spent: float, answered: int, asked: int) -> None:
        what = (
            f"{answered} of {asked} rows are answered for {spent:.4g}, and the next could pass the cap of "
            f"{remote.max_cost:g}."
        )
        fix = "Raise max_cost; the answers that came are kept and not paid for again."
        super().__init__(what, f"candidates.remote, max_cost of {remote.name}", fix)
        self.spent, self.answered, self.asked = spent, answered, asked


class Budget:
    """What is spent and what calls under way may still cost, never together above the cap."""

    def __init__(self, cap: float, spent: float = 0.0) -> None:
        self.cap, self.spent = cap, spent
        self._under_way: list[float] = []
        self._changed = Condition()

    def reserve(self, most: float) -> bool:
        """Set `most` aside for a call; false if there is not so much left once others have ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._has(most) or not self._under_way)
            if has := self._has(most):
                self._under_way.append(most)
            return has

    def settle(self, reserved: float, cost: float) -> None:
        """The call for which `reserved` was set aside has ended and cost so much."""
        with self._changed:
            self._under_way.remove(reserved)
            self.spent += cost
            self._changed.notify_all()

    def count(self, cost: float) -> None:
        """So much was spent elsewhere and counts here too; below 0: so much was not spent after all."""
        with self._changed:
            self.spent += cost
            self._changed.notify_all()

    def _has(self, most: float) -> bool:
        return self.spent + sum(self._under_way) + most <= self.cap


def ask_within(budget: Budget, endpoint: Priced, client: Client, body: Body) -> Reply | None:
    """The reply, paid from the budget; none where it could cost more than is left.

    Raises:
        TooLong: the model's context has no room for it.
        ResidencyError: the call failed for good, or its cost is not told.
    """
    most = endpoint.cost(_most_tokens(body), body["max_tokens"])
    if not budget.reserve(most):
        return None
    cost = 0.0
    try:
        reply = client.ask(body)
        cost = cost_of(endpoint, reply)
        return reply
    finally:
        budget.settle(most, cost)


def cost_of(endpoint: Priced, reply: Reply) -> float:
    """What the reply costs, paid for before or not.

    Raises:
        ResidencyError: the server does not tell how many tokens it took.
    """
    return endpoint.cost(*tokens_of(endpoint, reply))


def tokens_of(endpoint: Priced, reply: Reply) -> tuple[int, int]:
    """The reply's prompt tokens and answer tokens, 0 where a judge is free and does not tell them.

    Raises as `cost_of`.
    """
    if reply.prompt_tokens is None or reply.completion_tokens is None:
        # a candidate's tokens are compared in the report, a judge's stand there as their cost alone
        if isinstance(endpoint, Judge) and endpoint.price_in == endpoint.price_out == 0:
            return 0, 0
        what = f"The model '{endpoint.model}' does not tell how many tokens its answers take."
        fix = "Take an endpoint that gives `usage` with each answer; without it the cost is not known."
        raise ResidencyError(what, endpoint.url, fix)
    return reply.prompt_tokens, reply.completion_tokens


class RemoteModel:
    """Answers of `remote`; all candidates that ask it share one budget, in which a question counts once.

    Answers that were paid for before count in it too, so that the cap is the same however often a run is
    started again; they are there without a call, a key or a price.
    """

    def __init__(self, remote: Remote, spent: float = 0.0, constraint: Constraint | None = None) -> None:
        """Nothing is asked yet; `spent` is what other stages have spent under the same cap."""
        self.remote, self.budget = remote, Budget(remote.max_cost, spent)
        self.constraint = constraint if remote.constrain else None
        self._counted: set[str] = set()

    def complete(
        self, conversations: Sequence[Conversation], max_new_tokens: int, advance: Advance
    ) -> list[Completion]:
        """Answer, several at a time; the same question is asked once.

        Raises:
            CapReached: not all could be asked for the money.
            ResidencyError: as `complete_affordable`.
        """
        found = self.complete_affordable(conversations, max_new_tokens, advance)
        answered = [completion for completion in found if completion is not None]
        if len(answered) < len(found):
            raise CapReached(self.remote, self.budget.spent, len(answered), len(found))
        return answered

    def complete_affordable(
        self, conversations: Sequence[Conversation], max_new_tokens: int, advance: Advance
    ) -> list[Completion | None]:
        """As `complete`; none for those that could not be asked for the money.

        Raises:
            TooLong: conversations do not fit the model's context; the others are answered, and their answers
                kept.
            ResidencyError: a call failed for good; calls under way are waited for, and their answers kept.
        """
        most, form = self.remote.max_tokens or max_new_tokens, dict[str, Any]()
        if self.constraint:
            most += self.constraint.around
            form = {"response_format": strictly(self.constraint.json_schema())}
        bodies = [_body(self.remote, conversation, most, **form) for conversation in conversations]
        asked = [fingerprint(body) for body in bodies]
        rows, replies, first = Counter(asked), dict[str, Reply](), dict[str, int]()
        for number, key in enumerate(asked):
            first.setdefault(key, number)
        for key, reply in self._replies(asked, bodies):
            replies[key] = reply
            advance(rows[key], "")
        return [
            self._completion(replies[key], conversation.tools, repeats=number > first[key])
            if key in replies
            else None
            for number, (key, conversation) in enumerate(zip(asked, conversations, strict=True))
        ]

    def _replies(self, asked: Sequence[str], bodies: Sequence[Body]) -> Iterator[tuple[str, Reply]]:
        """Those that are known, then those that come; none where the cap stands before a call.

        `asked` are the hashes of the bodies.
        """
        left: dict[str, Body] = {}
        for key, body in dict(zip(asked, bodies, strict=True)).items():
            reply = known(self.remote, body)
            if reply is None:
                left[key] = body
                continue
            if key not in self._counted:
                self.budget.count(cost_of(self.remote, reply))
            yield key, reply
        self._counted.update(asked)
        if not left:
            return
        too_long: dict[str, TooLong] = {}
        with Client(self.remote) as client, ThreadPoolExecutor(self.remote.concurrency) as pool:
            ask = partial(ask_within, self.budget, self.remote, client)
            futures = {pool.submit(ask, body): key for key, body in left.items()}
            try:
                for future in as_completed(futures):
                    key = futures[future]
                    try:
                        answer = future.result()
                    except TooLong as error:
                        too_long[key] = error
                        continue
                    if answer is not None:
                        yield key, answer
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if places := [place for place, key in enumerate(asked) if key in too_long]:
            raise too_long[asked[places[0]]].at(*places)

    def _completion(self, reply: Reply, tools: Sequence[Mapping[str, Any]], *, repeats: bool) -> Completion:
        prompt_tokens, completion_tokens = tokens_of(self.remote, reply)
        text = _text(reply) if tools else reply.content
        return Completion(
            text=self.constraint.read(text) if self.constraint else text,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            seconds=reply.seconds,
            finish="length" if reply.finish == "length" else "stop",
            cached=reply.cached or repeats,
        )

    def has_room(self, conversation: Conversation, max_new_tokens: int) -> bool:
        """True: only the server knows, and it refuses what is too long."""
        return True


def _most_tokens(body: Body) -> int:
    """At least the tokens of the prompt: a token is a byte or more, and the JSON outweighs a template."""
    told = [body["messages"], body.get("tools", []), body.get("response_format", {})]
    return len(json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _body(remote: Remote, conversation: Conversation, most: int, **parameters: Any) -> dict[str, Any]:
    tools = {"tools": list(conversation.tools)} if conversation.tools else {}
    return chat(remote, [_message(turn) for turn in conversation], max_tokens=most, **tools, **parameters)


def _message(turn: Message) -> dict[str, Any]:
    """The turn in the API's form, in which a call's arguments are JSON in a text."""
    message: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id or f"call_{number}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
            }
            for number, call in enumerate(turn.tool_calls)
        ]
    if turn.tool_call_id:
        message["tool_call_id"] = turn.tool_call_id
    return message


def _text(reply: Reply) -> str:
    """What the message says, its tool calls told as `Message.text` does; as text where they are broken."""
    calls = reply.message.get("tool_calls") or []
    try:
        asked = [
            ToolCall(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls
        ]
    except (ValueError, LookupError, TypeError):
        return f"{reply.content}\n{json.dumps(calls, ensure_ascii=False)}".strip()
    return join_calls(reply.content, asked) if asked else reply.content
