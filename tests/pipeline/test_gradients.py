"""Failures of a run traced by the gradients of its adapter."""

import shutil
from dataclasses import replace

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers.modeling_layers import GradientCheckpointingLayer

from residency.chat import Renderer
from residency.core.recipe_file import load_recipe
from residency.core.records import Example, Message, Source, ToolCall
from residency.core.workspace import read_json, read_jsonl, write_json
from residency.data.split.freeze import Frozen
from residency.data.twins.nearest import Neighbour
from residency.evals.scored import Scored
from residency.models.tokenizer import load_tokenizer
from residency.pipeline import gradients
from residency.pipeline.gradients import ByGradients, nearest_of_each, rank, wrong_answer
from tests.chat.test_tools import HERMES, TOOLS
from tests.conftest import Said
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

    def of(got: str, wanted: Message, reason: str = "", tools=(), template=None):
        example = Example((Message("user", "hot or not"), wanted), Source("t.jsonl", 1), tools=tools)
        scored = Scored("tuned", "test", "", "t.jsonl:1", "", wanted.text, got, 0.0, False, reason, 1, 1, 0.1)
        tokenizer = load_tokenizer(tiny_base)
        tokenizer.chat_template = template or tokenizer.chat_template
        renderer = Renderer(tokenizer)
        found = wrong_answer(renderer, "Answer.", scored, example)
        assert found is None or "<|im_start|>system\nAnswer.<|im_end|>" in renderer.tokenizer.decode(
            found.ids
        )
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


def test_it_is_the_answer_given_that_must_be_no_tool_call(learned):
    called = Message("assistant", "", (ToolCall("weather", {"place": "Oslo"}),))
    hermes = {"tools": TOOLS, "template": HERMES}
    assert learned("no", called, **hermes) == "no<|im_end|>"
    for given in (
        called,
        replace(called, content="I look."),
        replace(called, tool_calls=called.tool_calls * 2),
    ):
        assert learned(given.text, Message("assistant", "no"), **hermes) is None
    assert learned('{"name": "x"}', Message("assistant", "no"), **hermes) == '{"name": "x"}<|im_end|>'
    # without tools, and with a template that writes no calls, the text is what the model wrote
    assert learned(called.text, Message("assistant", "no")) == f"{called.text}<|im_end|>"


def test_rows_are_ranked_by_cosine_and_what_has_no_sketch_is_left_out():
    failed = [torch.tensor([1.0, 0.0]), None, torch.tensor([0.0, -2.0])]
    learned = {7: torch.tensor([3.0, 4.0]), 2: torch.tensor([5.0, 0.0]), 9: torch.tensor([0.0, -1.0])}
    first, none, last = rank(failed, learned)
    assert none is None and [row.place for row in first] == [2, 7] and [row.place for row in last] == [9]
    assert [row.cosine for row in first] == pytest.approx([1.0, 0.6])
    assert rank(failed, {}) == [None] * 3 and rank([None], learned) == [None] and rank([], {}) == []


@pytest.fixture
def anew(done, tmp_path):
    """Failures of a model that is trained are ranked; a hook sees each layer and what goes into it."""
    rows = Frozen.read(done.stage("freeze"))
    asked = [row.example for row in rows.test]
    given = [
        Scored("tuned", "test", "", str(e.source), "", e.answer, "hot", 0.0, False, "", 1, 1, 0.1)
        for e in asked
    ]
    folder = shutil.copytree(done.stage("train"), tmp_path / "train")

    def run(hook, *, checkpointed: bool = False):
        training = read_json(folder / "training.json")
        write_json(folder / "training.json", {**training, "gradient_checkpointing": checkpointed})
        said = Said()
        ranking = ByGradients(load_recipe(done.recipe, ()), folder, [r.example for r in rows.train], said)
        found = [[Neighbour(place, 0.9) for place in range(12)]] * len(asked)
        handle = register_module_forward_pre_hook(hook)
        try:
            return ranking(given, asked, found), ranking.told, said.lines
        finally:
            handle.remove()

    return run


def test_layers_hold_their_inputs_alone_where_training_did_so(anew):
    seen = set()

    def look(module, _):
        if isinstance(module, GradientCheckpointingLayer):
            seen.add(module.training)

    plain, _, said = anew(look)
    assert seen == {False} and not said
    checkpointed, _, _ = anew(look, checkpointed=True)
    assert seen == {False, True}
    for one, other in zip(plain, checkpointed, strict=True):
        assert [row.cosine for row in one] == pytest.approx([row.cosine for row in other], abs=1e-5)


def test_what_does_not_fit_into_memory_is_told_and_the_rest_is_ranked(anew, done, tiny_base):
    decode, frozen = load_tokenizer(tiny_base).decode, Frozen.read(done.stage("freeze"))
    out: list[str] = []

    def narrow(module, given):
        if isinstance(module, torch.nn.Embedding):
            packed = decode(given[0].flatten())
            if any(f"{asked}<|im_end|>" in packed for asked in out):
                raise MemoryError

    whole, told, _ = anew(narrow)
    failures = told.failures
    assert (failures, told.rows, told.left_out) == (len(whole), 12, 0)
    out += [row.example.prompt[-1].text for row in (frozen.test[1], frozen.train[2])]
    fewer, told, said = anew(narrow)
    assert (told.failures, told.rows, told.left_out) == (failures - 1, 11, 1)
    assert fewer[1] is None and whole[1] is not None
    assert dict(fewer[0]) == pytest.approx({p: c for p, c in whole[0] if p != 2}, abs=1e-5)
    assert said == [
        f"  gradients: of {failures - 1} of {failures} failures; the others keep their nearest rows",
        "  gradients: 1 training rows do not fit into memory and are left out",
    ]


def test_no_more_failures_are_looked_at_than_some(anew, monkeypatch):
    monkeypatch.setattr(gradients, "_MOST_FAILURES", 2)
    ranked, told, said = anew(lambda *_: None)
    assert told.failures == 2 and all(ranked[:2]) and not any(ranked[2:])
    assert said == [f"  gradients: of 2 of {len(ranked)} failures; the others keep their nearest rows"]


def test_the_nearest_of_each_failure_are_looked_at_before_the_second():
    found = [[Neighbour(place, 0.9) for place in places] for places in ((5, 1, 2), (5, 7, 8), (3, 5, 9))]
    assert nearest_of_each(found, 4) == [5, 3, 1, 7]
    assert nearest_of_each(found, 99) == [5, 3, 1, 7, 2, 8, 9]
    assert nearest_of_each([], 99) == []
