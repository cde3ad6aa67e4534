from residency.core.records import Example, Message, Source
from residency.data.checks.boilerplate import as_an_ai


def example(answer: str) -> Example:
    return Example((Message("user", "hello"), Message("assistant", answer)), Source("train.jsonl", 1))


def test_answers_that_speak_as_a_language_model() -> None:
    assert as_an_ai(example("As an AI language model, I cannot say.")) == "'As an AI'"
    assert as_an_ai(example("We sell a language model as an add-on.")) is None
