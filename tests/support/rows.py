"""Builders of configuration rows for tests: each gives one `(SQL, parameters)` for `LocalBrain.write` and its like.

Ids come from a number (`did(acme, 1, …)` is `did_00…1`), so a test can name what it has made; numbers are the
platform's, not the account's. Every column can be given by name; what is not given has the database's default.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator

from tandem.domain.digest import make_secrets
from tests.support.seeds import Tenant, suffix

Value = str | int | None
Row = tuple[str, tuple[Value, ...]]
Fields = dict[str, Value]
ANY_PORT = 0


def insert(table: str, **columns: Value) -> Row:
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values())


def update(table: str, row_id: str, **columns: Value) -> Row:
    changes = ", ".join(f"{name} = ?" for name in columns)
    return f"UPDATE {table} SET {changes} WHERE id = ?", (*columns.values(), row_id)


def delete(table: str, row_id: str) -> Row:
    return f"DELETE FROM {table} WHERE id = ?", (row_id,)


def account(number: int, parent: Tenant | str | None = None, **columns: Value) -> Row:
    """An account alone; `seeds.rows_of` makes one with a domain and people (at the top of the tree)."""
    parent_id = parent.account_id if isinstance(parent, Tenant) else parent
    defaults: Fields = {"id": f"acc_{suffix(number)}", "name": f"account {number}", "created_at": 0}
    return insert("account", **(defaults | {"parent_id": parent_id} | columns))


def did(tenant: Tenant, number: int, e164: str, **columns: Value) -> Row:
    """A number without a target until `dest_kind` and `dest_id` are given."""
    return _owned("did", "did", tenant, number, columns, e164=e164)


def extension(tenant: Tenant, number: int, digits: str, dest_kind: str, dest_id: str, **columns: Value) -> Row:
    return _owned("extension", "ext", tenant, number, columns, digits=digits, dest_kind=dest_kind, dest_id=dest_id)


def ring_group(tenant: Tenant, number: int, **columns: Value) -> Row:
    return _owned("ring_group", "rg", tenant, number, columns, name=f"group {number}")


def member(tenant: Tenant, number: int, group: int, **columns: Value) -> Row:
    """A member of `ring_group(…, group)`; give `user_id` or `device_id`."""
    return _owned("ring_group_member", "rgm", tenant, number, columns, ring_group_id=f"rg_{suffix(group)}")


def forward(tenant: Tenant, number: int, e164: str, **columns: Value) -> Row:
    return _owned("forward", "fwd", tenant, number, columns, name=f"forward {number}", e164=e164)


def schedule(tenant: Tenant, number: int, **columns: Value) -> Row:
    return _owned("time_schedule", "sch", tenant, number, columns, name=f"hours {number}")


def schedule_rule(tenant: Tenant, number: int, schedule: int, kind: str = "weekly", **columns: Value) -> Row:
    fields: Fields = {"schedule_id": f"sch_{suffix(schedule)}", "kind": kind}
    return _owned("time_schedule_rule", "schr", tenant, number, fields | columns)


def trunk(tenant: Tenant | None, number: int, *addresses: str, **columns: Value) -> Iterator[Row]:
    """A trunk that is recognised by `addresses` (`CIDR`, `CIDR:port` or `[CIDR]:port`); without a tenant it is the
    platform's own. Several rows."""
    fields: Fields = {
        "id": f"tr_{suffix(number)}",
        "account_id": None if tenant is None else tenant.account_id,
    }
    fields |= {"name": f"trunk {number}", "inbound_ips": json.dumps(addresses)}
    yield insert("sip_trunk", **(fields | {"inbound_auth": "ip" if addresses else "none"} | columns))
    for address in addresses:
        yield trunk_address(number, address)


def trunk_address(number: int, address: str) -> Row:
    host, port = _split(address)
    network = ipaddress.ip_network(host)
    shift = 0 if network.version == 6 else 0xFFFF << 32
    return insert(
        "trunk_address",
        trunk_id=f"tr_{suffix(number)}",
        first=f"{shift + int(network.network_address):032x}",
        last=f"{shift + int(network.broadcast_address):032x}",
        prefix_length=network.prefixlen + (0 if network.version == 6 else 96),
        port=port,
    )


def limit(tenant: Tenant, number: int, period_sec: int, max_count: int, **columns: Value) -> Row:
    """On the whole account unless `scope_kind` with `scope_id` (user, did) or `pattern` (number) says otherwise."""
    fields: Fields = {"scope_kind": "account", "period_sec": period_sec, "max_count": max_count}
    return _owned("call_limit", "lim", tenant, number, fields | columns)


def verified_number(tenant: Tenant, number: int, e164: str, **columns: Value) -> Row:
    return _owned("verified_number", "vn", tenant, number, columns, e164=e164, verified_at=1)


def flow(tenant: Tenant, number: int, graph: str | None = None, **columns: Value) -> Row:
    """A published flow (version 1) when `graph`, the JSON text of a flow document, is given; else a draft."""
    fields: Fields = {"name": f"flow {number}", "graph": graph or "{}"}
    if graph is not None:
        fields |= {"status": "published", "version": 1, "published_graph": graph, "published_at": 0}
    return _owned("flow", "flow", tenant, number, fields | columns)


def media_file(tenant: Tenant, number: int, **columns: Value) -> Row:
    """With content."""
    key = f"{tenant.account_id}/media/{number}"
    fields: Fields = {"name": f"media {number}", "kind": "prompt", "object_key": key, "format": "wav", "size": 1_644}
    return _owned(
        "media_file", "media", tenant, number, fields | {"etag": f"etag{number}", "duration_ms": 100} | columns
    )


def media_playlist(tenant: Tenant, number: int, *media: int, **columns: Value) -> Row:
    fields: Fields = {"name": f"playlist {number}", "media_ids": json.dumps([f"media_{suffix(one)}" for one in media])}
    return _owned("media_playlist", "pl", tenant, number, fields | columns)


def device(tenant: Tenant, number: int, digits: str, auth_username: str, password: str, **columns: Value) -> Row:
    """One more device of the person behind `digits`."""
    secrets = make_secrets(auth_username, tenant.domain, password)
    fields: Fields = {"user_id": tenant.people[digits].user_id, "auth_username": auth_username}
    fields |= {"realm": tenant.domain, "ha1": secrets.ha1, "ha1b": secrets.ha1b}
    fields |= {"ha1_sha256": secrets.ha1_sha256, "ha1b_sha256": secrets.ha1b_sha256}
    return _owned("sip_device", "dev", tenant, number, fields | columns)


def _owned(table: str, prefix: str, tenant: Tenant, number: int, given: Fields, **defaults: Value) -> Row:
    fields: Fields = {"id": f"{prefix}_{suffix(number)}", "account_id": tenant.account_id}
    return insert(table, **(fields | defaults | given))


def _split(address: str) -> tuple[str, int]:
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
        return host, int(port[1:] or ANY_PORT)
    if address.count(":") == 1:
        host, _, port = address.partition(":")
        return host, int(port)
    return address, ANY_PORT
