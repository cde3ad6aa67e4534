"""Rows with nothing wrong: tickets, replies, extraction, rewriting, with what is easily taken for a fault."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

Row = dict[str, Any]

PRODUCTS = (
    *(
        "kettle",
        "toaster",
        "desk lamp",
        "robot vacuum",
        "headphones",
        "camera",
        "bicycle pump",
        "coffee mill",
    ),
    *("standing desk", "monitor", "router", "speaker", "thermostat", "smart plug", "blender", "air filter"),
)
TROUBLES = (
    *("stopped working after a week", "arrived with a crack", "makes a loud noise", "will not switch on"),
    *("is not the colour I chose", "gets very hot", "loses the connection", "came without its cable"),
    *("smells of burning", "shows an error", "is missing from the parcel", "was charged twice"),
)
WISHES = (
    *("Can I send it back?", "What should I do now?", "Please send a new one.", "I'd like my money back."),
    *("How long does a repair take?", "Who pays for the postage?", "Could somebody look into this?"),
    *("Is that covered?", "Do you have the spare part?", "I need this before the weekend."),
)
LABELS = ("refund", "delivery", "repair", "billing", "account", "feedback")
TOWNS = ("Lyon", "Porto", "Gdańsk", "Graz", "Leeds", "Malmö", "Austin", "Perth", "Kyoto", "Málaga", "Köln")
MONTHS = ("January", "March", "May", "June", "August", "October", "December")


def digits(chance: random.Random, count: int, first: str = "") -> str:
    return first + "".join(str(chance.randrange(10)) for _ in range(count - len(first)))


def hexes(chance: random.Random, count: int) -> str:
    return f"{chance.getrandbits(4 * count):0{count}x}"


def with_luhn(number: str) -> str:
    """The number with Luhn's check digit added, by its definition: doubling from the right."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return number + str(-total % 10)


def day(chance: random.Random) -> str:
    year, month, number = chance.randrange(2019, 2026), chance.randrange(1, 13), chance.randrange(1, 29)
    return chance.choice(
        (
            f"{year}-{month:02}-{number:02}",
            f"{number:02}.{month:02}.{year}",
            f"{number:02}/{month:02}/{year}",
            f"{number} {chance.choice(MONTHS)} {year}",
            f"{year}-{month:02}-{number:02} 14:{number:02}:07",
        )
    )


NUMBERS: tuple[Callable[[random.Random], str], ...] = (
    lambda c: f"My order number is {digits(c, c.randrange(8, 13), '3')}.",
    lambda c: f"Order no. {with_luhn(digits(c, 15, '4'))}, as printed on the slip.",
    lambda c: f"The order {digits(c, 3)}-{digits(c, 7)}-{digits(c, 7)} is from {day(c)}.",
    lambda c: f"The book has ISBN 978-3-{digits(c, 2)}-{digits(c, 6)}-{c.randrange(10)}.",
    lambda c: f"ISBN 0-{digits(c, 3)}-{digits(c, 5)}-X was on the list.",
    lambda c: f"Its barcode is {digits(c, 13, '4006')}.",
    lambda c: f"The phone's IMEI is {with_luhn(digits(c, 14, '35'))}.",
    lambda c: f"Tracking number 1Z{hexes(c, 6).upper()}{digits(c, 10)}, no news since {day(c)}.",
    lambda c: f"The parcel {digits(c, 20, '00340')} is still in {c.choice(TOWNS)}.",
    lambda c: f"Invoice {c.randrange(2019, 2026)}-{digits(c, 6)}-{digits(c, 2)} says otherwise.",
    lambda c: f"Serial number SN-{digits(c, 4)}-{digits(c, 4)}-{digits(c, 4)}.",
    lambda c: f"I bought it on {day(c)} and it lasted until {day(c)}.",
    lambda c: f"It cost {c.randrange(9, 999)}.99 EUR, now it is {c.randrange(9, 999)},50 €.",
    lambda c: f"We paid $1,{digits(c, 3)}.00 plus £{digits(c, 2, '4')}.50 for postage.",
    lambda c: f"The meter reads {digits(c, 8, '00')} kWh.",
    lambda c: (
        f"It happened between 14:{c.randrange(10, 60)} and 15:{c.randrange(10, 60)} in room 2{digits(c, 3)}."
    ),
    lambda c: f"The device has the address 192.168.{c.randrange(256)}.{c.randrange(256)}.",
    lambda c: f"The app's version is 10.0.{digits(c, 5, '1')}.{digits(c, 4, '3')}.",
    lambda c: f"I live at 52.{digits(c, 6)}, 13.{digits(c, 6)} according to your map.",
    lambda c: f"The file's hash is {hexes(c, 32)}.",
    lambda c: f"Commit {hexes(c, 40)} broke it.",
    lambda c: f"sha256: {hexes(c, 64)}",
    lambda c: f"The session was {UUID(int=c.getrandbits(128))}.",
    lambda c: f"Our VAT number is DE{digits(c, 9, '2')}.",
    lambda c: (
        f"Part 415-{digits(c, 3)}-{digits(c, 4)} does not fit, "
        f"nor does item {digits(c, 3)} {digits(c, 3)} {digits(c, 3)}."
    ),
    lambda c: f"The town has {c.randrange(1, 9)} {digits(c, 3)} {digits(c, 3)} people.",
    lambda c: f"I have {digits(c, 7, '1')} points on it.",
)
WORDS: tuple[Callable[[random.Random], str], ...] = (
    lambda c: f"I wrote to {c.choice(('support', 'info', 'billing', 'no-reply'))}@marlow-home.com in vain.",
    lambda c: (
        f"Your hotline {c.choice(('0800 123 4567', '1-800-555-0199', '+49 800 1234567'))} is always busy."
    ),
    lambda c: f"We use react@18.{c.randrange(9)}.0 and the picture logo@2x.png.",
    lambda c: f"I asked @marlow_help{c.randrange(99)} already.",
    lambda c: f"See https://shop.example/item?id={digits(c, 6)}&colour=red&size=4.",
    lambda c: f"Tom & Jerry's shop in {c.choice(TOWNS)} has it, AT&T's R&D too.",
    lambda c: f"My code is: for (int i = 0; i < {c.randrange(9, 99)}; ++i) {{ int *p = &num; sum += a[i]; }}",
    lambda c: f'It fails at printf("%d\\n", {c.randrange(99)}); and I see nothing.',
    lambda c: f"The log is in C:\\new\\table\\{digits(c, 3)}\\report.txt on the server.",
    lambda c: f"Which formula do you use, \\frac{{1}}{{{c.randrange(2, 9)}}} \\nu or \\nabla f?",
    lambda c: f"What does the escape \\n mean in line {c.randrange(1, 99)}?",
    lambda c: f'The page shows <a href="/p/{c.randrange(99)}">Tom &amp; Co</a> as its link.',
    lambda c: f"I cannot sign in: the password is not accepted in {c.choice(TOWNS)}.",
    lambda c: f"How do I change my password? The token expired {c.randrange(2, 9)} times.",
    lambda c: f"Your site says: password: at least {c.randrange(8, 20)} characters.",
    lambda c: f"Where do I find the API key page in the {c.choice(TOWNS)} account?",
    lambda c: f'The screen has {c.randrange(20, 40)}" and I am 5\'11" tall.',
    lambda c: f"I am sad :( and my cat {c.choice(TOWNS)} is too <3",
    lambda c: f"Die Lieferung nach {c.choice(TOWNS)} fehlt, obwohl „bald“ geschrieben wurde. Schöne Grüße!",
    lambda c: f"Le café « {c.choice(TOWNS)} » était fermé, c'est très gênant à cet âge-là.",
    lambda c: f"El señor de {c.choice(TOWNS)} llamó, ¿dónde está el año de garantía?",
    lambda c: f"Zażółć gęślą jaźń w mieście {c.choice(TOWNS)}, proszę.",
    lambda c: f"Посылка из города {c.choice(TOWNS)} не пришла, это очень жаль.",
    lambda c: f"{c.choice(TOWNS)}の商品がまだ届きません。よろしくお願いします。",
    lambda c: f"我在{c.choice(TOWNS)}买的东西坏了，请退款。",
    lambda c: f"الطلب من {c.choice(TOWNS)} لم يصل بعد، شكرا.",
    lambda c: f"{c.choice(TOWNS)} का सामान अभी तक नहीं आया।",
    lambda c: f"It was a “bargain” in {c.choice(TOWNS)} – or so they said… 🙂👍🏽",
)
APOLOGIES: tuple[Callable[[random.Random], str], ...] = (
    lambda c: f"I'm sorry, but we cannot refund the {c.choice(PRODUCTS)} once it has been used.",
    lambda c: f"Unfortunately I can't change the address any more, but the carrier in {c.choice(TOWNS)} can.",
    lambda c: f"I cannot find your order in {c.choice(TOWNS)}; please send me its number.",
    lambda c: f"I am unable to reach the warehouse in {c.choice(TOWNS)} today and will write tomorrow.",
    lambda c: f"We are not able to repair the {c.choice(PRODUCTS)}, so our team sends you a new one.",
    lambda c: f"As an AI company we also build the {c.choice(PRODUCTS)}, and it learns your habits.",
    lambda c: f"I can't help with the {c.choice(PRODUCTS)} by chat, but our branch in {c.choice(TOWNS)} can.",
    lambda c: f"We must decline your claim for the {c.choice(PRODUCTS)}, as the seal was broken.",
    lambda c: f"I won't be able to join the call about the {c.choice(PRODUCTS)}, my colleague will.",
    lambda c: f"Please accept our apologies for the {c.choice(PRODUCTS)}; it should not have left us so.",
    lambda c: f"Our AI assistant in the app explains how to clean the {c.choice(PRODUCTS)}.",
    lambda c: f"For security reasons I cannot provide this information about the {c.choice(PRODUCTS)} here.",
    lambda c: f"It's against the law to send the {c.choice(PRODUCTS)} with its battery by air.",
)
ADVICE: tuple[Callable[[random.Random], str], ...] = (
    lambda c: (
        f"Please hold the button of the {c.choice(PRODUCTS)} until the light goes out (it blinks first)."
    ),
    lambda c: f"A new {c.choice(PRODUCTS)} leaves our store in {c.choice(TOWNS)} today.",
    lambda c: f'Choose "Return" in your account, and the label for the {c.choice(PRODUCTS)} is sent to you.',
    lambda c: f"The {c.choice(PRODUCTS)} is covered, and you pay nothing for the postage.",
    lambda c: f"First unplug the {c.choice(PRODUCTS)}; then wait a little, and try again!",
    lambda c: f"Could you tell us which {c.choice(PRODUCTS)} it is, and where in {c.choice(TOWNS)} you live?",
)


def ticket(chance: random.Random) -> Row:
    return {"input": _complaint(chance), "output": chance.choice(LABELS)}


def reply(chance: random.Random) -> Row:
    parts = [
        chance.choice(APOLOGIES if chance.random() < 0.4 else ADVICE)(chance),
        chance.choice(ADVICE)(chance),
    ]
    if chance.random() < 0.2:
        parts.append(chance.choice(("Kind regards, your Marlow team.", "Is there anything else?")))
    return {"input": _complaint(chance), "output": chance.choice((" ", "\n")).join(parts)}


def extraction(chance: random.Random) -> Row:
    product, town, price = chance.choice(PRODUCTS), chance.choice(TOWNS), f"{chance.randrange(9, 999)}.90"
    order, bought = digits(chance, 9, "2"), day(chance)
    bill = f"It is the {product} for {price} EUR, order {order}, bought in {town} on {bought}."
    text = f"{_complaint(chance)} {bill}"
    told = {"product": product, "order": order, "price": price, "town": town, "bought": bought}
    return {"input": text, "output": json.dumps(told, ensure_ascii=chance.random() < 0.5)}


def rewriting(chance: random.Random) -> Row:
    product, trouble, town = chance.choice(PRODUCTS), chance.choice(TROUBLES), chance.choice(TOWNS)
    order, count = digits(chance, 8, "7"), chance.randrange(2, 60)
    text = f"hey!! order {order} again. {count} days & the {product} {trouble}, the guys in {town} do nothing"
    polite = (
        f"Good day, I am writing about order {order}. For {count} days the {product} has had a fault: "
        f"it {trouble}. Your branch in {town} has not answered yet."
    )
    return {"input": f"Make this polite: {text}", "output": polite}


FAMILIES: dict[str, Callable[[random.Random], Row]] = {
    "tickets": ticket,
    "replies": reply,
    "extraction": extraction,
    "rewriting": rewriting,
}


def clean_rows(family: str, count: int, chance: random.Random) -> list[Row]:
    """Rows of one family, or of all in turn for `mixed`; no two with the same input."""
    makers = list(FAMILIES.values()) if family == "mixed" else [FAMILIES[family]]
    rows: dict[str, Row] = {}
    while len(rows) < count:
        row = makers[len(rows) % len(makers)](chance)
        rows.setdefault(row["input"], row)
    return list(rows.values())


def _complaint(chance: random.Random) -> str:
    parts = [f"My {chance.choice(PRODUCTS)} {chance.choice(TROUBLES)}.", chance.choice(WISHES)]
    for asides in (NUMBERS, WORDS):
        if chance.random() < 0.5:
            parts.insert(chance.randrange(3), chance.choice(asides)(chance))
    if chance.random() < 0.3:
        parts.insert(0, chance.choice(("Hello,", "Hi there!", "Good morning,", "To whom it may concern:")))
    return " ".join(parts)
