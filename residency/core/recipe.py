"""The recipe: the one schema of a project, read from `residency.toml`.

Every option of the product is a field here; the command line (`--set`), the JSON Schema and the
documentation page come from these declarations.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from residency.core.hub_name import HubName, on_hub


def _is_address(url: str) -> str:
    """Refuse what may carry a key, and what would send it in the clear."""
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query:
        fix = {"fix": "Give the address alone, and name the key's environment variable in key_env."}
        raise PydanticCustomError("may_be_secret", "a password or a query in an address may be a key", fix)
    loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if url and not (parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and loopback))):
        fix = {"fix": "Write https://...; http:// is for this machine (localhost, 127.0.0.1) alone."}
        raise PydanticCustomError("address", "this is no https address", fix)
    return url.rstrip("/")


def _is_variable(name: str) -> str:
    if name and not re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name):
        fix = {"fix": "Write the variable's name, e.g. OPENAI_API_KEY, and export the key there."}
        text = "this is no name of an environment variable (capitals, digits, _), and a recipe holds no key"
        raise PydanticCustomError("may_be_secret", text, fix)
    return name


def _well_named(path: Path) -> Path:
    if on_hub(path):
        try:
            HubName.parse(path)
        except ValueError:
            fix = {"fix": "Write hf:owner/name, or hf:owner/name:train for one split."}
            raise PydanticCustomError("hub_name", "this is no name of a dataset on the hub", fix) from None
    return path


PathField = Annotated[Path, Field(json_schema_extra={"format": "path"})]
DataField = Annotated[PathField, AfterValidator(_well_named)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Rank = Annotated[int, Field(ge=1, le=512)]
Alpha = Annotated[int, Field(ge=1, le=4096)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Epochs = Annotated[float, Field(gt=0, le=1000)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Address = Annotated[str, AfterValidator(_is_address)]
Variable = Annotated[str, AfterValidator(_is_variable)]


Shots = Annotated[int, Field(ge=0, le=64)]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, int) else value


FewShot = Annotated[tuple[Shots, ...], Field(min_length=1, max_length=8), BeforeValidator(_listed)]


class Section(BaseModel):
    """A part of the recipe: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


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


class Endpoint(Section):
    """A model behind an OpenAI-compatible API."""

    url: Address = ""
    """Address of the API, e.g. `https://api.openai.com/v1`; `http` only on this machine."""
    model: str = ""
    """The model's name there."""
    key_env: Variable = ""
    """Name of the environment variable that holds the API key; empty where none is wanted."""
    timeout: float = Field(60.0, gt=0, le=3600)
    """Seconds a call may take."""
    retries: int = Field(4, ge=0, le=20)
    """How often a busy or failing server is asked again."""


class Judge(Endpoint):
    """A model behind an OpenAI-compatible API that grades answers: `judge` and `pairwise_judge`."""

    rubric: PathField | None = None
    """Text file that says what a good answer is."""
    golden: PathField | None = None
    """JSONL of answers graded by people: input, expected, answer, and pass or, for pairs, better."""
    kappa: float = Field(0.6, ge=0, le=1)
    """Least agreement with the golden set, as Cohen's kappa; below it the judge does not count."""


class Remote(Endpoint):
    """A model behind an OpenAI-compatible API that is asked as the base is. The test rows are sent to it."""

    name: Name
    """What reports call it."""
    url: Address = Field(min_length=1)
    """Address of the API, e.g. `https://api.openai.com/v1`; `http` only on this machine."""
    model: str = Field(min_length=1)
    """The model's name there."""
    price_in: float = Field(ge=0)
    """Price of a million prompt tokens."""
    price_out: float = Field(ge=0)
    """Price of a million answer tokens, in the same currency."""
    max_cost: float = Field(1.0, ge=0)
    """No call is made that could bring the cost of all answers above this; what is left is reported."""
    concurrency: int = Field(4, ge=1, le=64)
    """Calls under way at a time."""

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """What a call of so many tokens costs."""
        return (prompt_tokens * self.price_in + completion_tokens * self.price_out) / 1e6


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


Method = Literal["lora", "full", "qlora"]
Distribution = Literal["ddp", "fsdp"]
_OF_ADAPTERS = ("rank", "alpha", "scaling", "dora", "targets", "lora_plus_ratio")
"""Keys of [train] that say nothing where no adapter is trained."""


def _default_rate(settings: dict[str, Any]) -> float:
    return 1e-4 if settings.get("method") == "full" else 1e-3


class Train(Section):
    """How the model is tuned."""

    method: Method = "lora"
    """What is trained: `lora` matrices beside linear layers, `qlora` these on a 4-bit base, `full` all."""
    objective: str = "sft"
    """What training minimises: `sft` is the cross-entropy of the assistant's tokens."""
    rank: Rank = 16
    """Rank of the LoRA matrices."""
    alpha: Alpha = 32
    """LoRA's scale: the update is multiplied by alpha / rank, or as `scaling` says."""
    scaling: Literal["standard", "rank_stabilised"] = "standard"
    """What alpha is divided by: `standard` the rank, `rank_stabilised` its square root (rsLoRA)."""
    dora: bool = False
    """Also train the norm of each weight row (DoRA): slower, at times better at low ranks."""
    targets: tuple[str, ...] = ()
    """Linear layers that get LoRA, by the ends of their names: ["q_proj", "v_proj"]; []: all but the head."""
    learning_rate: LearningRate = Field(
        default_factory=_default_rate, json_schema_extra={"default": _default_rate({})}
    )
    """Peak learning rate of AdamW; with the method `full` the default is 0.0001."""
    lora_plus_ratio: float = Field(1.0, ge=1, le=1000)
    """LoRA+: the B matrices learn at this many times the learning rate; 1 is plain LoRA."""
    weight_decay: float = Field(0.0, ge=0, le=1)
    """AdamW's weight decay."""
    epochs: Epochs = 3
    """Passes over the training rows at most."""
    replay: float = Field(0.0, ge=0, le=0.9)
    """Share of general rows among those trained on, so that less is forgotten; 0 mixes none in."""
    replay_file: PathField | None = None
    """General rows of your own; without it those in the package are taken."""
    batch_size: int = Field(16, ge=1, le=4096)
    """Rows an optimiser step."""
    micro_tokens: int = Field(4096, ge=16, le=1_048_576)
    """Tokens computed at a time: a batch that holds more is accumulated. Bounds memory."""
    gradient_checkpointing: Literal["auto", "on", "off"] = "auto"
    """Compute activations again instead of holding them: less memory, slower; `auto` where it must be."""
    warmup: float = Field(0.05, ge=0, lt=1)
    """Share of the steps in which the learning rate rises from 0."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warm-up."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this norm."""
    evaluations_per_epoch: int = Field(2, ge=1, le=100)
    """How often an epoch the validation loss is measured and a checkpoint written."""
    watch: Literal["loss", "score"] = "loss"
    """What the best step goes by: the validation `loss`, or the `score` of answers to validation rows."""
    watch_rows: int = Field(100, ge=1, le=100_000)
    """Validation rows answered at an evaluation, at most, where the score is watched."""
    patience: int = Field(4, ge=1, le=1000)
    """Training stops after this many evaluations in a row without a better one."""
    checkpoint_minutes: float = Field(10, gt=0, le=1440)
    """A checkpoint is written this long after the last one where no evaluation comes before."""
    distribution: Distribution = "ddp"
    """Under torchrun: every process holds the model (`ddp`), or a share of each layer (`fsdp`)."""
    seed: Seed = 0
    """Seed of the adapter's first values and of the data order."""

    @field_validator(*_OF_ADAPTERS)
    @classmethod
    def _needs_adapter(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse a key that is given and would be without effect; defaults are not looked at."""
        if info.data.get("method") == "full":
            raise PydanticCustomError(
                "needs_adapter",
                "the method 'full' trains all weights and no adapter",
                {"fix": f"Take {info.field_name} out, or set train.method to lora or qlora."},
            )
        return value

    @field_validator("replay_file")
    @classmethod
    def _is_replayed(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and not info.data.get("replay", 1):
            raise PydanticCustomError(
                "not_replayed",
                "none of its rows would be trained on",
                {"fix": "Set train.replay above 0, e.g. 0.1, or take replay_file out."},
            )
        return value

    @field_validator("distribution")
    @classmethod
    def _can_be_sharded(cls, value: str, info: ValidationInfo) -> str:
        if value == "fsdp" and info.data.get("method") == "qlora":
            raise PydanticCustomError(
                "sharded",
                "the method 'qlora' packs weights in a way that cannot be shared out over processes",
                {"fix": "Set train.distribution to ddp, or train.method to lora."},
            )
        return value

    @model_serializer(mode="wrap")
    def _without_idle_keys(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The keys that the method reads, so that the form can be read back."""
        idle = _OF_ADAPTERS if self.method == "full" else ()
        return {key: value for key, value in write(self).items() if key not in idle}


class Sweep(Section):
    """Values of [train] to try, each key a list; the lowest validation loss wins. Without one, no sweep."""

    search: Literal["grid", "optuna"] = "grid"
    """`grid` tries all combinations; `optuna` draws `trials` of them, and takes two values as a range."""
    trials: int = Field(16, ge=1, le=10_000)
    """Configurations that `optuna` draws."""
    halving: bool = False
    """Train all configurations a little, the best of them further, and so on (successive halving)."""
    eta: int = Field(3, ge=2, le=100)
    """With halving: each rung keeps one configuration of this many and trains it this many times as long."""
    rank: list[Rank] = []
    """Values of `train.rank`."""
    alpha: list[Alpha] = []
    """Values of `train.alpha`."""
    learning_rate: list[LearningRate] = []
    """Values of `train.learning_rate`."""
    epochs: list[Epochs] = []
    """Values of `train.epochs`."""
    seed: list[Seed] = []
    """Values of `train.seed`."""

    @property
    def varied(self) -> dict[str, list[int] | list[float]]:
        """The keys of [train] that are varied, with their values; empty where there is no sweep."""
        lists: dict[str, list[int] | list[float]] = {
            "rank": self.rank,
            "alpha": self.alpha,
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
            "seed": self.seed,
        }
        return {key: values for key, values in lists.items() if values}

    @model_validator(mode="after")
    def _makes_sense(self) -> Sweep:
        if not self.varied and self.model_dump() != Sweep.model_construct().model_dump():
            raise PydanticCustomError("sweep", "It varies nothing; give a key values, e.g. rank = [8, 16]")
        for key, values in self.varied.items():
            if self.search == "optuna" and len(values) == 2 and values[0] >= values[1]:
                text = "Two values of {key} are a range, of which the low end must come first"
                raise PydanticCustomError("sweep", text, {"key": key})
        return self


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
    train_sample: int = Field(100, ge=10, le=100_000)
    """Training rows, and validation rows, that are answered to tell memorising from understanding."""
    paraphrases: PathField | None = None
    """Training rows in other words: `paraphrase`, and `id` or `input`. Without it, small changes are made."""


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
        idle = [key for key in sweep.varied if key in _OF_ADAPTERS]
        if train is not None and train.method == "full" and idle:
            names = " and ".join(idle)
            raise PydanticCustomError(
                "needs_adapter",
                "the method 'full' trains all weights and no adapter",
                {"fix": f"Take {names} out of [sweep], or set train.method to lora or qlora."},
            )
        return sweep

    def to_json(self) -> dict[str, Any]:
        """The recipe with its defaults, paths as text."""
        return self.model_dump(mode="json")
