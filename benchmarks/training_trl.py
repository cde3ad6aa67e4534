"""TRL's side of the training benchmark: its SFTTrainer with PEFT, as a user calls it.

A setting is what the user passes to SFTConfig; the empty one is TRL as it comes, on the CPU.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import Connection
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # no telemetry from within a timed process

import datasets
from peft import LoraConfig
from training_machine import TokenCounter, size_of
from training_ours import ALPHA, RANK
from training_rows import Row
from training_sides import Round, Side
from transformers import PreTrainedTokenizerBase, PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from residency.core.recipe import Base
from residency.models.source import locate
from residency.models.tokenizer import load_tokenizer

Setting = dict[str, Any]
AS_IT_COMES: Setting = {}

BATCHES = (4, 8, 16, 32)
PROBE_ROWS = 16
"""Rows that a setting is tried on."""

_TURN = "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
_MARKED = (
    "{{'<|im_start|>' + message['role'] + '\n'}}{% if message['role'] == 'assistant' %}"
    "{% generation %}{{message['content'] + '<|im_end|>'}}{% endgeneration %}"
    "{% else %}{{message['content'] + '<|im_end|>'}}{% endif %}{{'\n'}}"
)


def marked_tokenizer() -> PreTrainedTokenizerBase:
    """The base's tokenizer; its template says which tokens are the assistant's, as TRL wants to know."""
    tokenizer = load_tokenizer(locate(Base()))
    tokenizer.chat_template = tokenizer.get_chat_template().replace(_TURN, _MARKED)
    return tokenizer


def make_config(setting: Setting, folder: str) -> SFTConfig:
    """TRL's defaults but for `setting`, the order of the rows, and what it writes."""
    return SFTConfig(
        output_dir=folder,
        use_cpu=True,
        assistant_only_loss=True,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **{**setting, "train_sampling_strategy": "sequential"},
    )


def make_trainer(config: SFTConfig, rows: list[Row]) -> SFTTrainer:
    """The trainer over `rows`, in this order.

    Raises:
        RuntimeError: it would read or learn other tokens than ours.
    """
    datasets.disable_progress_bars()
    turns = [{"messages": [{"role": m.role, "content": m.content} for m in row.messages]} for row in rows]
    adapter = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = SFTTrainer(
        str(locate(Base())),
        args=config,
        train_dataset=datasets.Dataset.from_list(turns),
        processing_class=marked_tokenizer(),
        peft_config=adapter,
    )
    trainer.remove_callback(PrinterCallback)
    for made, row in zip(trainer.train_dataset, rows, strict=True):
        ids, supervised = row.rendered
        labels = [token if learned else -100 for token, learned in zip(ids, supervised, strict=True)]
        if made["input_ids"] != ids or made["labels"] != labels:
            raise RuntimeError("TRL does not train on the same tokens as we do")
    return trainer


class _Turns(TrainerCallback):
    """Lets the trainer go on for a round of steps when asked to, and answers with what it took."""

    def __init__(self, connection: Connection, trainer: SFTTrainer, rounds: list[list[Row]]) -> None:
        self.connection, self.rounds = connection, iter(rounds)
        self.counter, self.size = TokenCounter(trainer.model), size_of(trainer.model)
        self.rows_a_step = trainer.args.per_device_train_batch_size * trainer.args.gradient_accumulation_steps
        self.rows: list[Row] = []
        self.left, self.seconds, self.begun = 0, 0.0, 0.0

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Wait to be asked where a round begins; then the clock runs."""
        if self.left == 0:
            self.connection.recv()
            self.rows = next(self.rounds)
            self.left, self.seconds = len(self.rows) // self.rows_a_step, 0.0
        self.begun = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """After forward, backward, clipping, the optimiser and the schedule."""
        self.seconds += time.perf_counter() - self.begun
        self.left -= 1
        if self.left == 0:
            rendered = [row.rendered for row in self.rows]
            self.connection.send(Round.of(rendered, self.size, self.seconds, self.counter.take()))


def serve(connection: Connection, setting: Setting, rounds: list[list[Row]]) -> None:
    """Train on the rounds in turn; of the first, which warms up, only one step is taken.

    Length grouping sorts within a round, whose rows would otherwise not be the same on every side.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = make_config(setting, folder)
        rows_a_step = config.per_device_train_batch_size * config.gradient_accumulation_steps
        rounds = [rounds[0][:rows_a_step], *rounds[1:]]
        if setting.get("train_sampling_strategy") == "group_by_length":
            rounds = [sorted(rows, key=lambda row: -len(row.rendered.ids)) for rows in rounds]
        rows = [row for chosen in rounds for row in chosen]
        config.max_steps = len(rows) // rows_a_step
        trainer = make_trainer(config, rows)
        trainer.add_callback(_Turns(connection, trainer, rounds))
        trainer.train()


def seconds_a_row(setting: Setting, rows: list[Row]) -> float | None:
    """How fast a setting is on a few rows, or None where it does not run, for want of memory mostly."""
    chosen = rows[: max(PROBE_ROWS, setting["per_device_train_batch_size"])]
    with closing(Side(serve, setting, [rows, chosen])) as side:
        try:
            side.ask()
            timed: Round = side.ask()
        except EOFError:
            return None
    return timed.seconds / timed.rows


def find_best(rows: list[Row], dtype: str, say: Callable[[str], None]) -> Setting:
    """The fastest setting found that minimises the same objective: one choice after the other."""
    best: Setting = {
        "per_device_train_batch_size": BATCHES[0],
        "gradient_checkpointing": False,
        "train_sampling_strategy": "group_by_length",
        "model_init_kwargs": {"dtype": dtype},
        "bf16": dtype == "bfloat16",
    }
    fastest: float | None = None

    def gains(setting: Setting, change: Setting) -> bool:
        nonlocal best, fastest
        seconds = seconds_a_row({**setting, **change}, rows)
        say(f"{change}: {'does not run' if seconds is None else f'{seconds:.3f} s/row'}")
        if seconds is None or (fastest is not None and seconds >= fastest):
            return False
        best, fastest = {**setting, **change}, seconds
        return True

    for batch in BATCHES:
        if not gains(best, {"per_device_train_batch_size": batch}):
            break
    gains(best, {"model_init_kwargs": {"dtype": dtype, "attn_implementation": "eager"}})
    gains(best, {"padding_free": True, "max_length": None})
    if best["bf16"]:
        gains(best, {"bf16": False})
    if fastest is None:
        raise RuntimeError("TRL's trainer did not run with any setting")
    return best
