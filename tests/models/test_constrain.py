"""Answers held to a form: a free guide changes nothing, a trie is the argmax over labels, JSON is valid."""

import json

import jsonschema
import pytest
import torch

from residency.core.errors import ResidencyError
from residency.core.progress import no_progress
from residency.core.recipe import Base
from residency.core.records import Conversation, Message
from residency.models.constrain import LabelGuide, Labels, Schema, grow_trie, require_llguidance
from residency.models.generate import generate
from residency.models.language_model import LocalModel
from residency.models.load import load_base
from residency.models.scripted import write_tiny_base
from tests.models.test_generate import MODELS, STOP

LABELS = [[5, 6, 7], [5, 6], [5, 9, 9, 9], [11], [12, 5, 6]]
"""One is the beginning of another; two begin alike; one is a token."""


class Free:
    """Lets everything be."""

    def allowed(self, size):
        return torch.ones(size, dtype=torch.bool)

    def take(self, token):
        assert token not in STOP


def prompts(seed):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda n: torch.randint(3, 40, (n,), generator=generator).tolist()  # noqa: E731
    prefix = draw(4)
    return [prefix + draw(n) for n in (1, 7, 3, 12, 5, 2, 8, 6)]


@pytest.mark.parametrize("family", MODELS)
def test_a_mask_that_allows_everything_changes_nothing(family):
    model, asked = MODELS[family](), prompts(1)
    how = {"max_new_tokens": 8, "stop_ids": STOP, "batch_size": 3}
    free = generate(model, asked, **how, guide=Free)
    plain = generate(model, asked, **how)
    assert [(a.ids, a.stopped) for a in free] == [(a.ids, a.stopped) for a in plain]
    assert any(a.stopped for a in plain)


def by_hand(model, prompt, most):
    """The argmax over what some label goes on with, by a whole forward pass each step."""
    ids: list[int] = []
    for _ in range(most):
        after = {label[len(ids)] for label in LABELS if label[: len(ids)] == ids and len(label) > len(ids)}
        stops = set(STOP) if ids in LABELS else set()
        logits_V = model(torch.tensor([prompt + ids])).logits[0, -1]
        token = max(sorted(after | stops), key=lambda t: logits_V[t].item())
        if token in stops:
            return ids, True
        ids.append(token)
    return ids, False


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("most", [2, 6])
def test_a_trie_takes_the_argmax_over_the_labels_at_each_step(family, most):
    model, asked = MODELS[family](), [p for seed in range(3) for p in prompts(seed)]
    root = grow_trie(LABELS)
    answers = generate(
        model,
        asked,
        max_new_tokens=most,
        stop_ids=STOP,
        batch_size=5,
        guide=lambda: LabelGuide(root, STOP),
    )
    with torch.inference_mode():
        expected = [by_hand(model, prompt, most) for prompt in asked]
    assert [(a.ids, a.stopped) for a in answers] == expected
    if most == 6:
        assert all(a.stopped and a.ids in LABELS for a in answers)
        assert len({tuple(a.ids) for a in answers}) > 1


def test_a_stop_is_allowed_only_where_a_label_is_whole():
    guide = LabelGuide(grow_trie([[1, 2], [1, 2, 3]]), {8, 9})
    seen = []
    for token in (1, 2, 3):
        seen.append(guide.allowed(10).nonzero().flatten().tolist())
        guide.take(token)
    assert [*seen, guide.allowed(10).nonzero().flatten().tolist()] == [[1], [2], [3, 8, 9], [8, 9]]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return load_base(Base(model=str(write_tiny_base(tmp_path_factory.mktemp("base")))), torch.float32)


def ask(base, constraint, most=64):
    asked = [Conversation((Message("user", f"question {i}"),)) for i in range(6)]
    return LocalModel(base.model, base.renderer, 4, constraint).complete(asked, most, no_progress)


def test_a_local_model_answers_with_labels(base):
    texts = ("card", "card lost", "züge", "x")
    answers = ask(base, Labels(texts))
    assert all(a.text in texts and a.finish == "stop" for a in answers)
    # Bytes are tokens here, and the stop token is one more.
    assert [a.completion_tokens for a in answers] == [len(a.text.encode()) + 1 for a in answers]
    assert not {a.text for a in ask(base, None)} & set(texts)


def test_a_label_longer_than_an_answer_is_named_with_the_room_it_needs(base):
    # Bytes are tokens here: 'züge' takes five, and its stop token is the sixth.
    assert {a.finish for a in ask(base, Labels(("x", "züge")), most=6)} == {"stop"}
    with pytest.raises(ResidencyError, match="The label 'züge' takes 6 tokens .* room for 5") as caught:
        ask(base, Labels(("x", "züge", "abc")), most=5)
    assert caught.value.where == "task.max_new_tokens" and "max_new_tokens = 6" in caught.value.fix


SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["bill", "other"]},
        "days": {"type": "integer", "maximum": 90, "minimum": 0},
    },
    "required": ["kind", "days"],
    "additionalProperties": False,
}


def write(tmp_path, text):
    file = tmp_path / "schema.json"
    file.write_text(text)
    return Schema(file)


def test_a_local_model_answers_by_a_schema(base, tmp_path):
    pytest.importorskip("llguidance")
    answers = ask(base, write(tmp_path, json.dumps(SCHEMA)), most=400)
    for answer in answers:
        assert answer.finish == "stop"
        jsonschema.validate(json.loads(answer.text), SCHEMA)
    cut = ask(base, write(tmp_path, json.dumps(SCHEMA)), most=5)
    assert all(a.finish == "length" and a.completion_tokens == 5 for a in cut)


def test_schemas_that_are_none_are_refused(base, tmp_path):
    pytest.importorskip("llguidance")
    for text, said in (
        ("{", "cannot be read"),
        ("[]", "is an object"),
        ('{"type": "elephant"}', "cannot be held to this schema"),
    ):
        with pytest.raises(ResidencyError, match=said):
            ask(base, write(tmp_path, text))


def test_software_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "llguidance", None)
    with pytest.raises(ResidencyError, match="llguidance, which is not installed"):
        require_llguidance()
