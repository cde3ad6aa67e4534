"""Published examples of each number, and what resembles one."""

import pytest

from residency.core.records import Example, Message, Source
from residency.data.checks.personal import find_personal_data, personal_data


def kinds(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in find_personal_data(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Write to jane.doe+x@mail.example.co.uk.", [("e-mail", "jane.doe+x@mail.example.co.uk")]),
        ("4111 1111 1111 1111 12/27 CVC 123", [("payment card", "4111 1111 1111 1111")]),
        ("Amex 378282246310005", [("payment card", "378282246310005")]),
        ("gb82 west 1234 5698 7654 32 is mine", [("IBAN", "gb82 west 1234 5698 7654 32")]),
        ("Konto DE89370400440532013000, danke", [("IBAN", "DE89370400440532013000")]),
        ("DNI 12345678Z", [("Spanish DNI", "12345678Z")]),
        ("CPF 529.982.247-25", [("Brazilian CPF", "529.982.247-25")]),
        ("C.F. RSSMRA85T10A562S", [("Italian codice fiscale", "RSSMRA85T10A562S")]),
        ("NIR 2 55 08 14 168 025 38", [("French NIR", "2 55 08 14 168 025 38")]),
        ("身份证 11010519491231002X", [("Chinese resident id", "11010519491231002X")]),
        ("SSN 219-09-9999", [("US social security number", "219-09-9999")]),
        (
            "(415) 555-2671 or 0044 20 7946 0958",
            [("phone", "(415) 555-2671"), ("phone", "0044 20 7946 0958")],
        ),
        ("+1 555 123 4567, 555-123-4567", [("phone", "+1 555 123 4567"), ("phone", "555-123-4567")]),
        ("phone 5551234567", [("phone", "5551234567")]),
        ("My order came. Ring 07911 123456 2 times", [("phone", "07911 123456")]),
        ("Is it a spare part? DNI 12345678Z", [("Spanish DNI", "12345678Z")]),
        ("a@b.de, a@b.de", [("e-mail", "a@b.de"), ("e-mail", "a@b.de")]),
    ],
)
def test_each_kind_is_found_where_it_stands(text: str, found: list[tuple[str, str]]) -> None:
    assert kinds(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "support@example.com, react@18.2.0, icon@2x.png, https://u:p4ss@host.org/x",
        "4111 1111 1111 1112",  # Luhn
        "order number 4111111111111111",
        "DE88370400440532013000",  # modulo 97
        "12345678A, 529.982.247-26, RSSMRA85T10A562T, 11010519491231002Y, 000-12-3456",
        "order 415-555-2671 of 2024-03-15, 12.03.2024",
        "192.168.100.200 and 10.0.19045.3803, 3.14159265, 1 234 567 890 €",
        "+49 800 3301000 and 1-800-356-9377 are free of charge",
        "978-3-16-148410-0",
        "call me when parcel 07911 123456 is there",
        "+1000000 points, the 20 days from 02.04.2025. 203276796",
    ],
)
def test_what_resembles_it_is_left(text: str) -> None:
    assert kinds(text) == []


def test_it_is_told_masked_and_by_the_side_on_which_it_stands() -> None:
    said = [
        ("system", "Be kind."),
        ("user", "I am jane@mail.org, call +44 7911 123456"),
        ("assistant", "a@b.de"),
    ]
    example = Example(tuple(Message(role, text) for role, text in said), Source("f", 1))  # type: ignore[arg-type]
    assert personal_data(example) == "input: e-mail 'j…rg', phone '+…56'; answer: e-mail 'a…de'"
