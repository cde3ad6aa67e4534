"""`residency runs`: list runs, or show one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from residency.cli.options import print_json, print_report, read_report


@click.command("runs")
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(run: str | None, as_json: bool) -> None:
    """List all runs of the workspace, newest first; or show RUN (its name, its beginning, or 'latest')."""
    from residency.core.workspace import Workspace

    workspace = Workspace.find()
    if run is None:
        _list([_read(workspace.runs / name / "run.json") for name in workspace.run_names()], as_json)
        return
    folder = workspace.run(run)
    report = folder / "report.json"
    if report.is_file() and not as_json:
        print_report(read_report(folder), folder)
        return
    content = _read(report if report.is_file() else folder / "run.json")
    if as_json:
        print_json(content)
        return
    click.echo(f"{content['run']}: {content['status']}")
    if content["error"]:
        click.echo(content["error"])
    for stage, name in content["stages"].items():
        click.echo(f"  {stage}: {workspace.folder / 'stages' / name}")


_NEEDED = {"run.json": ("run", "status", "created", "task", "error", "stages"), "report.json": ("run",)}


def _read(file: Path) -> dict[str, Any]:
    from residency.core.workspace import read_json, reading

    with reading(file):
        content: dict[str, Any] = read_json(file)
        if missing := [key for key in _NEEDED[file.name] if key not in content]:
            raise ValueError(f"no {' and no '.join(missing)}")
    return content


def _list(runs: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json([{key: run[key] for key in ("run", "status", "created", "task")} for run in runs])
        return
    if not runs:
        click.echo("No runs yet. Start one: residency run residency.toml")
    for run in runs:
        click.echo(f"{run['run']:<32} {run['created'][:16].replace('T', ' ')}  {run['status']}")
