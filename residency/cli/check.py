"""`residency check`: examine the examples and freeze the test rows."""

from __future__ import annotations

from pathlib import Path

import click

from residency.cli.options import on_recipe, open_workflow, print_json


@click.command("check")
@on_recipe
def command(recipe: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Read and examine the rows of RECIPE, tell what was found and what becomes of every row."""
    from residency.core.workspace import read_json
    from residency.data.ledger import count_fates
    from residency.data.split import Frozen

    workflow = open_workflow(recipe, overrides)
    folder = workflow.upto("check")
    frozen = Frozen.read(folder)
    fates = count_fates(frozen.fates)
    ceiling = read_json(workflow.checked / "examination.json")["ceiling"]
    if as_json:
        checks = [finding.to_json() for finding in frozen.findings]
        print_json(
            {
                "rows": len(frozen.fates),
                "fates": fates,
                "leaks": frozen.leaks,
                "ceiling": ceiling,
                "checks": checks,
                "ledger": str(folder / "ledger.jsonl"),
            }
        )
        return
    click.echo(f"{len(frozen.fates):,} rows: " + ", ".join(f"{n:,} {fate}" for fate, n in fates.items() if n))
    for finding in frozen.findings:
        click.echo(f"\n{finding.severity} {finding.id}: {finding.explanation}")
        if finding.rows:
            more = f" and {len(finding.rows) - 8:,} more" if len(finding.rows) > 8 else ""
            click.echo(f"  where: {', '.join(str(row) for row in finding.rows[:8])}{more}")
        click.echo(f"  fix:   {finding.fix}")
    if ceiling:
        low, high = ceiling["interval"]
        click.echo(
            f"\nNo model can exceed about {100 * ceiling['value']:.1f} % here ({100 * low:.1f} to "
            f"{100 * high:.1f} %), measured on {ceiling['source']}."
        )
    click.echo(f"\nEvery row's fate: {folder / 'ledger.jsonl'}")
