"""The recipe: the one schema of a project, read from `residency.toml`.

Every option of the product is a field here; the command line (`--set`), the JSON Schema and the
documentation page come from these declarations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PathField = Annotated[Path, Field(json_schema_extra={"format": "path"})]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


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

    train: PathField
    """File with the examples: .jsonl, .json, .csv or .parquet."""
    test: PathField | None = None
    """A test file of your own; without it the test rows are drawn from `train`."""
    validation: PathField | None = None
    """A validation file of your own; without it the validation rows are drawn from `train`."""
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
    max_refused: float = Field(0.05, ge=0, le=1)
    """The run stops if more than this share of the rows cannot be used."""


class Split(Section):
    """What is held out."""

    test: float = Field(0.15, gt=0, le=1_000_000)
    """Test rows: a share if below 1, else a number of rows. Not used with a test file."""
    validation: float = Field(0.1, gt=0, le=1_000_000)
    """Validation rows: a share if below 1, else a number. Not used with a validation file."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Seed of the draw."""
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
    """How an answer is scored: `exact`, `fields`, `label` or `json`."""
    max_new_tokens: int = Field(128, ge=1, le=32768)
    """Longest answer, in tokens."""


class Candidates(Section):
    """The ways to answer the task that stand against the tuned model."""

    zero_shot: bool = True
    """Ask the base with the instructions alone."""
    few_shot: int = Field(4, ge=0, le=64)
    """Ask the base with the instructions and this many training rows as examples; 0 leaves it out."""
    batch_size: int = Field(32, ge=1, le=4096)
    """Rows answered at a time."""


class Train(Section):
    """How the model is tuned."""

    method: Literal["lora"] = "lora"
    """Which weights are trained: `lora` adds small matrices to every linear layer."""
    objective: str = "sft"
    """What training minimises: `sft` is the cross-entropy of the assistant's tokens."""
    rank: int = Field(16, ge=1, le=512)
    """Rank of the LoRA matrices."""
    alpha: int = Field(32, ge=1, le=4096)
    """LoRA's scale: the update is multiplied by alpha / rank."""
    learning_rate: float = Field(1e-3, gt=0, le=1)
    """Peak learning rate of AdamW."""
    weight_decay: float = Field(0.0, ge=0, le=1)
    """AdamW's weight decay."""
    epochs: float = Field(3, gt=0, le=1000)
    """Passes over the training rows at most."""
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
    patience: int = Field(4, ge=1, le=1000)
    """Training stops after this many evaluations without a lower validation loss."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Seed of the adapter's first values and of the data order."""


class Verdict(Section):
    """When the result is good enough."""

    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence of every interval."""
    margin: float = Field(0.0, ge=0, lt=1)
    """The tuned model must get more rows right than the best baseline, by more than this share."""
    minimum: float = Field(0.0, ge=0, le=1)
    """The share of rows that the tuned model gets right must reach this."""
    train_sample: int = Field(100, ge=10, le=100_000)
    """Training rows scored to measure the gap between training and held-out rows."""


class Recipe(Section):
    """One project: from the base and the examples to the verdict."""

    base: Base = Base()
    data: Data
    split: Split = Split()
    task: Task = Task()
    candidates: Candidates = Candidates()
    train: Train = Train()
    verdict: Verdict = Verdict()

    def to_json(self) -> dict[str, Any]:
        """The recipe with its defaults, paths as text."""
        return self.model_dump(mode="json")
