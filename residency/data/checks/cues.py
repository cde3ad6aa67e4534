"""What kind of number stands in a text, by the words before it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_OTHER = (
    r"orders?|invoices?|tickets?|case|ref(?:erence)?|isbn|ean|gtin|sku|serial|part|items?|articles?|model|"
    r"tracking|track|parcel|shipment|package|booking|reservation|imei|iccid|account|customer|contract|policy|"
    r"version|build|commit|hash|doi|barcode|meter|voucher|coupon|licen[cs]e|registration|transaction|receipt|"
    r"bestell\w*|rechnung\w*|auftrag\w*|sendung\w*|kunden\w*|artikel\w*|vertrag\w*|paket\w*|ticketnummer|"
    r"seriennummer|commande|facture|colis|dossier|suivi|pedido|factura|env[ií]o|ordine|fattura|spedizione|"
    r"zam[oó]wieni\w*|faktur\w*|bestelling|factuur|eur|usd|gbp|chf|total|amount|sum"
)
_CARD = (
    r"cards?|visa|mastercard|amex|express|diners|maestro|paid|pay|"
    r"payment|charged?|(?:kredit|bank)?karten?(?:nummer)?|carte|tarjeta|carta|cart[aã]o|karta|pan"
)
_PHONES = {
    "EN": r"phones?|call(?:ed|ing|s)?|callback|mobile|cell|cellphone|dial|ring|text(?:ed)?|fax|landline|"
    r"(?:my|his|her|their|new|old|direct|contact) (?:number|line)|reach(?:ed)?|sms",
    "DE": r"telefon(?:nummer)?|handy(?:nummer)?|mobil(?:nummer)?|rufnummer|anruf\w*|ruf\w*|r[uü]ckruf|"
    r"festnetz|erreich\w*|durchwahl",
    "FR": r"t[eé]l[eé]phone|portable|appel\w*|rappel\w*|joindre|joignable",
    "ES": r"tel[eé]fono|m[oó]vil|ll[aá]m\w*",
    "IT": r"telefono|cellulare|chiam\w*",
    "PT": r"telefone|celular|telem[oó]vel|lig\w{1,4}",
    "NL": r"telefoon(?:nummer)?|bel(?:len|t)?|mobiel",
    "PL": r"telefonu?|kom[oó]rk\w*|zadzwo\w*|dzwoni\w*",
    "ANY": r"tel|mob|whatsapp|whats app|signal|telegram",
}
_REGIONS = {
    "EN": ("US", "GB", "AU", "IN", "IE", "NZ", "ZA"),
    "DE": ("DE", "AT", "CH"),
    "FR": ("FR", "BE", "CH"),
    "ES": ("ES", "MX", "AR"),
    "IT": ("IT",),
    "PT": ("BR", "PT"),
    "NL": ("NL", "BE"),
    "PL": ("PL",),
}
HOME_REGIONS = tuple(dict.fromkeys(region for regions in _REGIONS.values() for region in regions))
"""The regions whose national numbers are known."""

_CUE = re.compile(
    rf"(?P<OTHER>{_OTHER}|[#№€$£¥])|(?P<CARD>{_CARD})|"
    + "|".join(rf"(?P<{language}>{words})" for language, words in _PHONES.items()),
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+|[#№€$£¥]")
_END = re.compile(r"[?!\n]|[.;:,] +(?=[A-Z])")
_BEFORE = 40
_AFTER = 20


@dataclass(frozen=True, slots=True)
class Cue:
    """What the nearest telling word says."""

    kind: str
    """`phone`, `card`, `other` for the number of an order and the like, or nothing."""
    distance: int = 0
    """Characters between the word and the number."""
    regions: tuple[str, ...] = ()
    """For a phone, where its national form may be at home."""


def cue_of(text: str, start: int, end: int) -> Cue:
    """The last telling word before `text[start:end]`; for a phone, else the first one after it.

    Another number is named in the same sentence.
    """
    sentence = max((found.end() for found in _END.finditer(text, max(0, start - _BEFORE), start)), default=0)
    words = list(_WORD.finditer(text, max(0, start - _BEFORE), start))
    for place in range(len(words) - 1, -1, -1):
        before = words[place - 1].group() if place else ""
        group = _group_of(before, words[place].group())
        if group and (group != "OTHER" or words[place].start() >= sentence):
            return _cue(group, start - words[place].end())
    before = ""
    for word in _WORD.finditer(text, end, end + _AFTER):
        if (group := _group_of(before, word.group())) in _PHONES:
            return _cue(group, word.start() - end)
        before = word.group()
    return Cue("")


@lru_cache(maxsize=16384)
def _group_of(before: str, word: str) -> str:
    """What `word` tells, alone or with the word before it: `number` nothing, `my number` a phone."""
    found = _CUE.fullmatch(word) or _CUE.fullmatch(f"{before} {word}")
    return found.lastgroup or "" if found else ""


def _cue(group: str, distance: int) -> Cue:
    if group in _PHONES:
        return Cue("phone", distance, _REGIONS.get(group, HOME_REGIONS))
    return Cue(group.lower(), distance)
