"""Failures of a run traced by the gradients of its adapter."""

import pytest

from residency.chat import Renderer
from residency.core.records import Example, Message, Source, ToolCall
from residency.core.workspace import read_json, read_jsonl
from residency.data.twins.nearest import Neighbour
from residency.evals.scored import Scored
from residency.models.tokenizer import load_tokenizer
from residency.pipeline.gradients import nearest_of_each, wrong_answer
from tests.pipeline.conftest import Done
from tests.pipeline.projects import Line, write_project


@pytest.fixture(scope="module")
def traced(tmp_path_factory, tiny_base) -> Done:
    """A run with failures."""
    folder = tmp_path_factory.mktemp("traced")
    recipe = write_project(folder / "project", tiny_base, rows=60)
    recipe.write_text(recipe.read_text().replace("[verdict]", '[verdict]\ntracing = "gradients"'))
    line = Line(folder)
    return Done(recipe, line, line("run", recipe, *HARDLY))


HARDLY = ("--set", "train.learning_rate=1e-6")
"""Hardly trained, so that rows fail."""


def test_the_rows_beside_failures_are_ranked_by_gradients(traced):
    assert traced.called.code == 0, traced.called.err
    causes = list(read_jsonl(traced.folder / "causes.jsonl"))
    assert len(causes) == 9
    for cause in causes:
        cosines = [near["cosine"] for near in cause["nearest"]]
        assert cause["ranked_by"] == "gradients"
        assert cosines == sorted(cosines, reverse=True) and all(0 < cosine <= 1 for cosine in cosines)


def test_what_it_took_is_told(traced):
    told = read_json(traced.folder / "report.json")["tracing"]
    failures = sum(1 for _ in read_jsonl(traced.folder / "causes.jsonl"))
    assert (told["failures"], told["rows"]) == (failures, 45)
    assert f"gradients: {45 + failures} rows in " in traced.called.err
    assert "of the 45 nearest to" in (traced.folder / "report.html").read_text()


def test_it_is_done_once_and_iterate_goes_by_it_too(traced):
    again = traced.line("run", traced.recipe, *HARDLY)
    assert again.code == 0 and "gradients" not in again.err
    called = traced.line("iterate", traced.recipe, *HARDLY, "--json")
    assert called.code == 0, called.err
    assert "gradients: " in called.err


def test_by_similarity_no_gradient_is_computed(done):
    assert "gradients" not in done.called.err
    assert read_json(done.folder / "report.json")["tracing"] is None
    assert not (done.stage("trace") / "tracing.json").exists()


@pytest.fixture
def learned(tiny_base):
    """What is learned of a failure: answered so, for this reason, where that was wanted."""

    def of(got: str, wanted: Message, reason: str = ""):
        example = Example((Message("user", "hot or not"), wanted), Source("t.jsonl", 1))
        scored = Scored("tuned", "test", "", "t.jsonl:1", "", wanted.text, got, 0.0, False, reason, 1, 1, 0.1)
        renderer = Renderer(load_tokenizer(tiny_base))
        found = wrong_answer(renderer, "Answer.", scored, example)
        assert found is None or renderer.tokenizer.decode(found.ids).startswith("<|im_start|>system\nAnswer.")
        return found and renderer.tokenizer.decode([i for i, s in zip(*found, strict=True) if s])

    return of


def test_of_a_wrong_answer_is_learned_what_departs_from_the_one_wanted(learned):
    assert learned("no", Message("assistant", "yes")) == "no<|im_end|>"
    assert learned("a: 1, b: 2", Message("assistant", "a: 1, b: 3", weight=0)) == "2<|im_end|>"
    assert learned("yes", Message("assistant", "yes, or no")) == "<|im_end|>"
    assert learned("", Message("assistant", "yes")) == "<|im_end|>"


def test_an_answer_cut_off_has_no_end(learned):
    assert learned("no", Message("assistant", "yes"), "x; cut off after 2 tokens") == "no"
    assert learned("ye", Message("assistant", "yes"), "x; cut off after 2 tokens") is None


def test_what_cannot_be_written_again_is_left_to_similarity(learned):
    assert learned("yes", Message("assistant", "yes")) is None
    assert learned("<|im_start|>", Message("assistant", "yes")) is None
    assert learned("no", Message("assistant", "", (ToolCall("ask", {}),))) is None


def test_the_nearest_of_each_failure_are_looked_at_before_the_second():
    found = [[Neighbour(place, 0.9) for place in places] for places in ((5, 1, 2), (5, 7, 8), (3, 5, 9))]
    assert nearest_of_each(found, 4) == [5, 3, 1, 7]
    assert nearest_of_each(found, 99) == [5, 3, 1, 7, 2, 8, 9]
    assert nearest_of_each([], 99) == []
