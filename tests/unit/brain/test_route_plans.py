"""`POST /route` over several steps: forwards, groups, outcomes that lead on, and what the record says of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tandem.contracts.deliver import verify
from tandem.contracts.signature import node_credential
from tests.support import node, rows, scene, seeds
from tests.support.local_brain import LocalBrain
from tests.support.seeds import suffix
from tests.unit.brain import ACME

ALICE, BOB, CARL = (ACME.people[digits] for digits in ("1001", "1002", "1003"))
GROUP = f"rg_{suffix(1)}"


@pytest.fixture
async def phones(brain: LocalBrain) -> LocalBrain:
    brain.write([rows.extension(ACME, 60, "60", "ring_group", GROUP)])
    for digits in ACME.people:
        await brain.register(ACME, digits)
    return brain


async def change(brain: LocalBrain, *statements: rows.Row) -> None:
    for statement, params in statements:
        await scene.reconfigure(brain, ACME, statement, *params)


async def ask(brain: LocalBrain, routed: dict[str, Any], outcome: str, **changes: Any) -> dict[str, Any]:
    body = routed["asked"] | {"callId": routed["call_id"], "outcome": outcome} | changes
    status, reply = await brain.post("/route", json.dumps(body))
    assert status == 200, reply
    return {**reply["rtjson"], "asked": routed["asked"]}


def rung(directive: dict[str, Any]) -> list[str]:
    assert directive["action"] == "proxy", directive
    return [route["uri"].removeprefix("sip:").partition("@")[0] for route in directive["routes"]]


def group(*members: rows.Row, **columns: Any) -> list[rows.Row]:
    return [rows.ring_group(ACME, 1, **columns), *members]


def forward(person: seeds.Person, rule: str, kind: str, dest: str) -> rows.Row:
    return rows.update("sip_user", person.user_id, **{f"fwd_{rule}_kind": kind, f"fwd_{rule}_id": dest})


async def test_a_chain_of_forwards_over_outcomes(phones: LocalBrain) -> None:
    await change(phones, forward(BOB, "noanswer", "user", CARL.user_id), forward(CARL, "busy", "user", ALICE.user_id))
    first = await phones.invite(ACME, "1001", "1002")
    assert rung(first) == [BOB.device_id]
    second = await ask(phones, first, "no_answer", questionId="q1")
    assert rung(second) == [CARL.device_id]
    assert second["routes"][0]["headers"]["extra"] == (f"Diversion: <sip:1002@{ACME.domain}>;reason=no-answer\r\n")
    assert second["routes"][0]["headers"]["from"]["uri"] == f"sip:1001@{ACME.domain}"
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 1, CARL.user_id: 1}
    third = await ask(phones, first, "busy", questionId="q2")
    assert rung(third) == [ALICE.device_id]
    assert third["routes"][0]["headers"]["extra"].startswith(
        f"Diversion: <sip:1003@{ACME.domain}>;reason=user-busy\r\n"
    )
    last = await ask(phones, first, "no_answer", questionId="q3")
    assert (last["action"], last["code"]) == ("reject", 480)
    assert await scene.usage(phones, ACME) == {}
    await phones.advance(5_000)
    assert scene.record(phones, first["call_id"])["disposition"] == "no_answer"


async def test_a_question_that_is_asked_again_gets_the_same_answer(phones: LocalBrain) -> None:
    await change(phones, forward(BOB, "busy", "user", CARL.user_id))
    first = await phones.invite(ACME, "1001", "1002")
    second = await ask(phones, first, "busy", questionId="q1")
    phones.presence.evict(ACME.account_id)
    assert await ask(phones, first, "busy", questionId="q1") == second
    assert rung(second) == [CARL.device_id]
    last = await ask(phones, first, "busy", questionId="q2")
    assert last["code"] == 486
    for asked_again in ({"questionId": "q2"}, {}):
        assert await ask(phones, first, "busy", **asked_again) == last
    await phones.advance(5_000)
    found = scene.record(phones, first["call_id"])
    assert (found["callee_user_id"], found["disposition"], found["hangup_cause"]) == (CARL.user_id, "busy", "486")


async def test_a_loop_ends_with_482(phones: LocalBrain) -> None:
    await change(phones, forward(BOB, "always", "user", CARL.user_id), forward(CARL, "always", "user", BOB.user_id))
    routed = await phones.invite(ACME, "1001", "1002")
    assert (routed["action"], routed["code"], routed["reason"]) == ("reject", 482, "Loop Detected")
    await change(
        phones,
        rows.update("sip_user", BOB.user_id, fwd_always_kind=None, fwd_always_id=None),
        rows.update("sip_user", CARL.user_id, fwd_always_kind=None, fwd_always_id=None),
        forward(BOB, "noanswer", "user", CARL.user_id),
        forward(CARL, "noanswer", "user", BOB.user_id),
    )
    routed = await phones.invite(ACME, "1001", "1002")
    codes = [(await ask(phones, routed, "no_answer", questionId=str(turn))).get("code") for turn in range(9)]
    assert codes == [None] * 8 + [482]


async def test_a_redirect_to_an_extension_is_a_forward(phones: LocalBrain) -> None:
    first = await phones.invite(ACME, "1001", "1002")
    second = await ask(phones, first, f"redirected:sip:1003@{ACME.domain}")
    assert rung(second) == [CARL.device_id]
    assert "reason=deflection" in second["routes"][0]["headers"]["extra"]


async def test_devices_one_after_the_other(phones: LocalBrain) -> None:
    await change(
        phones,
        rows.device(ACME, 901, "1002", "1002b", "secret-secret", ring_order=-1),
        rows.update("sip_user", BOB.user_id, ring_strategy="sequential"),
    )
    wider = seeds.Tenant(
        ACME.account_id,
        ACME.domain,
        ACME.people | {"1002b": seeds.Person(BOB.user_id, f"dev_{suffix(901)}", "1002b", "secret-secret")},
    )
    await phones.register(wider, "1002b")
    routed = await phones.invite(ACME, "1001", "1002")
    assert (routed["routing"], rung(routed)) == ("serial", [f"dev_{suffix(901)}", BOB.device_id])
    await change(
        phones,
        rows.update("sip_user", BOB.user_id, ring_strategy="specific"),
        rows.update("sip_device", BOB.device_id, ring_specific=1),
    )
    routed = await phones.invite(ACME, "1001", "1002")
    assert (routed["routing"], rung(routed)) == ("parallel", [BOB.device_id])
    await change(phones, rows.update("sip_device", BOB.device_id, ring_on_fork=0))
    assert (await phones.invite(ACME, "1001", "1002"))["code"] == 480
    assert rung(await phones.invite(ACME, "1001", BOB.device_id)) == [BOB.device_id]


async def test_a_group_rings_all_and_some_later(phones: LocalBrain) -> None:
    await change(
        phones,
        *group(
            rows.member(ACME, 1, 1, user_id=BOB.user_id, timeout_sec=8),
            rows.member(ACME, 2, 1, device_id=CARL.device_id, delay_sec=6),
            ring_timeout_sec=20,
            exit_dest_kind="user",
            exit_dest_id=ALICE.user_id,
        ),
    )
    routed = await phones.invite(ACME, "1001", "60")
    assert rung(routed) == [BOB.device_id]
    assert routed["routes"][0]["fr_inv_timer"] == 8_000
    (later,) = routed["later"]
    assert later["after_ms"] == 6_000
    assert [(route["uri"], route["fr_inv_timer"]) for route in later["routes"]] == [
        (f"sip:{CARL.device_id}@{ACME.domain}", 14_000)
    ]
    assert routed["cdr"] == {"user_id": ALICE.user_id}
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 1, BOB.user_id: 1, CARL.user_id: 1}
    await phones.advance(5_000)
    assert scene.record(phones, routed["call_id"])["ring_group_id"] == GROUP
    onward = await ask(phones, routed, "no_answer")
    assert rung(onward) == [ALICE.device_id]
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 2}


async def test_who_answers_keeps_his_place_alone(phones: LocalBrain) -> None:
    members = [rows.member(ACME, number, 1, user_id=one.user_id) for number, one in ((1, BOB), (2, CARL))]
    await change(phones, *group(*members))
    routed = await phones.invite(ACME, "1001", "60")
    target = f"sip:{CARL.device_id}@{ACME.domain}"
    await scene.send(phones, scene.dialog(phones, ACME, routed, "answer", 1, target=target))
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 1, CARL.user_id: 1}


async def test_turns_go_round_across_calls_and_restarts(phones: LocalBrain) -> None:
    members = [rows.member(ACME, number, 1, user_id=one.user_id) for number, one in ((1, BOB), (2, CARL))]
    await change(phones, *group(*members, strategy="round_robin"))
    seen = []
    for _ in range(3):
        routed = await phones.invite(ACME, "1001", "60")
        seen.append(rung(routed)[0])
        phones.presence.evict(ACME.account_id)
    assert seen == [BOB.device_id, CARL.device_id, BOB.device_id]
    assert rung(await ask(phones, routed, "busy")) == [CARL.device_id]


async def test_variables_reach_the_directive(phones: LocalBrain) -> None:
    xform = json.dumps({"queue": "sales", "priority": 2, "vip": True, "none": None})
    await change(phones, rows.update("extension", f"ext_{suffix(60)}", dest_xform=xform))
    await change(phones, *group(rows.member(ACME, 1, 1, user_id=BOB.user_id)))
    routed = await phones.invite(ACME, "1001", "60")
    assert routed["vars"] == {"queue": "sales", "priority": "2", "vip": "true", "none": ""}


async def test_privacy_hides_the_caller(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002", privacy="id")
    assert routed["routes"][0]["headers"]["from"] == {
        "display": "Anonymous",
        "uri": "sip:anonymous@anonymous.invalid",
    }


async def test_a_phone_at_another_node_is_reached_through_it(phones: LocalBrain) -> None:
    other = "node_00000000000000000000000002"
    await phones.advance(1_000)
    phones.write([("INSERT INTO node (id, region, status, created_at) VALUES (?, 'local', 'active', 0)", (other,))])
    moved = scene.event(
        phones,
        ACME,
        "register",
        state="added",
        deviceId=BOB.device_id,
        contact="sip:1002@192.0.2.9:5060",
        expiresAt=phones.now + 600_000,
        transport="udp",
    )
    gone = moved | {"eventId": node.event_id(phones.now), "state": "removed", "contact": "*"}
    await scene.send(phones, gone)
    await scene.send(phones, moved, node_id=other)
    assert (await phones.invite(ACME, "1001", "1002"))["code"] == 480
    phones.write([rows.update("node", other, sip_address="198.51.100.2:5060")])
    await phones.advance(700_000)
    await phones.register(ACME, "1001")
    again = moved | {
        "eventId": node.event_id(phones.now),
        "at": phones.now,
        "expiresAt": phones.now + 600_000,
    }
    await scene.send(phones, again, node_id=other)
    routed = await phones.invite(ACME, "1001", "1002")
    (route,) = routed["routes"]
    assert route["dst_uri"] == "sip:198.51.100.2:5060;transport=udp"
    name, _, token = route["headers"]["extra"].strip().partition(": ")
    assert name == "X-Tandem-Deliver"
    key = node_credential(seeds.MASTER_KEY, other, 1)
    assert verify(key, token, route["uri"], phones.now) == routed["call_id"]


async def test_a_window_counts_and_refuses(phones: LocalBrain) -> None:
    await change(
        phones,
        rows.limit(ACME, 1, 60, 1, scope_kind="user", scope_id=ALICE.user_id),
        rows.limit(ACME, 2, 60, 0, scope_kind="account", hard=0),
        rows.limit(ACME, 4, 60, 0, scope_kind="number", pattern="10"),
        rows.limit(ACME, 3, 60, 0, direction="in"),
    )
    first = await phones.invite(ACME, "1001", "1002")
    assert first["action"] == "proxy"
    await phones.advance(20_000)
    refused = await phones.invite(ACME, "1001", "1003")
    assert (refused["code"], refused["retry_after_sec"]) == (503, 40)
    assert refused["headers"] == ['Reason: Q.850;cause=42;text="call_limit"']
    await phones.advance(5_000)
    assert scene.record(phones, refused["call_id"])["cac_refused_by"] == "call_limit"
    assert scene.record(phones, first["call_id"])["limit_warnings"] == f"lim_{suffix(2)}"


@pytest.mark.parametrize("ruri", ["sip:911@10.0.0.1", "urn:service:sos.fire"])
async def test_an_emergency_may_be_addressed_as_the_phone_likes(phones: LocalBrain, ruri: str) -> None:
    routed = await phones.invite(ACME, "1001", "911", ruri=ruri)
    assert (routed["code"], routed["reason"]) == (503, "No Outbound Trunk")
    await phones.advance(5_000)
    assert scene.record(phones, routed["call_id"])["to_num"] == ("911" if "911" in ruri else ruri)


async def test_a_suspended_account_calls_nobody_not_even_for_help(phones: LocalBrain) -> None:
    await change(phones, rows.update("account", ACME.account_id, status="suspended"))
    body = json.loads(node.invite_body(ACME, "1001", "911"))
    _, asked = await phones.post("/route", json.dumps(body))
    body["credentials"] = node.respond_to(asked["challenge"], ALICE, "INVITE", body["ruri"])
    status, reply = await phones.post("/route", json.dumps(body))
    assert (status, reply["error"]["code"]) == (403, "account_suspended")


async def test_an_emergency_is_not_limited(phones: LocalBrain) -> None:
    await change(phones, rows.update("sip_user", ALICE.user_id, max_simultaneous=0))
    routed = await phones.invite(ACME, "1001", "911")
    assert (routed["code"], routed["reason"]) == (503, "No Outbound Trunk")
    await phones.advance(5_000)
    assert scene.record(phones, routed["call_id"])["direction"] == "outbound"


async def test_room_for_calls_to_the_outside_is_taken_and_given_back(phones: LocalBrain) -> None:
    """No trunk takes them yet: each is over at once, and what it took is free for the next."""
    await change(phones, rows.update("account", ACME.account_id, max_out=1))
    for _ in range(2):
        routed = await phones.invite(ACME, "1001", "+442071838750")
        assert (routed["code"], routed["reason"]) == (503, "No Outbound Trunk")
        assert scene.rows(phones, ACME, "holding") == []
    await change(phones, rows.limit(ACME, 9, 60, 1, scope_kind="number", pattern="44", direction="out"))
    assert (await phones.invite(ACME, "1001", "+442071838750"))["reason"] == "No Outbound Trunk"
    refused = await phones.invite(ACME, "1001", "+442071838751")
    assert refused["headers"] == ['Reason: Q.850;cause=42;text="call_limit"']
    assert (await phones.invite(ACME, "1001", "+12125550100"))["reason"] == "No Outbound Trunk"
    await change(phones, rows.update("account", ACME.account_id, max_out=0))
    refused = await phones.invite(ACME, "1001", "+12125550100")
    assert (refused["code"], refused["headers"]) == (503, ['Reason: Q.850;cause=42;text="account_out"'])
    await phones.advance(5_000)
    record = scene.record(phones, refused["call_id"])
    assert (record["direction"], record["cac_refused_by"]) == ("outbound", "account_out")
