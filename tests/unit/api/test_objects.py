"""Every object, made, shown, changed, listed and deleted, with what its audit log and its ETag say of it."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.contracts.v1.objects import BY_NAME, OBJECTS
from tests.unit.api.support import Api, Fields, World, listed, populate

ULID = "0" * 26
# A change to each object that any credential of its account may make.
CHANGES: dict[str, Fields] = {
    "users": {"display_name": "Anna", "dnd": True, "ring_timeout_sec": 30, "out_cid_number": "030 901820"},
    "devices": {"transport": "tls", "ring_order": 3, "is_webrtc": True},
    "extensions": {"digits": "1002", "dest_xform": {"greeting": "a", "tries": 3, "vip": True}},
    "numbers": {"label": "main", "max_channels": 4, "allow_anonymous": False},
    "ring-groups": {"strategy": "round_robin", "ring_timeout_sec": 10},
    "ring-group-members": {"delay_sec": 5, "timeout_sec": 20, "position": 2},
    "forwards": {"e164": "+1 202 456 1111", "cid_mode": "own"},
    "schedules": {"timezone": "Europe/Berlin"},
    "schedule-rules": {"dow": 2, "start_time": "22:00", "end_time": "06:00", "label": "night"},
    "flows": {"name": "renamed", "graph": {"start": "b", "nodes": [], "note": "Größe"}},
    "media": {"name": "renamed", "kind": "moh"},
    "playlists": {"name": "renamed"},
    "trunks": {"inbound_ips": ["198.51.100.7:5060", "2001:db8::/48"], "codecs": ["PCMA", "opus/48000/2"]},
    "outbound-routes": {"priority": 2, "weight": 5, "strip": 2},
    "limits": {"max_count": 0, "hard": False},
    "keys": {"name": "renamed", "scopes": ["devices", "users"]},
    "console-users": {"role": "admin", "scopes": ["users"]},
}
TENANT = list(CHANGES)


@pytest.mark.parametrize("name", TENANT)
async def test_an_object_lives(acme: Api, name: str) -> None:
    one = (await populate(acme))[name]
    single = f"/v1/{name}/{one['id']}"
    assert (await acme.get(single))["item"] == one
    assert listed(name, one) in (await acme.get(f"/v1/{name}"))["items"]
    await acme.brain.advance(1)

    changed = await acme.patch(name, one, **CHANGES[name])
    assert changed["revision"] == one["revision"] + 1
    assert {field for field in one if one[field] != changed[field]} == {"revision", *CHANGES[name]}
    assert (await acme.get(single))["item"] == changed
    entry = (await acme.get(f"/v1/audit?object_id={one['id']}&action=update"))["items"][0]
    assert (entry["object"], entry["before"], entry["after"]) == (name, listed(name, one), listed(name, changed))
    assert entry["actor"] != one["id"]


@pytest.mark.parametrize("name", TENANT)
async def test_what_is_not_referred_to_can_be_deleted(acme: Api, name: str) -> None:
    made = await populate(acme)
    order = [
        "console-users", "keys", "verified-numbers", "outbound-routes", "trunks", "limits", "numbers",
        "flows", "playlists", "ring-group-members", "ring-groups", "media", "forwards", "schedule-rules", "schedules",
    ]  # fmt: skip
    if name in ("users", "devices", "extensions"):
        await acme.patch("users", made["users"], fwd_busy_kind=None, fwd_busy_id=None)
        order += ["extensions", "devices", "users"]
    for each in order[: order.index(name) + 1]:
        status, reply = await acme.ask("DELETE", f"/v1/{each}/{made[each]['id']}")
        assert (status, reply) == (200, {"ok": True}), (each, reply)
    await acme.refused((404, "not_found"), "GET", f"/v1/{name}/{made[name]['id']}")
    entry = (await acme.get(f"/v1/audit?object_id={made[name]['id']}&action=delete"))["items"][0]
    assert (entry["before"]["id"], entry["after"]) == (made[name]["id"], None)


PLATFORM: dict[str, tuple[Fields, Fields]] = {
    "carriers": ({"name": "wholesale", "proxy": "sip.example:5060"}, {"quality": 50, "codecs": ["PCMU"]}),
    "nodes": ({"name": "n1", "region": "weur", "sip_address": "192.0.2.1:5060"}, {"status": "draining"}),
}


@pytest.mark.parametrize("name", PLATFORM)
async def test_a_platform_object_lives(operator: Api, name: str) -> None:
    body, change = PLATFORM[name]
    one = await operator.make(name, **body)
    changed = await operator.patch(name, one, **change)
    assert (changed["revision"], changed | one | change | {"revision": 2}) == (2, changed)
    assert (await operator.ask("DELETE", f"/v1/{name}/{one['id']}"))[0] == 200


async def test_rates_belong_to_a_carrier(operator: Api) -> None:
    carrier = await operator.make("carriers", name="wholesale")
    rate = await operator.make("carrier-rates", carrier_id=carrier["id"], prefix="49", per_min_micros=9_000)
    assert (await operator.get(f"/v1/carrier-rates?carrier_id={carrier['id']}"))["items"] == [rate]
    error = await operator.refused((409, "in_use"), "DELETE", f"/v1/carriers/{carrier['id']}")
    assert error["referrers"] == [{"object": "carrier-rates", "id": rate["id"], "field": "carrier_id"}]
    missing = f"tr_{ULID}"
    body = {"carrier_id": missing, "prefix": "1", "per_min_micros": 1}
    await operator.refused((422, "unknown_reference"), "POST", "/v1/carrier-rates", body)


async def test_the_platform_s_objects_are_the_operator_s(world: World) -> None:
    for one in OBJECTS:
        if one.operator_only:
            for api in (world.acme, world.reseller):
                await api.refused((403, "forbidden"), "GET", one.path)
                await api.refused((403, "forbidden"), "DELETE", f"{one.path}/{one.prefix}_{ULID}")


async def test_defaults_are_told_and_stored(acme: Api) -> None:
    user = await acme.make("users", username="bob")
    assert (user["ring_strategy"], user["ring_timeout_sec"], user["status"], user["dnd"]) == (
        "simultaneous", 25, "active", False,
    )  # fmt: skip


async def test_a_change_of_nothing_changes_nothing(acme: Api) -> None:
    user = await acme.make("users", username="bob")
    assert await acme.patch("users", user, username="bob") == user
    assert (await acme.get(f"/v1/audit?object_id={user['id']}&action=update"))["items"] == []


async def test_null_clears_what_may_be_null(acme: Api) -> None:
    user = await acme.make("users", username="bob", max_simultaneous=2)
    assert (await acme.patch("users", user, max_simultaneous=None))["max_simultaneous"] is None
    await acme.refused((400, "invalid_request"), "PATCH", f"/v1/users/{user['id']}", {"username": None})


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("devices", "auth_username", "other"),
        ("devices", "realm", "other.example"),
        ("devices", "password", "a new password"),
        ("numbers", "e164", "+442071838750"),
        ("ring-group-members", "ring_group_id", f"rg_{ULID}"),
        ("schedule-rules", "schedule_id", f"sch_{ULID}"),
        ("domains", "domain", "other.example"),
        ("users", "account_id", f"acc_{ULID}"),
        ("users", "id", f"us_{ULID}"),
        ("users", "revision", 7),
    ],
)
async def test_what_is_fixed_cannot_be_changed(acme: Api, name: str, field: str, value: Any) -> None:
    one = (await populate(acme))[name]
    error = await acme.refused((400, "invalid_request"), "PATCH", f"/v1/{name}/{one['id']}", {field: value})
    assert error["field"] == field


async def test_numbers_are_kept_as_e164(acme: Api) -> None:
    """The account's country is Germany."""
    forms = {"030 901820": "4930901820", "+49 (30) 901-820": "4930901820", "tel:+1-202-456-1111": "12024561111",
             "0044 20 7183 8750": "442071838750", "sip:+4930901820@x.example": "4930901820"}  # fmt: skip
    for given, kept in forms.items():
        one = await acme.make("forwards", name=given, e164=given)
        assert one["e164"] == kept


async def test_a_trunk_is_found_by_its_addresses(acme: Api, world: World) -> None:
    trunk = await acme.make(
        "trunks", name="t", inbound_auth="ip", inbound_ips=["192.0.2.0/24:5060", "::ffff:198.51.100.7", "2001:db8::/48"]
    )

    def addresses() -> list[tuple[Any, ...]]:
        connection = acme.brain.control.connection
        found = connection.execute("SELECT first, last, prefix_length, port FROM trunk_address ORDER BY first")
        return [tuple(row) for row in found]

    mapped = "0" * 20 + "ffff"
    assert addresses() == [
        (f"{mapped}c0000200", f"{mapped}c00002ff", 120, 5060),
        (f"{mapped}c6336407", f"{mapped}c6336407", 128, 0),
        ("20010db8" + "0" * 24, "20010db80000" + "f" * 20, 48, 0),
    ]
    await acme.patch("trunks", trunk, inbound_ips=["192.0.2.1"])
    assert [row[2:] for row in addresses()] == [(128, 0)]
    await acme.patch("trunks", trunk, status="disabled")
    assert addresses() == []
    await acme.patch("trunks", trunk, status="active")
    assert len(addresses()) == 1
    await acme.ask("DELETE", f"/v1/trunks/{trunk['id']}")
    assert addresses() == []


async def test_an_account_has_one_primary_domain(acme: Api) -> None:
    first = (await acme.get("/v1/domains"))["items"][0]
    assert first["is_primary"]
    second = await acme.make("domains", domain="second.example")
    assert not second["is_primary"]
    await acme.refused((409, "conflict"), "PATCH", f"/v1/domains/{first['id']}", {"is_primary": False})
    assert (await acme.patch("domains", second, is_primary=True))["is_primary"]
    assert not (await acme.get(f"/v1/domains/{first['id']}"))["item"]["is_primary"]
    await acme.refused((409, "conflict"), "POST", "/v1/domains", {"domain": "ACME.example"})
    error = await acme.refused((409, "conflict"), "DELETE", f"/v1/domains/{second['id']}")
    assert error["field"] == "is_primary"
    for one in (first, second):
        assert (await acme.ask("DELETE", f"/v1/domains/{one['id']}"))[0] == 200
    assert (await acme.make("domains", domain="third.example"))["is_primary"]


async def test_only_the_platform_verifies_numbers(world: World) -> None:
    body = {"e164": "+4930901820", "verified": True}
    await world.acme.refused((403, "forbidden"), "POST", "/v1/verified-numbers", body)
    number = await world.acme.make("verified-numbers", e164="+4930901820")
    assert (number["verified"], number["verified_at"]) == (False, None)
    await world.acme.refused((403, "forbidden"), "PATCH", f"/v1/verified-numbers/{number['id']}", {"verified": True})
    done = await world.operator.patch("verified-numbers", number, verified=True)
    assert (done["verified"], done["verified_at"]) == (True, world.operator.brain.now)


def test_every_object_is_tested() -> None:
    assert set(BY_NAME) == {
        *CHANGES,
        *PLATFORM,
        "accounts",
        "domains",
        "verified-numbers",
        "carrier-rates",
        "audit",
        "calls",
    }
