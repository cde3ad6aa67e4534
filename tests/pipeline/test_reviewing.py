"""Which rows a review still asks about."""

from residency.core.recipe import Data
from residency.core.records import Source
from residency.data.mending.review import Decision, Suspect, add_decision, decisions_file
from residency.pipeline.reviewing import review_of
from tests.pipeline.projects import answers, write_rows


def test_a_row_decided_before_is_not_asked_again_nor_what_an_edit_made_of_it(tmp_path):
    data = Data(train=write_rows(tmp_path / "rows.mended-0a1b2c.jsonl", map(answers, range(3))))
    add_decision(
        decisions_file(tmp_path / "rows.jsonl"),
        Decision(Source("rows.jsonl", 1), "as it was", "edit", "warm", "as edited", "judged: conflict"),
    )
    queued = [
        Suspect(Source(data.train.name, row), id, 0.9, ())
        for row, id in enumerate(("as it was", "as edited", "another"), 1)
    ]
    review = review_of(data, queued)
    assert [suspect.example_id for suspect in review.suspects] == ["another"]
    assert review.decided_before == 2
