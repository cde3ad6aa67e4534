"""Models that only play one: for tests of everything that stands on a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from residency.core.progress import Advance
from residency.core.records import Completion, Conversation
from residency.models.unanswerable import TooLong


class ScriptedModel:
    """Answers by a function of the conversation; a token is a word, and the context `room` words long."""

    def __init__(
        self, answer: Callable[[Conversation], str], seconds: float = 0.01, room: float = math.inf
    ) -> None:
        self.answer, self.seconds, self.room = answer, seconds, room

    def complete(
        self, conversations: Sequence[Conversation], max_new_tokens: int, advance: Advance
    ) -> list[Completion]:
        """What the function says, cut after `max_new_tokens` words.

        Raises:
            TooLong: a conversation and its answer are longer than `room`.
        """
        for place, conversation in enumerate(conversations):
            if not self.has_room(conversation, max_new_tokens):
                what = f"A prompt and its answer are longer than {self.room} words."
                raise TooLong(what, "the script", "Say less.", place)
        advance(len(conversations), "")
        return [self._complete(c, max_new_tokens) for c in conversations]

    def has_room(self, conversation: Conversation, max_new_tokens: int) -> bool:
        """Whether prompt and answer are no longer than `room`."""
        return _words(conversation) + max_new_tokens <= self.room

    def _complete(self, conversation: Conversation, max_new_tokens: int) -> Completion:
        text = self.answer(conversation)
        words = text.split(" ")
        cut = len(words) > max_new_tokens
        return Completion(
            text=" ".join(words[:max_new_tokens]),
            prompt_tokens=_words(conversation),
            completion_tokens=min(len(words), max_new_tokens),
            seconds=self.seconds,
            finish="length" if cut else "stop",
        )


def _words(conversation: Conversation) -> int:
    return sum(len(m.content.split()) for m in conversation)


CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_tiny_base(folder: Path, seed: int = 0) -> Path:
    """Write a random Llama of some 30,000 weights whose tokens are bytes, as a base to tune in seconds."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    structure = ["<|im_end|>", "<|im_start|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*structure, *alphabet])}
    bytes_ = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = decoders.ByteLevel()
    bytes_.add_special_tokens(structure)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_, eos_token="<|im_end|>", pad_token="<|im_end|>", chat_template=CHATML
    )
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        eos_token_id=0,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
