import random

from residency.data.checks.language import other_language
from tests.data.checks.rows import DATA, checked

ENGLISH = (
    "We have looked into your order and found that it is still waiting in the warehouse.",
    "You can send the kettle back within two weeks, and we will pay for the postage.",
    "Please tell us the number of your order, so that we can see what happened to it.",
    "The repair takes about ten days, because the part has to come from the factory first.",
    "I am sorry that the lamp arrived broken; a new one will leave our store today.",
)
OTHERS = {
    "de": "Wir haben uns Ihre Bestellung angesehen; sie liegt noch im Lager und wartet auf den Versand.",
    "fr": "Nous avons examiné votre commande, et elle se trouve toujours dans notre entrepôt de Lyon.",
    "es": "Hemos revisado su pedido y hemos visto que todavía está esperando en el almacén de la ciudad.",
    "ru": "Мы проверили ваш заказ и увидели, что он всё ещё находится на складе и ждёт отправки.",
    "zh": "我们查看了您的订单，发现它还在仓库里等待发货，我们会尽快为您寄出，请您再耐心等待几天。",
}


def found(answers):
    rows = checked((f"row {i}", answer) for i, answer in enumerate(answers))
    return {flag.source.row: flag.detail for flag in other_language(rows, DATA)}


def test_planted_answers_are_found_and_nothing_else():
    rng = random.Random(4)
    answers = [f"{rng.choice(ENGLISH)} {rng.choice(ENGLISH)}" for _ in range(80)]
    for number, text in zip(rng.sample(range(80), len(OTHERS)), OTHERS.values(), strict=True):
        answers[number] = text
    planted = {answers.index(text) + 1: f"{code}; most rows: en" for code, text in OTHERS.items()}
    assert found(answers) == planted


def test_a_file_in_two_languages_and_short_answers_are_silent():
    assert found([*ENGLISH * 8, *[OTHERS["de"]] * 8]) == {}
    assert found(["yes", "no"] * 30 + [OTHERS["de"]]) == {}
    assert (
        found([*ENGLISH * 6, '{"antwort": "Wir haben uns die Bestellung angesehen, sie fehlt"}'][:10]) == {}
    )
