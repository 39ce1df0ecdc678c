"""Base models of the seam (spec 00, "Conventions"): unknown fields are ignored, wrong types refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class NodeMessage(BaseModel):
    """What a node sends: camelCase on the wire, snake_case in code."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, strict=True, frozen=True, extra="ignore")

    def wire(self) -> str:
        """The JSON text that goes over the wire; fields that are not set are left out."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


class BrainMessage(BaseModel):
    """What the brain returns: snake_case everywhere."""

    model_config = ConfigDict(populate_by_name=True, strict=True, frozen=True, extra="ignore")

    def wire(self) -> str:
        return self.model_dump_json(exclude_none=True)
