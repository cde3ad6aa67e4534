"""Constructed scored rows and a whole report made of them."""

from pathlib import Path

from residency.core.recipe import Data, Prices, Recipe, Verdict
from residency.evals.scored import Scored
from residency.training.curve import best_of
from residency.verdict.advice import advise
from residency.verdict.data_schema import DataPart, FilePart, FindingPart
from residency.verdict.decide import Beside, compare, decide, measure_gap, pick_failures, summarise
from residency.verdict.reasons import overfitted
from residency.verdict.report_schema import BasePart, CurvePoint, Report, TrainingPart

TICKET = "Hi, I was charged twice for March and nobody answers my mails. Please sort this out TODAY."
RIGHT = "category: billing\npriority: high\nteam: payments"


def row(candidate, number, passed, split="test", **other):
    wrong = RIGHT.replace("high", "normal") if number % 3 else RIGHT.replace("payments", "accounts")
    reason = (
        "priority: expected 'high', got 'normal'"
        if number % 3
        else "team: expected 'payments', got 'accounts'"
    )
    known = {
        "example_id": f"id{number}",
        "source": f"tickets.jsonl:{number}",
        "prompt": TICKET,
        "expected": RIGHT,
        "got": RIGHT if passed else wrong,
        "score": 1.0 if passed else 2 / 3,
        "passed": passed,
        "reason": "" if passed else reason,
        "prompt_tokens": {"few-shot": 1180, "zero-shot": 812, "classifier": 0}.get(candidate, 96),
        "completion_tokens": 15,
        "seconds": 0.125,
    }
    return Scored(candidate=candidate, split=split, **(known | other))


def rows(n=150, train=(96, 100), **passed):
    """Test rows of each candidate, of which the first so many pass; and tuned on training rows."""
    test = [row(name.replace("_", "-"), i, i < k) for name, k in passed.items() for i in range(n)]
    return test + [row("tuned", 1000 + i, i < train[0], "train") for i in range(train[1])]


CURVE = [
    CurvePoint(step=0, epoch=0, train_loss=None, validation_loss=2.31, learning_rate=0),
    CurvePoint(step=20, epoch=0.5, train_loss=1.42, validation_loss=0.71, learning_rate=1e-3),
    CurvePoint(step=40, epoch=1, train_loss=0.52, validation_loss=0.38, learning_rate=8e-4),
    CurvePoint(step=60, epoch=1.5, train_loss=0.31, validation_loss=0.24, learning_rate=6e-4),
    CurvePoint(step=80, epoch=2, train_loss=0.19, validation_loss=0.21, learning_rate=4e-4),
    CurvePoint(step=100, epoch=2.5, train_loss=0.11, validation_loss=0.23, learning_rate=2e-4),
    CurvePoint(step=120, epoch=3, train_loss=0.06, validation_loss=0.27, learning_rate=0),
]


def judge(scored, settings=None, curve=(), prices=None, **beside):
    """The verdict, with an advice of a training of 154.2 s."""
    settings = settings or Verdict()
    compare(scored, settings.confidence)
    candidates = summarise(scored, settings.confidence)
    advice = advise(candidates, scored, settings, prices or Prices(), 154.2)
    kept = best_of(curve).step if curve else 0
    return decide(scored, settings, advice, Beside(**beside, overfitted=overfitted(curve, kept)))


def report(scored, settings=None, overlap=0, curve=CURVE, ceiling=None, prices=None):
    settings, prices = settings or Verdict(), prices or Prices()
    confidence = settings.confidence
    candidates = summarise(scored, confidence)
    return Report(
        run="tickets-3f9a1c",
        created="2026-01-15T10:24:00Z",
        recipe=Recipe(data=Data(train=Path("tickets.jsonl")), verdict=settings, prices=prices).to_json(),
        base=BasePart(model="smollm2-135m-instruct", dtype="bfloat16", fingerprint="8d1f0c2b5a6e7f90"),
        data=DataPart(
            files=[FilePart(file="tickets.jsonl", role="train", sha256="ab" * 32, rows=560)],
            rows=560,
            fates={
                "train": 338,
                "duplicate": 9,
                "validation": 53,
                "test": 150,
                "refused": 2,
                "over-long": 1,
                "conflict": 7,
            },
            findings=[
                FindingPart(
                    id="conflict",
                    severity="warning",
                    rows=["tickets.jsonl:77", "tickets.jsonl:214"],
                    fix="Decide which answer holds.",
                    explanation="Rows with the same input and different answers were left out.",
                )
            ],
            test_hash="5be1" * 4,
            overlap=overlap,
            leaks=overlap,
            ceiling=ceiling,
        ),
        candidates=candidates,
        advice=advise(candidates, scored, settings, prices, 154.2),
        comparisons=compare(scored, confidence),
        training=TrainingPart(
            method="lora",
            objective="sft",
            trainable_parameters=4_884_480,
            total_parameters=139_399_488,
            trainable_share=4_884_480 / 139_399_488,
            rows=338,
            tokens=41_236,
            supervised_tokens=5_408,
            seconds=154.2,
            peak_memory_gib=2.31,
            memory_before_gib=0.42,
            gradient_checkpointing=False,
            steps=120,
            best_step=80,
            overfits_since=100,
            stopped_early=True,
            curve=curve,
            artifact=".residency/stages/train-3f9a1c/adapter",
        ),
        gap=measure_gap(scored, confidence),
        failures=pick_failures(scored),
        verdict=judge(scored, settings, curve, prices, overlap=overlap, ceiling=ceiling),
    )
