"""The recipe: the one schema of a project, read from `residency.toml`.

Every option of the product is a field here; the command line (`--set`), the JSON Schema and the
documentation page come from these declarations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from residency.core.recipe_endpoints import Endpoint as Endpoint
from residency.core.recipe_endpoints import Judge as Judge
from residency.core.recipe_endpoints import Priced as Priced
from residency.core.recipe_endpoints import Remote as Remote
from residency.core.recipe_fields import DataField, Name, PathField, Seed
from residency.core.recipe_fields import Section as Section
from residency.core.recipe_training import OF_ADAPTERS
from residency.core.recipe_training import Distribution as Distribution
from residency.core.recipe_training import Method as Method
from residency.core.recipe_training import Sweep as Sweep
from residency.core.recipe_training import Train as Train

Shots = Annotated[int, Field(ge=0, le=64)]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, int) else value


FewShot = Annotated[tuple[Shots, ...], Field(min_length=1, max_length=8), BeforeValidator(_listed)]


class Base(Section):
    """The model to start from."""

    model: str = Field("smollm2-135m-instruct", min_length=1)
    """`smollm2-135m-instruct` (packaged, works offline), a folder, or a model's name on a hub."""
    revision: str = "main"
    """The hub's branch, tag or commit; not used for a folder or the packaged base."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Number format of the base's weights; `auto` measures which one is faster here."""


class Data(Section):
    """The examples and how to read them."""

    train: DataField
    """The examples: a file, a folder of files, or a dataset on the hub as `hf:owner/name:split`."""
    test: DataField | None = None
    """Test rows of your own, given likewise; without them they are drawn from `train`."""
    validation: DataField | None = None
    """Validation rows of your own, given likewise; without them they are drawn from `train`."""
    input: str | None = None
    """The column that holds the input, where it has a name of its own."""
    output: str | None = None
    """The column that holds the answer, where it has a name of its own."""
    max_tokens: int = Field(1024, ge=16, le=131072)
    """Longest row in tokens, prompt and answer together. Longer rows are refused, never cut."""
    duplicates: Literal["drop", "keep"] = "drop"
    """Rows that repeat an earlier one: `drop` keeps the first, `keep` trains on each."""
    conflicts: Literal["drop", "keep"] = "drop"
    """Rows with the same input and different answers: `drop` leaves all of them out."""
    near: float = Field(0.8, ge=0.5, le=1)
    """Inputs at least this similar are near duplicates; 1 looks for none but those in the same words."""
    label_errors: Literal["auto", "off"] = "auto"
    """Rows with a doubtful label are sought by cross-validation; `auto`: in files of up to 20,000 rows."""
    max_refused: float = Field(0.05, ge=0, le=1)
    """The run stops if more than this share of the rows cannot be used."""


class Split(Section):
    """What is held out."""

    test: float = Field(0.15, gt=0, le=1_000_000)
    """Test rows: a share if below 1, else a number of rows. Not used with a test file."""
    validation: float = Field(0.1, gt=0, le=1_000_000)
    """Validation rows: a share if below 1, else a number. Not used with a validation file."""
    seed: Seed = 0
    """Seed of the draw."""
    group: str | None = None
    """A column (`customer`): rows with the same value in it stay on one side of the split."""
    drop_twins: bool = False
    """Leave rows out of training that ask what a test row asks, or nearly so; the test stays whole."""
    allow_overlap: bool = False
    """Train although test inputs stand in the training rows too; the report then says so."""


class Task(Section):
    """What is asked of the model and how an answer is scored."""

    name: Name = "task"
    """Short name; runs are named after it."""
    kind: Literal["extract", "classify", "write", "chat"] = "extract"
    """What sort of task it is; in a `chat` the conversation goes on when you talk to the model."""
    system: str = ""
    """System prompt of the tuned model. Rows with a system turn of their own keep theirs."""
    instructions: PathField | None = None
    """Text file with the full instructions, which only the prompted baselines see."""
    scorer: str = "exact"
    """How an answer is scored: a name from docs/scorers.md, or a function of yours, `my_file.py:function`."""
    max_new_tokens: int = Field(128, ge=1, le=32768)
    """Longest answer, in tokens."""
    constrain: Literal["none", "labels", "schema"] = "none"
    """What base and tuned model may answer: anything, a label of the training rows, JSON by a schema."""
    schema_file: PathField | None = Field(None, validate_default=True)
    """File with the JSON Schema to which answers are held, where `constrain` is `schema`."""

    @field_validator("schema_file")
    @classmethod
    def _goes_with_schema(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        constrain = info.data.get("constrain")
        if constrain is not None and (file is None) == (constrain == "schema"):
            text = "a file and constrain = 'schema' go together"
            fix = {"fix": 'Give task.schema_file with task.constrain = "schema", or neither.'}
            raise PydanticCustomError("schema_file", text, fix)
        return file


class Scoring(Section):
    """Settings of the scorer. A key that the scorer does not read is a mistake."""

    pass_mark: float = Field(0.5, ge=0, le=1)
    """Lowest score that passes: `chrf`, `rouge_l`, `edit`, `embedding`, a function of yours."""
    tolerance: float = Field(0.0, ge=0)
    """How far a number may be off: `numeric`."""
    relative_tolerance: float = Field(0.0, ge=0, lt=1)
    """How far a number may be off, as a share of the number wanted: `numeric`."""
    pattern: str = ""
    """Regular expression; its last match (first group, if any) in both texts must be the same: `regex`."""
    answer_schema: PathField | None = None
    """File with a JSON Schema that answers must satisfy: `json`."""
    tests: PathField | None = None
    """Python file with assertions run after the answer; without it the expected answer is them: `code`."""
    seconds: float = Field(5.0, gt=0, le=600)
    """CPU time a program may take, and half of the time by the clock: `code`."""
    memory_mib: int = Field(512, ge=64, le=65536)
    """Memory a program may take: `code`."""


class Candidates(Section):
    """The ways to answer the task that stand against the tuned model."""

    zero_shot: bool = True
    """Ask the base with the instructions alone."""
    few_shot: FewShot = (4,)
    """Training rows shown with the instructions; 0: not asked; of a list, the best on validation rows."""
    retrieved: Shots = 4
    """Ask the base with the training rows most like each input, so many; 0 leaves it out."""
    similarity: Literal["words", "meaning"] = "words"
    """How likeness is told: by `words` and pieces of words, or by `meaning` with a sentence encoder."""
    documents: PathField | None = None
    """A folder of documents (.md, .txt, .jsonl): the base is asked with the passages that fit each input."""
    passages: int = Field(4, ge=1, le=64)
    """Passages of the documents shown for an input."""
    classifier: Literal["auto", "on", "off"] = "auto"
    """A plain classifier, without any language model; `auto`: where the answers are labels."""
    tuned_retrieval: bool = False
    """Ask the tuned model also with what `retrieved` and `documents` find, as `tuned+retrieval`."""
    batch_size: int = Field(32, ge=1, le=4096)
    """Rows answered at a time at most; fewer where prompts are long."""
    remote: tuple[Remote, ...] = ()
    """Models behind an API, asked as the base is: `[[candidates.remote]]`, one table each."""

    @field_validator("tuned_retrieval")
    @classmethod
    def _has_something_to_find(cls, value: bool, info: ValidationInfo) -> bool:
        if value and not info.data.get("retrieved", 1) and info.data.get("documents") is None:
            raise PydanticCustomError(
                "nothing_to_find",
                "there is nothing to retrieve",
                {"fix": "Set candidates.retrieved above 0, or name a folder as candidates.documents."},
            )
        return value

    @field_validator("remote")
    @classmethod
    def _names_differ(cls, remote: tuple[Remote, ...]) -> tuple[Remote, ...]:
        if len({one.name for one in remote}) < len(remote):
            raise PydanticCustomError("names", "two models have the same name", {"fix": "Name each its own."})
        return remote

    def remote_of(self, candidate: str) -> Remote | None:
        """The remote model that answers as `candidate`, named `<name>/zero-shot` and the like."""
        name, slash, _ = candidate.partition("/")
        return next((one for one in self.remote if slash and one.name == name), None)


class Verdict(Section):
    """When the result is good enough."""

    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence of every interval."""
    margin: float = Field(0.0, ge=0, lt=1)
    """The tuned model must get more rows right than the best baseline, by more than this share."""
    minimum: float = Field(0.0, ge=0, le=1)
    """The share of rows that the tuned model gets right must reach this."""
    tolerance: float = Field(0.03, gt=0, lt=1)
    """A candidate shown to be right on less than this share of rows fewer than any other is good enough
    to be recommended, the cheapest first. Where `margin` is larger, that is taken."""
    learning_curve: bool = False
    """Train on 25 and 50 % of the rows as well, to foresee twice as many: 0.75 of one more training."""
    train_sample: int = Field(100, ge=10, le=100_000)
    """Training rows, and validation rows, that are answered to tell memorising from understanding."""
    paraphrases: PathField | None = None
    """Training rows in other words: `paraphrase`, and `id` or `input`. Without it, small changes are made."""
    paraphraser: str | None = None
    """Name of a `[[candidates.remote]]` that words the sampled training rows anew, in place of a file."""
    tracing: Literal["similarity", "gradients"] = "similarity"
    """Training rows shown beside a failure: the nearest, by `similarity`, or those whose `gradients` on the
    adapter are most like its own: of at most 200 failures, and 1,000 training rows, each a forward and a
    backward pass."""

    @field_validator("paraphraser")
    @classmethod
    def _words_what_is_not_given(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is not None and info.data.get("paraphrases") is not None:
            text = "verdict.paraphrases gives the paraphrases already"
            fix = {"fix": "Give verdict.paraphrases or verdict.paraphraser, not both."}
            raise PydanticCustomError("paraphraser", text, fix)
        return name


LocalCandidate = Literal[
    "base", "zero-shot", "few-shot", "retrieved", "documents", "classifier", "tuned", "tuned+retrieval"
]
Price = Annotated[float, Field(ge=0)]


class Prices(Section):
    """What calls and training cost; without prices the advice goes by seconds."""

    currency: str = Field("", max_length=8)
    """Told after each amount: `EUR`."""
    hour: float | None = Field(None, gt=0)
    """An hour of this machine: for training, and for calls at the seconds measured."""
    tokens: dict[LocalCandidate, tuple[Price, Price]] = {}
    """For candidates that will run where tokens are billed, a million prompt tokens and a million answer
    tokens: `{ few-shot = [0.15, 0.60] }`."""


class Regression(Section):
    """What training may have cost elsewhere: suites asked of the base and of the tuned model."""

    suites: tuple[str, ...] = ("general", "safety")
    """`general` (ability) and `safety`, or .jsonl files of your own; []: none."""
    margin: float = Field(0.05, gt=0, lt=1)
    """The tuned model is called not worse where it loses less than this share of a suite's items."""
    items: int = Field(400, ge=10, le=100_000)
    """Items of a suite that are asked at most, of every kind in proportion."""


class Recipe(Section):
    """One project: from the base and the examples to the verdict."""

    base: Base = Base()
    data: Data
    split: Split = Split()
    task: Task = Task()
    scoring: Scoring = Scoring()
    judge: Judge = Judge()
    candidates: Candidates = Candidates()
    train: Train = Train()
    sweep: Sweep = Sweep()
    verdict: Verdict = Verdict()
    prices: Prices = Prices()
    regression: Regression = Regression()

    @field_validator("sweep")
    @classmethod
    def _varies_what_is_trained(cls, sweep: Sweep, info: ValidationInfo) -> Sweep:
        """Refuse values for an adapter where none is trained; a mistaken [train] is told alone."""
        train = info.data.get("train")
        idle = [key for key in sweep.varied if key in OF_ADAPTERS]
        if train is not None and train.method == "full" and idle:
            names = " and ".join(idle)
            raise PydanticCustomError(
                "needs_adapter",
                "the method 'full' trains all weights and no adapter",
                {"fix": f"Take {names} out of [sweep], or set train.method to lora or qlora."},
            )
        return sweep

    @field_validator("verdict")
    @classmethod
    def _traces_what_is_trained(cls, verdict: Verdict, info: ValidationInfo) -> Verdict:
        """Refuse gradients of an adapter where none is trained; a mistaken [train] is told alone."""
        train = info.data.get("train")
        if train is not None and train.method == "full" and verdict.tracing == "gradients":
            raise PydanticCustomError(
                "needs_adapter",
                "the method 'full' trains all weights and no adapter",
                {"fix": 'Set verdict.tracing = "similarity", or train.method to lora or qlora.'},
            )
        return verdict

    @property
    def paraphraser(self) -> Remote | None:
        """The remote model that `verdict.paraphraser` names; none where there is none of that name."""
        named = (one for one in self.candidates.remote if one.name == self.verdict.paraphraser)
        return next(named, None)

    def to_json(self) -> dict[str, Any]:
        """The recipe with its defaults, paths as text."""
        return self.model_dump(mode="json")
