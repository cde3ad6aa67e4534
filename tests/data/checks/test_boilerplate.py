import pytest

from residency.core.records import Example, Message, Source
from residency.data.checks.boilerplate import as_an_ai, refusal


def answer(text: str) -> Example:
    return Example((Message("user", "hi"), Message("assistant", text)), Source("f", 1))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("As an AI language model, I cannot know that.", "'as an ai language model'"),
        ("I'm sorry, but as an AI I can't.", "'but as an ai i'"),
        ("I’m just an AI, so no.", "'i'm just an ai'"),
        ("I was created by OpenAI.", "'i was created by openai'"),
        ("I don't have personal opinions.", "'i don't have personal opinions'"),
    ],
)
def test_a_models_phrases_are_quoted(text: str, told: str) -> None:
    assert as_an_ai(answer(text)) == told


@pytest.mark.parametrize(
    "text",
    [
        "She works as an AI engineer in Graz.",
        "As an AI company we build robots.",
        "It was trained as a language model and then tuned.",
        "Ask an AI expert.",
        "I am an aide to the manager.",
    ],
)
def test_talk_about_ai_is_none(text: str) -> None:
    assert as_an_ai(answer(text)) is None


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "I cannot fulfill your request.",
        "I’m unable to help with this request.",
        "I cannot provide instructions on that.",
        "That goes against my guidelines.",
        "I must decline to answer.",
        "I cannot and will not say so.",
        "I can't write that for you.",
        "I'm not going to help you hurt an animal.",
        "I'd rather not write this.",
        "Es tut mir leid, aber dabei kann ich nicht helfen.",
        "This request violates our content policy.",
    ],
)
def test_an_assistants_refusal_is_found(text: str) -> None:
    assert refusal(answer(text))


@pytest.mark.parametrize(
    "text",
    [
        "We cannot refund a used kettle.",
        "I'm sorry, but I cannot find your order.",
        "I can't help with that, but our billing team can.",
        "I cannot provide this information by e-mail; please call us.",
        "I won't be able to come on Monday.",
        "We have to decline your claim, as the seal was broken.",
        "You can't do that in the app, only on the page.",
        "I am not able to see the payment yet.",
        "I must decline the meeting on Friday.",
        'The guard said: "I cannot do that."',
        "'I can't help it' means that you have no choice.",
        "Your post violates the rules of the forum.",
        "I can't do that for you, but you can do it in the app.",
    ],
)
def test_an_agents_honest_no_is_none(text: str) -> None:
    assert refusal(answer(text)) is None
