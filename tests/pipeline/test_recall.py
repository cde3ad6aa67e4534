"""What tells memorising from understanding, within a run."""

import shutil

from residency.core.workspace import read_json, read_jsonl
from tests.pipeline.projects import Line, write_rows


def test_given_paraphrases_are_asked_and_their_rows_come_first(done, tmp_path):
    line = Line(tmp_path, shutil.copytree(done.line.home, tmp_path / "home"))
    trained = [row for row in read_jsonl(done.stage("freeze") / "train.jsonl")][-12:]
    asked = {f"rows.jsonl:{row['row']}": row["messages"][-2]["content"] for row in trained}
    given = [{"input": text, "paraphrase": f"so {text}, then"} for text in asked.values()]
    file = write_rows(tmp_path / "words.jsonl", given)
    called = line("run", done.recipe, "--set", f"verdict.paraphrases={file}")
    assert called.code == 0, called.err
    assert called.built() == ["compare", "recall"]
    (name,) = (text.split()[1] for text in called.out.splitlines() if text.startswith("Run "))
    scored = list(read_jsonl(line.home / "runs" / name / "scored.jsonl"))
    for candidate in ("base", "tuned"):
        twins = [r for r in scored if (r["candidate"], r["split"]) == (candidate, "twin")]
        assert len(twins) == 10
        assert all(r["prompt"] == f"so {asked[r['source']]}, then" for r in twins)
    report = read_json(line.home / "runs" / name / "report.json")
    assert report["memorisation"]["twins"]["n"] == 10
    assert line("verdict", name).code == 0
    write_rows(file, [{"input": "nobody asks this", "paraphrase": "so"}])
    mistake = line("run", done.recipe, "--set", f"verdict.paraphrases={file}").mistake()
    assert mistake["what"] == "None of these paraphrases is of a training row."


def test_the_report_tells_every_side(done):
    part = read_json(done.folder / "report.json")["memorisation"]
    assert [(side["side"], side["n"], side["nll_n"]) for side in part["sides"]] == [
        ("train", 10, 10),
        ("validation", 4, 4),
        ("test", 5, 5),
    ]
    assert part["recitals"] is None  # the answers are words
