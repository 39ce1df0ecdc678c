"""All objects of `/v1`: the API makes its routes from this table, the command line its commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel

from tandem.contracts.ids import Prefix
from tandem.contracts.v1 import calls, flows, groups, hours, media, numbers, people, tenancy, trunks
from tandem.contracts.v1.base import Fields

Verb = Literal["list", "get", "create", "update", "delete", "import"]
ALL: Final[tuple[Verb, ...]] = ("list", "get", "create", "update", "delete", "import")
ONE_BY_ONE: Final[tuple[Verb, ...]] = ("list", "get", "create", "update", "delete")
READ: Final[tuple[Verb, ...]] = ("list", "get")


@dataclass(frozen=True, slots=True)
class Object:
    """`name` is the path's, `key` the field that people call it by (filterable), `columns` what a table shows.

    `fields` are the writable ones, on which the rules between fields are checked. `listed` is what a list and the audit
    log have of an item that is too large for them.
    """

    name: str
    singular: str
    prefix: Prefix
    scope: str
    summary: str
    item: type[BaseModel]
    columns: tuple[str, ...]
    fields: type[Fields] | None = None
    create: type[Fields] | None = None
    patch: type[BaseModel] | None = None
    key: str | None = None
    filters: tuple[str, ...] = ()
    operator_only: bool = False
    verbs: tuple[Verb, ...] = ALL
    listed: type[BaseModel] | None = None

    @property
    def path(self) -> str:
        return f"/v1/{self.name}"


OBJECTS: Final[tuple[Object, ...]] = (
    Object(
        "accounts", "account", "acc", "account", "Tenants, in a tree.",
        tenancy.Account, ("id", "name", "status", "parent_id", "is_reseller", "country", "timezone"),
        tenancy.AccountFields, tenancy.AccountCreate, tenancy.AccountPatch,
        key="name", filters=("name", "status", "parent_id", "is_reseller"), verbs=ONE_BY_ONE,
    ),
    Object(
        "domains", "domain", "dom", "account", "SIP domains.",
        tenancy.Domain, ("id", "domain", "is_primary", "account_id"),
        tenancy.DomainFields, tenancy.DomainCreate, tenancy.DomainPatch, key="domain", filters=("domain", "is_primary"),
        verbs=ONE_BY_ONE,
    ),
    Object(
        "users", "user", "us", "users", "Persons, and whatever else rings.",
        people.User, ("id", "username", "display_name", "ring_strategy", "dnd", "status"),
        people.UserFields, people.UserCreate, people.UserPatch,
        key="username", filters=("username", "status", "is_agent", "dnd"),
    ),
    Object(
        "devices", "device", "dev", "devices", "Phones.",
        people.Device, ("id", "auth_username", "realm", "user_id", "transport", "status"),
        people.DeviceFields, people.DeviceCreate, people.DevicePatch,
        key="auth_username", filters=("auth_username", "user_id", "realm", "status"),
    ),
    Object(
        "extensions", "extension", "ext", "numbers", "Digits that users dial.",
        people.Extension, ("id", "digits", "dest_kind", "dest_id", "schedule_id"),
        people.ExtensionFields, people.ExtensionCreate, people.ExtensionPatch,
        key="digits", filters=("digits", "dest_kind", "dest_id"),
    ),
    Object(
        "numbers", "number", "did", "numbers", "Numbers that the account owns (DIDs).",
        numbers.NumberItem, ("id", "e164", "label", "status", "dest_kind", "dest_id"),
        numbers.NumberFields, numbers.NumberCreate, numbers.NumberPatch,
        key="e164", filters=("e164", "status", "dest_kind", "dest_id"),
    ),
    Object(
        "ring-groups", "ring group", "rg", "numbers", "Groups that ring together.",
        groups.RingGroup, ("id", "name", "strategy", "ring_timeout_sec", "exit_dest_kind", "exit_dest_id"),
        groups.RingGroupFields, groups.RingGroupCreate, groups.RingGroupPatch,
        key="name", filters=("name", "strategy", "schedule_id"),
    ),
    Object(
        "ring-group-members", "ring group member", "rgm", "numbers", "Who rings in a group.",
        groups.RingGroupMember, ("id", "ring_group_id", "user_id", "device_id", "position", "delay_sec", "timeout_sec"),
        groups.RingGroupMemberFields, groups.RingGroupMemberCreate, groups.RingGroupMemberPatch,
        filters=("ring_group_id", "user_id", "device_id"),
    ),
    Object(
        "forwards", "forward", "fwd", "numbers", "Outside numbers as targets.",
        numbers.Forward, ("id", "name", "e164", "timeout_sec", "cid_mode"),
        numbers.ForwardFields, numbers.ForwardCreate, numbers.ForwardPatch, key="name", filters=("name", "e164"),
    ),
    Object(
        "schedules", "schedule", "sch", "numbers", "Opening hours.",
        hours.Schedule, ("id", "name", "timezone"),
        hours.ScheduleFields, hours.ScheduleCreate, hours.SchedulePatch, key="name", filters=("name",),
    ),
    Object(
        "schedule-rules", "schedule rule", "schr", "numbers", "Rules that opening hours are made of.",
        hours.ScheduleRule,
        ("id", "schedule_id", "kind", "dow", "start_time", "end_time", "start_date", "end_date", "is_closed", "label"),
        hours.ScheduleRuleFields, hours.ScheduleRuleCreate, hours.ScheduleRulePatch,
        filters=("schedule_id", "kind"),
    ),
    Object(
        "flows", "flow", "flow", "flows", "What the platform does with a call that it answers.",
        flows.Flow, ("id", "name", "status", "version", "published_at", "unpublished"),
        flows.FlowFields, flows.FlowCreate, flows.FlowPatch,
        key="name", filters=("name", "status"), verbs=ONE_BY_ONE, listed=flows.FlowSummary,
    ),
    Object(
        "media", "media file", "media", "flows", "Sound files that calls play.",
        media.Media, ("id", "name", "kind", "format", "duration_ms", "size"),
        media.MediaFields, media.MediaCreate, media.MediaPatch, key="name", filters=("name", "kind", "format"),
        verbs=ONE_BY_ONE,
    ),
    Object(
        "playlists", "playlist", "pl", "flows", "Media files in order.",
        media.Playlist, ("id", "name", "media_ids"),
        media.PlaylistFields, media.PlaylistCreate, media.PlaylistPatch, key="name", filters=("name",),
    ),
    Object(
        "trunks", "trunk", "tr", "trunks", "Peers of the account: carriers and PBXs.",
        trunks.Trunk, ("id", "name", "role", "direction", "inbound_auth", "inbound_ips", "status"),
        trunks.TrunkFields, trunks.TrunkCreate, trunks.TrunkPatch, key="name", filters=("name", "role", "status"),
    ),
    Object(
        "outbound-routes", "outbound route", "or", "trunks", "Which trunk carries which calls.",
        trunks.OutboundRoute, ("id", "prefix", "trunk_id", "priority", "weight", "status"),
        trunks.OutboundRouteFields, trunks.OutboundRouteCreate, trunks.OutboundRoutePatch,
        filters=("prefix", "trunk_id", "status"),
    ),
    Object(
        "limits", "limit", "lim", "account", "How many calls may begin in a time.",
        trunks.Limit, ("id", "scope_kind", "scope_id", "pattern", "direction", "period_sec", "max_count", "hard"),
        trunks.LimitFields, trunks.LimitCreate, trunks.LimitPatch, filters=("scope_kind", "scope_id", "direction"),
    ),
    Object(
        "verified-numbers", "verified number", "vn", "numbers", "Other operators' numbers as caller-ID.",
        numbers.VerifiedNumber, ("id", "e164", "verified_at"),
        numbers.VerifiedNumberFields, numbers.VerifiedNumberCreate, numbers.VerifiedNumberPatch,
        key="e164", filters=("e164",),
    ),
    Object(
        "carriers", "carrier", "tr", "trunks", "Peers of the platform.",
        trunks.Carrier, ("id", "name", "proxy", "direction", "quality", "status"),
        trunks.CarrierFields, trunks.CarrierCreate, trunks.CarrierPatch,
        key="name", filters=("name", "status"), operator_only=True,
    ),
    Object(
        "carrier-rates", "carrier rate", "rate", "trunks", "What carriers ask.",
        trunks.CarrierRate, ("id", "carrier_id", "prefix", "setup_micros", "per_min_micros"),
        trunks.CarrierRateFields, trunks.CarrierRateCreate, trunks.CarrierRatePatch,
        filters=("carrier_id", "prefix"), operator_only=True,
    ),
    Object(
        "keys", "key", "key", "account", "API keys.",
        tenancy.Key, ("id", "name", "scopes", "last_used_at", "revoked_at"),
        tenancy.KeyFields, tenancy.KeyCreate, tenancy.KeyPatch, key="name", filters=("name",), verbs=ONE_BY_ONE,
    ),
    Object(
        "console-users", "console user", "cu", "account", "Who logs in to the console.",
        tenancy.ConsoleUser, ("id", "email", "role", "user_id", "scopes", "status"),
        tenancy.ConsoleUserFields, tenancy.ConsoleUserCreate, tenancy.ConsoleUserPatch,
        key="email", filters=("email", "role", "status", "user_id"), verbs=ONE_BY_ONE,
    ),
    Object(
        "nodes", "node", "node", "nodes", "Edge nodes.",
        tenancy.Node, ("id", "name", "region", "status", "sip_address", "command_url"),
        tenancy.NodeFields, tenancy.NodeCreate, tenancy.NodePatch,
        key="name", filters=("name", "region", "status"), operator_only=True, verbs=ONE_BY_ONE,
    ),
    Object(
        "audit", "audit entry", "aud", "account", "Who changed what, newest first.",
        tenancy.AuditEntry, ("id", "at", "actor", "action", "object", "object_id"),
        filters=("actor", "action", "object", "object_id"), verbs=READ,
    ),
    Object(
        "calls", "call", "call", "cdr", "Records of calls, newest first.",
        calls.Call, ("id", "start_ts", "direction", "from_num", "to_num", "disposition", "billsec", "hangup_cause"),
        filters=("direction", "disposition", "user_id", "callee_user_id", "did_id", "from_ts", "to_ts"), verbs=READ,
    ),
)  # fmt: skip
BY_NAME: Final = {one.name: one for one in OBJECTS}
