"""The client of an OpenAI-compatible API: one call, asked again where the server is busy, paid for once."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from ssl import SSLContext
from threading import Lock
from types import TracebackType
from typing import Any, NoReturn, Self
from urllib.parse import urlsplit

import httpx

from residency.core.errors import ResidencyError
from residency.core.progress import say
from residency.core.recipe import Endpoint
from residency.core.records import fingerprint
from residency.core.workspace import read_json, unwritable, write_json
from residency.models.api_error import error_of, is_too_long, refused_parameters, refuses_form, words_of
from residency.models.source import cache_folder
from residency.models.unanswerable import TooLong

_BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT = 120.0
"""Seconds between two calls; a server that wants to be left alone for longer is not waited for."""
_NOT_NEEDED = ("max_tokens", "seed", "temperature")
"""Parameters that a server may refuse, and is then asked without."""
_ELSEWHERE = {"max_tokens": "max_completion_tokens"}
"""What newer models call a parameter that they refuse; the others are left out."""
_DECLINED = frozenset({"content_filter", "invalid_prompt"})
"""Codes with which a server refuses one question and would take others."""
_LEAST_SECRET = 12
"""Characters of a key from which on answers are searched for it: `EMPTY` and `none` guard nothing."""
_AGAIN = "Answers that came are kept: run the same command again, and only the others are asked for."
_LOCKS: dict[str, Lock] = {}
_TELLING = Lock()
_FREE = (
    "Set constrain = false in this model's [[candidates.remote]], so that it answers freely; or change "
    "task.schema_file: strict schemas name all keys as required and set additionalProperties to false."
)
_SHORTER = (
    "Show less (candidates.few_shot, retrieved, passages), shorten task.instructions, lower max_tokens, "
    "or take a model with more room."
)
_REFUSED: dict[tuple[str, str], set[str]] = {}
"""Parameters that a server does not take, by its address and the model."""

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """A message as the API gave it, its tokens as the API counts them, and the seconds of the call."""

    message: dict[str, Any]
    prompt_tokens: int | None
    completion_tokens: int | None
    finish: str
    seconds: float
    cached: bool = False

    @property
    def content(self) -> str:
        """The message's text, of several parts those of text; where the model declined in a field, that."""
        content = self.message.get("content")
        if isinstance(content, list):  # a model that thinks may give its thoughts as a part
            parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
            content = "".join(str(part.get("text") or "") for part in parts)
        return str(content or self.message.get("refusal") or "")


def chat(endpoint: Endpoint, messages: Sequence[Mapping[str, Any]], **parameters: Any) -> dict[str, Any]:
    """The body that asks for the likeliest answer: temperature 0, and a seed, where servers take them."""
    return {"model": endpoint.model, "messages": list(messages), "temperature": 0, "seed": 0, **parameters}


def strictly(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The `response_format` that holds an answer to a JSON Schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)}}


@dataclass
class Client:
    """Calls of one endpoint; may be shared by threads. A context manager, which closes its connections.

    A reply is kept on disk under the hash of the address and the body, so that no question is paid for
    twice. The key stands in the header of a call and nowhere else; where a server repeats it, it is masked.

    Raises:
        ResidencyError: the endpoint's key is not set, or the proxy or certificates of the environment are
            not to be had.
    """

    endpoint: Endpoint
    sleep: Callable[[float], None] = time.sleep
    _resume: float = 0.0
    """The clock's time before which the server, being busy, wants no call of any thread."""
    _refused: set[str] = field(init=False)

    def __post_init__(self) -> None:
        """Read the key."""
        self._refused = _REFUSED.setdefault((place_of(self.endpoint), self.endpoint.model), set())
        self._secret = _read_key(self.endpoint)
        headers = {"Authorization": f"Bearer {self._secret}"} if self._secret else {}
        here = urlsplit(self.endpoint.url).scheme == "http"  # which the recipe allows on this machine alone
        try:
            self._http = httpx.Client(
                headers=headers, timeout=self.endpoint.timeout, trust_env=not here, verify=_trusted()
            )
        except (ImportError, OSError, ValueError, httpx.InvalidURL):
            # what it says is left out: a proxy's address may hold a password
            what = "The proxy or the certificates that the environment names cannot be used."
            fix = "Correct HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE; for SOCKS pip install httpx[socks]."
            raise ResidencyError(what, self.endpoint.url, fix) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def ask(self, body: Body) -> Reply:
        """The reply to the body, known or new; threads that ask the same wait for one call.

        Raises:
            TooLong: the model's context has no room for the question and an answer.
            ResidencyError: no answer came, and asking again did not help.
        """
        file = _file(self.endpoint, body)
        with _LOCKS.setdefault(file.name, Lock()):
            reply = known(self.endpoint, body)
            if reply is None:
                reply = self._call(body)
                try:
                    file.parent.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise unwritable(file.parent, error) from error
                write_json(file, asdict(reply))
        return reply

    def _call(self, body: Body) -> Reply:
        tries = 0
        while True:
            if (left := self._resume - time.monotonic()) > 0:
                self.sleep(left)
            asked_for, told, begun = None, "", time.perf_counter()
            sent = self._taken(body)
            try:
                response = self._http.post(place_of(self.endpoint), json=sent)
                told = response.text.replace(self._secret, "***") if self._secret else response.text
                if response.status_code == 200:
                    text = told if len(self._secret) >= _LEAST_SECRET else response.text
                    return _reply(text, time.perf_counter() - begun)
            except httpx.TimeoutException:
                problem, fix = f"it took longer than {self.endpoint.timeout:g} s", f"Raise timeout. {_AGAIN}"
            except (httpx.TransportError, httpx.DecodingError, httpx.InvalidURL) as error:
                problem = str(error) or type(error).__name__
                fix = f"Is the address right, and the server up? {_AGAIN}"
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                problem = words_of(told) or "what came is no chat completion"
                fix = "Correct the address: it often ends in /v1."
                if isinstance(error, json.JSONDecodeError) and told.lstrip().startswith("{"):
                    problem, fix = "its JSON breaks off, or is none", f"Does a proxy cut answers? {_AGAIN}"
            else:
                if self._goes_without(response.status_code, told, sent):
                    continue
                if is_too_long(response.status_code, told):
                    raise self._too_long(told)
                if response.status_code == 400 and str(error_of(told).get("code")) in _DECLINED:
                    seconds = time.perf_counter() - begun
                    return Reply({"refusal": words_of(told)}, 0, 0, "content_filter", seconds)
                problem, fix = _told(response.status_code, told, self.endpoint)
                if "response_format" in body and refuses_form(response.status_code, told):
                    self._give_up(f"it takes no answers of this form, {problem}", _FREE)
                asked_for = _retry_after(response)
                if not _is_passing(response.status_code, told) or (asked_for or 0) > _LONGEST_WAIT:
                    self._give_up(problem, fix)
            if tries == self.endpoint.retries:
                self._give_up(problem, fix)
            if asked_for is None:
                self.sleep(min(2.0**tries, _LONGEST_WAIT))
            else:
                self._resume = max(self._resume, time.monotonic() + asked_for)
            tries += 1

    def _give_up(self, problem: str, fix: str) -> NoReturn:
        what = f"The model '{self.endpoint.model}' gave no answer: {problem}."
        raise ResidencyError(what, place_of(self.endpoint), fix)

    def _taken(self, body: Body) -> dict[str, Any]:
        """The body in the form that the server takes."""
        kept = {key: value for key, value in body.items() if key not in self._refused}
        renamed = {_ELSEWHERE[key]: body[key] for key in self._refused & body.keys() & _ELSEWHERE.keys()}
        return kept | renamed

    def _goes_without(self, status: int, text: str, sent: Body) -> bool:
        """Whether the server refused a parameter of the call that it can be asked without from now on."""
        refused = refused_parameters(status, text, [name for name in _NOT_NEEDED if name in sent])
        with _TELLING:
            for name in sorted(refused - self._refused):
                instead = f"; {_ELSEWHERE[name]} is sent instead" if name in _ELSEWHERE else ""
                said = words_of(text) or "its server does not take it"
                say(f"  {self.endpoint.model}: {name} is not sent from now on{instead} ({said})")
                self._refused.add(name)
        return bool(refused)

    def _too_long(self, text: str) -> TooLong:
        said = words_of(text) or "its server refuses it"
        what = f"A prompt and its answer are too long for the model '{self.endpoint.model}': {said}."
        return TooLong(what, place_of(self.endpoint), _SHORTER)


def place_of(endpoint: Endpoint) -> str:
    """The address that is called."""
    return f"{endpoint.url}/chat/completions"


def known(endpoint: Endpoint, body: Body) -> Reply | None:
    """The reply that the body had before, if it had one; needs no key."""
    try:
        return Reply(**{**read_json(_file(endpoint, body)), "cached": True})
    except (OSError, ValueError, TypeError):
        return None


def _file(endpoint: Endpoint, body: Body) -> Path:
    return cache_folder() / "answers" / f"{fingerprint([place_of(endpoint), body], length=40)}.json"


@cache
def _trusted() -> SSLContext:
    return httpx.create_ssl_context()


def _read_key(endpoint: Endpoint) -> str:
    name = endpoint.key_env
    if not name:
        return ""
    secret = os.environ.get(name, "").strip()
    if not secret:
        what = f"The environment variable {name} is not set, and it should hold the API key."
        raise ResidencyError(what, endpoint.url, f"export {name}=...")
    if not (secret.isascii() and secret.isprintable()):
        what = f"The environment variable {name} holds characters that no API key has."
        raise ResidencyError(what, endpoint.url, f"Set {name} to the key alone, on one line.")
    return secret


def _reply(text: str, seconds: float) -> Reply:
    answer = json.loads(text)
    choice, usage = answer["choices"][0], answer.get("usage") or {}
    message = {key: choice["message"].get(key) for key in ("content", "refusal", "tool_calls")}
    prompt, completion = (usage.get(name) for name in ("prompt_tokens", "completion_tokens"))
    told = isinstance(prompt, int) and isinstance(completion, int)
    counts = (prompt, completion) if told else (None, None)
    return Reply(message, *counts, str(choice.get("finish_reason")), seconds)


def _is_passing(status: int, text: str) -> bool:
    return status in _BUSY and error_of(text).get("code") != "insufficient_quota"


def _told(status: int, text: str, endpoint: Endpoint) -> tuple[str, str]:
    """What the status and the server's own words say is wrong, and what to do."""
    words = words_of(text)
    problem = f"status {status}" + (f", {words}" if words else "")
    if status in (401, 403):
        if not endpoint.key_env:
            return problem, "Name the environment variable that holds the API key in key_env."
        return problem, f"Does {endpoint.key_env} hold the right key, and may it use this model?"
    if status == 404:
        return problem, "Correct the model's name or the address, which often ends in /v1."
    if status == 429:
        return problem, f"Lower concurrency, wait, or raise the account's limit. {_AGAIN}"
    if status in _BUSY:
        return problem, f"Wait a while. {_AGAIN}"
    return problem, "Correct the address or the model's name; the server does not take this question."


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to be left alone, as a number or a date (RFC 9110, section 10.2.3)."""
    told = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(told)
    except ValueError:
        return None
    now = datetime.now(UTC) if when.tzinfo else datetime.now(UTC).replace(tzinfo=None)
    return max(0.0, (when - now).total_seconds())
