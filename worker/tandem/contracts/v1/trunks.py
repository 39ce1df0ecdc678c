"""Peers and limits: trunks, the platform's carriers and their rates, outbound routes, call limits."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tandem.contracts.v1.base import Fields, Item, Owned, OwnedItem, patch_of
from tandem.contracts.v1.fields import (
    Address,
    Ceiling,
    Digits,
    Name,
    Number,
    ScheduleRef,
    SipCode,
    SipName,
    Text,
    TrunkRef,
    matching,
)

Active = Literal["active", "disabled"]
Role = Literal["carrier", "pbx"]
TrunkDirection = Literal["inbound", "outbound", "both"]
TrunkTransport = Literal["udp", "tcp", "tls"]
InboundAuth = Literal["ip", "registration", "none"]
NumberFrom = Literal["ruri", "to", "p_called_party_id"]
NumberFormat = Literal["e164", "+e164", "national", "custom"]
Host = Annotated[
    str,
    Field(max_length=260),
    matching(r"^[A-Za-z0-9.\-\[\]:]+$", "must be a host name or an IP address, with or without :port"),
]
Codec = Annotated[
    str,
    matching(r"^[A-Za-z0-9.\-]{1,20}(/[0-9]{1,6}(/[0-9])?)?$", "must be a codec such as PCMA or opus/48000/2"),
]
Front = Annotated[str, matching(r"^[+0-9*#]{0,15}$", "must be at most 15 digits, +, * and #")]
Micros = Annotated[int, Field(ge=0, le=10**12)]
Increment = Annotated[int, Field(ge=1, le=3600)]
Moment = Annotated[int, Field(ge=0, le=2**48 - 1)]


class PeerFields(Fields):
    """What a trunk and a carrier have in common."""

    name: Name = Field(description="What the peer is called.")
    provider: Text = Field("", description="Who runs it.")
    direction: TrunkDirection = Field("both", description="Which calls it carries.")
    proxy: Host | None = Field(None, description="host or host:port that calls are sent to; null: inbound only.")
    transport: TrunkTransport = Field("udp", description="Transport towards it.")
    do_register: bool = Field(False, description="Whether the platform registers at it.")
    inbound_auth: InboundAuth = Field("none", description="How its calls are recognised.")
    inbound_ips: list[Address] = Field(
        [], max_length=64, description="Addresses that its calls come from: CIDR or CIDR:port, [IPv6]:port."
    )
    inbound_number_from: NumberFrom = Field("ruri", description="Where the called number is read.")
    failover_codes: list[SipCode] = Field([], max_length=64, description="SIP codes after which the next one is tried.")
    max_channels: Ceiling | None = Field(None, description="Calls at a time; null: no limit.")
    cid_number: Number | None = Field(
        None, description="Caller-ID when caller and account have none; shown only if the account owns it."
    )
    auth_username: SipName | None = Field(None, description="User name of our registration.")
    realm: Host | None = Field(None, description="Realm of its challenges.")
    from_domain: Host | None = Field(None, description="Domain of From towards it.")
    from_user: SipName | None = Field(None, description="User of From towards it.")
    expire_sec: int = Field(3600, ge=60, le=86_400, description="Life of our registration.")
    number_format: NumberFormat = Field("+e164", description="How numbers are written towards it.")
    number_strip: int = Field(0, ge=0, le=15, description="Digits taken away in front (custom).")
    number_prepend: Front = Field("", description="Digits put in front (custom).")
    codecs: list[Codec] = Field([], max_length=16, description="Codecs in order; empty: as offered.")
    status: Active = Field("active", description="A disabled one carries no calls.")

    @model_validator(mode="after")
    def _recognised(self) -> Self:
        if self.inbound_auth == "ip" and not self.inbound_ips:
            raise ValueError("inbound_ips: is empty, but inbound_auth is ip")
        if len(set(self.inbound_ips)) != len(self.inbound_ips):
            raise ValueError("inbound_ips: names an address twice")
        return self


class TrunkFields(PeerFields):
    role: Role = Field("carrier", description="carrier: brings calls to numbers; pbx: calls as a user of the account.")


class TrunkCreate(TrunkFields, Owned):
    """A peer of the account: its carrier or its own PBX."""


class Trunk(TrunkFields, OwnedItem):
    """A peer of the account: its carrier or its own PBX."""


TrunkPatch = patch_of(TrunkFields)


class CarrierFields(PeerFields):
    quality: int = Field(0, ge=0, le=100, description="Score that breaks ties of cost.")


class CarrierCreate(CarrierFields):
    """A peer of the platform that carries calls for all accounts."""


class Carrier(CarrierFields, Item):
    """A peer of the platform that carries calls for all accounts."""


CarrierPatch = patch_of(CarrierFields)


class CarrierRateFields(Fields):
    carrier_id: TrunkRef = Field(description="The carrier; it cannot be changed.")
    prefix: Digits = Field(description="Numbers that start so; the longest prefix counts.")
    setup_micros: Micros = Field(0, description="Price of an answered call, millionths.")
    per_min_micros: Micros = Field(description="Price of a minute, millionths.")
    first_increment_sec: Increment = Field(60, description="Seconds that every answered call costs at least.")
    increment_sec: Increment = Field(60, description="Steps in which the rest is counted.")
    valid_from: Moment | None = Field(None, description="Epoch ms; null: always.")
    valid_until: Moment | None = Field(None, description="Epoch ms; null: for good.")

    @model_validator(mode="after")
    def _period(self) -> Self:
        if self.valid_from is not None and self.valid_until is not None and self.valid_until <= self.valid_from:
            raise ValueError("valid_until: is not after valid_from")
        return self


class CarrierRateCreate(CarrierRateFields):
    """What a carrier asks for calls to a prefix."""


class CarrierRate(CarrierRateFields, Item):
    """What a carrier asks for calls to a prefix."""


CarrierRatePatch = patch_of(CarrierRateFields, "carrier_id")


class OutboundRouteFields(Fields):
    prefix: Annotated[str, matching(r"^[0-9]{0,15}$", "must be at most 15 digits")] = Field(
        description="Numbers that start so; empty: all."
    )
    strip: int = Field(0, ge=0, le=15, description="Digits taken away in front.")
    prepend: Front = Field("", description="Digits put in front.")
    trunk_id: TrunkRef = Field(description="The trunk that takes the call.")
    priority: int = Field(0, ge=0, le=1000, description="Lowest first.")
    weight: int = Field(1, ge=0, le=1000, description="Share among routes of the same priority.")
    schedule_id: ScheduleRef | None = Field(None, description="When it is used; null: always.")
    status: Active = Field("active", description="A disabled one is not used.")


class OutboundRouteCreate(OutboundRouteFields, Owned):
    """Which trunk carries calls to numbers with a prefix."""


class OutboundRoute(OutboundRouteFields, OwnedItem):
    """Which trunk carries calls to numbers with a prefix."""


OutboundRoutePatch = patch_of(OutboundRouteFields)


class LimitFields(Fields):
    scope_kind: Literal["account", "user", "did", "number"] = Field(description="Whose calls are counted.")
    scope_id: Annotated[str, Field(pattern=r"^(us|did)_[0-7][0-9a-hjkmnp-tv-z]{25}$")] | None = Field(
        None, description="The user or the number (did_…) that it is about."
    )
    pattern: Digits | None = Field(None, description="Counts calls to numbers that start so (scope_kind number).")
    direction: Literal["in", "out", "dialer", "any"] = Field("any", description="Which calls are counted.")
    period_sec: int = Field(ge=1, le=31 * 86_400, description="Length of the sliding window.")
    max_count: int = Field(ge=0, le=1_000_000, description="Calls in that time.")
    hard: bool = Field(True, description="Refuse calls over it; otherwise only note it in their records.")

    @model_validator(mode="after")
    def _scope(self) -> Self:
        prefix = {"user": "us_", "did": "did_"}.get(self.scope_kind)
        if prefix is None and self.scope_id is not None:
            raise ValueError(f"scope_id: does not go with scope_kind {self.scope_kind}")
        if prefix is not None and (self.scope_id is None or not self.scope_id.startswith(prefix)):
            raise ValueError(f"scope_id: must be an id {prefix}…, since scope_kind is {self.scope_kind}")
        if (self.scope_kind == "number") != (self.pattern is not None):
            raise ValueError("pattern: goes with scope_kind number, and only with it")
        return self


class LimitCreate(LimitFields, Owned):
    """How many calls may begin in a sliding window of time."""


class Limit(LimitFields, OwnedItem):
    """How many calls may begin in a sliding window of time."""


LimitPatch = patch_of(LimitFields)
