"""What is looked up for a row: which rows and passages, where they stand, and what has no room."""

from __future__ import annotations

import json

import pytest

from residency.candidates.documents import NearestPassages, cut, fuse, read_passages, require_documents
from residency.candidates.prompted import Prompted
from residency.candidates.shown import NearestRows, Passage, Shown
from residency.core.errors import ResidencyError
from residency.core.progress import no_progress
from residency.core.recipe import Remote
from residency.models.remote import RemoteModel
from residency.models.scripted import ScriptedModel
from residency.models.unanswerable import TooLong
from tests.candidates.rows import row
from tests.endpoint_server import completion, failure, serve

TRAIN = [
    row(1, "open the red box", "one"),
    row(2, "open the blue box", "two"),
    row(3, "how tall is the tower", "three"),
    row(4, "Open the RED box!", "four"),
    row(5, "open the red chest", "five"),
]
PASSAGES = [
    Passage("a.md#1", "Parcels to Norway take nine days."),
    Passage("a.md#2", "Parcels to France take three days."),
    Passage("b.md#1", "Lamps are sold with a bulb."),
]


def said(conversation):
    return [turn.content for turn in conversation]


def test_the_nearest_rows_stand_last_and_the_row_itself_is_never_shown():
    (shown,) = NearestRows(TRAIN, 2, "words").find([row(9, "open the red box", "secret")])
    # rows 1 and 4 ask it in its own words
    assert [one.answer for one in shown.rows] == ["two", "five"]
    assert shown.sources == ("rows.jsonl:5", "rows.jsonl:2")
    few = Prompted("retrieved", ScriptedModel(lambda _: ""), system="S.", retrievers=())
    assert said(few.conversation(row(9, "open the red box", "secret"), shown)) == [
        "S.",
        "open the blue box",
        "two",
        "open the red chest",
        "five",
        "open the red box",
    ]


def test_passages_stand_in_the_last_turn_with_their_sources():
    prompt = row(1, "how long to Norway?", "secret", system="S.").prompt
    assert said(Shown((), (PASSAGES[1], PASSAGES[0])).beside(prompt)) == [
        "S.",
        "Documents:\n\n[a.md#2]\nParcels to France take three days.\n\n"
        "[a.md#1]\nParcels to Norway take nine days.\n\nInput:\n\nhow long to Norway?",
    ]


def test_what_has_no_room_is_left_out_the_farthest_first():
    asked = row(9, "open the red door", "secret")  # 4 words; each row shown has 5
    find = NearestRows(TRAIN, 3, "words")
    (wanted,) = find.find([asked])
    for room, kept in ((20, 3), (19, 2), (10, 1), (9, 0), (5, 0)):
        model = ScriptedModel(lambda _: "x", room=room)
        (answer,) = Prompted("retrieved", model, retrievers=(find,)).answer([asked], 1, no_progress)
        assert (len(answer.retrieved), answer.left_out) == (kept, 3 - kept)
        assert answer.retrieved == wanted.sources[:kept]
        assert answer.prompt_tokens == 4 + 5 * kept


def test_what_a_server_has_no_room_for_is_left_out_and_nothing_answered_is_asked_again(tmp_path, monkeypatch):
    """Its context holds two rows shown beside the longest input, and one beside the odd one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    answered, done = [], []

    def narrow(call):
        words = sum(len(turn["content"].split()) for turn in call.body["messages"])
        if words > 14:
            return failure(400, "too many", code="context_length_exceeded")
        answered.append(call.body["messages"][-1]["content"])
        return completion("x", words, 1)

    asked = [row(9, "open the red door", "?"), row(8, "open the blue and red box now", "?")]
    find = NearestRows(TRAIN, 3, "words")
    with serve(narrow) as served:
        remote = Remote(name="r", url=served.url, model="m", price_in=1, price_out=1, concurrency=1)
        candidate = Prompted("retrieved", RemoteModel(remote), retrievers=(find,))
        answers = candidate.answer(asked, 1, lambda n, _: done.append(n))
    assert [(len(a.retrieved), a.left_out) for a in answers] == [(2, 1), (1, 2)]
    assert [a.retrieved for a in answers] == [
        wanted.sources[:n] for wanted, n in zip(find.find(asked), (2, 1), strict=True)
    ]
    assert sorted(answered) == sorted(str(example.prompt[-1].content) for example in asked)
    assert done == [1, 1]


def test_all_that_is_too_long_is_shortened_before_it_is_asked_again():
    class Narrow(ScriptedModel):
        """Learns of its context as servers do: by being asked."""

        passes = 0

        def has_room(self, conversation, max_new_tokens):
            return True

        def complete(self, conversations, max_new_tokens, advance):
            self.passes += 1
            words = [sum(len(turn.content.split()) for turn in asked) for asked in conversations]
            if long := [place for place, count in enumerate(words) if count > 14]:
                raise TooLong("Too long.", "there", "Say less.", *long)
            return super().complete(conversations, max_new_tokens, advance)

    model, find = Narrow(lambda _: "x"), NearestRows(TRAIN, 3, "words")
    asked = [row(number, f"open the red door {number}", "?") for number in range(10, 30)]  # 5 words
    answers = Prompted("retrieved", model, retrievers=(find,)).answer(asked, 1, no_progress)
    assert [answer.left_out for answer in answers] == [2] * 20 and model.passes == 3
    asked[7] = row(7, "open the door " * 5, "?")
    with pytest.raises(ResidencyError, match="Too long") as caught:
        Prompted("retrieved", model, retrievers=(find,)).answer(asked, 1, no_progress)
    assert caught.value.where == "rows.jsonl:7, asked as retrieved: there"


def test_rows_go_before_passages_where_there_is_no_room():
    shown = Shown(tuple(TRAIN[:2]), tuple(PASSAGES))
    left = []
    while shown:
        shown = shown.without_farthest()
        left.append(shown.sources)
    assert left[0] == ("b.md#1", "a.md#2", "a.md#1", "rows.jsonl:2")
    assert left[1:] == [("b.md#1", "a.md#2", "a.md#1"), ("b.md#1", "a.md#2"), ("b.md#1",), ()]


def test_passages_are_found_by_words_and_by_likeness():
    found = NearestPassages(PASSAGES, 2, "words").find(
        [row(1, "How long do parcels take to Norway?", "?"), row(2, "bulbs", "?"), row(3, "zzz", "?")]
    )
    assert found[0].sources == ("a.md#1", "a.md#2")
    assert found[1].sources == ("b.md#1",)  # BM25 knows no 'bulbs'; its pieces are those of 'bulb'
    assert found[2].sources == ()


def test_ranks_are_fused_by_the_sum_of_their_reciprocals():
    # 7: 1/61 + 1/62; 5: 1/61 + 1/63; 3: 1/62
    assert fuse([[7, 3, 5], [5, 7]]) == [7, 5, 3]
    assert fuse([[1], [2]]) == [1, 2] and fuse([[], [4]]) == [4]


def test_documents_are_cut_between_paragraphs_with_an_overlap():
    text = "\n\n".join(letter * 40 for letter in "abcde")
    assert cut(text, longest=90, overlap=45) == [
        "\n\n".join(letter * 40 for letter in pair) for pair in ("ab", "bc", "cd", "de")
    ]
    assert cut(text, longest=90, overlap=0) == [
        "\n\n".join(letter * 40 for letter in part) for part in ("ab", "cd", "e")
    ]
    assert cut("One. Two is long. Three.", longest=12, overlap=0) == ["One.", "Two is long.", "Three."]
    assert "".join(cut("x" * 25, longest=10, overlap=0)) == "x" * 25
    assert cut(" \n\n ") == []


def test_a_folder_is_read_with_its_folders_and_lines(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.md").write_text("# Title\n\nText.")
    (tmp_path / "b.jsonl").write_text('{"text": "first"}\n\n{"text": "third"}\n')
    (tmp_path / "c.pdf").write_text("not read")
    (tmp_path / "D.TXT").write_text("By another system.")
    assert [(p.source, p.text) for p in read_passages(tmp_path)] == [
        ("D.TXT#1", "By another system."),
        ("b.jsonl:1#1", "first"),
        ("b.jsonl:3#1", "third"),
        ("in/a.md#1", "# Title\n\nText."),
    ]


@pytest.mark.parametrize("text", ["", " \n\n ", "!!! ???"])
def test_a_folder_without_a_word_holds_no_documents(tmp_path, text):
    (tmp_path / "a.md").write_text(text)
    with pytest.raises(ResidencyError, match="holds no documents"):
        read_passages(tmp_path)
    with pytest.raises(ResidencyError, match="holds no documents"):
        require_documents(tmp_path)


def test_a_run_begins_with_the_first_word_and_tells_of_files_without_when_it_reads_them(tmp_path, said_aside):
    (tmp_path / "in").mkdir()
    for name, text in (("a.md", "!!!"), ("b.jsonl", '{"text": "word"}\n{'), ("in/c.txt", "")):
        (tmp_path / name).write_text(text)
    require_documents(tmp_path)  # it goes no further than the word
    assert said_aside == []
    (tmp_path / "b.jsonl").write_text('{"text": "word"}')
    assert [passage.text for passage in read_passages(tmp_path)] == ["word"]
    assert said_aside == ["  documents without words (2): a.md, in/c.txt"]


def test_marks_that_end_a_line_may_stand_within_a_document_of_a_jsonl_file(tmp_path):
    text = "one\u2028two\x85three"
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text}, ensure_ascii=False) + "\r\n")
    assert [(p.source, p.text) for p in read_passages(tmp_path)] == [("a.jsonl:1#1", text)]
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n{"text": 1')
    with pytest.raises(ResidencyError, match="no JSON object with a text") as caught:
        read_passages(tmp_path)
    assert caught.value.where.endswith("a.jsonl:2")
