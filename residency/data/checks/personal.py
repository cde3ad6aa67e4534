"""Personal data: a tuned model may say it to anybody."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from residency.core.records import Example
from residency.data.checks import check_digits
from residency.data.checks.cues import cue_of
from residency.data.checks.phone import find_phones
from residency.data.checks.registry import row_check
from residency.data.checks.spans import Span, ends, has_digit, merge_overlaps, tell_masked

_SEVEN_DIGITS = re.compile(r"[0-9](?:(?:[^\w\n]{0,3}[0-9]){6}|[0-9][A-Z][0-9]{2}[A-Z][0-9]{3})")
"""No number below is shorter, an Italian id apart."""

_EMAIL = re.compile(r"(?<![\w.+%@-])[\w.+%-]{1,64}@(?:[a-z0-9-]+\.)+[a-z]{2,24}(?![\w@-])", re.IGNORECASE)
_LOGIN = re.compile(r"://[^\s/]*$")
_NOT_PERSONAL = re.compile(
    r"(?:support|info|help|helpdesk|services?|sales|contact|hello|office|team|no-?reply|do-?not-?reply|newsletter"
    r"|billing|press|jobs|careers|admin|webmaster|postmaster|orders|returns|feedback|abuse|security|privacy"
    r"|marketing|hr|accounts?|accounting|finance|invoices|reception|bookings?|kundenservice|kontakt|git)@.*|.*\.(?:png|jpe?g|gif|svg|webp|pdf|js|css|html|py|zip|ico)",
    re.IGNORECASE,
)
"""A role's mailbox; a file's name with an @ in it."""

_CARD = re.compile(r"(?<![\w.-])[0-9](?:[ -]?[0-9]){12,18}(?![\w-]|\.[0-9])")
_CARD_GROUPS = re.compile(r"\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5}|\d{13,19}")
_NEAR = 24
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]){11,28}(?!\w)", re.IGNORECASE)

_NATIONAL_ID = re.compile(
    r"(?<![\w-])(?:"
    r"(?P<ssn>(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4})"
    r"|(?P<cpf>[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2})"
    r"|(?P<dni>(?:[0-9]{8}|[XYZ]-?[0-9]{7})-?[A-HJ-NP-TV-Z])"
    r"|(?P<resident>[1-9][0-9]{5}(?:19|20)[0-9]{9}[0-9X])"
    r"|(?P<nir>[12] ?[0-9]{2} ?(?:0[1-9]|1[0-2]) ?(?:[0-9]{2}|2[AB])(?: ?[0-9]{3}){2} ?[0-9]{2})"
    r"|(?P<fiscal>[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z])"
    r")(?![\w-])"
)
_NATIONAL_IDS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "ssn": ("US social security number", lambda _: True),
    "cpf": ("Brazilian CPF", check_digits.is_cpf),
    "dni": ("Spanish DNI", check_digits.is_dni),
    "resident": ("Chinese resident id", check_digits.is_resident_id),
    "nir": ("French NIR", check_digits.is_nir),
    "fiscal": ("Italian codice fiscale", check_digits.is_codice_fiscale),
}
"""What each is called, and its check digit; the American number has none, and is told by its form."""


@row_check(
    "personal-data",
    "warning",
    meaning="a person's e-mail address, phone number, payment card, IBAN or national id. "
    "A tuned model may repeat it to anybody.",
    fix="Replace it by a made-up one or a placeholder such as [EMAIL], in input and answer alike.",
    suspicion=0.6,
)
def personal_data(example: Example) -> str | None:
    """Every piece of it in any turn, masked."""
    return tell_masked(example, find_personal_data)


def find_personal_data(text: str) -> list[Span]:
    """E-mail addresses, IBANs, payment cards, national ids and phone numbers, in the order of the text."""
    spans = list(_emails(text)) if "@" in text else []
    if has_digit(text) and _SEVEN_DIGITS.search(text):
        spans += [*_ibans(text), *_cards(text), *_national_ids(text), *find_phones(text)]
    return merge_overlaps(spans) if spans else spans


def _emails(text: str) -> Iterator[Span]:
    for match in _EMAIL.finditer(text):
        is_login = _LOGIN.search(text, 0, match.start())  # https://user:password@host
        if not is_login and not _NOT_PERSONAL.fullmatch(match.group()):
            yield Span("e-mail", *match.span())


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        found = match.group()
        for end in ends(found):
            if check_digits.is_iban(_plain(found[:end]).upper()):
                yield Span("IBAN", match.start(), match.start() + end)
                break


def _cards(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        cue = cue_of(text, *match.span())
        if cue.kind == "other" and cue.distance <= _NEAR:
            continue
        for end in ends(found := match.group()):
            if _CARD_GROUPS.fullmatch(found[:end]) and check_digits.is_card(_plain(found[:end])):
                yield Span("payment card", match.start(), match.start() + end)
                break


def _national_ids(text: str) -> Iterator[Span]:
    for match in _NATIONAL_ID.finditer(text):
        kind, verify = _NATIONAL_IDS[match.lastgroup or ""]
        if verify(_plain(match.group())) and cue_of(text, *match.span()).kind != "other":
            yield Span(kind, *match.span())


def _plain(text: str) -> str:
    return re.sub(r"[ .-]", "", text)
