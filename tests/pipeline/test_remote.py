"""A run with a model behind an API: asked as the base is, once, and left out where the cap stops it."""

import json
import socket

import pytest

from residency.core.workspace import read_json, read_jsonl
from tests.endpoint_server import Said, completion, failure, serve

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SOME_KEY", KEY)


def right(call):
    """It has read the instructions; a prompt takes 60 tokens and an answer 5."""
    assert call.body["messages"][0]["content"].startswith("Say warm")
    return completion("warm" if "red" in call.body["messages"][-1]["content"] else "cold", 60, 5)


def add_remote(recipe, served, max_cost):
    table = {"name": "big", "url": served.url, "model": "m", "key_env": "SOME_KEY", "max_cost": max_cost}
    table["retries"] = 0
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    text = recipe.read_text().partition("[[candidates.remote]]")[0]
    text = text.replace("few_shot = 2\n[", 'few_shot = 2\nclassifier = "off"\n[')
    recipe.write_text("\n".join([text, "[[candidates.remote]]", *lines, "price_in = 2", "price_out = 10"]))


def test_a_remote_model_is_a_candidate_with_a_cost(recipe, line):
    with serve(right) as served:
        add_remote(recipe, served, 1)
        called = line("run", recipe)
    assert called.code == 0, called.err
    (folder,) = (line.home / "runs").iterdir()
    report = read_json(folder / "report.json")
    names = [candidate["name"] for candidate in report["candidates"]]
    ways = ["zero-shot", "few-shot", "retrieved"]
    assert names == ["base", *ways, *(f"big/{way}" for way in ways), "tuned"]
    zero, few, found = report["candidates"][4:7]
    n = zero["n"]
    assert zero["mean"] == few["mean"] == found["mean"] == 1 and len(served.calls) == 3 * n
    assert zero["cost_per_call"] == pytest.approx((60 * 2 + 5 * 10) / 1e6)
    assert (zero["spent"], zero["cached"]) == (pytest.approx(n * 170e-6), 0)
    assert report["candidates"][0]["cost_per_call"] is None and report["incomplete"] == []
    assert "big/zero-shot" in {pair["a"] for pair in report["comparisons"]}
    assert "0.17" in called.out and "rows are sent to http://127.0.0.1" in called.err
    assert "was spent in this run" in (folder / "report.html").read_text()
    # An answer of the expected file never goes out with its own question.
    asked = {json.dumps(call.body["messages"][-1]) for call in served.calls}
    assert len(asked) == n and {call.authorisation for call in served.calls} == {f"Bearer {KEY}"}
    files = [file for file in line.home.parent.rglob("*") if file.is_file()]
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert KEY not in called.out + called.err


def test_without_an_endpoint_in_the_recipe_nobody_is_called(recipe, line, monkeypatch):
    sought: list[object] = []

    def refuse(self, address):
        sought.append(address)
        raise ConnectionRefusedError("nobody is there")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    called = line("baseline", recipe)
    assert called.code == 0, called.err
    assert not sought and not list((line.home / "stages").glob("remote-*"))
    with serve(right) as served:
        add_remote(recipe, served, 1)
        assert "nobody is there" in line("baseline", recipe).mistake()["what"]
        assert {f"http://{host}:{port}/v1" for host, port in sought} == {served.url}


def test_a_key_or_a_model_that_is_not_there_is_told_before_the_base_is_asked(recipe, line, monkeypatch):
    with serve(lambda call: failure(404, "The model 'm' does not exist.")) as served:
        add_remote(recipe, served, 1)
        unknown = line("baseline", recipe)
        monkeypatch.delenv("SOME_KEY")
        keyless = line("baseline", recipe)
        assert "model 'm' does not exist" in unknown.mistake()["what"]
        assert unknown.mistake()["fix"].startswith("Correct the model's name or the address")
        assert keyless.mistake()["fix"] == "export SOME_KEY=..."
        assert not {"baselines"} & {*unknown.built(), *keyless.built()}


def test_answers_whose_room_ended_are_told(recipe, line):
    cut = Said(200, completion("", 60, 5).body.replace(b'"stop"', b'"length"'))
    with serve(lambda call: cut) as served:
        add_remote(recipe, served, 1)
        called = line("baseline", recipe)
    assert called.code == 0, called.err
    assert "answers failed as their room ended, thinking included; max_tokens gives more" in called.err


def test_a_candidate_that_stops_at_its_cap_is_incomplete_and_goes_on_with_more(recipe, line):
    with serve(right) as served:
        add_remote(recipe, served, 0.0007)
        called = line("baseline", recipe, "--json")
        assert called.code == 0, called.err
        told = json.loads(called.out)
        assert not [c["name"] for c in told["candidates"] if c["name"].startswith("big/")]
        zero, few, found = told["incomplete"]
        assert [part["name"] for part in (zero, few, found)] == [
            "big/zero-shot",
            "big/few-shot",
            "big/retrieved",
        ]
        assert 0 < zero["answered"] == len(served.calls) < zero["n"] and few["answered"] == 0
        assert zero["spent"] == pytest.approx(170e-6 * zero["answered"]) and zero["spent"] <= 0.0007
        assert "big/zero-shot is incomplete" in called.err
        assert "is incomplete and not compared" in line("baseline", recipe).out
        before = len(served.calls)
        add_remote(recipe, served, 1)
        called = line("baseline", recipe, "--json")
        told = json.loads(called.out)
    assert "baselines" in called.kept()
    zero, few, _ = told["candidates"][4:]
    assert (zero["cached"], few["cached"], told["incomplete"]) == (before, 0, [])
    assert zero["spent"] == pytest.approx(170e-6 * (zero["n"] - before))
    assert len(served.calls) == 3 * zero["n"]
    (rows,) = [
        list(read_jsonl(stage / "scored.jsonl"))
        for stage in (line.home / "stages").glob("remote-*")
        if (stage / "scored.jsonl").stat().st_size
    ]
    assert sum(row["cached"] for row in rows) == before
