"""`POST /route`: the first question of a call, outcomes, limits (spec 10)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import node, scene, seeds
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME, GLOBEX

ALICE = ACME.people["1001"]
BOB = ACME.people["1002"]


@pytest.fixture
async def phones(brain: LocalBrain) -> LocalBrain:
    for digits in ACME.people:
        await brain.register(ACME, digits)
    return brain


async def ask(brain: LocalBrain, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return await brain.post("/route", json.dumps(body))


async def limit(brain: LocalBrain, person: seeds.Person, calls: int | None) -> None:
    await scene.reconfigure(brain, ACME, "UPDATE sip_user SET max_simultaneous = ? WHERE id = ?", calls, person.user_id)


async def ended(brain: LocalBrain, routed: dict[str, Any], outcome: str) -> dict[str, Any]:
    status, reply = await ask(brain, routed["asked"] | {"callId": routed["call_id"], "outcome": outcome})
    assert status == 200, reply
    found: dict[str, Any] = reply["rtjson"]
    return found


async def test_the_directive_names_devices_timers_and_caller(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    assert (routed["success"], routed["version"], routed["routing"]) == (True, "1.0", "parallel")
    assert (routed["action"], routed["account_id"]) == ("proxy", ACME.account_id)
    assert routed["call_id"].startswith("call_")
    (branch,) = routed["routes"]
    assert branch["uri"] == f"sip:{BOB.device_id}@Acme.tandem.test"
    assert branch["headers"]["from"] == {"display": "Phone 1001", "uri": "sip:1001@Acme.tandem.test"}
    assert (branch["fr_timer"], branch["fr_inv_timer"]) == (5_000, 25_000)
    assert branch["rtpengine"] == routed["rtpengine"] == {"profile": "RTP/AVP", "ice": "remove"}
    assert routed["cdr"] == {"user_id": ALICE.user_id, "callee_user_id": BOB.user_id}
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 1, BOB.user_id: 1}


async def test_all_reachable_devices_of_the_callee_ring(phones: LocalBrain) -> None:
    second = seeds.Person(BOB.user_id, f"dev_{seeds.suffix(98)}", "1002b", "s")
    third = seeds.Person(BOB.user_id, f"dev_{seeds.suffix(99)}", "1002c", "s")
    wider = seeds.Tenant(ACME.account_id, ACME.domain, {**ACME.people, "1002b": second, "1002c": third})
    for person in (second, third):
        statement, params = seeds.device_row(ACME, person, person.device_id, person.username)
        await scene.reconfigure(phones, ACME, statement, *params)
    await scene.reconfigure(phones, ACME, "UPDATE sip_device SET is_webrtc = 1 WHERE id = ?", second.device_id)
    await scene.reconfigure(phones, ACME, "UPDATE sip_device SET ring_on_fork = 0 WHERE id = ?", third.device_id)
    await phones.register(wider, "1002b", transport="wss")
    await phones.register(wider, "1002c")
    routed = await phones.invite(wider, "1001", "1002")
    assert {route["uri"]: route["rtpengine"]["profile"] for route in routed["routes"]} == {
        f"sip:{BOB.device_id}@{ACME.domain}": "RTP/AVP",
        f"sip:{second.device_id}@{ACME.domain}": "UDP/TLS/RTP/SAVPF",
    }
    browser = await phones.invite(wider, "1002b", "1001")
    assert browser["rtpengine"] == {"profile": "UDP/TLS/RTP/SAVPF", "ice": "force"}


async def test_a_first_question_needs_credentials(phones: LocalBrain) -> None:
    status, reply = await phones.post("/route", node.invite_body(ACME, "1001", "1002"))
    assert (status, reply["ok"], reply["challenge"]["stale"]) == (200, False, False)
    assert await scene.usage(phones, ACME) == {}
    wrong = node.respond_to(reply["challenge"], BOB, "INVITE", "sip:1002@Acme.tandem.test", username="1001")
    status, reply = await phones.post("/route", node.invite_body(ACME, "1001", "1002", wrong))
    assert (status, reply["ok"]) == (200, False)
    assert await scene.usage(phones, ACME) == {}


async def test_a_repeated_first_question_gets_the_same_answer_and_takes_nothing(phones: LocalBrain) -> None:
    first = await phones.invite(ACME, "1001", "1002")
    asked = first.pop("asked")
    for _ in range(2):
        status, reply = await ask(phones, asked)
        assert (status, reply["rtjson"]) == (200, first)
        phones.presence.evict(ACME.account_id)
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 1, BOB.user_id: 1}


@pytest.mark.parametrize("changes", [{"fromTag": "another"}, {"cseq": "3"}])
async def test_a_reused_call_id_is_a_new_call(phones: LocalBrain, changes: dict[str, str]) -> None:
    first = await phones.invite(ACME, "1001", "1002")
    second = await phones.invite(ACME, "1001", "1002", sipCallId=first["asked"]["sipCallId"], **changes)
    assert second["call_id"] != first["call_id"]
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 2, BOB.user_id: 2}


async def test_the_identifiers_of_a_call_open_nothing_without_its_credentials(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    forged = routed["asked"]["credentials"] | {"response": "0" * 64}
    status, reply = await ask(phones, routed["asked"] | {"credentials": forged})
    assert (status, reply["ok"]) == (200, False), reply
    await ended(phones, routed, "busy")
    await phones.advance(60_000)
    status, reply = await ask(phones, routed["asked"])
    assert (status, reply["ok"], reply["challenge"]["stale"]) == (200, False, True), reply


async def test_one_digest_makes_one_call(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    status, reply = await ask(phones, routed["asked"] | {"sipCallId": "another", "ruri": "sip:1003@acme.tandem.test"})
    assert (status, reply["ok"]) == (200, False), reply
    assert reply["challenge"]["stale"] is True
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 1, BOB.user_id: 1}


@pytest.mark.parametrize(
    ("ruri", "code"),
    [
        ("sip:4711@acme.tandem.test", 404),
        ("sip:1002@globex.tandem.test", 404),
        ("sip:1002@elsewhere.test", 404),
        ("sip:acme.tandem.test", 404),
        ("garbage", 404),
    ],
)
async def test_addresses_that_are_not_of_the_account(phones: LocalBrain, ruri: str, code: int) -> None:
    routed = await phones.invite(ACME, "1001", "1002", ruri=ruri)
    assert (routed["action"], routed["code"]) == ("reject", code)
    assert await scene.usage(phones, ACME) == {}
    await phones.advance(5_000)
    assert scene.record(phones, routed["call_id"])["disposition"] == "rejected"


async def test_a_callee_without_a_contact_is_unavailable(brain: LocalBrain) -> None:
    await brain.register(ACME, "1001")
    routed = await brain.invite(ACME, "1001", "1002")
    assert (routed["action"], routed["code"]) == ("reject", 480)
    assert await scene.usage(brain, ACME) == {}
    await brain.advance(5_000)
    found = scene.record(brain, routed["call_id"])
    assert (found["disposition"], found["hangup_by"], found["billsec"]) == ("no_answer", "platform", 0)


async def test_a_contact_is_gone_when_it_expires(phones: LocalBrain) -> None:
    await phones.advance(599_000)
    assert (await phones.invite(ACME, "1001", "1002"))["action"] == "proxy"
    await phones.advance(2_000)
    assert (await phones.invite(ACME, "1001", "1002"))["code"] == 480


async def test_do_not_disturb_is_busy(phones: LocalBrain) -> None:
    await scene.reconfigure(phones, ACME, "UPDATE sip_user SET dnd = 1 WHERE id = ?", BOB.user_id)
    assert (await phones.invite(ACME, "1001", "1002"))["code"] == 486


async def test_a_target_that_is_not_built_yet_is_refused(phones: LocalBrain) -> None:
    statement = (
        "INSERT INTO extension (id, account_id, digits, dest_kind, dest_id) VALUES ('ext_x', ?, '*43', 'flow', 'f')"
    )
    await scene.reconfigure(phones, ACME, statement, ACME.account_id)
    routed = await phones.invite(ACME, "1001", "*43")
    assert (routed["action"], routed["code"]) == ("reject", 480)
    assert await scene.usage(phones, ACME) == {}


async def test_a_caller_at_his_limit_is_refused_until_a_call_ends(phones: LocalBrain) -> None:
    await limit(phones, ALICE, 1)
    first = await phones.invite(ACME, "1001", "1002")
    refused = await phones.invite(ACME, "1001", "1003")
    assert (refused["action"], refused["code"], refused["retry_after_sec"]) == ("reject", 486, 10)
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 1, BOB.user_id: 1}
    await phones.advance(5_000)
    found = scene.record(phones, refused["call_id"])
    assert (found["cac_refused_by"], found["disposition"]) == ("user_simultaneous", "rejected")
    await ended(phones, first, "no_answer")
    assert (await phones.invite(ACME, "1001", "1003"))["action"] == "proxy"


async def test_a_callee_at_his_ceiling_is_busy_and_the_caller_holds_nothing(phones: LocalBrain) -> None:
    await limit(phones, BOB, 1)
    first = await phones.invite(ACME, "1003", "1002")
    second = await phones.invite(ACME, "1001", "1002")
    assert (second["action"], second["code"]) == ("reject", 486)
    assert await scene.usage(phones, ACME) == {ACME.people["1003"].user_id: 1, BOB.user_id: 1}
    await phones.advance(5_000)
    assert scene.record(phones, second["call_id"])["disposition"] == "busy"
    await ended(phones, first, "busy")
    assert await scene.usage(phones, ACME) == {}


async def test_a_lower_limit_ends_no_call(phones: LocalBrain) -> None:
    for _ in range(3):
        await phones.invite(ACME, "1001", "1002")
    await limit(phones, ALICE, 2)
    assert (await scene.usage(phones, ACME))[ALICE.user_id] == 3
    assert (await phones.invite(ACME, "1001", "1002"))["code"] == 486


@pytest.mark.parametrize(
    ("outcome", "code", "disposition"),
    [
        ("no_answer", 480, "no_answer"),
        ("unreachable", 480, "no_answer"),
        ("busy", 486, "busy"),
        ("declined", 603, "busy"),
        ("redirected:sip:9@elsewhere.test", 486, "busy"),
        ("cancelled", 487, "abandoned"),
        ("carrier_failed:500", 503, "failed"),
        ("new-word", 503, "failed"),
    ],
)
async def test_an_outcome_ends_the_call_once(phones: LocalBrain, outcome: str, code: int, disposition: str) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    await phones.advance(7_000)
    first = await ended(phones, routed, outcome)
    assert (first["action"], first["code"], first["call_id"]) == ("reject", code, routed["call_id"])
    assert await scene.usage(phones, ACME) == {}
    await phones.advance(5_000)
    found = scene.record(phones, routed["call_id"])
    assert (found["disposition"], found["hangup_by"], found["duration_sec"]) == (disposition, "platform", 7)
    assert await ended(phones, routed, outcome) == first
    await phones.advance(5_000)
    assert scene.record(phones, routed["call_id"]) == found


async def test_an_outcome_of_an_answered_call_does_not_end_it(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    await scene.send(phones, scene.dialog(phones, ACME, routed, "answer", 1))
    await ended(phones, routed, "no_answer")
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 1, BOB.user_id: 1}


async def test_a_question_about_a_known_call_must_make_sense(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    status, reply = await ask(phones, routed["asked"] | {"callId": routed["call_id"]})
    assert (status, reply["error"]["field"]) == (400, "outcome")
    status, reply = await ask(phones, routed["asked"] | {"callId": "call_nope", "outcome": "busy"})
    assert (status, reply["error"]["code"]) == (404, "not_found")


async def test_another_tenant_s_call_is_unknown(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    await phones.register(GLOBEX, "1001")
    asked = json.loads(node.invite_body(GLOBEX, "1001", "1002")) | {"callId": routed["call_id"], "outcome": "busy"}
    status, reply = await ask(phones, asked)
    assert (status, reply["error"]["code"]) == (404, "not_found")
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 1, BOB.user_id: 1}


@pytest.mark.parametrize("status", ["suspended", "closed"])
async def test_a_suspended_account_routes_nothing(phones: LocalBrain, status: str) -> None:
    await scene.reconfigure(phones, ACME, "UPDATE account SET status = ? WHERE id = ?", status, ACME.account_id)
    body = json.loads(node.invite_body(ACME, "1001", "1002"))
    _, asked = await ask(phones, body)
    body["credentials"] = node.respond_to(asked["challenge"], ALICE, "INVITE", body["ruri"])
    http, reply = await ask(phones, body)
    assert (http, reply["error"]["code"]) == (403, "account_suspended")
    assert scene.rows(phones, ACME, "call") == []


async def test_a_call_of_a_suspended_account_may_still_end(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    await scene.reconfigure(phones, ACME, "UPDATE account SET status = 'suspended' WHERE id = ?", ACME.account_id)
    await ended(phones, routed, "busy")
    assert await scene.usage(phones, ACME) == {}


async def test_a_caller_rings_himself_on_his_own_devices(phones: LocalBrain) -> None:
    assert (await phones.invite(ACME, "1001", "1001"))["action"] == "proxy"
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 2}


async def test_dialled_digits_may_carry_separators_and_escapes(phones: LocalBrain) -> None:
    for ruri in ("sip:1-002@ACME.tandem.test:5060;user=phone", "sip:%31002@acme.tandem.test", "tel:1002"):
        routed = await phones.invite(ACME, "1001", "1002", ruri=ruri)
        assert routed["action"] == "proxy", ruri
