"""Ring groups: several users or devices that ring for one call."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tandem.contracts.v1.base import Fields, Owned, OwnedItem, patch_of
from tandem.contracts.v1.fields import (
    DestId,
    DestKind,
    DeviceRef,
    MediaRef,
    Name,
    RingGroupRef,
    ScheduleRef,
    Seconds,
    UserRef,
    Xform,
)
from tandem.contracts.v1.targets import whole_targets

GroupStrategy = Literal["ring_all", "sequential", "round_robin"]


class RingGroupFields(Fields):
    name: Name = Field(description="Unique in the account.")
    strategy: GroupStrategy = Field(
        "ring_all", description="All at once (with each member's delay), in order, or in order from the next in turn."
    )
    ring_timeout_sec: Seconds = Field(25, description="How long to ring before exit_dest.")
    moh_media_id: MediaRef | None = Field(None, description="Music that callers hear once media can be played.")
    exit_dest_kind: DestKind | None = Field(None, description="What calls are sent to that nobody takes.")
    exit_dest_id: DestId | None = None
    exit_dest_xform: Xform | None = None
    schedule_id: ScheduleRef | None = Field(None, description="Opening hours; null: always open.")
    closed_dest_kind: DestKind | None = Field(None, description="What the call is sent to when closed.")
    closed_dest_id: DestId | None = None
    closed_dest_xform: Xform | None = None
    holiday_dest_kind: DestKind | None = Field(
        None, description="What the call is sent to on the schedule's special dates; default: as when closed."
    )
    holiday_dest_id: DestId | None = None
    holiday_dest_xform: Xform | None = None

    @model_validator(mode="after")
    def _targets(self) -> Self:
        whole_targets(self, "exit_dest", "closed_dest", "holiday_dest")
        return self


class RingGroupCreate(RingGroupFields, Owned):
    """Several users or devices that ring for one call."""


class RingGroup(RingGroupFields, OwnedItem):
    """Several users or devices that ring for one call."""


RingGroupPatch = patch_of(RingGroupFields)


class RingGroupMemberFields(Fields):
    ring_group_id: RingGroupRef = Field(description="The group; it cannot be changed.")
    user_id: UserRef | None = Field(None, description="The member, when it is a user.")
    device_id: DeviceRef | None = Field(None, description="The member, when it is one device.")
    position: int = Field(0, ge=0, le=10_000, description="Order, lowest first.")
    delay_sec: int = Field(0, ge=0, le=300, description="Starts to ring that much later (strategy ring_all).")
    timeout_sec: Seconds | None = Field(None, description="Rings that long; null: as long as the group.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.user_id is None) == (self.device_id is None):
            raise ValueError("user_id: give either user_id or device_id")
        return self


class RingGroupMemberCreate(RingGroupMemberFields, Owned):
    """A user or a device in a ring group."""


class RingGroupMember(RingGroupMemberFields, OwnedItem):
    """A user or a device in a ring group."""


RingGroupMemberPatch = patch_of(RingGroupMemberFields, "ring_group_id")
