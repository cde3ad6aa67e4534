"""`residency schema`: the JSON Schema of what is read and written."""

from __future__ import annotations

import click

from residency.cli.options import print_json


@click.command("schema")
@click.argument("name", type=click.Choice(["recipe", "report"]))
def command(name: str) -> None:
    """Print the JSON Schema of the recipe or of report.json."""
    if name == "recipe":
        from residency.core.recipe import Recipe

        print_json(Recipe.model_json_schema())
    else:
        from residency.verdict.report_schema import Report

        print_json(Report.model_json_schema(by_alias=True))
