"""A remote model: conversations out, completions back, never above its cap."""

import json
import threading

import pytest

from residency.core.errors import ResidencyError
from residency.core.progress import no_progress
from residency.core.recipe import Remote
from residency.core.records import Conversation, Message, ToolCall
from residency.models.constrain import Labels, Schema
from residency.models.remote import Budget, CapReached, RemoteModel
from residency.models.unanswerable import TooLong
from tests.endpoint_server import Said, completion, failure, serve


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def remote(served, constraint=None, **settings):
    known = {"name": "r", "url": served.url, "model": "m", "price_in": 1.0, "price_out": 4.0, "retries": 0}
    return RemoteModel(Remote(**(known | settings)), constraint=constraint)


def asked(*texts):
    return [Conversation((Message("system", "Be brief."), Message("user", text))) for text in texts]


def shout(call):
    return completion(call.body["messages"][-1]["content"].upper(), 30, 20)


def test_answers_come_in_order_and_equal_questions_are_asked_once():
    texts = [f"question {i % 7}" for i in range(20)]
    done: list[int] = []
    with serve(shout) as served:
        answers = remote(served).complete(asked(*texts), 9, lambda n, _: done.append(n))
        again = remote(served).complete(asked(*texts), 9, no_progress)
    assert [a.text for a in answers] == [t.upper() for t in texts] == [a.text for a in again]
    assert len(served.calls) == 7 and sum(done) == 20
    assert sum(not a.cached for a in answers) == 7 and all(a.cached for a in again)
    first = answers[0]
    assert (first.prompt_tokens, first.completion_tokens, first.finish) == (30, 20, "stop")
    assert [a.seconds for a in again] == [answers[texts.index(t)].seconds for t in texts]
    assert served.calls[0].body["max_tokens"] == 9
    assert served.calls[0].body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_no_more_calls_at_a_time_than_concurrency():
    together = threading.Barrier(3)

    def meet(call):
        together.wait(5)
        return completion("x")

    with serve(meet) as served:
        remote(served, concurrency=3).complete(asked(*"abcdef"), 9, no_progress)
    assert served.most_at_once == 3


def test_a_model_that_thinks_may_have_more_room_than_the_task():
    with serve(shout) as served:
        remote(served, max_tokens=4000).complete(asked("a"), 9, no_progress)
        with pytest.raises(CapReached):  # 4,000 answer tokens at 4 are 16 thousandths
            remote(served, max_tokens=4000, max_cost=0.016).complete(asked("b"), 9, no_progress)
    assert [call.body["max_tokens"] for call in served.calls] == [4000]


def test_an_answer_that_was_cut_off_says_so():
    cut = Said(200, completion("half").body.replace(b'"stop"', b'"length"'))
    with serve(lambda call: cut) as served:
        (answer,) = remote(served).complete(asked("a"), 9, no_progress)
    assert answer.finish == "length"


def test_tools_are_offered_and_calls_told_as_local_ones_are():
    tool = {"type": "function", "function": {"name": "look"}}
    calls = [{"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"b": 1, "a": 2}'}}]
    before = Message("assistant", "", (ToolCall("look", {"c": 3}, "7"),))
    turns = (Message("user", "see"), before, Message("tool", "dark", tool_call_id="7"))
    with serve(lambda call: completion(None, tool_calls=calls)) as served:
        (answer,) = remote(served).complete([Conversation(turns, (tool,))], 9, no_progress)
    assert answer.text == Message("assistant", "", (ToolCall("look", {"b": 1, "a": 2}),)).text
    body = served.calls[0].body
    assert body["tools"] == [tool] and body["messages"][2]["tool_call_id"] == "7"
    assert body["messages"][1]["tool_calls"] == [
        {"id": "7", "type": "function", "function": {"name": "look", "arguments": '{"c": 3}'}}
    ]


def test_the_cap_is_never_passed_and_what_was_answered_is_kept():
    # 30 * 1 + 20 * 4 = 110 millionths a call. No call may begin that could pass the cap; the prompt's
    # JSON of about 90 bytes and 20 answer tokens bound a call at some 180.
    texts = [f"question {i}" for i in range(10)]
    with serve(shout) as served:
        short = remote(served, max_cost=600e-6, concurrency=4)
        with pytest.raises(CapReached) as caught:
            short.complete(asked(*texts), 20, no_progress)
        reached = caught.value
        assert (reached.answered, reached.asked) == (len(served.calls), 10)
        assert reached.spent == pytest.approx(110e-6 * len(served.calls))
        assert 3 <= len(served.calls) <= 5
        assert "max_cost of r" in reached.where
        before = len(served.calls)
        remote(served, max_cost=1).complete(asked(*texts), 20, no_progress)
        assert len(served.calls) == 10 and before < 10
        # All is known now: nothing is asked, so no cap is in the way.
        assert len(remote(served, max_cost=0).complete(asked(*texts), 20, no_progress)) == 10


def test_a_question_counts_once_in_the_budget_whoever_asks_it():
    with serve(shout) as served:
        model = remote(served)
        model.complete(asked("a", "a", "b"), 20, no_progress)
        assert model.budget.spent == pytest.approx(2 * 110e-6)
        model.complete(asked("a", "b", "c"), 20, no_progress)
        assert model.budget.spent == pytest.approx(3 * 110e-6) and len(served.calls) == 3
        again = remote(served)
        again.complete(asked("c", "b"), 20, no_progress)
        assert again.budget.spent == pytest.approx(2 * 110e-6) and len(served.calls) == 3


def test_all_that_is_known_is_there_without_a_key_and_a_server(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sk-very-secret-0123456789")
    with serve(shout) as served:
        remote(served, key_env="SOME_KEY").complete(asked("a"), 20, no_progress)
    monkeypatch.delenv("SOME_KEY")
    model = remote(served, key_env="SOME_KEY", max_cost=0)
    assert [a.text for a in model.complete(asked("a"), 20, no_progress)] == ["A"]
    with pytest.raises(ResidencyError, match="SOME_KEY is not set"):
        model.complete(asked("b"), 20, no_progress)


def test_a_call_goes_out_only_if_the_most_it_can_cost_is_left():
    with serve(shout) as served:
        # 20 answer tokens at 4 are 80 millionths; the prompt's bytes come on top.
        with pytest.raises(CapReached) as caught:
            remote(served, max_cost=80e-6).complete(asked("a"), 20, no_progress)
        assert (caught.value.answered, caught.value.spent, served.calls) == (0, 0, [])


def test_candidates_of_one_model_share_its_budget():
    with serve(shout) as served:
        model = remote(served, max_cost=300e-6)
        model.complete(asked("a"), 20, no_progress)
        with pytest.raises(CapReached):
            model.complete(asked("b", "c"), 20, no_progress)
    assert len(served.calls) == 2


def test_a_call_waits_for_those_under_way_before_it_gives_up():
    budget = Budget(10)
    assert budget.reserve(6)
    waiting = threading.Thread(target=lambda: got.append(budget.reserve(6)))
    got: list[bool] = []
    waiting.start()
    budget.settle(6, 2)
    waiting.join(5)
    assert got == [True] and budget.spent == 2
    budget.settle(6, 6)
    assert not budget.reserve(3)


def test_an_endpoint_that_counts_no_tokens_is_refused():
    uncounted = Said(200, b'{"choices": [{"message": {"content": "x"}}]}')
    with serve(lambda call: uncounted) as served, pytest.raises(ResidencyError, match="how many tokens"):
        remote(served).complete(asked("a"), 9, no_progress)


def test_one_failure_ends_the_rest():
    def fail(call):
        return Said(404, b"") if call.body["messages"][-1]["content"] == "0" else shout(call)

    with serve(fail) as served, pytest.raises(ResidencyError, match="404"):
        remote(served, concurrency=1).complete(asked(*map(str, range(50))), 9, no_progress)
    assert len(served.calls) < 50


def test_the_place_of_a_prompt_that_is_too_long_is_told():
    def short(call):
        text = call.body["messages"][-1]["content"]
        return failure(400, "x", code="context_length_exceeded") if text == "long" else shout(call)

    with serve(short) as served, pytest.raises(TooLong) as caught:
        remote(served).complete(asked("a", "b", "a", "long", "long"), 9, no_progress)
    assert caught.value.places == (3, 4) and caught.value.place == 3


def test_prompts_that_are_too_long_are_told_together_once_the_others_are_answered():
    def short(call):
        text = call.body["messages"][-1]["content"]
        return failure(400, text, code="context_length_exceeded") if text.startswith("long") else shout(call)

    with serve(short) as served:
        model = remote(served, concurrency=1)
        for _ in range(2):
            with pytest.raises(TooLong, match="long 1") as caught:
                model.complete(asked("long 1", "a", "long 2", "b"), 9, no_progress)
            assert caught.value.places == (0, 2)
        answers = model.complete(asked("a", "b"), 9, no_progress)
    assert all(answer.cached for answer in answers)
    assert len(served.calls) == 2 + 2 * 2


def test_labels_are_asked_for_as_an_enum_and_come_back_bare():
    said = iter(['{"label": "cold"}', ' {"label":\n"warm"}', "warm, I think", '{"label": 3}', "[]"])
    with serve(lambda call: completion(next(said))) as served:
        held = remote(served, Labels(("cold", "warm")), concurrency=1)
        answers = held.complete(asked(*"abcde"), 9, no_progress)
    assert [a.text for a in answers] == ["cold", "warm", "warm, I think", '{"label": 3}', "[]"]
    body = served.calls[0].body
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "answer",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {"label": {"type": "string", "enum": ["cold", "warm"]}},
                "required": ["label"],
                "additionalProperties": False,
            },
        },
    }
    # `{"label": ""}` is 13 bytes, and blanks may stand in it
    assert body["max_tokens"] == 9 + 26


def test_a_schema_goes_out_as_it_stands(tmp_path):
    file, schema = tmp_path / "s.json", {"type": "object", "properties": {"n": {"type": "integer"}}}
    file.write_text(json.dumps(schema))
    with serve(lambda call: completion('{"n": 3}')) as served:
        (answer,) = remote(served, Schema(file)).complete(asked("a"), 9, no_progress)
        remote(served, Schema(file), constrain=False).complete(asked("a"), 9, no_progress)
    assert answer.text == '{"n": 3}'
    held, free = (call.body for call in served.calls)
    assert held["response_format"]["json_schema"]["schema"] == schema and held["max_tokens"] == 9
    assert "response_format" not in free


def test_a_server_that_takes_no_form_is_told_with_the_key_to_change():
    for said in (
        failure(400, "Invalid schema.", param="response_format"),
        failure(422, "This response_format type is unavailable now"),
    ):
        with serve(lambda call, said=said: said) as served, pytest.raises(ResidencyError) as caught:
            remote(served, Labels(("cold",))).complete(asked("a"), 9, no_progress)
        assert "takes no answers of this form" in caught.value.what and len(served.calls) == 1
        assert caught.value.fix.startswith("Set constrain = false")


def test_the_form_counts_in_the_most_that_a_call_can_cost():
    texts = tuple(f"label {n}" for n in range(50))  # some 500 bytes of schema
    with serve(shout) as served:
        remote(served, max_cost=300e-6).complete(asked("a"), 9, no_progress)
        with pytest.raises(CapReached):
            remote(served, Labels(texts), max_cost=500e-6).complete(asked("a"), 9, no_progress)
