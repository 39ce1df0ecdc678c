"""Whose addresses a trunk may claim (docs/decisions/0020-whose-address.md)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.api.support import Api, Fields, World

REFUSED, CONFLICT = (403, "forbidden"), (409, "conflict")


def peer(role: str, *addresses: str, **fields: Any) -> Fields:
    return {"name": "t", "role": role, "inbound_auth": "ip", "inbound_ips": list(addresses)} | fields


async def _sees(api: Api) -> list[list[str]]:
    return [trunk["inbound_ips"] for trunk in (await api.get("/v1/trunks"))["items"]]


@pytest.mark.parametrize("role", ["pbx", "carrier"])
@pytest.mark.parametrize(
    "address", ["0.0.0.0/0", "203.0.112.0/23", "203.0.112.0/23:5060", "::/0", "2001:db8::/47", "::ffff:0:0/96"]
)
async def test_only_an_operator_claims_wide_networks(world: World, role: str, address: str) -> None:
    for api in (world.acme, world.reseller):
        error = await api.refused(REFUSED, "POST", "/v1/trunks", peer(role, "192.0.2.1", address))
        assert error["field"] == "inbound_ips"
        assert "/24 (IPv6: /48)" in error["message"]
    assert await _sees(world.acme) == []
    trunk = await world.operator.make("trunks", account_id=world.ids["acme"], **peer(role, address))
    assert (await world.acme.patch("trunks", trunk, name="renamed"))["name"] == "renamed"
    await world.acme.refused(REFUSED, "PATCH", f"/v1/trunks/{trunk['id']}", {"inbound_ips": [address, "192.0.2.1"]})


@pytest.mark.parametrize(
    ("role", "address"),
    [
        ("pbx", "198.51.100.9"),
        ("pbx", "198.51.100.0/24"),
        ("pbx", "198.51.100.9:5080"),
        ("pbx", "::ffff:198.51.100.9"),
        ("carrier", "198.51.100.9"),
        ("pbx", "203.0.113.0/28"),
        ("pbx", "[2001:db8:1::/64]:5060"),
        ("pbx", "192.0.2.99"),
    ],
)
async def test_a_network_of_another_is_refused(world: World, role: str, address: str) -> None:
    """Another's PBX, another's carrier, the platform's carrier."""
    await world.globex.make("trunks", **peer("pbx", "198.51.100.8/30", "2001:db8:1::/48"))
    await world.globex.make("trunks", **peer("carrier", "203.0.113.0/28"))
    await world.operator.make("carriers", name="c", inbound_auth="ip", inbound_ips=["192.0.2.0/24"])
    error = await world.acme.refused(CONFLICT, "POST", "/v1/trunks", peer(role, "198.18.0.1", address))
    assert error["field"] == "inbound_ips"
    assert " overlaps a network of another peer" in error["message"]
    assert "198.18.0.1" not in error["message"]
    assert await _sees(world.acme) == []
    await world.operator.make("trunks", account_id=world.ids["acme"], **peer(role, address))


async def test_what_does_not_overlap_is_taken(world: World) -> None:
    await world.globex.make("trunks", **peer("pbx", "198.51.100.9:5060"))
    await world.globex.make("trunks", **peer("carrier", "203.0.113.0/28"))
    await world.globex.make("trunks", **peer("pbx", "192.0.2.1", status="disabled"))
    await world.operator.make("carriers", name="c", inbound_auth="ip", inbound_ips=["192.0.2.128/25"])
    for trunk in (
        peer("pbx", "198.51.100.9:5080"),
        peer("pbx", "198.51.100.10"),
        peer("pbx", "192.0.2.1"),
        peer("carrier", "203.0.113.0/28", "192.0.2.129"),
        peer("pbx", "192.0.2.1"),
    ):
        await world.acme.make("trunks", **trunk)


@pytest.mark.parametrize(
    "change",
    [
        {"inbound_ips": ["198.51.100.9"]},
        {"status": "active"},
        {"role": "pbx"},
        {"inbound_auth": "ip"},
    ],
)
async def test_a_change_claims_as_a_new_trunk_does(world: World, change: Fields) -> None:
    await world.globex.make("trunks", **peer("pbx", "198.51.100.9"))
    await world.operator.make("carriers", name="c", inbound_auth="ip", inbound_ips=["192.0.2.1"])
    before = {
        "inbound_ips": peer("pbx", "198.18.0.1"),
        "status": peer("pbx", "198.51.100.9", status="disabled"),
        "role": peer("carrier", "192.0.2.1"),
        "inbound_auth": peer("pbx", "198.51.100.9", inbound_auth="registration"),
    }[next(iter(change))]
    trunk = await world.acme.make("trunks", **before)
    await world.acme.refused(CONFLICT, "PATCH", f"/v1/trunks/{trunk['id']}", change)
    assert (await world.acme.get(f"/v1/trunks/{trunk['id']}"))["item"] == trunk


async def test_an_import_names_the_line(world: World) -> None:
    await world.globex.make("trunks", **peer("pbx", "198.51.100.9"))
    kind = {"content-type": "application/x-ndjson"}
    for address in ("198.51.100.9", "0.0.0.0/0"):
        body = "\n".join(json.dumps(peer("pbx", one)) for one in ("198.18.0.1", address, "198.18.0.2"))
        reply = await world.acme.raw("POST", "/v1/trunks/import", body, kind)
        assert reply.status == 422
        lines = json.loads(reply.text)["error"]["lines"]
        assert [(line["line"], line["field"]) for line in lines] == [(2, "inbound_ips")]
    assert await _sees(world.acme) == []
