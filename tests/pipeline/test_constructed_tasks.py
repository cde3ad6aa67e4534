"""Each rule of the advice on a task made for it: scripted models answer through the real candidates."""

import re
import zlib

import pytest

from residency.candidates.prompted import Prompted
from residency.core.progress import Silent, no_progress
from residency.core.recipe import Recipe
from residency.core.records import Example, Message, Source
from residency.evals.scored import score_rows
from residency.evals.scorers import scorer_of
from residency.models.scripted import ScriptedModel
from residency.pipeline.baselines import Sides, baselines
from tests.verdict.sample_report import judge

RULES = "Parcels whose digits add up to an even number go north, the others south."
WORDS = {"refund": "billing", "password": "access", "parcel": "delivery"}


def example(number, asked, answer, file="train.jsonl"):
    return Example((Message("user", asked), Message("assistant", answer)), Source(file, number))


def rows(count, begin, write):
    return [example(number, *write(number)) for number in range(begin, begin + count)]


def parcel(number):
    """No word and no digit of it foretells the answer alone, so that a linear classifier cannot."""
    odd = sum(map(int, str(number))) % 2
    return f"Where to with parcel {number}?", "south" if odd else "north"


def rack(number):
    """The answer stands in no input and follows from no other row."""
    return f"Where does rack {number} stand?", f"In hall {zlib.crc32(f'{number}'.encode()) % 1000}."


def ticket(number):
    word = list(WORDS)[number % 3]
    return f"Note {number} on my {word}, please help.", WORDS[word]


def by_rule(conversation):
    number = int(conversation[-1].content.rstrip("?").split()[-1])
    return parcel(number)[1]


def told_the_rules(conversation):
    return by_rule(conversation) if RULES in conversation[0].content else "I cannot know."


def told_the_facts(conversation):
    """What a passage in the prompt says of the rack that is asked for."""
    *passages, asked = conversation[-1].content.split("Input:")
    rack = re.search(r"rack (\d+)", asked)[1]
    found = re.search(rf"Rack {rack} stands in hall (\d+)", "".join(passages))
    return f"In hall {found[1]}." if found else "In the first hall."


def unsure(share):
    """By the rule in that share of all rows, drawn anew for each share."""

    def answer(conversation):
        drawn = zlib.crc32(f"{share} {conversation[-1].content}".encode()) % 1000
        return by_rule(conversation) if drawn < 1000 * share else "east"

    return answer


def judged(recipe, write, base, tuned, tests=300):
    """The verdict on a task: all candidates made of the base are asked, then the tuned model."""
    sides = Sides(rows(300, 0, write), rows(60, 300, write))
    test = rows(tests, 400, write)
    reporter = Silent()
    found, _ = baselines(recipe, RULES, ScriptedModel(base, seconds=0.2), sides, reporter)
    asked = [*((candidate, "test", test) for candidate in found)]
    last = Prompted("tuned", ScriptedModel(tuned, seconds=0.2), system=recipe.task.system)
    asked += [(last, "test", test), (last, "train", sides.train[:50])]
    scored = []
    for candidate, side, examples in asked:
        answers = candidate.answer(examples, recipe.task.max_new_tokens, no_progress)
        scored += score_rows(candidate.name, side, examples, answers, scorer_of(recipe))
    return judge(scored, recipe.verdict)


def recipe_of(**candidates):
    task = {"name": "made", "kind": "chat", "system": "Answer.", "scorer": "exact", "max_new_tokens": 9}
    candidates = {"zero_shot": True, "few_shot": 2, **candidates}
    return Recipe.model_validate({"data": {"train": "train.jsonl"}, "task": task, "candidates": candidates})


def test_a_base_that_follows_instructions_needs_no_training():
    result = judged(recipe_of(), parcel, base=told_the_rules, tuned=by_rule)
    assert result.recommend == "prompt"
    assert result.reasons[0].startswith("Do not fine-tune: prompt the base.")


def test_facts_that_no_input_holds_are_looked_up(tmp_path):
    facts = (f"Rack {n} stands in hall {rack(n)[1].split()[-1]}" for n in range(1000))
    (tmp_path / "halls.md").write_text("\n\n".join(facts))
    recipe = recipe_of(documents=tmp_path, passages=3)
    result = judged(recipe, rack, base=told_the_facts, tuned=lambda _: "In hall 7.")
    assert (result.gate, result.recommend) == ("do not ship", "retrieve")
    assert any("Signs of a knowledge task" in reason for reason in result.reasons)


def test_labels_that_words_give_away_need_a_classifier():
    def by_word(conversation):
        return next(label for word, label in WORDS.items() if word in conversation[-1].content)

    result = judged(recipe_of(), ticket, base=lambda _: "I cannot know.", tuned=by_word)
    assert result.recommend == "classifier"


def test_a_rule_that_only_training_gets_across_is_worth_it():
    """The classifier is asked too, and the numbers tell it nothing."""
    result = judged(recipe_of(), parcel, base=lambda _: "I cannot know.", tuned=by_rule)
    assert (result.gate, result.recommend) == ("ship", "fine-tune")


@pytest.mark.parametrize("tests", [3, 4, 5])
def test_so_few_rows_show_neither_that_training_helps_nor_that_it_does_not(tests):
    def lost(_):
        return "east"

    for base, tuned in ((told_the_rules, lost), (lambda _: "I cannot know.", by_rule)):
        few = judged(recipe_of(), parcel, base=base, tuned=tuned, tests=tests)
        assert (few.gate, few.recommend) == ("cannot tell", "cannot tell")
        assert few.reasons[0].startswith("These rows do not tell whether fine-tuning does more than")
        assert any(f"About {few.rows_needed} more test rows would tell" in reason for reason in few.reasons)
        told = judged(recipe_of(), parcel, base=base, tuned=tuned, tests=tests + few.rows_needed)
        assert told.recommend == ("prompt" if tuned is lost else "fine-tune")


def test_few_rows_show_nothing_to_generalise_where_none_is_right():
    result = judged(recipe_of(), parcel, base=told_the_rules, tuned=lambda _: "east", tests=4)
    assert not any("carries over" in reason for reason in result.reasons)


def test_few_rows_of_candidates_that_are_nearly_alike_tell_nothing():
    prompted, tuned = unsure(0.8), unsure(0.85)
    result = judged(recipe_of(), parcel, base=prompted, tuned=tuned, tests=40)
    assert (result.gate, result.recommend) == ("cannot tell", "cannot tell")
