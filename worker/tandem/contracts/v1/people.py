"""Who is called and who calls: users, their devices, and the digits that reach them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tandem.contracts.v1.base import Fields, Owned, OwnedItem, patch_of
from tandem.contracts.v1.fields import (
    Ceiling,
    DestId,
    DestKind,
    Number,
    Password,
    Seconds,
    SipName,
    Text,
    UserRef,
    VoicemailRef,
    matching,
)
from tandem.contracts.v1.targets import Hours, whole_targets

RingStrategy = Literal["simultaneous", "sequential", "specific"]
Active = Literal["active", "disabled"]
Transport = Literal["udp", "tcp", "tls", "wss"]


class UserFields(Fields):
    username: SipName = Field(description="Unique in the account; what other users may dial.")
    display_name: Text = Field("", description="The name that internal calls show.")
    is_agent: bool = Field(False, description="Whether queues may give this user calls.")
    out_cid_number: Number | None = Field(
        None, description="Caller-ID of outside calls; shown only if the account owns the number or has verified it."
    )
    out_cid_name: Text | None = Field(None, description="Name beside out_cid_number.")
    max_simultaneous: Ceiling | None = Field(None, description="Calls at a time; null: no limit.")
    ring_strategy: RingStrategy = Field(
        "simultaneous",
        description="All devices at once, one after the other by ring_order, or only those with ring_specific.",
    )
    ring_timeout_sec: Seconds = Field(25, description="How long to ring before fwd_noanswer.")
    voicemail_id: VoicemailRef | None = Field(
        None, description="Where unanswered calls go when no forward is set; such calls get 480 until boxes are built."
    )
    dnd: bool = Field(False, description="Do not disturb: calls go to fwd_busy, else voicemail, else 486.")
    fwd_always_kind: DestKind | None = Field(None, description="What all calls are sent to, without ringing.")
    fwd_always_id: DestId | None = None
    fwd_busy_kind: DestKind | None = Field(None, description="What calls are sent to while busy.")
    fwd_busy_id: DestId | None = None
    fwd_noanswer_kind: DestKind | None = Field(None, description="What calls are sent to that nobody takes.")
    fwd_noanswer_id: DestId | None = None
    auto_ready_on_login: bool = Field(False, description="Agents: ready as soon as logged in.")
    auto_queue_login: bool = Field(False, description="Agents: logged in to their queues with the console login.")
    allow_pstn_blind_transfer: bool = Field(False, description="Whether calls may be transferred to outside numbers.")
    status: Active = Field("active", description="A disabled user neither calls nor rings.")

    @model_validator(mode="after")
    def _targets(self) -> Self:
        whole_targets(self, "fwd_always", "fwd_busy", "fwd_noanswer")
        return self


class UserCreate(UserFields, Owned):
    """A person, or whatever else rings."""


class User(UserFields, OwnedItem):
    """A person, or whatever else rings."""


UserPatch = patch_of(UserFields)


class DeviceFields(Fields):
    user_id: UserRef = Field(description="The user whose device it is.")
    auth_username: SipName | None = Field(
        None, description="User name of the registration; default: the user's username. It cannot be changed."
    )
    realm: str | None = Field(
        None,
        max_length=253,
        description="SIP domain of the account that it registers at; default: the primary one. It cannot be changed.",
    )
    transport: Transport = Field("udp", description="What the device is expected to use.")
    is_webrtc: bool = Field(False, description="Whether its media is WebRTC (SAVPF, ICE).")
    ring_order: int = Field(0, ge=0, le=1000, description="Position for the strategy sequential, lowest first.")
    ring_on_fork: bool = Field(True, description="Whether it rings with its user; it can be dialled directly anyway.")
    ring_specific: bool = Field(False, description="Whether it rings for the strategy specific.")
    user_agent_lock: Text | None = Field(None, description="User-Agent that it must send; null: any.")
    status: Active = Field("active", description="A disabled device neither registers nor rings.")


class DeviceCreate(DeviceFields, Owned):
    """A phone; its password is shown once, in the reply, and never stored."""

    password: Password | None = Field(None, description="At least 12 characters; default: a generated one.")


class Device(DeviceFields, OwnedItem):
    """A phone."""


DevicePatch = patch_of(DeviceFields, "auth_username", "realm")


class ExtensionFields(Hours):
    digits: Annotated[str, matching(r"^[0-9*#]{1,20}$", "must be 1 to 20 digits, * and #")] = Field(
        description="What is dialled; feature codes such as *97 too."
    )
    dest_kind: DestKind = Field(description="What the call is sent to.")
    dest_id: DestId

    @model_validator(mode="after")
    def _targets(self) -> Self:
        whole_targets(self, "dest", "closed_dest", "holiday_dest")
        return self


class ExtensionCreate(ExtensionFields, Owned):
    """Digits that users of the account dial, and where they lead."""


class Extension(ExtensionFields, OwnedItem):
    """Digits that users of the account dial, and where they lead."""


ExtensionPatch = patch_of(ExtensionFields)


class PasswordReset(Fields):
    """A new password; the old one stops working at once."""

    password: Password | None = Field(None, description="At least 12 characters; default: a generated one.")
