"""Numbers of the outside world: those that the account owns, has verified, or forwards to."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tandem.contracts.v1.base import Fields, Owned, OwnedItem, patch_of
from tandem.contracts.v1.fields import Ceiling, DestId, DestKind, Name, Number, Seconds, Text
from tandem.contracts.v1.targets import Hours, whole_targets

NumberStatus = Literal["active", "disabled", "virtual"]
FaxMode = Literal["voice", "t38", "passthrough"]
CidMode = Literal["caller", "own"]


class NumberFields(Hours):
    e164: Number
    label: Text = Field("", description="What the number is for.")
    accept_any_source: bool = Field(
        False, description="Whether anyone on the Internet may call it by SIP, not only trunks."
    )
    status: NumberStatus = Field("active", description="virtual: owned for caller-ID, but not called.")
    dest_kind: DestKind | None = Field(None, description="What calls are sent to; null: the account's default.")
    dest_id: DestId | None = None
    max_channels: Ceiling | None = Field(None, description="Calls at a time; null: no limit.")
    allow_anonymous: bool = Field(True, description="Whether callers without a number get through (else 433).")
    fax_mode: FaxMode = Field("voice", description="How faxes to it are carried.")

    @model_validator(mode="after")
    def _targets(self) -> Self:
        whole_targets(self, "dest", "closed_dest", "holiday_dest")
        return self


class NumberCreate(NumberFields, Owned):
    """A number that the account owns (DID), and where calls to it go."""


class NumberItem(NumberFields, OwnedItem):
    """A number that the account owns (DID), and where calls to it go."""


NumberPatch = patch_of(NumberFields, "e164")


class VerifiedNumberFields(Fields):
    e164: Number
    verified: bool = Field(
        False, description="Whether the account has shown that it may use it as caller-ID; set by the platform."
    )


class VerifiedNumberCreate(VerifiedNumberFields, Owned):
    """A number of another operator that the account wants to show as caller-ID."""


class VerifiedNumber(VerifiedNumberFields, OwnedItem):
    """A number of another operator that the account wants to show as caller-ID."""

    verified_at: int | None = Field(description="When it was verified, epoch ms; null: not yet.")


VerifiedNumberPatch = patch_of(VerifiedNumberFields, "e164")


class ForwardFields(Fields):
    name: Name = Field(description="Unique in the account.")
    e164: Number
    timeout_sec: Seconds = Field(30, description="How long to ring there.")
    cid_mode: CidMode = Field("caller", description="Whose number the called party sees.")


class ForwardCreate(ForwardFields, Owned):
    """An outside number as a target of calls, paid by the account."""


class Forward(ForwardFields, OwnedItem):
    """An outside number as a target of calls, paid by the account."""


ForwardPatch = patch_of(ForwardFields)
