import pytest

from residency.core.records import Example, Message, Source, ToolCall
from residency.data.checks.secrets import find_secrets, secrets

KEY = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("id AKIAIOSFODNN7EXAMPLE.", "AKIAIOSFODNN7EXAMPLE"),
        ("postgres://shop:tr0ub4dor@db:5432/x", "tr0ub4dor"),
        ("my password is Tr0ub4dor&3.", "Tr0ub4dor&3"),
        ('{"api_key": "9f8e7d6c5b4a39281706"}', "9f8e7d6c5b4a39281706"),
        (f"Authorization: Bearer {KEY}", KEY),
        (f"sk-proj-{KEY}", f"sk-proj-{KEY}"),
        (
            "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE1A/TnQ7\n-----END EC PRIVATE KEY-----\nbye",
            "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE1A/TnQ7\n-----END EC PRIVATE KEY-----",
        ),
        (
            "key: -----BEGIN EC PRIVATE KEY-----\nMHcCAQEE1A/TnQ7",
            "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE1A/TnQ7",
        ),
    ],
)
def test_a_secret_is_found_where_it_stands(text: str, secret: str) -> None:
    assert [text[span.start : span.end] for span in find_secrets(text)] == [secret]


@pytest.mark.parametrize(
    "text",
    [
        "commit 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "123e4567-e89b-12d3-a456-426614174000",
        "https://shop.example/a/very-long-slug-of-2024-with-42-words?id=8839201&ref=mail",
        "password: at least 8 characters; the password is case-sensitive",
        "api_key = YOUR_API_KEY_123, token: <token>, password=********",
        "sk-2024-skincare-routine-for-dry-skin",
        "Donaudampfschifffahrtsgesellschaftskapitän",
        "-----BEGIN CERTIFICATE-----",
    ],
)
def test_ids_hashes_and_placeholders_are_none(text: str) -> None:
    assert find_secrets(text) == []


def test_the_arguments_of_a_call_are_searched() -> None:
    call = ToolCall("login", {"password": "Tr0ub4dor&3"})
    turns = (Message("user", "Log in."), Message("assistant", "", (call,)))
    assert secrets(Example(turns, Source("f.jsonl", 1))) == "answer: password 'T…&3'"
