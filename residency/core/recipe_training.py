"""The recipe's [train] and [sweep]."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from residency.core.recipe_fields import PathField, Section, Seed

Rank = Annotated[int, Field(ge=1, le=512)]
Alpha = Annotated[int, Field(ge=1, le=4096)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Epochs = Annotated[float, Field(gt=0, le=1000)]
Method = Literal["lora", "full", "qlora"]
Distribution = Literal["ddp", "fsdp"]
OF_ADAPTERS = ("rank", "alpha", "scaling", "dora", "targets", "lora_plus_ratio")
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
    watch: Literal["loss", "score", "nothing"] = "loss"
    """What the step kept goes by: validation `loss`, `score` of answers, or `nothing`: the last is kept."""
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

    @field_validator(*OF_ADAPTERS)
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
        idle = OF_ADAPTERS if self.method == "full" else ()
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
