"""The pages of docs/ that are made from the code: the recipe, the checks, the report, the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from residency.cli import VERBS, residency
from residency.core.recipe import Recipe
from residency.data.checks.registry import FILE_CHECKS, ROW_CHECKS
from residency.verdict.report_schema import Report
from tests.data.checks.planted import framed, table_on_page

Schema = Mapping[str, Any]

_MADE = "<!-- Made by `python -m tests.docs.check --write`; change the code, not this page. -->"
_WIDTH = 100


def generated_pages() -> dict[str, str]:
    """Each generated page's text by its path below the repository's root."""
    return {
        "docs/recipe.md": recipe_page(Recipe.model_json_schema()),
        "docs/data.md": data_page(),
        "docs/report.md": report_page(Report.model_json_schema(by_alias=True)),
        "docs/cli.md": cli_page(),
    }


def recipe_page(schema: Schema) -> str:
    """Every key of the recipe, section by section."""
    lines = [
        "# The recipe",
        "",
        _MADE,
        "",
        "`residency.toml`, one a project. Unknown keys are mistakes, and all mistakes are told at once.",
        "Paths are taken from the recipe's folder. `--set section.key=value` overrides a key, e.g.",
        "`--set train.rank=8`; a path given there is taken from the current folder.",
    ]
    for name, field in schema["properties"].items():
        section = _referred(schema, field)
        lines += _section(schema, f"[{name}]", section, "##")
    return "\n".join(lines) + "\n"


def _section(schema: Schema, name: str, section: Schema, level: str) -> Iterator[str]:
    """A section's keys as a table, then those of each list of tables in it."""
    options = section["properties"].items()
    rows = [
        (f"`{key}`", _type(option), _default(key, option, section), _bounds(option), option["description"])
        for key, option in options
    ]
    yield from ("", f"{level} {name}", "", section["description"], "")
    yield from _table(("key", "type", "default", "bounds", "meaning"), rows)
    for key, option in options:
        if "$ref" in option.get("items", {}):
            inner = _referred(schema, option["items"])
            yield from _section(schema, f"[[{name.strip('[]')}.{key}]]", inner, f"{level}#")


def data_page() -> str:
    """Every check of the rows, and how well it finds what it is for, as that was measured last."""
    declared = [check for check, _ in (*ROW_CHECKS.values(), *FILE_CHECKS.values())]
    lines = [
        "# Checks of the data",
        "",
        _MADE,
        "",
        "[The check](check.md) looks at every row that can be used and names those that may teach",
        "something wrong. It changes nothing. A finding tells its rows by file and line, each with what",
        "made the check fire; personal data and secrets are shown masked. The ledger holds, for every row",
        "read, the checks that fired on it. An error must be seen to before training, a warning should be,",
        "a note is worth knowing.",
        "",
        *_table(
            ("check", "severity", "what is wrong", "what to do"),
            [(f"`{check.id}`", check.severity, check.meaning, check.fix) for check in declared],
        ),
        "",
        "Rows that repeat or contradict each other, and rows that cannot be used, are told by",
        "[the check's page](check.md#what-it-decides).",
        "",
        "## How well they find it",
        "",
        "Faults are planted in rows that have none: support tickets, replies, extraction and rewriting, with",
        "order numbers, ISBNs, hashes, dates, code, other languages and honest apologies among them.",
        "Recall is the share of the planted rows on which the check fires, precision the share of its rows",
        "that were planted. The faults were made by us as well, and the checks mended with these rows in",
        "sight: expect less on your own.",
        "",
        framed(table_on_page()),
    ]
    return "\n".join(lines) + "\n"


def report_page(schema: Schema) -> str:
    """Every field of `report.json` by its path, parts beneath the field that holds them."""
    lines = [
        "# report.json",
        "",
        _MADE,
        "",
        "`residency.report/1`. `residency schema report` prints it as JSON Schema. Its reader refuses",
        "unknown fields; a change that would break readers raises the number after the slash.",
        "An interval is `[low, high]`; `[]` stands for each item of a list. A report made on the tickets",
        "is shown in the [README](../README.md); how to read it stands under [the verdict](verdict.md).",
        "",
        *_table(("field", "type", "bounds", "meaning"), _fields(schema, schema, "")),
    ]
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    """The help of every verb, as the command line prints it."""
    top = click.Context(residency, info_name="residency", **_plain_context())
    lines = [
        "# The command line",
        "",
        _MADE,
        "",
        "Results go to stdout; progress and errors go to stderr. Every verb knows `--help`.",
        "",
        "```text",
        *_help(residency, top),
        "```",
    ]
    for verb in VERBS:
        command = residency.get_command(top, verb)
        assert command is not None
        context = click.Context(command, info_name=verb, parent=top, **_plain_context())
        lines += ["", f"## residency {verb}", "```text", *_help(command, context), "```"]
    return "\n".join(lines) + "\n"


def _plain_context() -> dict[str, Any]:
    """The same width on every terminal, and --help not listed each time."""
    return {"terminal_width": _WIDTH, "max_content_width": _WIDTH, "help_option_names": []}


def _help(command: click.Command, context: click.Context) -> list[str]:
    return [line.rstrip() for line in command.get_help(context).splitlines()]


def _fields(schema: Schema, part: Schema, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """The fields of `part` and of the parts that it holds."""
    for key, field in part["properties"].items():
        path = f"{prefix}{key}"
        yield f"`{path}`", _type(field), _bounds(field), _meaning(schema, field)
        listed = field.get("type") == "array"
        choices = field.get("anyOf", [field])
        held = field["items"] if listed else next((c for c in choices if "$ref" in c), field)
        if "$ref" in held and "properties" in (inner := _referred(schema, held)):
            yield from _fields(schema, inner, f"{path}[]." if listed else f"{path}.")


def _name(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


def _referred(schema: Schema, field: Schema) -> Schema:
    part: Schema = schema["$defs"][_name(field["$ref"])]
    return part


def _meaning(schema: Schema, field: Schema) -> str:
    """The field's own description, else that of the part it holds."""
    return str(field.get("description") or _referred(schema, field)["description"])


def _type(field: Schema) -> str:
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "$ref" in field:
        return "interval" if _name(field["$ref"]) == "Interval" else "object"
    if field["type"] == "array":
        if "prefixItems" in field:
            return " and ".join(_type(item) for item in field["prefixItems"])
        return f"list of {_type(field['items'])}s"
    if isinstance(field.get("additionalProperties"), Mapping):
        return f"name to {_type(field['additionalProperties'])}"
    return "path" if field.get("format") == "path" else str(field["type"])


def _default(key: str, option: Schema, section: Schema) -> str:
    if key in section.get("required", ()):
        return "none, must be given"
    return "none" if option["default"] is None else f"`{json.dumps(option['default'])}`"


def _bounds(field: Schema) -> str:
    words = {
        "minimum": "at least {}",
        "exclusiveMinimum": "above {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "below {}",
        "minLength": "{} character or more",
        "pattern": "`{}`",
    }
    return ", ".join(text.format(field[key]) for key, text in words.items() if key in field)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(_cell(text) for text in row)} |" for row in cells]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
