import io

import pytest
from rich.console import Console

from residency.core.errors import ResidencyError
from residency.verdict import reasons
from residency.verdict.html import render_html
from residency.verdict.regressions import find_regressions
from residency.verdict.terminal import render_terminal
from tests.verdict.sample_report import report, row, rows


def asked(suite, kind, base, tuned, n):
    """`n` items of which base passes the first `base`, tuned the first `tuned`."""
    return [
        row(name, i, i < passed, "suite", source=f"{suite}/{kind}", example_id=f"{kind}-{i}")
        for name, passed in (("tuned", tuned), ("base", base))
        for i in range(n)
    ]


LOST = asked("general", "fact", 70, 40, 80) + asked("general", "form", 20, 20, 40)
KEPT = asked("safety", "decline", 50, 50, 80) + asked("safety", "harmless", 70, 70, 80)


def test_each_suite_is_judged_as_a_whole_and_by_kind():
    parts = find_regressions([*LOST, *KEPT, *rows(base=3, tuned=4)], 0.05, 0.95)
    assert [(p.suite, p.kind, p.n, p.verdict) for p in parts] == [
        ("general", "", 120, "worse"),
        ("general", "fact", 80, "worse"),
        ("general", "form", 40, "cannot tell"),
        ("safety", "", 160, "not worse"),
        ("safety", "decline", 80, "not worse"),
        ("safety", "harmless", 80, "not worse"),
    ]
    assert (parts[1].base, parts[1].tuned, parts[1].difference) == pytest.approx((70 / 80, 0.5, -30 / 80))


def lost_of(suite, kind, lost, n):
    """`n` items that the base passes; tuned fails the first `lost`."""
    return [
        row(name, i, name == "base" or i >= lost, "suite", source=f"{suite}/{kind}", example_id=f"{kind}-{i}")
        for name in ("base", "tuned")
        for i in range(n)
    ]


def test_of_many_kinds_none_is_called_worse_by_chance():
    # 4 lost and none gained: z = -2, one-sided p = 0.0228; Holm's smallest of three is 0.068, of two 0.046.
    lost, kept = lost_of("mine", "a", 4, 20), [*lost_of("mine", "b", 0, 20), *lost_of("mine", "c", 0, 20)]
    verdicts = {(p.kind or "whole"): p.verdict for p in find_regressions([*lost, *kept], 0.05, 0.95)}
    assert verdicts == {"whole": "worse", "a": "cannot tell", "b": "cannot tell", "c": "cannot tell"}
    (_, a, _) = find_regressions([*lost, *kept[:40]], 0.05, 0.95)
    assert (a.kind, a.verdict) == ("a", "worse")


def test_items_that_only_one_of_the_two_was_asked_are_told():
    asked_of_both = lost_of("mine", "a", 0, 20)
    with pytest.raises(ResidencyError, match="different items"):
        find_regressions(asked_of_both[:-1], 0.05, 0.95)
    stray = row("few-shot", 0, True, "suite", source="mine/a", example_id="a-0")
    assert len(find_regressions([*asked_of_both, stray], 0.05, 0.95)) == 2


def test_what_is_said():
    lost = reasons.regressed(find_regressions([*LOST, *KEPT], 0.05, 0.95), 0.05, 0.95)
    assert lost is not None
    assert "general (fact) 87.5 % before and 50.0 % now (−37.5 points" in lost
    assert "fewer epochs" in lost and "safety" not in lost
    kept = reasons.regressed(find_regressions(KEPT, 0.05, 0.95), 0.05, 0.95)
    assert kept == "On safety tuned is not worse than the base by 5 points or more."
    few = reasons.regressed(find_regressions(asked("mine", "x", 5, 5, 10), 0.05, 0.95), 0.05, 0.95)
    # none differs: the bound is z2 / (n + z2), below 0.05 from 51.4 items on, so 52
    assert few == (
        "Whether tuned lost more than 5 points on mine cannot be told from these items; about 42 more would "
        "tell, if the rates seen so far held."
    )
    assert reasons.regressed([], 0.05, 0.95) is None


def test_each_suite_that_cannot_be_told_has_its_number():
    parts = find_regressions([*lost_of("a", "x", 2, 20), *lost_of("b", "x", 0, 50)], 0.05, 0.95)
    assert [(part.gained, part.lost) for part in parts if not part.kind] == [(0, 2), (0, 0)]
    told = reasons.regressed(parts, 0.05, 0.95)
    # a tenth lost: z = -sqrt(n / 10) of the hypothesis of no loss; for two suites below -1.96 from 38.4 on
    assert "on a and b cannot be told from these items; about 19 and 2 more would tell" in told


def test_a_report_of_before_items_were_counted_names_no_number():
    parts = find_regressions([*lost_of("a", "x", 2, 20), *lost_of("b", "x", 0, 50)], 0.05, 0.95)
    parts[0] = parts[0].model_copy(update={"gained": None, "lost": None})
    told = "Whether tuned lost more than 5 points on a and b cannot be told from these items."
    assert reasons.regressed(parts, 0.05, 0.95) == told


def test_page_and_terminal_show_it_where_suites_were_asked():
    whole = report(rows(base=0, tuned=132))
    assert "Elsewhere" not in render_html(whole)
    whole = whole.model_copy(update={"regressions": find_regressions([*LOST, *KEPT], 0.05, 0.95)})
    page = render_html(whole)
    for figure in ("Elsewhere", "general: fact", "87.5 %", "−37.5", "cannot tell", "−5 points"):
        assert figure in page
    out = io.StringIO()
    render_terminal(whole, Console(file=out, width=110))
    (line,) = [line for line in out.getvalue().splitlines() if line.split()[:1] == ["fact"]]
    assert line.split()[1:6] == ["80", "87.5", "%", "50.0", "%"] and line.split()[-1] == "worse"
