"""Calls that the media engine answers: the directive, what follows when it does not, and its time in the record."""

from __future__ import annotations

import json

import pytest

from tests.support import engine, node, rows, scene
from tests.support.engine import then
from tests.support.local_brain import LocalBrain
from tests.support.seeds import suffix
from tests.unit.brain import ACME, GLOBEX

ALICE, BOB, CARL = (ACME.people[digits] for digits in ("1001", "1002", "1003"))
FLOW = f"flow_{suffix(1)}"
NUMBER = "12025550100"


@pytest.fixture
async def phones(brain: LocalBrain) -> LocalBrain:
    brain.write(engine.with_engine(ACME))
    brain.write([rows.extension(GLOBEX, 2_000_600, "600", "flow", FLOW)])
    for tenant in (ACME, GLOBEX):
        for digits in tenant.people:
            await brain.register(tenant, digits)
    return brain


async def test_a_flow_goes_to_the_engine(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "600")
    call_id = routed["call_id"]
    assert (routed["action"], routed["account_id"]) == ("flow", ACME.account_id)
    (only,) = routed["routes"]
    assert only["uri"] == f"sip:{call_id}@{ACME.domain}"
    assert "dst_uri" not in only
    lines = f"X-Tandem-Call: {call_id}\r\nX-Tandem-Account: {ACME.account_id}\r\n"
    assert only["headers"] == {"from": {"display": "Phone 1001", "uri": f"sip:1001@{ACME.domain}"}, "extra": lines}
    assert 0 < only["fr_timer"] < only["fr_inv_timer"]
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 1}


async def test_an_account_without_an_engine_gets_480(phones: LocalBrain) -> None:
    routed = await phones.invite(GLOBEX, "1001", "600")
    assert (routed["action"], routed["code"]) == ("reject", 480)


async def test_the_first_question_asked_again_gets_the_same(phones: LocalBrain) -> None:
    body = json.loads(node.invite_body(ACME, "1001", "600"))
    _, asked = await phones.post("/route", json.dumps(body))
    body["credentials"] = node.respond_to(asked["challenge"], ALICE, "INVITE", body["ruri"])
    _, first = await phones.post("/route", json.dumps(body))
    phones.presence.evict(ACME.account_id)
    assert (await phones.post("/route", json.dumps(body)))[1] == first


@pytest.mark.parametrize(
    ("outcome", "code", "disposition"),
    [("unreachable", 503, "failed"), ("no_answer", 480, "no_answer"), ("busy", 486, "busy"), ("declined", 603, "busy")],
)
async def test_an_engine_that_does_not_take_the_call(
    phones: LocalBrain, outcome: str, code: int, disposition: str
) -> None:
    routed = await phones.invite(ACME, "1001", "600")
    last = await then(phones, routed, outcome)
    assert (last["action"], last["code"]) == ("reject", code)
    assert (last.get("retry_after_sec") is not None) == (code == 503)
    assert (last["reason"] == "No Media Engine Free") == (code == 503)
    assert await scene.usage(phones, ACME) == {}
    await phones.advance(5_000)
    assert scene.record(phones, routed["call_id"])["disposition"] == disposition


async def test_a_user_s_seat_is_free_when_his_call_goes_to_the_engine(phones: LocalBrain) -> None:
    await scene.reconfigure(phones, ACME, "UPDATE sip_user SET voicemail_id = 'vm_1' WHERE id = ?", BOB.user_id)
    routed = await phones.invite(ACME, "1001", "1002")
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 1, BOB.user_id: 1}
    mail = await then(phones, routed, "no_answer", questionId="q1")
    assert mail["action"] == "flow"
    assert mail["routes"][0]["headers"]["extra"].startswith(f"Diversion: <sip:1002@{ACME.domain}>;reason=no-answer\r\n")
    assert await scene.usage(phones, ACME) == {ALICE.user_id: 1}
    assert await then(phones, routed, "no_answer", questionId="q1") == mail
    status, facts = await engine.ask_presence(
        phones, ACME, "session_facts", {"call_id": routed["call_id"], "node_id": routed["asked"]["node"]}
    )
    assert (status, facts["target_kind"], facts["target_id"]) == (200, "voicemail", "vm_1")
    await scene.send(phones, scene.dialog(phones, ACME, routed, "answer", 1))
    await phones.advance(4_000)
    await scene.send(phones, scene.dialog(phones, ACME, routed, "end", 2, cause="200"))
    await phones.advance(5_000)
    found = scene.record(phones, routed["call_id"])
    assert (found["disposition"], found["billsec"], found["callee_user_id"]) == ("answered", 4, BOB.user_id)


async def test_a_number_that_leads_to_a_flow(phones: LocalBrain) -> None:
    phones.write([rows.did(ACME, 1, NUMBER, dest_kind="flow", dest_id=FLOW, accept_any_source=1, max_channels=1)])
    await scene.reconfigure(
        phones, ACME, "UPDATE did SET dest_xform = ? WHERE id = ?", '{"lang":"de"}', f"did_{suffix(1)}"
    )
    body = json.loads(node.invite_body(ACME, "x", NUMBER))
    body |= {"from": "+442071838750", "fromDomain": "peer.example", "ruri": f"sip:+{NUMBER}@198.51.100.1"}
    _, reply = await phones.post("/route", json.dumps(body))
    found = reply["rtjson"]
    assert (found["action"], found["vars"]) == ("flow", {"lang": "de"})
    assert await scene.usage(phones, ACME) == {ACME.account_id: 1, f"did_{suffix(1)}": 1}


async def test_explain_shows_the_flow(phones: LocalBrain) -> None:
    _, found = await engine.ask_presence(phones, ACME, "explain", {"from": "1001", "to": "600"})
    assert found["directive"]["action"] == "flow"
    assert found["steps"][-1] == {"step": "answer", "direction": "internal", "action": "flow"}
    assert {"step": "media", "kind": "flow", "id": FLOW} in found["steps"]


async def test_the_engine_s_time_only_grows_in_the_record(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "600")
    await scene.send(phones, scene.dialog(phones, ACME, routed, "answer", 1))
    await phones.advance(3_000)
    assert scene.record(phones, routed["call_id"])["media_app_ms"] == 0
    held = engine.media(phones, ACME, routed, "held", 0)
    released = engine.media(phones, ACME, routed, "released", 2_500)
    await scene.send(phones, released, held, held)
    await phones.advance(3_000)
    assert scene.record(phones, routed["call_id"])["media_app_ms"] == 2_500
    await scene.send(phones, scene.dialog(phones, ACME, routed, "end", 2, cause="200"))
    await scene.send(phones, engine.media(phones, ACME, routed, "ended", 4_000))
    await scene.send(phones, engine.media(phones, GLOBEX, routed, "ended", 9_000))
    await scene.send(phones, engine.media(phones, ACME, routed, "ended", 9_000, callId="call_nope"))
    await phones.advance(3_000)
    found = scene.record(phones, routed["call_id"])
    assert (found["media_app_ms"], found["disposition"]) == (4_000, "answered")


async def test_the_engine_s_time_ends_with_a_call_whose_agent_died(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "600")
    await scene.send(phones, scene.dialog(phones, ACME, routed, "answer", 1))
    await phones.advance(1_000)
    await scene.send(phones, engine.media(phones, ACME, routed, "held", 0))
    await phones.advance(600_000)
    await scene.send(phones, scene.dialog(phones, ACME, routed, "end", 2, cause="engine_lost"))
    await phones.advance(5_000)
    assert scene.record(phones, routed["call_id"])["media_app_ms"] == 600_000
    await scene.send(phones, engine.media(phones, ACME, routed, "ended", 599_990))
    await phones.advance(5_000)
    assert scene.record(phones, routed["call_id"])["media_app_ms"] == 599_990, "it had been on its way"


async def test_the_engine_s_time_ends_with_a_call_that_is_gone_until_it_returns(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "600")
    await scene.send(phones, scene.dialog(phones, ACME, routed, "answer", 1))
    await scene.send(phones, engine.media(phones, ACME, routed, "held", 0))
    await phones.advance(10_000)
    await scene.send(phones, scene.snapshot(phones, ACME, []))
    await phones.advance(5_000)
    found = scene.record(phones, routed["call_id"])
    assert (found["hangup_cause"], found["media_app_ms"]) == ("not_on_node", 10_000)
    phones.presence.evict(ACME.account_id)
    await scene.send(phones, scene.snapshot(phones, ACME, [scene.listing(routed)]))
    await phones.advance(5_000)
    found = scene.record(phones, routed["call_id"])
    assert (found["end_ts"], found["media_app_ms"]) == (None, 0)
    await scene.send(phones, engine.media(phones, ACME, routed, "released", 20_000))
    await phones.advance(5_000)
    await scene.send(phones, scene.dialog(phones, ACME, routed, "end", 2, cause="200"))
    await phones.advance(5_000)
    assert scene.record(phones, routed["call_id"])["media_app_ms"] == 20_000


async def test_a_plain_call_has_no_time_in_the_engine(phones: LocalBrain) -> None:
    routed = await phones.invite(ACME, "1001", "1002")
    await scene.send(phones, scene.dialog(phones, ACME, routed, "answer", 1))
    await phones.advance(9_000)
    await scene.send(phones, scene.dialog(phones, ACME, routed, "end", 2, cause="200"))
    await phones.advance(3_000)
    assert scene.record(phones, routed["call_id"])["media_app_ms"] == 0
