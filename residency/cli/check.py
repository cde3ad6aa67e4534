"""`residency check`: examine the examples, mend them, and freeze the test rows."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from residency.cli.options import on_data, open_data, print_json

if TYPE_CHECKING:
    from residency.pipeline.mending import Mended

_SHOWN = 3
"""Rows of a finding shown in the terminal."""


@click.command("check")
@click.option(
    "--only", metavar="CHECK,...", help="With --fix: mend what these checks found and nothing else."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="With --fix: the new file; else DATA.fixed.jsonl."
)
@click.option("--fix", is_flag=True, help="Write a mended copy of the training file, with a patch.")
@on_data
def command(
    data: Path,
    test: Path | None,
    validation: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
    fix: bool,
    out: Path | None,
    only: str | None,
) -> None:
    """Examine the rows of DATA, a recipe or a file of examples, and tell what becomes of every row.

    Findings do not change the exit code: it is 0 where the rows could be read, and 1 where none could.
    """
    from residency.core.workspace import read_json

    if not fix and (out or only):
        raise click.UsageError("--out and --only go with --fix.")
    workflow = open_data(data, test, validation, overrides)
    if fix:
        from residency.pipeline.mending import mend_file

        mended = mend_file(
            workflow.recipe.data, workflow.checked, out, (only or "").split(",") if only else ()
        )
        print_json(mended.to_json()) if as_json else _tell_mended(mended)
        return
    folder = workflow.examine()
    files = {name: str(folder / name) for name in ("ledger.jsonl", "review.jsonl", "check.html")}
    document = read_json(folder / "check.json")
    if as_json:
        places = {name.partition(".")[0]: path for name, path in files.items()}
        print_json(
            {**document, "ledger": places["ledger"], "review": places["review"], "page": places["check"]}
        )
        return
    _tell(document)
    again = " ".join([shlex.quote(str(data)), *(f"--set {shlex.quote(override)}" for override in overrides)])
    _tell_next(document, again)
    click.echo(f"\nEvery row's fate: {files['ledger.jsonl']}\nPage:             {files['check.html']}")


def _tell(document: Mapping[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from residency.data.findings import plural

    fates = ", ".join(f"{rows:,} {fate}" for fate, rows in document["fates"].items() if rows)
    click.echo(f"{plural(document['rows'], 'row')}: {fates}")
    if ceiling := document["ceiling"]:
        low, high = (100 * end for end in ceiling["interval"])
        click.echo(
            f"No model can exceed about {100 * ceiling['value']:.1f} % here ({low:.1f} to {high:.1f} %), "
            f"measured on {ceiling['source']}."
        )
    if not document["checks"]:
        click.echo("Nothing was found.")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("severity")
    table.add_column("finding")
    table.add_column("rows", justify="right")
    for check in document["checks"]:
        rows = f"{len(check['rows']):,}" if check["rows"] else ""
        table.add_row(Text(check["severity"]), Text(check["id"]), rows)
    Console().print(table)
    for check in document["checks"]:
        _tell_finding(check)


def _tell_finding(check: Mapping[str, Any]) -> None:
    click.echo(f"\n{check['severity']} {check['id']}: {check['explanation']}")
    for row in check["rows"][:_SHOWN]:
        other = f" (see {row['other']['file']}:{row['other']['row']})" if "other" in row else ""
        click.echo(f"  {row['file']}:{row['row']}{other}: {row['excerpt']}")
        if "detail" in row:
            click.echo(f"    {row['detail']}")
    if len(check["rows"]) > _SHOWN:
        click.echo(f"  and {len(check['rows']) - _SHOWN:,} more")
    click.echo(f"  fix: {check['fix']}")


def _tell_next(document: Mapping[str, Any], data: str) -> None:
    from residency.data.findings import plural
    from residency.data.mending.fix import MENDS

    mendable = [check["id"] for check in document["checks"] if check["id"] in MENDS]
    left_out = {fate: document["fates"][fate] for fate in ("refused", "over-long") if document["fates"][fate]}
    steps = []
    if mendable or left_out:
        steps.append(f"residency check {data} --fix   mends: {', '.join([*left_out, *mendable])}")
    if document["to_review"]:
        steps.append(f"residency review {data}   {plural(document['to_review'], 'row')} to judge")
    if steps:
        click.echo("\nNext:")
    for step in steps:
        click.echo(f"  {step}")


def _tell_mended(mended: Mended) -> None:
    from residency.data.findings import plural
    from residency.data.mending.fix import MENDS

    told = mended.to_json()
    fates = ", ".join(f"{rows:,} {fate}" for fate, rows in told["fates"].items())
    click.echo(f"{plural(told['rows'], 'row')}: {fates}")
    for done in told["actions"]:
        click.echo(f"  {done['action']:<9} {done['rows']:>7,}  {done['check']}: {MENDS[done['check']]}")
    click.echo(f"New file: {mended.out}\nPatch:    {mended.patch}\nLedger:   {mended.ledger}")
    click.echo(f"Take it back: residency undo {shlex.quote(str(mended.patch))}")
