"""Each method from rows to a report and answers, in one workspace: what is shared is not repeated."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from residency.core.workspace import read_json
from tests.pipeline.projects import Line


def run_with(done, tmp_path, method: str, *overrides: str) -> tuple[Line, dict]:
    """The project's run with another method, beside the one that is done; checks what is repeated."""
    line = Line(tmp_path, shutil.copytree(done.line.home, tmp_path / "home"))
    folder = shutil.copytree(done.recipe.parent, tmp_path / "project")
    recipe = folder / "residency.toml"
    if method == "full":
        recipe.write_text(re.sub(r"^(rank|alpha) = .*\n", "", recipe.read_text(), flags=re.MULTILINE))
    options = [word for o in (f"train.method={method}", *overrides) for word in ("--set", o)]
    called = line("run", recipe, *options)
    assert called.code == 0, called.err
    assert called.kept() == ["check", "freeze", "baselines", "recall"]
    assert called.built() == ["train", "compare"]
    name = next(text.split()[1] for text in called.out.splitlines() if text.startswith("Run "))
    return line, read_json(line.home / "runs" / name / "report.json")


@pytest.mark.parametrize(
    ("method", "overrides", "share"),
    [
        ("full", ["train.learning_rate=0.01"], 1),
        ("qlora", [], 2048 / 28896),
        ("lora", ["train.dora=true", "train.scaling=rank_stabilised"], None),
        ("lora", ['train.targets=["q_proj", "v_proj"]'], None),
    ],
)
def test_each_method_goes_from_rows_to_answers(done, tmp_path, method, overrides, share):
    line, report = run_with(done, tmp_path, method, *overrides)
    training = report["training"]
    assert training["method"] == method
    assert share is None or training["trainable_share"] == share
    assert training["trainable_share"] == training["trainable_parameters"] / training["total_parameters"]
    assert {point["step"] for point in training["curve"]} == {2, 4, 6, 8}
    assert training["curve"][-1]["validation_loss"] < training["curve"][0]["validation_loss"]
    assert {c["name"] for c in report["candidates"]} == {
        *("base", "zero-shot", "few-shot", "retrieved", "classifier", "tuned")
    }
    chat = line("chat", report["run"], "--compare", stdin="item 1 is red\n")
    assert chat.code == 0, chat.err
    assert [text for text in chat.out.splitlines() if text.startswith("[")] == ["[base]", "[tuned]"]


def test_a_full_model_says_so_and_keeps_no_key_of_an_adapter(done, tmp_path):
    line, report = run_with(done, tmp_path, "full")
    model = report["training"]["artifact"]
    assert model.endswith("/model")
    assert sum(p.numel() for p in AutoModelForCausalLM.from_pretrained(model).parameters()) == 26848
    assert not {"rank", "alpha", "scaling", "dora", "targets"} & report["recipe"]["train"].keys()
    shown = line("runs", report["run"]).out.splitlines()
    assert [text.split()[1] for text in shown if text.startswith("Model ")] == [model]


def test_a_full_model_can_be_tuned_again(done, tmp_path):
    line, report = run_with(done, tmp_path, "full")
    model = report["training"]["artifact"]
    again = line("train", tmp_path / "project" / "residency.toml", "--set", f"base.model={model}")
    assert again.code == 0, again.err
    assert again.built() == ["check", "freeze", "train"]


def test_a_key_of_adapters_is_refused_with_full(line, recipe):
    called = line("train", recipe, "--set", "train.method=full", "--set", "train.dora=true")
    assert called.code == 1
    told = called.err.split("\n\n")
    assert len(told) == 3  # rank and alpha stand in the file, dora was set
    assert "where: --set train.dora=true" in called.err
    assert (
        "what:  train.rank = 2 is not allowed: the method 'full' trains all weights and no adapter."
        in told[0]
    )
    assert "fix:   Take rank out, or set train.method to lora or qlora." in told[0]


def test_without_bitsandbytes_nothing_is_begun(line, recipe):
    def patch(change: pytest.MonkeyPatch) -> None:
        change.setattr("residency.models.quantise.find_spec", lambda name: None)

    mistake = line("run", recipe, "--set", "train.method=qlora", patch=patch).mistake()
    assert mistake["where"] == "train.method"
    assert "pip install 'residency[qlora]'" in mistake["fix"]
    assert line.files() == set()


def test_versions_of_bitsandbytes_repeat_training_alone(done, tmp_path):
    _, report = run_with(done, tmp_path, "qlora")
    stage = read_json(Path(report["training"]["artifact"]).parent / "stage.json")
    assert stage["inputs"]["software"].keys() == {"bitsandbytes"}
    assert read_json(done.stage("train") / "stage.json")["inputs"]["software"] == {}
