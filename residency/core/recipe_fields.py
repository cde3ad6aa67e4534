"""What sections of the recipe are made of: the base class, and types of fields that several of them have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from residency.core.hub_name import HubName, on_hub


def _well_named(path: Path) -> Path:
    if on_hub(path):
        try:
            HubName.parse(path)
        except ValueError:
            fix = {"fix": "Write hf:owner/name, or hf:owner/name:train for one split."}
            raise PydanticCustomError("hub_name", "this is no name of a dataset on the hub", fix) from None
    return path


PathField = Annotated[Path, Field(json_schema_extra={"format": "path"})]
DataField = Annotated[PathField, AfterValidator(_well_named)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Section(BaseModel):
    """A part of the recipe: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
