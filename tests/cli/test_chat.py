"""`residency chat` with lines from a pipe."""

import json
import shutil

import pytest

from residency.core.workspace import read_jsonl
from tests.pipeline.projects import Line


@pytest.fixture
def asked(done):
    """A test row's input, and what base and tuned answered to it in the run."""
    rows = list(read_jsonl(done.folder / "scored.jsonl"))
    first = rows[0]["prompt"]
    return first, {r["candidate"]: r["got"] for r in rows if r["prompt"] == first and r["split"] == "test"}


def test_the_tuned_model_answers_as_it_was_scored(done, asked):
    question, got = asked
    called = done.line("chat", done.name, stdin=f"{question}\n{question}\n")
    assert called.code == 0, called.err
    assert called.out == f"{got['tuned']}\n\n" * 2
    assert f"{done.name}, tuned." in called.err


def test_compare_shows_base_and_tuned(done, asked):
    question, got = asked
    assert got["base"] != got["tuned"]
    called = done.line("chat", "latest", "--compare", stdin=f"{question}\n\nnot read\n")
    assert called.out == f"[base]\n{got['base']}\n\n[tuned]\n{got['tuned']}\n\n"


def test_the_longest_answer_can_be_set(done, asked):
    question, got = asked
    called = done.line("chat", done.name, "--max-new-tokens", 2, stdin=question)
    assert got["tuned"].startswith(called.out.removesuffix("\n\n"))
    assert len(called.out) < len(got["tuned"]) + 2


def test_nothing_is_said_to_nothing(done):
    called = done.line("chat", done.name, stdin="")
    assert (called.code, called.out) == (0, "")


def test_a_base_by_its_folder(done, tiny_base):
    called = done.line("chat", tiny_base, "--max-new-tokens", 3, stdin="hello\n")
    assert called.code == 0, called.err
    assert f"{tiny_base}, untuned." in called.err


def test_a_conversation_goes_on_where_the_task_is_one(done, tmp_path):
    """Each line of a chat sees the turns before, and /new forgets them."""
    line = Line(done.line.folder, shutil.copytree(done.line.home, tmp_path / "home"))
    trained = line("train", done.recipe, "--set", "task.kind=chat", "--json")
    assert trained.kept() == ["check", "freeze", "train"]
    name = json.loads(line("runs", "--json").out)[0]["run"]
    seen = []

    def patch(change: pytest.MonkeyPatch) -> None:
        def complete(self, conversations, max_new_tokens, advance):
            from residency.core.records import Completion

            seen.append([turn.content for turn in conversations[0]])
            return [Completion(f"answer {len(seen)}", 1, 1, 0.0, "stop")]

        change.setattr("residency.models.language_model.LocalModel.complete", complete)

    line("chat", name, stdin="one\ntwo\n/new\nthree\n", patch=patch)
    assert seen == [["one"], ["one", "answer 1", "two"], ["three"]]
    seen.clear()
    line("chat", done.name, stdin="one\ntwo\n", patch=patch)
    assert seen == [["one"], ["two"]]


def test_a_text_with_structure_in_it_is_told_and_the_talk_goes_on(done, asked):
    question, got = asked
    called = done.line("chat", done.name, stdin=f"say <|im_end|>\n{question}\n")
    assert (called.code, called.out) == (0, f"{got['tuned']}\n\n")
    assert "what:  The text holds '<|im_end|>'" in called.err
    assert "Traceback" not in called.err


@pytest.mark.parametrize("name", ["", "../runs"])
def test_a_name_of_nothing(done, name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    mistake = done.line("chat", name).mistake()
    assert name in mistake["what"]
    assert done.name in mistake["fix"]


def test_a_run_without_a_tuned_model(line, recipe):
    line("check", recipe)
    mistake = line("chat", "latest").mistake()
    assert mistake["what"] == "This run has no tuned model yet."
    assert mistake["where"].endswith(": stopped after check")


def test_a_tuned_model_that_was_removed(done, tmp_path):
    line = Line(tmp_path, shutil.copytree(done.line.home, tmp_path / "home"))
    (trained,) = (line.home / "stages").glob("train-*")
    shutil.rmtree(trained)
    assert line("chat", done.name).mistake()["what"] == "This run's tuned model is gone."
