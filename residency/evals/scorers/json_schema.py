"""What a JSON Schema says of an answer."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from residency.core.errors import ResidencyError

_KEY = "scoring.answer_schema"


def schema_fault(file: Path, text: str) -> str:
    """The first fault of the JSON in `text` by the schema in `file`, with its place; empty where none is.

    Raises:
        ResidencyError: the file holds no JSON Schema, or one that refers to another file.
    """
    import referencing.exceptions

    try:
        faults = sorted(_validator(file).iter_errors(json.loads(text)), key=lambda fault: list(fault.path))
    except referencing.exceptions.Unresolvable as error:
        what = f"The schema refers to {error.ref!r}, which is not in it."
        raise ResidencyError(what, _KEY, "Put all of the schema into one file.") from None
    return f"{faults[0].json_path}: {faults[0].message}" if faults else ""


@cache
def _validator(file: Path) -> Any:
    import jsonschema
    import referencing

    try:
        schema = json.loads(file.read_text(encoding="utf-8-sig"))
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        kind.check_schema(schema)
    except (ValueError, jsonschema.SchemaError) as error:
        reason = error.message if isinstance(error, jsonschema.SchemaError) else str(error)
        raise ResidencyError(f"The file holds no JSON Schema: {reason}.", str(file), "Correct it.") from None
    return kind(schema, registry=referencing.Registry())  # an empty one, so that nothing is fetched
