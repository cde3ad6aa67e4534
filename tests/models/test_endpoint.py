"""The client of an API against a real server that misbehaves: retries, waits, the cache, the key."""

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from residency.core.errors import ResidencyError
from residency.core.recipe import Endpoint
from residency.models.api_error import refused_parameters
from residency.models.endpoint import Client, chat, known
from residency.models.unanswerable import TooLong
from tests.endpoint_server import Said, completion, failure, serve

TURNS = [{"role": "user", "content": "why?"}]
KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "residency" / "answers"


def scripted(*said):
    """A server that says one thing after the other, then the last again and again."""
    left = list(said)
    return serve(lambda call: left.pop(0) if len(left) > 1 else left[0])


def ask(served, waits=None, parameters=None, **settings):
    endpoint = Endpoint(**{"url": served.url, "model": "m", "retries": 3, **settings})
    with Client(endpoint, ([] if waits is None else waits).append) as client:
        return client.ask(chat(endpoint, TURNS, **(parameters or {})))


def refusal(*said, waits=None, **settings) -> tuple[ResidencyError, int]:
    with scripted(*said) as served, pytest.raises(ResidencyError) as caught:
        ask(served, waits, **settings)
    return caught.value, len(served.calls)


def test_a_question_is_asked_the_likeliest_way_and_paid_for_once(cache, monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    with scripted(completion("because", 12, 3)) as served:
        first, again = (ask(served, key_env="SOME_KEY", parameters={"max_tokens": 9}) for _ in "ab")
        other = ask(served, parameters={"max_tokens": 8})
    assert (first.content, first.prompt_tokens, first.completion_tokens) == ("because", 12, 3)
    assert (first.cached, again.cached, other.cached) == (False, True, False)
    assert again.seconds == first.seconds > 0
    path, key, body = served.calls[0]
    assert (path, key, len(served.calls)) == ("/v1/chat/completions", f"Bearer {KEY}", 2)
    assert body == {"model": "m", "messages": TURNS, "temperature": 0, "seed": 0, "max_tokens": 9}
    assert len(list(cache.iterdir())) == 2


def test_a_damaged_answer_on_disk_is_asked_for_again(cache):
    with scripted(completion("x")) as served:
        ask(served)
        for damage in ("{", "[]", '{"no": 1}'):
            next(cache.iterdir()).write_text(damage)
            assert not ask(served).cached
    assert len(served.calls) == 4


def test_a_busy_server_is_asked_again_later_and_later():
    waits: list[float] = []
    with scripted(failure(503), failure(500), failure(429), completion("at last")) as served:
        assert ask(served, waits).content == "at last"
    assert waits == [1, 2, 4]


def test_retry_after_is_honoured_in_seconds_and_as_a_date():
    waits: list[float] = []
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    busy = [failure(429, headers={"Retry-After": told}) for told in ("17", date)]
    with scripted(*busy, completion("x")) as served:
        ask(served, waits)
    assert [round(wait / 3) for wait in waits] == [round(17 / 3), round(39 / 3)]
    error, calls = refusal(failure(429, headers={"Retry-After": "3600"}))
    assert calls == 1 and "status 429" in error.what


def test_limits_for_good_and_errors_that_stay_are_not_asked_again():
    for said, word, fix in (
        (failure(401, "Bad key"), "status 401, Bad key", "key_env"),
        (failure(404, "No model 'm'."), "status 404, No model 'm'.", "model's name"),
        (failure(429, "Pay first", code="insufficient_quota"), "Pay first", "limit"),
        (failure(400, "What?"), "status 400, What?", "does not take"),
        (Said(302, b"", {"Location": "http://127.0.0.1:1/"}), "status 302", "address"),
    ):
        error, calls = refusal(said)
        assert calls == 1
        assert word in error.what and fix in error.fix
        assert error.where.endswith("/v1/chat/completions")


def test_waits_grow_no_longer_than_two_minutes():
    waits: list[float] = []
    refusal(failure(429), waits=waits, retries=10)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 120, 120, 120]


def test_an_answer_that_breaks_off_is_told_as_that_and_asked_for_again(cache):
    whole = completion("a long answer")
    error, calls = refusal(Said(200, whole.body[:40]), retries=1)
    assert calls == 2 and "breaks off" in error.what and "proxy" in error.fix
    assert not cache.exists()
    with scripted(Said(200, whole.body[:-9]), whole) as served:
        assert ask(served).content == "a long answer"


def test_a_limit_that_stays_ends_after_the_retries():
    waits: list[float] = []
    error, calls = refusal(failure(429, "Slow down"), waits=waits)
    assert (calls, waits) == (4, [1, 2, 4])
    assert "status 429, Slow down" in error.what and "concurrency" in error.fix


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b'{"choices": []}', b'{"choices": [{}]}', b"\xff"])
def test_what_is_no_completion_is_told(body, cache):
    error, calls = refusal(Said(200, body), retries=1)
    assert calls == 2 and "no chat completion" in error.what
    assert not cache.exists()


def test_timeouts_and_a_closed_port():
    def slow(call):
        stop.wait(5)
        return completion("late")

    stop = threading.Event()
    with serve(slow) as served:
        with pytest.raises(ResidencyError, match=r"longer than 0\.05 s"):
            ask(served, timeout=0.05, retries=1)
        stop.set()
    assert len(served.calls) == 2
    with pytest.raises(ResidencyError, match="refused") as caught:
        ask(served, retries=0)
    assert "the server up?" in caught.value.fix


def invalid(name: str, kind: str, said: str) -> Said:
    """As FastAPI tells a fault of the body."""
    return Said(422, json.dumps({"detail": [{"loc": ["body", name], "type": kind, "msg": said}]}).encode())


def test_parameters_that_a_server_refuses_are_left_out_and_that_is_told_once(said_aside):
    def picky(call):
        for name in ("temperature", "max_tokens", "seed"):
            if name in call.body:
                return failure(400, f"Unsupported: {name}", param=name, code="unsupported_parameter")
        return completion("x")

    with serve(picky) as served:
        for number in (1, 2):
            turns = [{"role": "user", "content": str(number)}]
            with Client(Endpoint(url=served.url, model="picky")) as client:
                client.ask(chat(client.endpoint, turns, max_tokens=7))
    assert served.calls[-1].body == {"model": "picky", "messages": turns, "max_completion_tokens": 7}
    assert len(served.calls) == 5
    assert said_aside == [
        "  picky: temperature is not sent from now on (Unsupported: temperature)",
        "  picky: max_tokens is not sent from now on; max_completion_tokens is sent instead "
        "(Unsupported: max_tokens)",
        "  picky: seed is not sent from now on (Unsupported: seed)",
    ]
    error, calls = refusal(failure(400, "No", param="messages"))
    assert calls == 1
    seedless = invalid("seed", "extra_forbidden", "Extra inputs are not permitted")
    with scripted(seedless, completion("x")) as served:
        ask(served, parameters={"n": 1}, model="strict")
    assert [sorted(call.body) for call in served.calls] == [
        ["messages", "model", "n", "seed", "temperature"],
        ["messages", "model", "n", "temperature"],
    ]


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        (failure(400, "x", param="seed", code="unsupported_parameter"), {"seed"}),
        (failure(400, "0 does not do.", param="temperature", code="unsupported_value"), {"temperature"}),
        (failure(400, "Too hot.", param="temperature", code="invalid_value"), set()),
        (failure(400, "max_tokens is too large: 5000", param="max_tokens"), set()),
        (failure(400, "max_tokens is too large: 5000", param="max_tokens", code=400), set()),
        (failure(400, "seed is not supported", param="seed", code=400), {"seed"}),
        (failure(400, "Bad turns.", param="messages", code="unsupported_value"), set()),
        (failure(400, "Unrecognized request argument supplied: seed"), {"seed"}),
        (failure(400, "'temperature' is not supported; 'seed' is."), {"temperature"}),
        (Said(400, b'{"message": "property `seed` is not allowed", "code": 400}'), {"seed"}),
        (Said(400, b"Unknown field seed"), {"seed"}),
        (failure(400, "Unknown role: seeded"), set()),
        (failure(400, "The image is not supported. Set temperature as you like."), set()),
        (failure(400, "The temperature in Oslo is no number"), set()),
        (failure(401, "Unsupported: seed"), set()),
        (invalid("max_tokens", "less_than_equal", "Input should be less than or equal to 4096"), set()),
        (invalid("seed", "extra_forbidden", "Extra inputs are not permitted"), {"seed"}),
        (invalid("seed", "value_error.extra", "extra fields not permitted"), {"seed"}),
        (Said(422, b'{"detail": ["seed"]}'), set()),
    ],
)
def test_only_what_the_server_says_it_does_not_take_is_left_out(said, refused):
    sent = ["max_tokens", "seed", "temperature"]
    assert refused_parameters(said.status, said.body.decode(), sent) == refused


def test_calls_under_way_together_each_go_without_what_is_refused(said_aside):
    together = threading.Barrier(3)

    def picky(call):
        if "max_tokens" in call.body:
            together.wait(5)
            return failure(400, "Unsupported: 'max_tokens'.", param="max_tokens")
        return completion("x")

    with serve(picky) as served, Client(Endpoint(url=served.url, model="together")) as client:
        bodies = [chat(client.endpoint, [{"role": "user", "content": text}], max_tokens=7) for text in "abc"]
        with ThreadPoolExecutor(3) as pool:
            assert [reply.content for reply in pool.map(client.ask, bodies)] == ["x"] * 3
    assert len(served.calls) == 6
    assert len(said_aside) == 1


@pytest.mark.parametrize(
    "said",
    [
        failure(400, "x", code="context_length_exceeded", param="messages"),
        failure(500, "x", type="exceed_context_size_error", code=500),
        failure(400, "the request exceeds the available context size, try increasing it"),
        failure(400, "This model's maximum context length is 6048 tokens. You requested 6616.", code=400),
        failure(400, "'max_tokens' is too large. The maximum context length is 64.", param="max_tokens"),
        Said(400, b'{"message": "max_tokens must be at least 1, got -186.", "code": 400}'),
        failure(400, "Requested tokens (2285) exceed context window of 2048"),
        failure(400, "input length exceeds maximum context length"),
        failure(413, "prompt is too long: 210000 tokens > 200000 maximum"),
    ],
)
def test_a_prompt_that_is_too_long_is_told_as_that_and_not_asked_again(said):
    error, calls = refusal(said)
    assert calls == 1 and isinstance(error, TooLong)
    assert error.what.startswith("A prompt and its answer are too long for the model 'm': ")
    assert error.where.endswith("/v1/chat/completions")
    assert "candidates.few_shot" in error.fix and "max_tokens" in error.fix


def test_a_question_that_the_server_declines_has_its_refusal_as_the_answer():
    with scripted(failure(400, "Not that one.", code="content_filter")) as served:
        reply = ask(served)
    assert (reply.content, reply.finish) == ("Not that one", "content_filter")
    assert (reply.prompt_tokens, reply.completion_tokens, len(served.calls)) == (0, 0, 1)


def test_the_key_is_told_to_nobody_but_the_server(cache, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SOME_KEY", KEY)
    error, _ = refusal(failure(401, f"Incorrect key {KEY}"), key_env="SOME_KEY")
    assert KEY not in str(error) and "***" in error.what and "SOME_KEY" in error.fix
    with scripted(completion(f"Your key is {KEY}")) as served:
        reply = ask(served, key_env="SOME_KEY")
    assert reply.content == "Your key is ***"
    assert KEY not in next(cache.iterdir()).read_text() + json.dumps(caplog.messages) + repr(reply)


def test_a_word_that_stands_in_for_a_key_is_left_in_answers(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "none")
    with scripted(completion("none of these")) as served:
        assert ask(served, key_env="SOME_KEY").content == "none of these"


def test_what_is_known_needs_no_call_and_no_key(monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    with scripted(completion("x")) as served:
        ask(served, key_env="SOME_KEY")
    monkeypatch.delenv("SOME_KEY")
    endpoint = Endpoint(url=served.url, model="m", key_env="SOME_KEY")
    reply = known(endpoint, chat(endpoint, TURNS))
    assert reply is not None and reply.cached and reply.content == "x"
    assert known(endpoint, chat(endpoint, TURNS, max_tokens=1)) is None


def test_an_error_in_a_good_status_is_told_in_the_servers_words():
    error, _ = refusal(Said(200, b'{"error": {"message": "Provider is down"}}'), retries=0)
    assert "Provider is down" in error.what


def test_a_key_that_is_not_there_or_is_none(monkeypatch):
    for held, said in (("", "is not set"), ("two\nlines", "no API key"), ("schlüssel", "no API key")):
        monkeypatch.setenv("SOME_KEY", held)
        error, calls = refusal(completion("x"), key_env="SOME_KEY")
        assert calls == 0 and said in error.what and "lines" not in str(error)


def test_an_answer_in_parts_is_its_text():
    parts = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "be"},
        {"type": "text", "text": "cause"},
    ]
    with scripted(completion(parts)) as served:
        assert ask(served).content == "because"


def test_counts_that_are_no_numbers_are_not_told():
    with scripted(completion("x", "many", 3)) as served:
        assert (ask(served).prompt_tokens, ask(served).completion_tokens) == (None, None)


def test_a_proxy_that_cannot_be_used_is_told_without_its_password(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks9://me:hunter2@nowhere:1")
    with pytest.raises(ResidencyError) as caught:
        ask(type("Served", (), {"url": "https://api.example.com/v1"}))
    assert "proxy" in str(caught.value).lower() and "hunter2" not in str(caught.value)
