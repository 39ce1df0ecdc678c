"""Base models of `/v1`: unknown fields and wrong types are refused; what an item shows is never validated again."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model


class Fields(BaseModel):
    """What may be written of an object: the description of each field is the API's and the command line's help."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


AccountId = Annotated[
    str | None,
    Field(
        pattern=r"^acc_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="The account to act for; default: the credential's own. Resellers and operators may name others.",
    ),
]


class Owned(Fields):
    """Creates an object of an account."""

    account_id: AccountId = None


class Item(BaseModel):
    """What every object has besides its fields."""

    id: str = Field(description="Type prefix and a ULID: sortable by creation time.")
    revision: int = Field(description="Grows with every change; the ETag is this number in quotes.")


class OwnedItem(Item):
    account_id: str = Field(description="The account that the object belongs to.")


def patch_of(fields: type[Fields], *fixed: str) -> type[BaseModel]:
    """The same fields, none of them required, but for those that stay as they were created; null clears a field that
    may be null. Rules between fields are checked on the object as it would become."""
    optional: dict[str, Any] = {}
    for name, field in fields.model_fields.items():
        if name not in fixed:
            kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            optional[name] = (kind, Field(None, description=field.description))
    return create_model(
        fields.__name__.removesuffix("Fields") + "Patch", __config__=Fields.model_config, __doc__=None, **optional
    )
