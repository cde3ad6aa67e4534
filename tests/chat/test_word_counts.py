import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from residency.chat import word_counts
from residency.chat.template import Template
from residency.chat.word_counts import WordCounts

CONTRACTED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def cut_by(packaged: PreTrainedTokenizerFast, *cutters) -> PreTrainedTokenizerFast:
    tokenizer = copy.deepcopy(packaged)
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cutters, plain])
    return tokenizer


@pytest.fixture(scope="module")
def families(packaged: PreTrainedTokenizerFast) -> dict[str, PreTrainedTokenizerFast]:
    """The packaged vocabulary, cut as GPT-2, SmolLM, Llama 3 and Qwen 3 cut."""
    smol = copy.deepcopy(packaged)
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False)
    smol.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), whole])
    split = pre_tokenizers.Split
    llama = cut_by(packaged, split(Regex(CONTRACTED + r"\p{N}{1,3}" + REST), "isolated"))
    qwen = cut_by(packaged, split(Regex(CONTRACTED + r"\p{N}" + REST), "isolated"))
    qwen.backend_tokenizer.normalizer = normalizers.NFC()
    return {"GPT-2": packaged, "SmolLM": smol, "Llama 3": llama, "Qwen 3": qwen}


@pytest.mark.parametrize("family", ["GPT-2", "SmolLM", "Llama 3", "Qwen 3"])
@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.text(st.sampled_from("ab the'sI12.,(\n\t\r é\u0301\u00a0\u2003ßЖ字\U0001f600"), max_size=16),
        max_size=6,
    )
)
def test_as_many_as_the_tokenizer_gives(families, family: str, texts: list[str]) -> None:
    tokenizer = families[family]
    words = WordCounts(Template(tokenizer))
    assert words._by_word
    wanted = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    assert words.count(texts) == words.count(texts) == wanted


def test_a_word_is_tokenised_once(packaged: PreTrainedTokenizerFast) -> None:
    encoded: list[str] = []

    class Noted(Template):
        def encode_fast(self, texts):
            encoded.extend(texts)
            return super().encode_fast(texts)

    words = WordCounts(Noted(packaged))
    assert words.count(["my card is lost", "my card is my card"]) == [4, 5]
    assert sorted(encoded) == [" card", " is", " lost", " my", "my"]
    assert words.count(["my lost card"]) == [3] and len(encoded) == 5


def test_words_are_forgotten_when_they_are_many(
    packaged: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_counts, "_KEPT", 3)
    words = WordCounts(Template(packaged))
    assert [words.count([text]) for text in ("one two three four", "five six", "one two")] == [[4], [2], [2]]
    assert len(words._first) + len(words._later) <= 4


def test_other_tokenizers_are_asked_for_whole_texts(packaged, vocabulary) -> None:
    spaced, prefixed = copy.deepcopy(packaged), copy.deepcopy(packaged)
    spaced.add_tokens([AddedToken("two words", special=False)])
    prefixed.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    assert not any(WordCounts(Template(other))._by_word for other in (spaced, prefixed, vocabulary))
    assert WordCounts(Template(spaced)).count(["two words"]) == [1]
