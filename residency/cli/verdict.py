"""`residency verdict`: the figures of a run made anew from its scored rows; several seeds taken together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from residency.cli.options import print_json, print_report, read_report

if TYPE_CHECKING:
    from residency.evals.scored import Scored
    from residency.evals.statistics import SeedSpread
    from residency.verdict.report_schema import Report


@click.command("verdict")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(runs: tuple[str, ...], as_json: bool) -> None:
    """Make every figure of RUN that rests on scored rows anew, and say whether the report has the same.

    Of several runs that differ by train.seed alone, tell the seed's part of the spread from the test's.
    """
    from residency.core.workspace import Workspace
    from residency.verdict.evidence import Evidence

    workspace = Workspace.find()
    folders = [workspace.run(run) for run in runs]
    checked = [_check(folder) for folder in folders]
    if len(runs) > 1:
        _tell_seeds(checked, as_json)
        return
    report, rows = checked[0]
    if as_json:
        made_anew = {part: report.to_json()[part] for part in Evidence._fields}
        print_json({"run": report.run, "rows": len(rows), **made_anew})
        return
    print_report(report, folders[0])
    beside = " and the questions of judged.jsonl" if report.judge else ""
    click.echo(f"Evidence every figure follows from the {len(rows):,} rows of scored.jsonl{beside}")


def _check(folder: Path) -> tuple[Report, list[Scored]]:
    """The report made anew from the scored rows, and the rows.

    Raises:
        ResidencyError: a file of the run is missing or damaged, or its rows do not bear out the report.
    """
    from residency.core.errors import ResidencyError
    from residency.evals.asked import read_asked
    from residency.evals.scored import read_scored
    from residency.verdict.evidence import differences, recompute

    report = read_report(folder)
    rows = read_scored(folder / "scored.jsonl")
    anew = recompute(rows, report, read_asked(folder))
    if found := differences(report, anew):
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        what = f"The report does not say what its scored rows say: {'; '.join(found[:5])}{more}."
        raise ResidencyError(what, str(folder / "report.json"), "Run its recipe again with this version.")
    return anew, rows


def _tell_seeds(checked: list[tuple[Report, list[Scored]]], as_json: bool) -> None:
    from residency.verdict.seeds import across_seeds

    told = across_seeds([report for report, _ in checked], {report.run: rows for report, rows in checked})
    if as_json:
        parts = {"share": told.share._asdict(), "difference": told.difference._asdict()}
        print_json({"baseline": told.baseline, **parts})
        return
    click.echo(f"{told.share.seeds} seeds on {told.share.n:,} test rows")
    click.echo(f"tuned right      {_spread(told.share, signed=False)}")
    click.echo(f"less {told.baseline:<11} {_spread(told.difference, signed=True)}")


def _spread(spread: SeedSpread, *, signed: bool) -> str:
    from residency.verdict.figures import percent, percent_range, points, points_range

    level = points(spread.mean) + " points" if signed else percent(spread.mean)
    interval = points_range(spread.interval) if signed else percent_range(spread.interval)
    seed, test = 100 * spread.seed_deviation, 100 * spread.test_deviation
    return f"{level} ({interval}); one training: ±{seed:.1f} points by its seed, ±{test:.1f} by the test rows"
