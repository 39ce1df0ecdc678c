"""`explain`: the decision of `/route` with its reasons, leaving nothing behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tandem.contracts.objects import open_envelope
from tests.support import rows, scene, seeds
from tests.support.local_brain import LocalBrain
from tests.support.seeds import suffix
from tests.unit.brain import ACME

BOB = ACME.people["1002"]


@pytest.fixture
async def phones(brain: LocalBrain) -> LocalBrain:
    brain.write([rows.did(ACME, 1, "12025550100", dest_kind="user", dest_id=BOB.user_id)])
    for digits in ACME.people:
        await brain.register(ACME, digits)
    return brain


async def explained(
    brain: LocalBrain, asked: dict[str, Any], expected: int = 200, account: seeds.Tenant = ACME
) -> dict[str, Any]:
    reply = await brain.presence.call(account.account_id, "explain", account.account_id, json.dumps(asked))
    status, text = open_envelope(reply)
    assert status == expected, text
    found: dict[str, Any] = json.loads(text)
    return found


def names(reply: dict[str, Any]) -> list[str]:
    return [step["step"] for step in reply["steps"]]


async def test_an_internal_call_is_explained_as_it_would_be_routed(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    reply = await explained(phones, {"from": "1001", "to": "1002"})
    assert names(reply) == ["caller", "extension", "ring_user", "answer"]
    assert reply["steps"][1] == {"step": "extension", "digits": "1002", "to": f"user:{BOB.user_id}"}
    assert [route["uri"] for route in reply["directive"]["routes"]] == [route["uri"] for route in routed["routes"]]


async def test_an_explanation_is_no_way_to_another_node(phones: LocalBrain) -> None:
    """Neither the token that delivers a call there, nor the node's address."""
    other = "node_00000000000000000000000009"
    there = rows.insert("node", id=other, region="local", created_at=0, sip_address="198.51.100.2:5060")
    phones.write([there])
    await scene.hello(phones, other)
    moved = scene.contact_of(ACME, "1002", phones.now + 600_000) | {"node": other, "state": "added"}
    await scene.send(phones, scene.event(phones, ACME, "register", transport="udp", **moved), node_id=other)
    (routed, local) = sorted(
        (await phones.invite(ACME, "1001", "1002"))["routes"], key=lambda one: "dst_uri" not in one
    )
    assert "X-Tandem-Deliver" in routed["headers"]["extra"]
    reply = await explained(phones, {"from": "1001", "to": "1002"})
    assert [route["uri"] for route in reply["directive"]["routes"]] == [local["uri"]] * 2
    for secret in ("Deliver", "dst_uri", "198.51.100.2", other):
        assert secret not in json.dumps(reply)


async def test_nothing_is_left_of_an_explanation(phones: LocalBrain) -> None:
    limited = rows.limit(ACME, 1, 3600, 1)
    group = rows.ring_group(ACME, 1, strategy="round_robin")
    member = rows.member(ACME, 1, 1, user_id=BOB.user_id)
    ext = rows.extension(ACME, 77, "77", "ring_group", f"rg_{suffix(1)}")
    for statement, params in (limited, group, member, ext):
        await scene.reconfigure(phones, ACME, statement, *params)
    tables = ("call", "holding", "window_entry", "turn")
    before = [scene.rows(phones, ACME, table) for table in tables]
    for _ in range(3):
        reply = await explained(phones, {"from": "1001", "to": "77"})
        assert reply["directive"]["action"] == "proxy"
    assert [scene.rows(phones, ACME, table) for table in tables] == before


async def test_a_call_from_outside(phones: LocalBrain) -> None:
    reply = await explained(phones, {"from": "+442071838750", "to": "+12025550100"})
    assert reply["directive"]["action"] == "proxy"
    assert reply["directive"]["routes"][0]["headers"]["from"]["uri"] == "sip:+442071838750@Acme.tandem.test"
    assert reply["steps"][-1] == {"step": "answer", "direction": "inbound", "action": "proxy"}


async def test_hours_are_asked_at_the_given_time(phones: LocalBrain) -> None:
    for statement, params in (
        rows.schedule(ACME, 1, timezone="Europe/Berlin"),
        rows.schedule_rule(ACME, 1, 1, dow=1, start_time="09:00", end_time="17:00"),
        rows.update("did", f"did_{suffix(1)}", schedule_id=f"sch_{suffix(1)}"),
    ):
        await scene.reconfigure(phones, ACME, statement, *params)
    monday = 1_783_332_000_000  # 2026-07-06 10:00 UTC
    asked: dict[str, Any] = {"from": "+442071838750", "to": "12025550100"}
    assert (await explained(phones, asked | {"at": monday}))["directive"]["action"] == "proxy"
    closed = await explained(phones, asked | {"at": monday + 6 * 3_600_000})
    assert (closed["directive"]["action"], closed["directive"]["code"]) == ("reject", 480)
    assert {"step": "hours", "schedule": f"sch_{suffix(1)}", "result": "closed"} in closed["steps"]


async def test_the_source_address_decides_for_peers(phones: LocalBrain) -> None:
    for statement, params in rows.trunk(None, 1, "198.51.100.0/24", name="Carrier"):
        await scene.reconfigure(phones, ACME, statement, *params)
    asked = {"from": "+442071838750", "to": "+12025550100"}
    reply = await explained(phones, asked | {"source_ip": "198.51.100.9"})
    assert reply["steps"][0] == {"step": "trunk", "trunk": "Carrier", "role": "carrier"}
    assert reply["directive"]["action"] == "proxy"
    reply = await explained(phones, asked | {"source_ip": "192.0.2.200"}, 404)
    assert reply["error"]["code"] == "not_found"


async def test_a_trunk_may_be_told_by_its_port(phones: LocalBrain) -> None:
    for statement, params in rows.trunk(ACME, 1, "198.51.100.9:5080", name="Branch", role="pbx"):
        await scene.reconfigure(phones, ACME, statement, *params)
    asked: dict[str, Any] = {"from": "201", "to": "1002", "source_ip": "198.51.100.9"}
    reply = await explained(phones, asked | {"source_port": 5080})
    assert reply["steps"][0] == {"step": "trunk", "trunk": "Branch", "role": "pbx"}
    assert reply["directive"]["action"] == "proxy"
    await explained(phones, asked, 404)


async def test_a_suspended_account_is_told_why_nothing_works(phones: LocalBrain) -> None:
    for asked in ({"from": "1001", "to": "1002"}, {"from": "+442071838750", "to": "+12025550100"}):
        await scene.reconfigure(phones, ACME, *_flat(rows.update("account", ACME.account_id, status="suspended")))
        reply = await explained(phones, asked)
        assert (reply["directive"]["action"], reply["directive"]["code"]) == ("reject", 403)
        assert reply["steps"][0]["step"] == "account"
        assert reply["steps"][0]["status"] == "suspended"


async def test_a_ceiling_above_is_told_though_it_is_not_asked(phones: LocalBrain) -> None:
    phones.write([rows.account(900, is_reseller=1, max_in=0)])
    below = seeds.tenant(901, "below.tandem.test", ("1001",))
    phones.write(
        row if not row[0].startswith("INSERT INTO account ") else rows.account(901, "acc_" + suffix(900))
        for row in seeds.rows_of(below)
    )
    phones.write([rows.did(below, 9, "12025550900", dest_kind="user", dest_id=below.people["1001"].user_id)])
    await phones.register(below, "1001")
    reply = await explained(phones, {"from": "+442071838750", "to": "+12025550900"}, account=below)
    assert reply["directive"]["action"] == "proxy"
    (told,) = (step for step in reply["steps"] if step["step"] == "ceilings")
    assert told["above"] == ["account_in"]
    assert "ceilings" not in names(await explained(phones, {"from": "1001", "to": "1001"}, account=below))


def _flat(row: rows.Row) -> tuple[Any, ...]:
    statement, params = row
    return (statement, *params)


async def test_the_caller_id_of_a_call_to_the_outside_is_told(phones: LocalBrain) -> None:
    for statement, params in (
        rows.update("sip_user", ACME.people["1001"].user_id, out_cid_number="12025550100", out_cid_name="Sales"),
        rows.forward(ACME, 1, "442071838750", cid_mode="own", timeout_sec=17),
        rows.extension(ACME, 77, "77", "forward", f"fwd_{suffix(1)}"),
    ):
        await scene.reconfigure(phones, ACME, statement, *params)
    told = {"step": "outbound", "number": "442071838750", "result": "no outbound trunk"}
    reply = await explained(phones, {"from": "1001", "to": "+442071838750"})
    assert told | {"caller_id": "+12025550100"} in reply["steps"]
    reply = await explained(phones, {"from": "1001", "to": "77"})
    assert told | {"caller_id": "unknown", "timeout_sec": 17} in reply["steps"]


async def test_who_is_nobody_gets_told_so(phones: LocalBrain) -> None:
    reply = await explained(phones, {"from": "4711", "to": "1002"}, 404)
    assert "4711" in reply["error"]["message"]
    reply = await explained(phones, {"from": "1001"}, 400)
    assert reply["error"]["field"] == "to"


async def test_a_refusal_names_its_rule(phones: LocalBrain) -> None:
    await scene.reconfigure(phones, ACME, "UPDATE sip_user SET dnd = 1 WHERE id = ?", BOB.user_id)
    reply = await explained(phones, {"from": "1001", "to": "1002"})
    assert reply["directive"]["code"] == 486
    assert {"step": "no_fallback", "user": "1002", "because": "do-not-disturb"} in reply["steps"]
    reply = await explained(phones, {"from": "1001", "to": "911"})
    assert names(reply) == ["caller", "emergency", "answer"]
