"""Questions and their answers, through real sockets."""

from __future__ import annotations

from typing import Any

import pytest

from edge_node.agent.app import Agent
from tests.unit.agent.stubs import (
    ACCOUNT,
    CALL,
    DEVICE,
    USER,
    FakeKamailio,
    Json,
    StubBrain,
    challenge,
    directive,
    refusal,
    verdict,
)

DIGEST = (
    'Digest username="10\\"01", realm="acme.tandem.test", nonce="n1", uri="sip:acme.tandem.test", '
    'response="00112233445566778899aabbccddeeff", algorithm=MD5, qop=auth, nc=00000001, cnonce="c1"'
)


async def test_register_is_authorised_and_saved(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    answer = await kamailio.ask("1:1", auth=DIGEST, tou="sip:1001@Acme.tandem.test")
    assert answer == {
        "tm": "1:1",
        "do": "save",
        "aor": f"sip:{DEVICE}@acme.tandem.test",
        "account": ACCOUNT,
        "device": DEVICE,
    }
    [asked] = brain.bodies("/auth")
    assert asked["realm"] == "Acme.tandem.test"
    assert asked["credentials"]["username"] == '10\\"01'
    assert asked["expires"] == 3600
    assert asked["sourcePort"] == 5555
    assert asked["ruri"].startswith("sip:")
    assert "path" not in asked


@pytest.mark.parametrize(
    ("contact", "expires", "sent"),
    [
        ('"A, <b>" <sip:1001@127.0.0.1:5555;ob>;expires=120;q=1', "", ("sip:1001@127.0.0.1:5555;ob", 120)),
        ("sip:1001@127.0.0.1;expires=120", "60", ("sip:1001@127.0.0.1", 120)),
        ("<sip:1001@127.0.0.1>", "", ("sip:1001@127.0.0.1", None)),
        ("*", "0", ("*", 0)),
        ("<sip:1001@127.0.0.1>, <sip:1001@127.0.0.2>;expires=0", "60", (None, 60)),
        ("", "60", (None, 60)),
    ],
)
async def test_the_one_contact_of_a_register_is_named_as_its_events_name_it(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio, contact: str, expires: str, sent: tuple[str, int]
) -> None:
    assert (await kamailio.ask("1:1", contact=contact, expires=expires))["do"] == "save"
    [asked] = brain.bodies("/auth")
    assert (asked.get("contact"), asked.get("expires")) == sent


async def test_a_message_is_let_through(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    answer = await kamailio.ask("1:1", method="MESSAGE", fromu="sip:1001@globex.tandem.test")
    assert answer == {"tm": "1:1", "do": "relay", "account": ACCOUNT, "user": USER}
    assert brain.bodies("/auth")[0]["realm"] == "globex.tandem.test"
    assert "expires" not in brain.bodies("/auth")[0]


@pytest.mark.parametrize(
    ("ask", "method", "code", "name"),
    [
        ("auth", "REGISTER", 401, "WWW-Authenticate"),
        ("auth", "SUBSCRIBE", 407, "Proxy-Authenticate"),
        ("route", "INVITE", 407, "Proxy-Authenticate"),
    ],
)
async def test_a_challenge_has_one_header_an_algorithm(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio, ask: str, method: str, code: int, name: str
) -> None:
    brain.answer["/auth"] = brain.answer["/route"] = lambda _: challenge(stale=True)
    answer = await kamailio.ask("1:1", ask, method=method)
    assert answer["code"] == code
    common = f'{name}: Digest realm="acme.tandem.test", nonce="bm9uY2U"'
    assert answer["headers"] == (
        f'{common}, algorithm=SHA-256, qop="auth", stale=true\r\n{common}, algorithm=MD5, qop="auth", stale=true\r\n'
    )


async def test_route_carries_the_document_with_flags(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    answer = await kamailio.ask("7:9", "route", auth=DIGEST, pai="<sip:1@x>", privacy="id")
    assert (answer["do"], answer["call"], answer["account"], answer["max"]) == ("route", CALL, ACCOUNT, 7200)
    assert answer["flags"] == "replace-origin replace-session-connection RTP/AVP ICE=remove"
    [route] = answer["rtjson"]["routes"]
    assert route["flags"] == "replace-origin replace-session-connection UDP/TLS/RTP/SAVPF ICE=force"
    assert route["x_new"] == 1, "what the brain adds one day passes through"
    [asked] = brain.bodies("/route")
    expected = {"from": "1001", "fromDomain": "acme.tandem.test", "to": "1002", "ruri": "sip:1002@acme.tandem.test"}
    assert asked | expected == asked
    assert (asked["pai"], asked["privacy"], asked["sipCallId"]) == ("<sip:1@x>", "id", "call-7:9@phone")
    assert "callId" not in asked
    assert agent.live.calls == 1


async def test_a_further_step_names_the_call_and_its_outcome(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    brain.answer["/route"] = lambda _: directive(action="reject", routes=[], code=486, reason="Busy Here")
    answer = await kamailio.ask("7:9", "route", callid_ours=CALL, account_ours=ACCOUNT, outcome="busy")
    assert answer == {"tm": "7:9", "do": "reply", "code": 486, "reason": "Busy Here", "headers": ""}
    asked = brain.bodies("/route")[0]
    assert (asked["callId"], asked["accountId"], asked["outcome"]) == (CALL, ACCOUNT, "busy")


async def test_a_rejection_may_ask_to_come_back_later(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    brain.answer["/route"] = lambda _: directive(action="reject", routes=[], code=503, reason="Full", retry_after_sec=9)
    assert (await kamailio.ask("1:1", "route"))["headers"] == "Retry-After: 9\r\n"
    assert agent.live.calls == 0


async def test_a_rejection_says_why(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    why = 'Reason: Q.850;cause=42;text="account_out"'
    lines = [why, "Broken\r\nX: y", "X: a\r\nContact: b", "no colon"]
    brain.answer["/route"] = lambda _: directive(
        action="reject", routes=[], code=503, reason="Full", retry_after_sec=9, headers=lines
    )
    assert (await kamailio.ask("1:1", "route"))["headers"] == f"Retry-After: 9\r\n{why}\r\n"


async def test_headers_that_a_decision_may_need_go_along(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    await kamailio.ask("1:1", "route", called="<tel:+1202>", diversion="<sip:7@x>;reason=unknown, <sip:8@x>")
    headers = {"p-called-party-id": "<tel:+1202>", "diversion": "<sip:7@x>;reason=unknown, <sip:8@x>"}
    assert brain.bodies("/route")[0]["headers"] == headers


@pytest.mark.parametrize(
    ("status", "code", "sip"),
    [
        (403, "account_suspended", 403),
        (403, "forbidden", 403),
        (404, "unknown_domain", 404),
        (400, "invalid_request", 400),
        (401, "bad_signature", 503),
        (401, "stale_request", 503),
        (421, "not_mine", 503),
        (503, "unavailable", 503),
        (500, "internal_error", 503),
    ],
)
async def test_refusals_have_their_sip_code(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio, status: int, code: str, sip: int
) -> None:
    brain.answer["/auth"] = lambda _: refusal(status, code)
    answer = await kamailio.ask("1:1")
    assert answer["code"] == sip
    assert answer["headers"].startswith("Retry-After: ") == (sip == 503)


@pytest.mark.parametrize("reply", [{}, {"ok": True}, {"ok": False}, {"ok": False, "challenge": {"realm": 1}}])
async def test_a_reply_that_makes_no_sense_is_the_platforms_trouble(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio, reply: Json
) -> None:
    brain.answer["/auth"] = brain.answer["/route"] = lambda _: reply
    assert (await kamailio.ask("1:1"))["code"] == 503
    assert (await kamailio.ask("1:2", "route"))["code"] == 503


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"auth": 'Digest username="1001'}, "Malformed Authorization"),
        ({"tou": "mailto:1001@acme"}, "Malformed To"),
        ({"contact": "<sip:" + "x" * 1100 + "@h>"}, "Unacceptable contact"),
        ({"proto": "sctp"}, "Unacceptable transport"),
    ],
)
async def test_malformed_requests_need_no_brain(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio, changes: dict[str, Any], reason: str
) -> None:
    answer = await kamailio.ask("1:1", **changes)
    assert (answer["code"], answer["reason"]) == (400, reason)
    assert not brain.bodies("/auth")


async def test_other_schemes_are_challenged(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    brain.answer["/auth"] = lambda body: challenge() if "credentials" not in body else verdict()
    assert (await kamailio.ask("1:1", auth="Basic MTAwMTpzZWNyZXQ="))["code"] == 401
