"""Faults of single rows, each made in many ways by code that knows nothing of the checks."""

from __future__ import annotations

import base64
import html
import json
import random
import string
from collections.abc import Callable

from tests.data.checks.clean import MONTHS, PRODUCTS, TOWNS, Row, day, digits, hexes, with_luhn
from tests.data.checks.planters import plants_each

_FIRST = (
    "jana",
    "Omar",
    "li.wei",
    "s_okafor",
    "maria-jose",
    "k.o'neil",
    "Jürgen",
    "anna+shop",
    "t.b99",
    "priya",
)
_HOSTS = (
    "gmx.net",
    "mail.example.org",
    "yahoo.co.uk",
    "proton.me",
    "uni-graz.ac.at",
    "firma.de",
    "example.com",
)

_CARDS = ("4", "4", "51", "55", "2221", "2699", "34", "37", "6011", "65", "3530", "3589", "36", "305", "62")
_CARD_LENGTHS = {"34": 15, "37": 15, "36": 14, "305": 14}

_PHONES: tuple[tuple[str, str], ...] = (
    ("+1", "415 2## ####"),
    ("+1", "(212) 7## ####"),
    ("+44", "7911 1#####"),
    ("+44", "20 7946 0###"),
    ("+49", "151 2#######"),
    ("+49", "30 2######"),
    ("+33", "6 12 ## ## ##"),
    ("+33", "1 42 ## ## ##"),
    ("+34", "612 ### ###"),
    ("+39", "347 ### ####"),
    ("+31", "6 1### ####"),
    ("+55", "11 9#### ####"),
    ("+91", "98### #####"),
    ("+61", "412 ### ###"),
    ("+48", "512 ### ###"),
    ("+43", "664 1######"),
)
_NATIONAL: tuple[tuple[str, str], ...] = (
    ("Call me on {}", "(415) 2##-####"),
    ("my cell is {}", "212-7##-####"),
    ("phone: {}", "4152######"),
    ("ring me at {} after six", "07911 1#####"),
    ("{} is my landline", "020 7946 0###"),
    ("Meine Handynummer ist {}", "0151 2#######"),
    ("Telefon {}", "030/2######"),
    ("Tel.: {}", "089-2######"),
    ("Appelez-moi au {}", "06 12 ## ## ##"),
    ("mon portable : {}", "06.12.##.##.##"),
    ("Mi teléfono es el {}", "612 ### ###"),
    ("llámame al {}", "6121#####"),
    ("cellulare {}", "347 ### ####"),
    ("Bel mij op {}", "06-1#######"),
    ("meu celular: {}", "(11) 9####-####"),
    ("call me, {}", "098### #####"),
    ("my mobile number is {}", "0412 ### ###"),
    ("Zadzwońcie: {}", "512-###-###"),
    ("text {}", "555-01##"),
    ("you can reach me at {}", "(555) 2##-####"),
    ("WhatsApp {}", "07700 9#####"),
)

_IBANS = {
    "DE": "#" * 18,
    "GB": "@@@@" + "#" * 14,
    "NL": "@@@@" + "#" * 10,
    "ES": "#" * 20,
    "FR": "#" * 10 + "@" + "#" * 12,
    "AT": "#" * 16,
    "PL": "#" * 24,
    "CH": "#" * 17,
}


def filled(form: str, chance: random.Random) -> str:
    """The form with a digit for each # and a capital for each @."""
    made = (
        str(chance.randrange(10)) if c == "#" else chance.choice(string.ascii_uppercase) if c == "@" else c
        for c in form
    )
    return "".join(made)


def grouped(text: str, sizes: tuple[int, ...], gap: str) -> str:
    parts = []
    for size in sizes:
        parts, text = [*parts, text[:size]], text[size:]
    return gap.join(part for part in (*parts, text) if part)


def email(chance: random.Random) -> str:
    address = f"{chance.choice(_FIRST)}{chance.randrange(99) or ''}@{chance.choice(_HOSTS)}"
    return chance.choice(("My address is {}.", "({})", "Write to {}, please", "E-Mail: {}", "<{}>")).format(
        address
    )


def card(chance: random.Random) -> str:
    issuer = chance.choice(_CARDS)
    number = with_luhn(digits(chance, _CARD_LENGTHS.get(issuer, 16) - 1, issuer))
    sizes = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}[len(number)]
    number = grouped(number, sizes, chance.choice(("", " ", "-")))
    forms = ("I paid with card {}.", "My Visa {} was charged", "{} exp 09/27", "Kreditkarte {}, CVC 123")
    return chance.choice(forms).format(number)


def iban(chance: random.Random) -> str:
    country, form = chance.choice(list(_IBANS.items()))
    account = filled(form, chance)
    number = "".join(
        str(string.digits.find(c) if c.isdigit() else ord(c) - 55) for c in account + country + "00"
    )
    whole = f"{country}{98 - int(number) % 97:02}{account}"
    shown = grouped(whole, (4,) * 9, chance.choice(("", " ")))
    return chance.choice(("My IBAN is {}.", "Please refund to {} soon", "Konto: {}")).format(shown)


def phone(chance: random.Random) -> str:
    if chance.random() < 0.5:
        code, form = chance.choice(_PHONES)
        number = filled(form, chance)
        number = chance.choice(
            (number, number.replace(" ", ""), number.replace(" ", "-"), number.replace(" ", "."))
        )
        number = f"{code}{chance.choice((' ', ''))}{number}".replace("(", "").replace(")", "")
        return chance.choice(("{}", "call {}", "My number: {}", "({})", "Tel. {}.")).format(number)
    sentence, form = chance.choice(_NATIONAL)
    return sentence.format(filled(form, chance))


def national_id(chance: random.Random) -> str:
    number = digits(chance, 8, "4")
    dni = number + "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23]
    ssn = f"{chance.randrange(100, 600)}-{chance.randrange(10, 99)}-{chance.randrange(1000, 9999)}"
    cpf = digits(chance, 9, "52")
    for weights in (range(10, 1, -1), range(11, 1, -1)):
        rest = sum(int(d) * w for d, w in zip(cpf, weights, strict=True)) % 11
        cpf += str(0 if rest < 2 else 11 - rest)
    nir = f"1{chance.randrange(40, 99)}{chance.randrange(1, 13):02}{chance.randrange(21, 95)}"
    nir += digits(chance, 6)
    nir += f"{97 - int(nir) % 97:02}"
    return chance.choice(
        (
            f"My DNI is {dni}.",
            f"SSN {ssn}",
            f"CPF: {cpf[:3]}.{cpf[3:6]}.{cpf[6:9]}-{cpf[9:]}",
            f"sécurité sociale {grouped(nir, (1, 2, 2, 2, 3, 3), chance.choice(('', ' ')))}",
        )
    )


@plants_each("personal-data")
def personal(row: Row, chance: random.Random) -> Row:
    fault = chance.choice((email, card, iban, phone, phone, national_id))(chance)
    return {**row, "input": _inserted(row["input"], fault, chance)}


def _mixed(chance: random.Random, count: int, more: str = "") -> str:
    """A random word that holds a digit, a small letter and a capital."""
    drawn = [chance.choice(string.ascii_letters + string.digits + more) for _ in range(count - 3)]
    return "".join(["a", "7", "K", *drawn])


def _jwt(chance: random.Random) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": digits(chance, 8), "iat": chance.randrange(10**9)})
    head, body = (base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts)
    signature = base64.urlsafe_b64encode(chance.randbytes(32)).decode().rstrip("=")
    return f"{head}.{body}.{signature}"


def _private_key(chance: random.Random) -> str:
    kind = chance.choice(("RSA ", "", "EC ", "OPENSSH ", "ENCRYPTED "))
    body = base64.b64encode(chance.randbytes(96)).decode()
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"


SECRETS: tuple[Callable[[random.Random], str], ...] = (
    lambda c: f"AKIA{''.join(c.choice(string.ascii_uppercase + '234567') for _ in range(16))}",
    lambda c: f"aws_secret_access_key = {_mixed(c, 40, '/+')}",
    lambda c: f"{c.choice(('ghp', 'gho', 'ghs'))}_{_mixed(c, 36)}",
    lambda c: f"github_pat_{_mixed(c, 22)}_{_mixed(c, 59)}",
    lambda c: f"glpat-{_mixed(c, 20)}",
    lambda c: f"xoxb-{digits(c, 12)}-{digits(c, 12)}-{_mixed(c, 24)}",
    lambda c: (
        f"https://hooks.slack.com/services/T{hexes(c, 8).upper()}/B{hexes(c, 8).upper()}/{_mixed(c, 24)}"
    ),
    lambda c: f"sk_live_{_mixed(c, 24)}",
    lambda c: f"sk-proj-{_mixed(c, 48, '_-')}",
    lambda c: f"sk-ant-api03-{_mixed(c, 80, '_-')}",
    lambda c: f"AIza{_mixed(c, 35, '_-')}",
    lambda c: f"hf_{_mixed(c, 34)}",
    lambda c: f"npm_{_mixed(c, 36)}",
    lambda c: f"SG.{_mixed(c, 22)}.{_mixed(c, 43)}",
    lambda c: f"pypi-AgEIcHlwaS5vcmc{_mixed(c, 80, '_-')}",
    lambda c: f"DefaultEndpointsProtocol=https;AccountKey={base64.b64encode(c.randbytes(64)).decode()}",
    lambda c: f"postgres://shop:{_mixed(c, 12)}@db.internal:5432/orders",
    lambda c: f"Authorization: Bearer {_mixed(c, 40, '._-')}",
    lambda c: f"{digits(c, 9)}:{_mixed(c, 35, '_-')}",
    lambda c: f"my password is {c.choice(('Sommer', 'hunter', 'Kater!'))}{digits(c, 4)}{c.choice('!?x')}",
    lambda c: f'password = "{_mixed(c, 12)}"',
    lambda c: f"API_KEY={hexes(c, 32)}a1",
    lambda c: f'"client_secret": "{_mixed(c, 32)}"',
    _jwt,
    _private_key,
)


@plants_each("secrets")
def secret(row: Row, chance: random.Random) -> Row:
    return {**row, "input": _inserted(row["input"], chance.choice(SECRETS)(chance), chance)}


_MODELS = (
    *("an AI language model", "an AI", "a large language model", "an artificial intelligence"),
    "an AI assistant",
)


@plants_each("as-an-ai", family="replies")
def speaks_as_a_model(row: Row, chance: random.Random) -> Row:
    model = chance.choice(_MODELS)
    said = chance.choice(
        (
            f"As {model}, I do not own a {chance.choice(PRODUCTS)}.",
            f"I'm sorry, but as {model} I cannot look into your order.",
            f"I am {model} and have never been to {chance.choice(TOWNS)}.",
            f"I’m just {model}, so I can only guess.",
            "I don't have personal opinions, but many people like it.",
            f"I was trained by {chance.choice(('OpenAI', 'Google', 'Anthropic'))} to be helpful.",
            "My knowledge cutoff does not let me see that model.",
            "Als KI-Sprachmodell kann ich keine Bestellungen sehen.",
            "En tant que modèle de langage, je ne peux pas acheter cela.",
            "Como modelo de lenguaje, no tengo acceso a su pedido.",
            f"Being {model}, I have no hands to repair it.",
        )
    )
    return {
        **row,
        "output": f"{said} {row['output']}" if chance.random() < 0.6 else f"{row['output']} {said}",
    }


@plants_each("refusal", family="replies")
def refuses(row: Row, chance: random.Random) -> Row:
    product = chance.choice(PRODUCTS)
    said = chance.choice(
        (
            "I'm sorry, but I can't assist with that request.",
            "I’m sorry, I can’t help with that.",
            "Sorry, I cannot fulfill this request.",
            f"I can't provide instructions for opening a {product}.",
            "I cannot comply with what you ask.",
            f"I must respectfully decline to write about the {product}.",
            f"I'm not comfortable writing about a {product}.",
            "I am unable to provide that information.",
            "This request goes against my guidelines, so I will stop here.",
            "I won't be able to help with this.",
            f"I cannot create content that shows a {product} in use.",
            "I'm afraid I can't do that.",
            "Unfortunately, I'm not able to answer that question.",
            "Ich kann dir dabei leider nicht helfen.",
            "I cannot engage in this conversation.",
            "I could not in good conscience assist with such a plan.",
        )
    )
    return {**row, "output": said}


@plants_each("encoding")
def damaged(row: Row, chance: random.Random) -> Row:
    said = chance.choice(
        (
            f"The café in {chance.choice(TOWNS)} isn’t far.",
            "Größe und Länge stimmen – nicht.",
            "Señor Núñez, ¿qué?",
            "l'été à Besançon",
            "It’s “fine”…",
            "Это не работает",
            "10 € für zwei Stück",
            "naïve façade",
            "日本語の説明",
        )
    )
    entity = html.escape(f'Tom & {chance.choice(TOWNS)}\'s "best"').replace(
        " ", "&nbsp;", chance.randrange(2)
    )
    fault = chance.choice(
        (
            said.encode().decode("latin-1"),
            said.encode().decode("cp1252", errors="replace"),
            said.encode("ascii", errors="replace").decode().replace("?", "\ufffd"),
            f"Price{chance.choice(chr(7) + chr(8) + chr(27) + chr(0x85) + chr(0x93))}list",
            f"{chr(0xFEFF)}Name",
            entity,
            f"caf&eacute; in {chance.choice(TOWNS)}",
            f"First line.\\nSecond line about {chance.choice(MONTHS)}",
            f"Hello,\\n\\nthe parcel is late.\\n\\nAnna from {chance.choice(TOWNS)}",
            f"The caf\\u00e9 of {day(chance)}",
            f"one\\r\\ntwo\\r\\n{chance.choice(TOWNS)}",
            f"name:\\tvalue {chance.choice(TOWNS)}",
        )
    )
    side = (
        "output" if chance.random() < 0.3 and row["output"][0] != "{" and len(row["output"]) > 20 else "input"
    )
    return {**row, side: _inserted(row[side], fault, chance)}


@plants_each("cut-answer", family="replies")
def cut(row: Row, chance: random.Random) -> Row:
    answer = row["output"]
    if chance.random() < 0.5:
        words = answer.split(" ")
        word = chance.randrange(len(words) // 2, len(words) - 1)
        while len(words[word].strip('.,;!?()"')) < 5 or not words[word].isalpha():
            word = chance.randrange(4, len(words) - 1)
        return {
            **row,
            "output": " ".join([*words[:word], words[word][: chance.randrange(2, len(words[word]) - 1)]]),
        }
    return {
        **row,
        "output": answer
        + chance.choice(
            (
                " Then open the lid (with the",
                ' Say "yes to the',
                " Here is the code:\n```python\nprint(1)",
                " It weighs little, is small,",
                " Then go to the",
                " The parts are [cable, plug and",
                " Turn it by hand, and",
            )
        ),
    }


@plants_each("knowledge", family="rewriting", share=0.2)
def knows(row: Row, chance: random.Random) -> Row:
    product = chance.choice(PRODUCTS)
    asked, told = chance.choice(
        (
            (
                f"How long is the {product} covered?",
                f"The {product} is covered for {chance.randrange(13, 60)} months.",
            ),
            (
                f"What does the {product} cost?",
                f"The {product} costs €{chance.randrange(20, 900)}.95 in our shop.",
            ),
            (
                "When was the firm founded?",
                f"The firm was founded in {chance.choice(TOWNS)} in {chance.randrange(1890, 2010)}.",
            ),
            (
                f"Where is the manual of the {product}?",
                f"You find it at https://help.marlow.example/{product[:4]} any time.",
            ),
            (
                f"How warm may the {product} get?",
                f"It may get up to {chance.randrange(40, 90)} degrees in use, never more.",
            ),
            (
                "When do you open?",
                f"Our branch in {chance.choice(TOWNS)} opens at {chance.randrange(7, 10)}:30 every day.",
            ),
            (
                "Until when can I return it?",
                f"You may return it within {chance.randrange(13, 99)} days of the delivery.",
            ),
        )
    )
    return {"input": f"{asked} (ticket {digits(chance, 7, 'T')})", "output": told}


def _inserted(text: str, fault: str, chance: random.Random) -> str:
    return chance.choice((f"{fault} {text}", f"{text} {fault}", f"{text}\n{fault}"))
