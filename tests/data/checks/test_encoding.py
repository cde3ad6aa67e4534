import pytest

from residency.core.records import Example, Message, Source, ToolCall
from residency.data.checks.encoding import encoding, find_damage


@pytest.mark.parametrize(
    ("text", "damage"),
    [
        ("the cafÃ© there", "'Ã©' in the place of 'é'"),
        ("it isnâ€™t", "'â€™' in the place of '’'"),
        ("caf\ufffd", "U+FFFD, which stands for a character that was lost"),
        ("a\x00b", "the control character U+0000"),
        ("über\x93quoted\x94", "the control character U+0093"),
        ("Tom &amp; Jerry", "the HTML entity &amp;"),
        ("it&#39;s", "the HTML entity &#39;"),
        ("caf\\u00e9", "the escape \\u00e9 as it is"),
        ("Hello,\\n\\nbye", "the escape \\n\\n as it is"),
        ("One.\\ntwo", "the escape \\n as it is"),
        ("one line\\nanother line\\nthe last", "the escape \\n as it is"),
        ("C:\\new\\x and caf\\u00e9", "the escape \\u00e9 as it is"),
    ],
)
def test_damage_is_told(text: str, damage: str) -> None:
    assert find_damage(text) == damage


@pytest.mark.parametrize(
    "text",
    [
        "Tabs\tand\nlines\r\nare plain",
        "Ça va à Mâcon, „schön“ — naïve… €5 © ½ °C",
        "ÉTÉ “À LA CARTE” Ñandú",
        "Разное, Россия",
        "日本語、中文",
        "👨\u200d👩\u200d👧 family",
        "<b>Tom &amp; Jerry</b>",
        "int *p = &num; AT&T; R&D;",
        'printf("a\\n") prints',
        "`\\n` or ```s.split('\\n')```",
        "C:\\new\\table",
        "\\frac{1}{2} \\nu",
        "the escape \\n means newline",
        '{"name": "Ren\\u00e9"}',
    ],
)
def test_sound_text_is_left(text: str) -> None:
    assert find_damage(text) is None


@pytest.mark.parametrize("text", ["a\x00b", "caf\ufffd", "Hello,\\n\\nbye"])
def test_arguments_of_calls_are_looked_at_as_they_were_before_json(text: str) -> None:
    call = ToolCall("write", {"to": ["Ann", {"text": text}]})
    clean = ToolCall("write", {"text": 'He said "Hello"\n\nand left', "times": 3})
    for calls, found in (((clean, call), f"answer: {find_damage(text)}"), ((clean,), None)):
        turns = (Message("user", "Write."), Message("assistant", "", calls))
        assert encoding(Example(turns, Source("f.jsonl", 1))) == found
