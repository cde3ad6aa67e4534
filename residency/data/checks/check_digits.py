"""Numbers that carry a check digit: a text of digits either is one or, all but surely, is not."""

from __future__ import annotations

import re
from datetime import date

_IBAN_LENGTHS = {
    country: int(length)
    for country, length in re.findall(
        r"([A-Z]{2})(\d\d)",
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 "
        "EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 "
        "KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 "
        "PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 "
        "VG24 XK20",
    )
}
_ISSUED = re.compile(
    r"4\d{15}(?:\d{3})?"  # Visa
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[68]\d)\d{11}"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:5[06]|67)\d{14}(?:\d{2,3})?"  # Maestro
)
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_FISCAL_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21) * 2 + (2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)


def luhn(digits: str) -> bool:
    """The check digit of payment cards, ISO/IEC 7812-1, annex B."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def is_card(digits: str) -> bool:
    """A payment card: an issuer's first digits and length, and Luhn's check digit."""
    return _ISSUED.fullmatch(digits) is not None and luhn(digits)


def is_iban(text: str) -> bool:
    """An IBAN without blanks, in capitals: the country's length, and 1 modulo 97 (ISO 13616-1, 6.1)."""
    if _IBAN_LENGTHS.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % 97 == 1


def is_dni(text: str) -> bool:
    """A Spanish DNI or NIE without blanks: the letter is the number modulo 23 (Real Decreto 1553/2005)."""
    return _DNI_LETTERS[int(text[:-1].translate(str.maketrans("XYZ", "012"))) % 23] == text[-1]


def is_cpf(digits: str) -> bool:
    """A Brazilian CPF: two digits, each a weighted sum of those before it modulo 11."""
    if len(set(digits)) == 1:
        return False
    for place in (9, 10):
        total = sum(int(digit) * (place + 1 - i) for i, digit in enumerate(digits[:place]))
        if 10 * total % 11 % 10 != int(digits[place]):
            return False
    return True


def is_codice_fiscale(text: str) -> bool:
    """An Italian codice fiscale: the last letter sums the others (Decreto 23 dicembre 1976, n. 13813)."""
    even = sum(int(c) if c.isdigit() else ord(c) - ord("A") for c in text[1:15:2])
    odd = sum(_FISCAL_ODD[c] for c in text[0:15:2])
    return chr(ord("A") + (even + odd) % 26) == text[15]


def is_nir(text: str) -> bool:
    """A French NIR, 15 characters: its key is 97 less the number modulo 97; Corsica counts as 19 and 18."""
    number = text[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(text[13:])


def is_resident_id(text: str) -> bool:
    """A Chinese resident's id, 18 characters: a day of birth, and ISO 7064 MOD 11-2 (GB 11643-1999)."""
    try:
        born = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text[:17], _RESIDENT_WEIGHTS, strict=True))
    return born.year >= 1900 and "10X98765432"[total % 11] == text[17]
