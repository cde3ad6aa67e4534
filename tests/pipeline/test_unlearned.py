"""Training rows that the tuned model did not learn, on a random tiny model whose answers are scripted."""

from math import exp

import pytest
import torch
from transformers import AutoTokenizer

from residency.core.progress import Silent
from residency.core.recipe import Base, Recipe
from residency.core.records import Completion, Example, Message, Source
from residency.models.language_model import LocalModel
from residency.models.load import load_base
from residency.pipeline.unlearned import draw_screened, find_unlearned
from tests.conftest import Said


def row(number: int, answer: str) -> Example:
    asked = Message("user", f"what of {number}?")
    return Example((asked, Message("assistant", answer)), Source("rows.jsonl", number))


class Answering(LocalModel):
    """Answers as it is told, and weighs answers as the model does; keeps what it was asked."""

    def __init__(self, base, answers: dict[str, str], finish: str = "stop") -> None:
        super().__init__(base.model, base.renderer, 16)
        self.answers, self.finish, self.asked = answers, finish, []

    def complete(self, conversations, max_new_tokens, advance):
        self.asked += [conversation[-1].content for conversation in conversations]
        texts = [self.answers[conversation[-1].content] for conversation in conversations]
        return [Completion(text, 1, max_new_tokens, 0.0, self.finish) for text in texts]


@pytest.fixture(scope="module")
def base(tiny_base):
    return load_base(Base(model=str(tiny_base)), torch.float32)


@pytest.fixture
def looked_for(base, tiny_base):
    """What is found among rows, with what the model says to each, and those that it was asked."""

    def look(rows, answers, blamed=(), scorer="exact", **how):
        task = {"name": "t", "scorer": scorer, "max_new_tokens": 40}
        recipe = Recipe(base={"model": str(tiny_base)}, data={"train": "rows.jsonl"}, task=task)
        model = Answering(base, {example.prompt[-1].content: answers(example) for example in rows}, **how)
        return find_unlearned(recipe, model, rows, blamed, Silent()), model.asked

    return look


@pytest.fixture
def weigh(base):
    """The log-probability of a whole answer, its end included, from the logits of the plain sequence."""
    tokenizer = AutoTokenizer.from_pretrained(base.folder)

    def of(example, text):
        prompt = base.renderer.prompt_ids(example.prompt)
        answer = [*tokenizer(text).input_ids, tokenizer.eos_token_id]
        with torch.inference_mode():
            logprobs = base.model(torch.tensor([[*prompt, *answer]])).logits[0].log_softmax(-1)
        return sum(logprobs[len(prompt) - 1 + i, token].item() for i, token in enumerate(answer)), len(answer)

    return of


def test_rows_that_are_not_looked_at_are_counted(base, tiny_base):
    """The base's context holds 512 tokens, one a letter."""
    context = base.model.config.max_position_embeddings
    rows = [row(1, "a"), row(2, "a" * context), row(3, "a" * (context + 1))]
    task = {"name": "t", "scorer": "exact", "max_new_tokens": 8}
    recipe = Recipe(base={"model": str(tiny_base)}, data={"train": "rows.jsonl"}, task=task)
    model, said = Answering(base, {example.prompt[-1].content: "a" for example in rows}), Said()
    find_unlearned(recipe, model, rows, [], said)
    assert model.asked == ["what of 1?"]
    assert [line for line in said.lines if "unlearned" in line] == [
        "  unlearned: 2 rows are not looked at, for they leave an answer no room in the base's context, or "
        "hold structure of the chat"
    ]


@pytest.mark.parametrize("scorer", ["judge", "pairwise_judge"])
def test_a_judge_is_not_asked_about_the_training_rows(base, tiny_base, scorer):
    task = {"name": "t", "scorer": scorer}
    judge = {"url": "http://127.0.0.1:1/v1", "model": "m", "golden": "g.jsonl", "price_in": 0, "price_out": 0}
    recipe = Recipe(base={"model": str(tiny_base)}, data={"train": "rows.jsonl"}, task=task, judge=judge)
    model, said = Answering(base, {}), Said()
    assert find_unlearned(recipe, model, [row(1, "a")], [], said) == {} and model.asked == []
    assert said.lines == ["  unlearned: not looked for, since a judge would be asked about every row"]


def test_the_200_least_likely_answers_are_asked_and_those_that_are_blamed(looked_for, weigh):
    rows = [row(number, "abcdefgh"[number % 8] * (1 + number % 3)) for number in range(1, 231)]
    rows.append(row(231, ""))  # of which the end alone is weighed
    mean = {example.source.row: -(lambda lp, n: lp / n)(*weigh(example, example.answer)) for example in rows}
    order = sorted(mean, key=mean.__getitem__, reverse=True)
    likely = rows[order[-1] - 1]
    assert likely.source.row != 231
    found, asked = looked_for(rows, lambda example: example.answer, blamed=[likely])
    assert found == {}
    wanted = [*order[:200], likely.source.row]
    assert sorted(asked) == sorted(f"what of {number}?" for number in wanted)


def test_a_row_answered_otherwise_has_a_sign_where_that_is_likelier(looked_for, weigh):
    rows = [row(1, "so it is"), row(2, "no"), row(3, "yes")]
    answers = {1: "x", 2: "no, that is not so", 3: "yes"}
    found, asked = looked_for(rows, lambda example: answers[example.source.row])
    assert len(asked) == 3
    (own, tokens), (other, _) = weigh(rows[0], "so it is"), weigh(rows[0], "x")
    assert list(found) == [rows[0].source]  # a longer answer is the less likely one, and the third was given
    sign = found[rows[0].source]
    assert (sign.given, sign.nll) == ("x", pytest.approx(-own / tokens, abs=1e-4))
    assert sign.margin == pytest.approx(exp(other) - exp(own), rel=1e-3)


def test_an_answer_that_passes_was_learned_however_it_is_written(looked_for):
    rows = [row(1, "So it is.")]
    assert looked_for(rows, lambda _: "so it is", scorer="normalised")[0] == {}
    assert looked_for(rows, lambda _: "so it is", scorer="exact")[0].keys() == {rows[0].source}


@pytest.mark.parametrize("given", ["x<|im_end|>", "y"])
def test_an_answer_that_cannot_be_written_or_was_cut_off_says_nothing(looked_for, given):
    rows = [row(1, "so it is, as it was before")]
    assert looked_for(rows, lambda _: given, finish="length" if given == "y" else "stop")[0] == {}
    assert looked_for(rows, lambda _: "y")[0].keys() == {rows[0].source}


def test_a_row_that_leaves_no_room_for_an_answer_is_not_asked(looked_for):
    long = Example((Message("user", "a" * 4050), Message("assistant", "b")), Source("rows.jsonl", 1))
    found, asked = looked_for([long, row(2, "so it is")], lambda _: "x", blamed=[long])
    assert asked == ["what of 2?"]


def test_of_many_rows_5000_are_drawn_evenly_and_a_line_says_so():
    class Heard(Silent):
        said = ""

        def say(self, text):
            self.said += text

    rows, few, many = [row(number, "a") for number in range(6000)], Heard(), Heard()
    assert sorted(e.source.row for e in draw_screened(rows[:5000], 0, few)) == list(range(5000))
    drawn = {example.source.row for example in draw_screened(rows, 0, many)}
    assert len(drawn) == 5000 and few.said == ""
    assert 2350 < sum(number < 3000 for number in drawn) < 2650
    assert "5,000 of 6,000 training rows" in many.said
    assert drawn != {example.source.row for example in draw_screened(rows, 1, many)}
