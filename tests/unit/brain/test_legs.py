"""Legs that the media engine places: let in by token, counted, released, and told in their call's record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tandem.contracts import legs
from tandem.contracts.signature import derive_key
from tandem.runtime.cpython import outside
from tests.support import engine, rows, scene, seeds
from tests.support.engine import devices, order, place, question, route, then
from tests.support.local_brain import LocalBrain
from tests.support.seeds import suffix
from tests.unit.brain import ACME, GLOBEX

ALICE, BOB, CARL = (ACME.people[digits] for digits in ("1001", "1002", "1003"))
TO_BOB, TO_CARL = f"user:{BOB.user_id}", f"user:{CARL.user_id}"
OTHER_NODE = "node_00000000000000000000000002"
NUMBER = "12025550100"
GROUP = f"rg_{suffix(1)}"


@pytest.fixture
async def phones(brain: LocalBrain) -> LocalBrain:
    for tenant in (ACME, GLOBEX):
        brain.write(engine.with_engine(tenant))
    brain.write([rows.verified_number(ACME, 1, NUMBER), rows.forward(ACME, 1, "4930123456")])
    brain.write([rows.ring_group(ACME, 1, strategy="sequential")])
    brain.write([rows.member(ACME, 1, 1, user_id=BOB.user_id, position=1)])
    brain.write([rows.member(ACME, 2, 1, user_id=CARL.user_id, position=2)])
    brain.write([("INSERT INTO node (id, region, status, created_at) VALUES (?, 'local', 'active', 0)", (OTHER_NODE,))])
    for tenant in (ACME, GLOBEX):
        for digits in tenant.people:
            await brain.register(tenant, digits)
    return brain


@pytest.fixture
async def call(phones: LocalBrain) -> dict[str, Any]:
    routed = await phones.invite(ACME, "1001", "600")
    await scene.send(phones, scene.dialog(phones, ACME, routed, "answer", 1))
    return routed


async def live_calls(brain: LocalBrain) -> int:
    _, view = await brain.get(f"/cac?accountId={ACME.account_id}", scene.operator())
    return int(view["live_calls"])


async def used(brain: LocalBrain) -> dict[str, int]:
    return await scene.usage(brain, ACME)


async def record(brain: LocalBrain, call: dict[str, Any]) -> dict[str, Any]:
    await brain.advance(5_000)
    return scene.record(brain, call["call_id"])


@pytest.mark.parametrize(
    ("target", "rung"),
    [
        (TO_BOB, BOB),
        (f"extension:ext_{CARL.user_id[3:]}", CARL),
        (f"ring_group:{GROUP}", BOB),
        ("number:1003", CARL),
    ],
)
async def test_a_leg_rings_what_was_ordered(
    phones: LocalBrain, call: dict[str, Any], target: str, rung: seeds.Person
) -> None:
    status, placed = await order(phones, ACME, call, target)
    assert (status, placed["uri"]) == (200, f"sip:{placed['leg_id']}@{ACME.domain}")
    leg = await route(phones, question(ACME, placed))
    assert (leg["call_id"], leg["account_id"], devices(leg)) == (placed["leg_id"], ACME.account_id, [rung.device_id])
    assert leg["routes"][0]["headers"]["from"] == {"display": "Phone 1001", "uri": f"sip:1001@{ACME.domain}"}
    assert await used(phones) == {ALICE.user_id: 1, rung.user_id: 1}
    assert await live_calls(phones) == 1


async def test_several_targets_ring_in_one_fork(phones: LocalBrain, call: dict[str, Any]) -> None:
    leg = await place(phones, ACME, call, TO_BOB, TO_CARL)
    assert (devices(leg), leg["routing"]) == ([BOB.device_id, CARL.device_id], "parallel")
    assert await used(phones) == {ALICE.user_id: 1, BOB.user_id: 1, CARL.user_id: 1}
    taken = scene.dialog(phones, ACME, leg, "answer", 1, target=f"sip:{CARL.device_id}@{ACME.domain}")
    await scene.send(phones, taken)
    assert await used(phones) == {ALICE.user_id: 1, CARL.user_id: 1}
    assert (await record(phones, call))["callee_user_id"] == CARL.user_id
    await scene.send(phones, scene.dialog(phones, ACME, leg, "end", 2, cause="200"))
    assert await used(phones) == {ALICE.user_id: 1}


@pytest.mark.parametrize(("seconds", "expected"), [(10, 10_000), (300, 300_000), (None, 25_000)])
async def test_a_user_rings_as_long_as_the_leg_or_for_his_own_time(
    phones: LocalBrain, call: dict[str, Any], seconds: int | None, expected: int
) -> None:
    leg = await place(phones, ACME, call, TO_BOB, timeout_sec=seconds)
    assert leg["routes"][0]["fr_inv_timer"] == expected


@pytest.mark.parametrize(
    ("caller_id", "shown"),
    [
        (f"+{NUMBER}", f"sip:+{NUMBER}@{ACME.domain}"),
        ("202-555-0100", f"sip:+{NUMBER}@{ACME.domain}"),
        ("+12025550999", f"sip:1001@{ACME.domain}"),
        ("nonsense", f"sip:1001@{ACME.domain}"),
    ],
)
async def test_a_leg_shows_a_number_only_if_the_account_owns_it(
    phones: LocalBrain, call: dict[str, Any], caller_id: str, shown: str
) -> None:
    _, placed = await order(phones, ACME, call, TO_BOB, caller_id=caller_id)
    leg = await route(phones, question(ACME, placed))
    assert leg["routes"][0]["headers"]["from"]["uri"] == shown
    own = "the callerId is no number that the account owns, so the caller's own is shown"
    assert placed.get("noted") == (own if "1001" in shown else None)


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (f"forward:fwd_{suffix(1)}", 503),
        ("number:+4930123456", 503),
        ("number:nobody", 404),
        (f"flow:flow_{suffix(1)}", 480),
        ("queue:q_1", 480),
        ("user:us_gone", 480),
        (f"user:{GLOBEX.people['1002'].user_id}", 480),
    ],
)
async def test_a_leg_that_rings_nobody(phones: LocalBrain, call: dict[str, Any], target: str, code: int) -> None:
    leg = await place(phones, ACME, call, target)
    assert (leg["action"], leg["code"]) == ("reject", code)
    assert await used(phones) == {ALICE.user_id: 1}
    assert await route(phones, leg["asked"]) == leg


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("no_answer", 480), ("unreachable", 480), ("busy", 486), ("declined", 603), ("cancelled", 487)],
)
async def test_the_code_tells_what_became_of_the_leg(
    phones: LocalBrain, call: dict[str, Any], outcome: str, code: int
) -> None:
    await scene.reconfigure(phones, ACME, "UPDATE sip_user SET voicemail_id = 'vm_1'")
    leg = await place(phones, ACME, call, TO_BOB)
    last = await then(phones, leg, outcome, questionId="q1")
    assert (last["action"], last["code"], last["call_id"]) == ("reject", code, leg["call_id"])
    assert await used(phones) == {ALICE.user_id: 1}
    for again in ({"questionId": "q1"}, {}):
        assert (await then(phones, leg, outcome, **again))["code"] == code
    assert await live_calls(phones) == 1


async def test_outcomes_lead_on(phones: LocalBrain, call: dict[str, Any]) -> None:
    leg = await place(phones, ACME, call, f"ring_group:{GROUP}", timeout_sec=40)
    second = await then(phones, leg, "no_answer", questionId="q1")
    assert devices(second) == [CARL.device_id]
    assert await used(phones) == {ALICE.user_id: 1, CARL.user_id: 1}
    phones.presence.evict(ACME.account_id)
    assert await then(phones, leg, "no_answer", questionId="q1") == second
    await scene.send(phones, scene.dialog(phones, ACME, leg, "answer", 1))
    assert (await record(phones, call))["callee_user_id"] == CARL.user_id


async def test_the_leg_s_time_bounds_what_follows(phones: LocalBrain, call: dict[str, Any]) -> None:
    leg = await place(phones, ACME, call, f"ring_group:{GROUP}", timeout_sec=20)
    await phones.advance(14_000)
    second = await then(phones, leg, "busy", questionId="q1")
    assert second["routes"][0]["fr_inv_timer"] == 6_000
    leg = await place(phones, ACME, call, f"ring_group:{GROUP}", timeout_sec=20)
    await phones.advance(20_000)
    assert (await then(phones, leg, "no_answer"))["code"] == 480


async def test_a_repeat_gets_the_same_answer_and_admits_nothing(phones: LocalBrain, call: dict[str, Any]) -> None:
    leg = await place(phones, ACME, call, TO_BOB)
    await phones.advance(12_000)
    phones.presence.evict(ACME.account_id)
    assert await route(phones, leg["asked"]) == leg
    await scene.send(phones, scene.dialog(phones, ACME, leg, "early", 1))
    await phones.advance(61_000)
    assert await route(phones, leg["asked"]) == leg
    assert await used(phones) == {ALICE.user_id: 1, BOB.user_id: 1}


async def refused(brain: LocalBrain, asked: dict[str, Any], node_id: str = seeds.NODE_ID) -> str:
    """Nothing is admitted; the reason."""
    before = scene.rows(brain, ACME, "call"), await used(brain)
    found = await route(brain, asked, node_id)
    assert (found["action"], found["code"], found["account_id"]) == ("reject", 403, asked["accountId"])
    assert (scene.rows(brain, ACME, "call"), await used(brain)) == before
    return str(found["reason"])


async def test_tokens_that_are_no_good(phones: LocalBrain, call: dict[str, Any]) -> None:
    _, placed = await order(phones, ACME, call, TO_BOB)
    leg, expiry, mac = placed["token"].split(".")
    key = derive_key(seeds.MASTER_KEY, "leg")
    good = question(ACME, placed)
    for token in (
        "",
        "x",
        f"{leg}.{expiry}.{'0' * 32}",
        f"{leg}.{int(expiry) + 1}.{mac}",
        f"{engine.leg_id(phones.now)}.{expiry}.{mac}",
        legs.make(key, GLOBEX.account_id, seeds.NODE_ID, placed["leg_id"], phones.now),
        legs.make(key, ACME.account_id, OTHER_NODE, placed["leg_id"], phones.now),
        legs.make(b"another key", ACME.account_id, seeds.NODE_ID, placed["leg_id"], phones.now),
        legs.make(key, ACME.account_id, seeds.NODE_ID, placed["leg_id"], phones.now - 61_000),
    ):
        if token:
            assert await refused(phones, good | {"leg": token}) == "Leg Not Ordered"
    assert await refused(phones, good, OTHER_NODE) == "Leg Not Ordered"
    assert (await route(phones, good))["action"] == "proxy"


async def test_another_account_s_token_opens_nothing(phones: LocalBrain, call: dict[str, Any]) -> None:
    theirs = await phones.invite(GLOBEX, "1001", "600")
    _, placed = await order(phones, GLOBEX, theirs, f"user:{GLOBEX.people['1002'].user_id}")
    assert await refused(phones, question(ACME, placed)) == "Leg Not Ordered"
    status, reply = await order(phones, GLOBEX, call, f"user:{GLOBEX.people['1002'].user_id}")
    assert (status, reply["error"]["code"]) == (404, "not_found")


async def test_a_leg_that_was_never_ordered(phones: LocalBrain, call: dict[str, Any]) -> None:
    never = engine.leg_id(phones.now)
    token = legs.make(derive_key(seeds.MASTER_KEY, "leg"), ACME.account_id, seeds.NODE_ID, never, phones.now)
    asked = question(ACME, {"token": token, "uri": f"sip:{never}@{ACME.domain}"})
    assert await refused(phones, asked) == "Leg Not Ordered"


async def test_a_token_lets_in_one_leg(phones: LocalBrain, call: dict[str, Any]) -> None:
    _, placed = await order(phones, ACME, call, TO_BOB)
    assert (await route(phones, question(ACME, placed)))["action"] == "proxy"
    assert await refused(phones, question(ACME, placed)) == "Leg Not Ordered"
    _, other = await order(phones, ACME, call, TO_CARL)
    first = question(ACME, other)
    await route(phones, first)
    assert await refused(phones, first | {"leg": placed["token"]}) == "Another Call"


async def test_an_order_that_is_repeated_keeps_what_it_first_said(phones: LocalBrain, call: dict[str, Any]) -> None:
    _, first = await order(phones, ACME, call, TO_BOB)
    await phones.advance(50_000)
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(call)]))
    _, again = await order(phones, ACME, call, TO_CARL, leg_id=first["leg_id"])
    await phones.advance(50_000)
    assert await refused(phones, question(ACME, first)) == "Leg Not Ordered"
    contacts = [scene.contact_of(ACME, digits, phones.now + 90_000) for digits in ACME.people]
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(call)], contacts))
    leg = await route(phones, question(ACME, again))
    assert devices(leg) == [BOB.device_id]


async def test_orders_are_forgotten(phones: LocalBrain, call: dict[str, Any]) -> None:
    await order(phones, ACME, call, TO_BOB)
    await phones.advance(95_000)
    assert scene.rows(phones, ACME, "leg_order") == []


@pytest.mark.parametrize("how", ["end", "failed", "lost"])
async def test_legs_go_with_their_call(phones: LocalBrain, call: dict[str, Any], how: str) -> None:
    leg = await place(phones, ACME, call, TO_BOB)
    late = (await order(phones, ACME, call, TO_CARL))[1]
    assert await used(phones) == {ALICE.user_id: 1, BOB.user_id: 1}
    if how == "lost":
        await phones.advance(6_000)
        await scene.send(phones, scene.snapshot(phones, ACME, []))
    else:
        await scene.send(phones, scene.dialog(phones, ACME, call, how, 2, cause="200"))
    assert await used(phones) == {}
    assert (await then(phones, leg, "no_answer"))["code"] == 480
    assert await used(phones) == {}
    if how != "lost":
        assert await refused(phones, question(ACME, late)) == "Call Is Over"
        status, reply = await order(phones, ACME, call, TO_CARL)
        assert (status, reply["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("by", ["order", "invite"])
async def test_a_call_that_was_taken_for_gone_is_up_if_its_node_speaks_of_it(
    phones: LocalBrain, call: dict[str, Any], by: str
) -> None:
    late = (await order(phones, ACME, call, TO_CARL))[1]
    await phones.advance(6_000)
    contacts = [scene.contact_of(ACME, digits, phones.now + 90_000) for digits in ACME.people]
    await scene.send(phones, scene.snapshot(phones, ACME, [], contacts))
    assert await used(phones) == {}
    if by == "order":
        assert (await order(phones, ACME, call, TO_BOB))[0] == 200
        assert await used(phones) == {ALICE.user_id: 1}
    else:
        assert devices(await route(phones, question(ACME, late))) == [CARL.device_id]
        assert await used(phones) == {ALICE.user_id: 1, CARL.user_id: 1}
    assert (await record(phones, call))["end_ts"] is None


async def test_legs_go_with_a_call_that_the_engine_lost_before_its_answer(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "600")
    await place(phones, ACME, routed, TO_BOB)
    assert (await then(phones, routed, "unreachable"))["code"] == 503
    assert await used(phones) == {}


async def test_a_leg_belongs_to_the_call_s_node(phones: LocalBrain, call: dict[str, Any]) -> None:
    status, reply = await order(phones, ACME, call, TO_BOB, node_id=OTHER_NODE)
    assert (status, reply["error"]["code"]) == (404, "not_found")


async def test_only_calls_in_the_engine_have_legs(phones: LocalBrain, call: dict[str, Any]) -> None:
    plain = await phones.invite(ACME, "1002", "1003")
    leg = await place(phones, ACME, call, TO_BOB)
    for other in (plain, leg, {"call_id": "call_nope"}):
        assert (await order(phones, ACME, other, TO_CARL))[0] == 404
    for name in ("leg_short", "call_00000000000000000000000001"):
        assert (await order(phones, ACME, call, TO_CARL, leg_id=name))[0] == 404


async def test_a_leg_has_no_record(phones: LocalBrain, call: dict[str, Any]) -> None:
    leg = await place(phones, ACME, call, TO_BOB)
    await scene.send(phones, scene.dialog(phones, ACME, leg, "answer", 1))
    await scene.send(phones, scene.dialog(phones, ACME, leg, "end", 2, cause="200"))
    await scene.send(phones, scene.dialog(phones, ACME, call, "end", 2, cause="200"))
    await phones.advance(5_000)
    found = phones.control.connection.execute("SELECT call_id FROM call_cdr").fetchall()
    assert [row["call_id"] for row in found] == [call["call_id"]]
    await phones.advance(27 * 3_600_000)
    await phones.register(ACME, "1001", cseq="9")
    await phones.advance(31_000)
    assert scene.rows(phones, ACME, "call") == []


async def test_the_record_names_who_answered_the_newest_leg(phones: LocalBrain, call: dict[str, Any]) -> None:
    first = await place(phones, ACME, call, TO_BOB)
    await phones.advance(1_000)
    answered = scene.dialog(phones, ACME, first, "answer", 1)
    await scene.send(phones, scene.dialog(phones, ACME, first, "end", 2, cause="200"))
    second = await place(phones, ACME, call, TO_CARL)
    await phones.advance(1_000)
    await scene.send(phones, scene.dialog(phones, ACME, second, "answer", 1))
    assert (await record(phones, call))["callee_user_id"] == CARL.user_id
    await scene.send(phones, answered)
    assert (await record(phones, call))["callee_user_id"] == CARL.user_id
    await scene.send(phones, scene.dialog(phones, ACME, call, "end", 2, cause="200"))
    assert (await record(phones, call))["callee_user_id"] == CARL.user_id


async def test_a_snapshot_lists_legs_too(phones: LocalBrain, call: dict[str, Any]) -> None:
    kept, ghost = await place(phones, ACME, call, TO_BOB), await place(phones, ACME, call, TO_CARL)
    await phones.advance(6_000)
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(call), scene.listing(kept)]))
    assert await used(phones) == {ALICE.user_id: 1, BOB.user_id: 1}
    assert (await record(phones, call))["callee_user_id"] == BOB.user_id
    await phones.advance(1_000)
    everything = [scene.listing(call), scene.listing(kept), scene.listing(ghost, "early")]
    await scene.send(phones, scene.snapshot(phones, ACME, everything))
    assert await used(phones) == {ALICE.user_id: 1, BOB.user_id: 1, CARL.user_id: 1}


async def test_legs_of_a_lost_node_come_back_with_it(phones: LocalBrain, call: dict[str, Any]) -> None:
    leg = await place(phones, ACME, call, TO_BOB)
    await scene.send(phones, scene.dialog(phones, ACME, leg, "answer", 1))
    digests = {ACME.account_id: {"dialogs": "two", "contacts": scene.NOTHING["contacts"]}}
    await scene.hello(phones, digests=digests)
    await phones.advance(10_000)
    assert await used(phones) == {}
    assert (await record(phones, call))["hangup_cause"] == "node_lost"
    await scene.heartbeat(phones, digests=digests)
    listed = [scene.listing(call), scene.listing(leg)]
    await scene.send(phones, scene.snapshot(phones, ACME, listed, digests=digests[ACME.account_id]))
    assert await used(phones) == {ALICE.user_id: 1, BOB.user_id: 1}
    found = await record(phones, call)
    assert (found["end_ts"], found["callee_user_id"]) == (None, BOB.user_id)


async def test_a_leg_s_lease_is_renewed_by_lists_and_runs_out_without(phones: LocalBrain, call: dict[str, Any]) -> None:
    leg = await place(phones, ACME, call, TO_BOB)
    await scene.send(phones, scene.dialog(phones, ACME, leg, "answer", 1))
    own = {"dialogs": "both", "contacts": scene.NOTHING["contacts"]}
    digests = {ACME.account_id: own}
    await scene.hello(phones, digests=digests)
    listed = [scene.listing(call), scene.listing(leg)]
    await scene.send(phones, scene.snapshot(phones, ACME, listed, digests=own))
    await scene.heartbeats(phones, 400, digests=digests)
    assert await used(phones) == {ALICE.user_id: 1, BOB.user_id: 1}
    alone = {"dialogs": "one", "contacts": scene.NOTHING["contacts"]}
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(call)], digests=alone))
    await scene.heartbeats(phones, 10, digests={ACME.account_id: alone})
    assert await used(phones) == {ALICE.user_id: 1}


async def test_a_leg_that_nobody_heard_of_again_is_let_go(phones: LocalBrain, call: dict[str, Any]) -> None:
    digests = {ACME.account_id: {"dialogs": "one", "contacts": scene.NOTHING["contacts"]}}
    await scene.hello(phones, digests=digests)
    one = scene.snapshot(phones, ACME, [scene.listing(call)], digests=digests[ACME.account_id])
    await scene.send(phones, one)
    await place(phones, ACME, call, TO_BOB)
    await scene.heartbeats(phones, 20, digests=digests)
    assert await used(phones) == {ALICE.user_id: 1}


@pytest.mark.parametrize("listed", [True, False])
async def test_a_reset_rebuilds_what_legs_hold(phones: LocalBrain, call: dict[str, Any], listed: bool) -> None:
    leg = await place(phones, ACME, call, TO_BOB, TO_CARL)
    await phones.advance(6_000)
    phones.write([("UPDATE node SET command_url = 'http://192.0.2.1:8085' WHERE id = ?", (seeds.NODE_ID,))])

    async def post(url: str, body: str, headers: dict[str, str], timeout_ms: int) -> tuple[int, str]:
        dialogs = [scene.listing(call), *([scene.listing(leg, "early")] if listed else [])]
        result = {"asOf": phones.now, "digests": scene.NOTHING, "dialogs": dialogs, "contacts": []}
        return 200, json.dumps({"id": json.loads(body)["id"], "status": "done", "result": result})

    outside.post = post
    phones.presence.contexts[ACME.account_id].connection.execute("DELETE FROM holding")
    body = json.dumps({"accountId": ACME.account_id})
    status, reply = await phones.post("/cac/reset", body, scene.operator())
    assert (status, reply["live_calls"]) == (200, 1)
    rung = {BOB.user_id: 1, CARL.user_id: 1} if listed else {}
    assert await used(phones) == {ALICE.user_id: 1} | rung


async def test_a_leg_is_busy_at_the_callee_s_ceiling(phones: LocalBrain, call: dict[str, Any]) -> None:
    await scene.reconfigure(phones, ACME, "UPDATE sip_user SET max_simultaneous = 1 WHERE id = ?", BOB.user_id)
    first = await place(phones, ACME, call, TO_BOB)
    assert devices(first) == [BOB.device_id]
    assert (await place(phones, ACME, call, TO_BOB))["code"] == 486
    assert (await phones.invite(ACME, "1003", "1002"))["code"] == 486
    await scene.send(phones, scene.dialog(phones, ACME, first, "failed", 1, cause="487"))
    assert devices(await place(phones, ACME, call, TO_BOB)) == [BOB.device_id]


async def test_two_tenants_with_the_same_extensions(phones: LocalBrain, call: dict[str, Any]) -> None:
    theirs = await phones.invite(GLOBEX, "1001", "600")
    status, placed = await order(phones, GLOBEX, theirs, "number:1002")
    assert status == 200
    leg = await route(phones, question(GLOBEX, placed))
    assert devices(leg) == [GLOBEX.people["1002"].device_id]
    assert await scene.usage(phones, GLOBEX) == {
        GLOBEX.people["1001"].user_id: 1,
        GLOBEX.people["1002"].user_id: 1,
    }
    assert await used(phones) == {ALICE.user_id: 1}


async def test_a_leg_of_a_suspended_account_is_refused(phones: LocalBrain, call: dict[str, Any]) -> None:
    _, placed = await order(phones, ACME, call, TO_BOB)
    await scene.reconfigure(phones, ACME, "UPDATE account SET status = 'suspended' WHERE id = ?", ACME.account_id)
    status, reply = await scene.post_as(phones, seeds.NODE_ID, "/route", question(ACME, placed))
    assert (status, reply["error"]["code"]) == (403, "account_suspended")
    assert await used(phones) == {ALICE.user_id: 1}


async def test_a_leg_needs_an_account_that_exists(phones: LocalBrain, call: dict[str, Any]) -> None:
    _, placed = await order(phones, ACME, call, TO_BOB)
    asked = question(ACME, placed) | {"accountId": "acc_nope"}
    status, reply = await scene.post_as(phones, seeds.NODE_ID, "/route", asked)
    assert (status, reply["error"]["code"]) == (404, "unknown_account")
