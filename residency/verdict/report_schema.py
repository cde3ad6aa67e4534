"""The versioned schema of `report.json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from residency.evals.noninferiority import Regression
from residency.evals.statistics import Interval
from residency.verdict.advice_schema import AdvicePart
from residency.verdict.causes_schema import CausePart, TracingPart
from residency.verdict.data_schema import DataPart
from residency.verdict.judging_schema import JudgePart
from residency.verdict.learning_schema import LearningCurvePart, PartTrainingPart
from residency.verdict.memorisation_schema import MemorisationPart, ParaphrasesPart
from residency.verdict.part import Count, Part, Share

Recommendation = Literal["prompt", "retrieve", "classifier", "fine-tune", "cannot tell"]
Gate = Literal["ship", "do not ship", "cannot tell"]


class BasePart(Part):
    """The model that was started from."""

    model: str
    """As the recipe names it."""
    dtype: str
    """Number format of its weights."""
    fingerprint: str
    """Hash of weights, tokenizer and template."""


class CandidateSummary(Part):
    """One way to answer the task, on the frozen test rows."""

    name: str
    """`base`, `zero-shot`, `few-shot`, `retrieved`, `documents`, `classifier`, `tuned`, `tuned+retrieval`."""
    n: Annotated[int, Field(ge=1)]
    """Test rows answered."""
    effective_n: Annotated[float, Field(gt=0)]
    """As many independent rows as these are worth: less than `n` with rows of one group, or near twins."""
    passed: Count
    """Rows that passed."""
    mean: Share
    """Share of rows that passed."""
    interval: Interval
    """Wilson's interval of `mean`."""
    mean_score: Share
    """Mean of the scores, which may give part marks."""
    parts: dict[str, Share] = {}
    """Where the scorer tells parts apart, such as fields: the share of rows in which each was right."""
    prompt_tokens_per_call: float
    """Mean prompt tokens, shared prefix included."""
    completion_tokens_per_call: float
    """Mean completion tokens."""
    seconds_per_call: float
    """Mean seconds, in batches on the machine of the run; of a remote model those of the call."""
    cost_per_call: Annotated[float, Field(ge=0)] | None = None
    """Mean cost of a call by the recipe's prices, as if none were cached; none where nobody bills."""
    spent: Annotated[float, Field(ge=0)] | None = None
    """What its answers cost in this run: cached ones nothing."""
    cached: Count = 0
    """Answers that had been paid for before they were asked for."""


class IncompletePart(Part):
    """A candidate that could not answer all test rows for its money, and so is not compared."""

    name: str
    """The candidate."""
    answered: Count
    """Test rows it answered."""
    n: Count
    """Test rows in all."""
    spent: Annotated[float, Field(ge=0)]
    """What the answers of its model cost until then, cached ones counted as if they were not."""


class ChoicePart(Part):
    """A setting of a candidate that was chosen on validation rows; the test had no part in it."""

    candidate: str
    """Whose setting."""
    setting: str
    """`examples` shown, or the classifier's `C`."""
    chosen: float
    """The value taken."""
    tried: dict[str, Share]
    """Mean score on the validation rows by value; the classifier's is the share of labels right."""
    rows: Annotated[int, Field(ge=1)]
    """Validation rows it was chosen on."""


class ComparisonPart(Part):
    """Two candidates on the same test rows."""

    a: str
    """The other candidate."""
    b: str
    """The tuned model, which stands against it."""
    difference: float
    """Share of b minus share of a."""
    interval: Interval
    """Newcombe's paired interval of `difference`."""
    p: Share
    """Exact two-sided McNemar."""
    p_adjusted: Share
    """`p` after Holm's correction over all baselines; the gate goes by this."""
    n: Annotated[int, Field(ge=1)]
    """Rows compared."""
    only_a: Count
    """Rows only a passed."""
    only_b: Count
    """Rows only b passed."""
    score_difference: float | None = None
    """Mean score of b minus that of a, where scores give part marks."""
    score_interval: Interval | None = None
    """Bootstrap interval (BCa) of `score_difference`."""


class CurvePoint(Part):
    """One evaluation during training."""

    step: Count
    """Optimiser steps done."""
    epoch: float
    """Passes over the training rows done."""
    train_loss: float | None
    """Mean loss since the point before, in nats a supervised token; none before the first step."""
    validation_loss: float
    """Loss on the validation rows, in nats a supervised token."""
    learning_rate: float
    """Learning rate of the last step."""
    score: Share | None = None
    """Mean score of the answers to validation rows, where training watched it."""
    metrics: dict[str, float] = {}
    """What the objective told of the validation rows beside its loss."""


class TrialPart(Part):
    """A configuration of the sweep."""

    settings: dict[str, int | float]
    """The keys of [train] that were varied, with its values."""
    status: Literal["finished", "stopped", "failed"]
    """`stopped` at its rung, where others were better; `failed` where its loss was no longer a number."""
    rung: Annotated[int, Field(ge=1)]
    """The last rung it was trained on, counted from 1; without halving there is one."""
    steps: Count
    """Optimiser steps done."""
    validation_loss: float | None
    """Loss of its best step on the validation rows, in nats a supervised token; none where it failed."""
    seconds: float
    """Time its training took."""
    reason: str
    """Why it failed; else empty."""
    chosen: bool
    """Whether its adapter is the run's. The choice is made on the validation rows alone."""


class TrainingPart(Part):
    """What was trained, on what and how long."""

    method: str
    """What was trained: `lora`, `qlora` or `full`."""
    objective: str
    """What was minimised: `sft`."""
    trainable_parameters: Count
    """Parameters trained."""
    total_parameters: Count
    """Parameters of the base, and of the adapter where there is one."""
    trainable_share: Share
    """The first divided by the second."""
    rows: Count
    """Training rows, those of `replay_rows` among them."""
    replay_rows: Count = 0
    """General rows mixed in, so that less is forgotten."""
    tokens: Count
    """Tokens of the training rows, an epoch."""
    supervised_tokens: Count
    """Tokens the loss is taken of, an epoch."""
    seconds: float
    """Time training took."""
    peak_memory_gib: Annotated[float, Field(ge=0)]
    """The most memory held while training, in GiB: of the process, or on a GPU of its tensors."""
    memory_before_gib: Annotated[float, Field(ge=0)]
    """What of it was held before the base was loaded."""
    gradient_checkpointing: bool
    """Whether activations were computed again instead of held."""
    steps: Count
    """Optimiser steps done."""
    best_step: Count
    """The step whose checkpoint is kept."""
    overfits_since: Count | None
    """The step since which the training loss fell on and the validation loss rose; none if it did not."""
    stopped_early: bool
    """Whether evaluations that gained nothing ended the training before its last epoch."""
    curve: list[CurvePoint]
    """The evaluations in order."""
    artifact: str
    """Folder of the adapter, or of the model where all weights were trained."""
    sweep: list[TrialPart] = []
    """Every configuration that was tried; empty where the recipe has no sweep."""
    parts: list[PartTrainingPart] = []
    """Trainings on parts of the rows, the smallest first; empty without `verdict.learning_curve`."""


class ShareOfRows(Part):
    """Passed rows of one split."""

    n: Annotated[int, Field(ge=1)]
    """Rows scored."""
    mean: Share
    """Share that passed."""
    interval: Interval
    """Wilson's interval of `mean`."""


class GapPart(Part):
    """The tuned model on rows it was trained on against rows it never saw."""

    train: ShareOfRows
    """A sample of the training rows."""
    held_out: ShareOfRows
    """The frozen test rows."""
    difference: float
    """Share of the training rows minus share of the held-out rows."""
    interval: Interval
    """Newcombe's interval of `difference` for independent shares."""
    p: Share
    """Fisher's exact test, two-sided."""


class FailurePart(Part):
    """A test row the tuned model failed."""

    example_id: str
    """Hash of the row's content."""
    source: str
    """`file:row`."""
    prompt: str
    """The last user turn."""
    expected: str
    """The answer wanted."""
    got: str
    """The answer given."""
    reason: str
    """What differs, as the scorer says."""


class RegressionPart(Part):
    """The tuned model against the base on a suite, or on one kind of its items."""

    suite: str
    """Name of the suite."""
    kind: str
    """Kind of the items; empty for all of the suite."""
    n: Annotated[int, Field(ge=1)]
    """Items both were asked."""
    base: Share
    """Share of items the base passed."""
    tuned: Share
    """Share of items the tuned model passed."""
    gained: Count | None = None
    """Items that only the tuned model passed."""
    lost: Count | None = None
    """Items that only the base passed."""
    difference: float
    """Share of tuned minus share of base."""
    low: float
    """One-sided lower bound of `difference`, by Tango's score interval."""
    high: float
    """One-sided upper bound of `difference`."""
    p: Share
    """Of the hypothesis that tuned is worse by the recipe's margin or more."""
    verdict: Regression
    """`not worse`: the lower bound is above minus the margin; `worse`: it is not, and there is a loss, by
    Holm's correction over the suites, and over all their kinds."""


class VerdictPart(Part):
    """What to do, and why."""

    recommend: Recommendation
    """The way to answer this task."""
    gate: Gate
    """Whether the tuned model may go out."""
    reasons: list[str]
    """Sentences with the figures they rest on, the weightiest first."""
    rows_needed: int | None
    """About how many test rows more would tell, where the gate cannot."""


class Report(Part):
    """Everything a run found out."""

    schema_: Literal["residency.report/1"] = Field("residency.report/1", alias="schema")
    """Name and version of this schema."""
    run: str
    """Name of the run."""
    created: str
    """When the report was made, ISO 8601."""
    recipe: dict[str, Any]
    """The recipe with its defaults."""
    base: BasePart
    data: DataPart
    candidates: list[CandidateSummary]
    """Every candidate on the test rows."""
    choices: list[ChoicePart] = []
    """What was chosen for them on validation rows."""
    instructions_unwritten: bool = False
    """Whether the prompted candidates were told the form of `residency new`, which nobody had filled in."""
    incomplete: list[IncompletePart] = []
    """Candidates that stopped at `max_cost`; they have no figures."""
    comparisons: list[ComparisonPart]
    """The tuned model against every other candidate."""
    advice: AdvicePart
    """What each candidate costs, and the cheapest that is good enough."""
    training: TrainingPart
    gap: GapPart
    memorisation: MemorisationPart | None = None
    """None where the base was not asked training rows."""
    paraphrases: ParaphrasesPart | None = None
    """What became of the rows that `verdict.paraphraser` worded anew; none without it."""
    learning_curve: LearningCurvePart | None = None
    """None without `verdict.learning_curve`."""
    failures: list[FailurePart]
    """At most ten rows the tuned model failed, of as many kinds as there are."""
    causes: list[CausePart] = []
    """All rows the tuned model failed by their causes in the training rows, the commonest first."""
    tracing: TracingPart | None = None
    """None where the rows beside failures are the nearest ones, `verdict.tracing` being `similarity`."""
    regressions: list[RegressionPart] = []
    """What training cost elsewhere, suite by suite and kind by kind; empty where no suite was asked."""
    judge: JudgePart | None = None
    """The model that graded the answers; none where a scorer did that asks no model."""
    verdict: VerdictPart

    def to_json(self) -> dict[str, Any]:
        """The content of `report.json`; `Report.model_validate` reads it back."""
        return self.model_dump(mode="json")
