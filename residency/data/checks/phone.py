"""Phone numbers of persons, told from the many other numbers of a support text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from residency.data.checks.cues import HOME_REGIONS, Cue, cue_of
from residency.data.checks.spans import Span, ends

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

_GAP = r"[ ().\-/\u00a0\u2010-\u2013]"
_CANDIDATE = re.compile(
    rf"(?<![\w#@=&?%$€£/-])(?<![0-9][.,:])(?:\+ ?)?(?:\([0-9]{{1,5}}\)|[0-9])(?:{_GAP}{{0,3}}[0-9]){{6,14}}"
    r"(?!\w|[@%€$£]|[.,:/-][0-9]|-\w)"
)
_DATE = re.compile(r"(?:19|20)\d\d[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.](?:19|20)\d\d(?!\d)")
_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_AMERICAN = re.compile(r"(?:1[-. ])?(?:\([2-9]\d\d\) ?[1-9]\d\d[-. ]|[2-9]\d\d([-.])[1-9]\d\d\1)\d{4}")
"""The grouping nobody gives to another number."""
_FICTIONAL = re.compile(r"(?:\(?555\)?[-. ]?)?[1-9]\d\d[-. ]\d{4}|555\d{7}")
"""What no metadata calls valid, and people write all the same: 555 numbers, and those without area code."""


def find_phones(text: str) -> Iterator[Span]:
    """Numbers in international form, in a form of their own, or in a national form after a telling word.

    Hotlines (toll-free, premium and shared-cost numbers) are a company's and not reported.
    """
    for match in _candidates(text):
        cue = cue_of(text, *match.span())
        for end in ends(found := match.group()):
            if _is_phone(found[:end], cue):
                yield Span("phone", match.start(), match.start() + end)
                break


def _candidates(text: str) -> Iterator[re.Match[str]]:
    """What may be a phone number, dates and IP addresses left out."""
    place = 0
    while match := _CANDIDATE.search(text, place):
        place = match.end()
        if found := _DATE.search(match.group()):
            place = match.start() + found.end()
        elif not _QUAD.fullmatch(match.group()):
            yield match


def _is_phone(number: str, cue: Cue) -> bool:
    if number.startswith("+"):
        if _is_reachable(number, None):
            return True
        return (cue.kind == "phone" or not number[1:].isdigit()) and _is_possible(number)
    if number.startswith("00") and _is_reachable(f"+{number[2:]}", None):
        return cue.kind == "phone" or not number.isdigit()
    if cue.kind == "other":
        return False
    if _AMERICAN.fullmatch(number):
        return not _is_hotline(number)
    if cue.kind == "phone":
        return bool(_FICTIONAL.fullmatch(number)) or any(_is_reachable(number, home) for home in cue.regions)
    return number.startswith("0") and any(_is_grouped(number, home) for home in HOME_REGIONS)


def _is_reachable(number: str, region: str | None) -> bool:
    """Whether a person may answer there."""
    import phonenumbers

    parsed = _parse(number, region)
    return parsed is not None and phonenumbers.is_valid_number(parsed) and not _is_company(parsed)


def _is_possible(international: str) -> bool:
    """Whether it has the length of a number, as the invented ones of examples do."""
    import phonenumbers

    parsed = _parse(international, None)
    long_enough = sum(character.isdigit() for character in international) >= 10
    if parsed is None or not long_enough or _is_company(parsed):
        return False
    return phonenumbers.is_possible_number(parsed)


def _is_hotline(american: str) -> bool:
    parsed = _parse(american, "US")
    return parsed is not None and _is_company(parsed)


def _is_grouped(number: str, region: str) -> bool:
    """Whether it is written as the region writes its numbers, with its gaps in the usual places."""
    import phonenumbers

    if number.isdigit() or not _is_reachable(number, region):
        return False
    parsed = _parse(number, region)
    assert parsed is not None
    usual = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    return re.split(r"\D+", usual) == re.split(r"\D+", number)


def _is_company(number: PhoneNumber) -> bool:
    from phonenumbers import PhoneNumberType, number_type

    return number_type(number) in (
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
    )


def _parse(number: str, region: str | None) -> PhoneNumber | None:
    import phonenumbers

    try:
        return phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
