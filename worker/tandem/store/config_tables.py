"""How each object of `/v1` is kept in D1: its table, and how a row becomes an item."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args, get_origin

from tandem.contracts.v1.objects import BY_NAME, Object
from tandem.runtime import Param, Row

Codec = Literal["plain", "bool", "json", "words"]
Owner = Literal["account", "platform", "either", "self"]


@dataclass(frozen=True, slots=True)
class Table:
    """`unique`: the fields that tell rows apart, the one to blame first; `everywhere`: on the whole platform.

    `references`: field -> object that it names; `lists`: field -> object that each of its items names.
    `targets`: the route targets, by the name in front of `_kind`.
    `codecs`: every field of the item, and the way it is kept.
    `computed`: fields that are no column, as SQL over `t`. `where` tells apart objects that share a table.
    `usable`: which rows others may name.
    """

    object: Object
    name: str
    codecs: Mapping[str, Codec]
    owner: Owner = "account"
    unique: tuple[str, ...] = ()
    everywhere: bool = False
    references: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    computed: Mapping[str, str] = field(default_factory=dict)
    where: str = "1"
    usable: str = "1"

    @property
    def owner_column(self) -> str:
        return "id" if self.owner == "self" else "account_id"

    @property
    def listed(self) -> Mapping[str, Codec]:
        """The fields that a list shows."""
        model = self.object.listed
        return self.codecs if model is None else {name: self.codecs[name] for name in model.model_fields}

    def select(self, codecs: Mapping[str, Codec] | None = None) -> str:
        """The columns of an item, or of what a list shows of it, for `SELECT … FROM <name> AS t`."""
        return ", ".join(
            f"{self.computed[name]} AS {name}" if name in self.computed else f"t.{name}"
            for name in (codecs or self.codecs)
        )

    def item(self, row: Row) -> dict[str, Any]:
        """A row with these columns as an item, or as what a list shows of it."""
        return {name: _decode(codec, row[name]) for name, codec in self.codecs.items() if name in row}

    def encoded(self, fields: Mapping[str, Any]) -> dict[str, Param]:
        """The fields of an item as they are kept, which tells true from 1 in a JSON value."""
        return {name: _encode(self.codecs[name], value) for name, value in fields.items()}

    def columns(self, fields: Mapping[str, Any]) -> dict[str, Param]:
        """The fields of an item as columns; computed ones are left out."""
        return {name: value for name, value in self.encoded(fields).items() if name not in self.computed}

    def told(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """What the audit log has of an item."""
        return {name: item[name] for name in self.listed}


def _members(annotation: Any) -> set[Any]:
    """The plain types in an annotation."""
    if hasattr(annotation, "__metadata__"):
        return _members(annotation.__origin__)
    origin = get_origin(annotation)
    if origin in (list, dict):
        return {origin}
    parts = get_args(annotation) if origin is not Literal else ()
    return {member for part in parts for member in _members(part)} if parts else {annotation}


def _decode(codec: Codec, value: Any) -> Any:
    if codec == "words":
        return (value or "").split()
    if value is None or codec == "plain":
        return value
    return bool(value) if codec == "bool" else json.loads(value)


def _encode(codec: Codec, value: Any) -> Param:
    if codec == "words":
        return " ".join(value)
    if codec == "json" and value is not None:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return int(value) if isinstance(value, bool) else value


def _of(name: str, table: str, words: tuple[str, ...] = (), **how: Any) -> Table:
    """`words`: lists kept as words between spaces."""
    one = BY_NAME[name]
    codecs = {field: _codec(field in words, about.annotation) for field, about in one.item.model_fields.items()}
    return Table(one, table, codecs, **how)


def _codec(words: bool, annotation: Any) -> Codec:
    if words:
        return "words"
    kinds = _members(annotation)
    if bool in kinds:
        return "bool"
    return "json" if kinds & {list, dict} else "plain"


_HOURS: Final = ("dest", "closed_dest", "holiday_dest")
TABLES: Final[dict[str, Table]] = {
    one.object.name: one
    for one in (
        _of("accounts", "account", owner="self", targets=("did_default_dest",), numbers=("default_cid_number",)),
        _of("domains", "sip_domain", unique=("domain",), everywhere=True),
        _of(
            "users",
            "sip_user",
            unique=("username",),
            targets=("fwd_always", "fwd_busy", "fwd_noanswer"),
            numbers=("out_cid_number",),
        ),
        _of("devices", "sip_device", unique=("auth_username", "realm"), references={"user_id": "users"}),
        _of(
            "extensions",
            "extension",
            unique=("digits",),
            references={"schedule_id": "schedules"},
            targets=_HOURS,
        ),
        _of(
            "numbers",
            "did",
            unique=("e164",),
            everywhere=True,
            references={"schedule_id": "schedules"},
            targets=_HOURS,
            numbers=("e164",),
        ),
        _of(
            "ring-groups",
            "ring_group",
            unique=("name",),
            references={"schedule_id": "schedules", "moh_media_id": "media"},
            targets=("exit_dest", "closed_dest", "holiday_dest"),
        ),
        _of(
            "ring-group-members",
            "ring_group_member",
            references={"ring_group_id": "ring-groups", "user_id": "users", "device_id": "devices"},
        ),
        _of("forwards", "forward", unique=("name",), numbers=("e164",)),
        _of("schedules", "time_schedule", unique=("name",)),
        _of("schedule-rules", "time_schedule_rule", references={"schedule_id": "schedules"}),
        _of(
            "flows",
            "flow",
            unique=("name",),
            computed={"unpublished": "t.graph IS NOT t.published_graph"},
            usable="t.status <> 'archived'",
        ),
        _of("media", "media_file", unique=("name",)),
        _of("playlists", "media_playlist", unique=("name",), lists={"media_ids": "media"}),
        _of("trunks", "sip_trunk", numbers=("cid_number",), where="t.account_id IS NOT NULL"),
        _of(
            "outbound-routes",
            "outbound_route",
            references={"trunk_id": "trunks", "schedule_id": "schedules"},
        ),
        _of("limits", "call_limit"),
        _of(
            "verified-numbers",
            "verified_number",
            unique=("e164",),
            numbers=("e164",),
            computed={"verified": "t.verified_at IS NOT NULL"},
        ),
        _of("carriers", "sip_trunk", owner="platform", numbers=("cid_number",), where="t.account_id IS NULL"),
        _of("carrier-rates", "carrier_rate", owner="platform", references={"carrier_id": "carriers"}),
        _of("keys", "api_key", owner="either", words=("scopes",)),
        _of(
            "console-users",
            "console_user",
            owner="either",
            unique=("email",),
            everywhere=True,
            references={"user_id": "users"},
            words=("scopes",),
        ),
        _of("nodes", "node", owner="platform"),
        _of("audit", "audit", owner="either", computed={"revision": "1"}),
        _of(
            "calls",
            "call_cdr",
            computed={"id": "t.call_id"},
            words=("limit_warnings",),
        ),
    )
}
# Objects that a route target or a limit may name, by kind; the rest comes later and has no table yet.
TARGET_OBJECTS: Final = {
    "flow": "flows",
    "user": "users",
    "extension": "extensions",
    "ring_group": "ring-groups",
    "forward": "forwards",
}
# What a flow's graph may name, by the kinds of tandem.domain.flows.
GRAPH_OBJECTS: Final = {
    "flow": "flows",
    "user": "users",
    "extension": "extensions",
    "ring_group": "ring-groups",
    "forward": "forwards",
    "schedule": "schedules",
    "media": "media",
    "playlist": "playlists",
}
LIMIT_OBJECTS: Final = {"user": "users", "did": "numbers"}
