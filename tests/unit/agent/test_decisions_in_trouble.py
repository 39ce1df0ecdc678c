"""The decision lane when something goes wrong: connections lost, slow accounts, callers who leave, garbage."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from edge_node.agent.app import Agent
from tests.unit.agent.conftest import StartAgent
from tests.unit.agent.stubs import (
    ACCOUNT,
    CALL,
    DropConnectionError,
    FakeKamailio,
    Json,
    StubBrain,
    directive,
    eventually,
    question,
    refusal,
    verdict,
)

DIGEST = (
    'Digest username="10\\"01", realm="acme.tandem.test", nonce="n1", uri="sip:acme.tandem.test", '
    'response="00112233445566778899aabbccddeeff", algorithm=MD5, qop=auth, nc=00000001, cnonce="c1"'
)


async def test_a_lost_connection_is_tried_once_more_with_the_same_body(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    def fail_once(_: Json) -> Json:
        if len(brain.bodies("/route")) == 1:
            raise DropConnectionError
        return directive()

    brain.answer["/route"] = fail_once
    assert (await kamailio.ask("1:1", "route"))["do"] == "route"
    first, second = [heard for heard in brain.heard if heard.path == "/route"]
    assert first.body == second.body
    assert first.headers["x-tandem-request-id"] != second.headers["x-tandem-request-id"]


async def test_two_lost_connections_are_the_end_and_are_reported(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    await kamailio.ask("0:1")

    def drop(_: Json) -> Json:
        raise DropConnectionError

    brain.answer["/route"] = drop
    answer = await kamailio.ask("1:1", "route")
    assert (answer["code"], answer["headers"]) == (503, "Retry-After: 5\r\n")
    assert len(brain.bodies("/route")) == 2
    await eventually(lambda: brain.events("dialog"))
    [event] = brain.events("dialog")
    expected = {
        "state": "failed",
        "cause": "brain_timeout",
        "sipCallId": "call-1:1@phone",
        "fromTag": "ft1",
        "cseq": "1",
    }
    assert event | expected | {"accountId": ACCOUNT} == event
    assert "callId" not in event


async def test_a_brain_that_is_away_costs_no_time_out(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    async with start_agent():
        await brain.stop()
        started = time.monotonic()
        assert (await kamailio.ask("1:1"))["code"] == 503
        assert time.monotonic() - started < 2.0


async def test_a_slow_account_delays_nobody_and_its_late_call_is_released(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    async def slow_globex(body: Json) -> Json:
        if body["fromDomain"] == "globex.tandem.test":
            await asyncio.sleep(4.5)
            return directive(call="call_late", account="acc_globex")
        return directive()

    brain.answer["/route"] = slow_globex
    started = time.monotonic()
    slow = [
        asyncio.create_task(kamailio.ask(f"9:{n}", "route", fromu="sip:1001@globex.tandem.test")) for n in range(20)
    ]
    await eventually(lambda: len(brain.bodies("/route")) == 20)
    for n in range(50):
        asked = time.monotonic()
        assert (await kamailio.ask(f"2:{n}", "route"))["do"] == "route"
        assert (await kamailio.ask(f"3:{n}"))["do"] == "save"
        assert time.monotonic() - asked < 1.0
    answers = await asyncio.gather(*slow)
    assert 2.9 < time.monotonic() - started < 4.2
    assert {answer["code"] for answer in answers} == {503}
    await eventually(lambda: len(brain.events("dialog")) == 20)
    assert {(event["callId"], event["accountId"], event["cause"]) for event in brain.events("dialog")} == {
        ("call_late", "acc_globex", "brain_timeout")
    }
    assert all(len(kamailio.answers[f"9:{n}"]) == 1 for n in range(20)), "one answer a transaction"
    assert agent.live.call("call_late") is None


async def test_an_answer_for_a_connection_that_is_gone_is_not_sent_and_is_reported(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    gate = asyncio.Event()

    async def held(_: Json) -> Json:
        await gate.wait()
        return directive()

    brain.answer["/route"] = held
    kamailio.send(question("1:1", "route"))
    await eventually(lambda: brain.bodies("/route"))
    kamailio.disconnect()
    await eventually(lambda: kamailio.connections == 2 and agent.evapi.generation == 2)
    gate.set()
    await eventually(lambda: brain.events("dialog"))
    assert brain.events("dialog")[0] | {"callId": CALL, "cause": "not_delivered"} == brain.events("dialog")[0]
    assert "1:1" not in kamailio.answers
    assert agent.live.calls == 0


async def test_a_caller_who_left_while_the_brain_decides(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    gate = asyncio.Event()

    async def held(_: Json) -> Json:
        await gate.wait()
        return directive()

    brain.answer["/route"] = held
    kamailio.send(question("1:1", "route"))
    await eventually(lambda: brain.bodies("/route"))
    kamailio.dialog("e1", "failed", 3, call="", account="", callid="call-1:1@phone", cseq="1", cause="487")
    await eventually(lambda: kamailio.acked == ["e1"])
    assert not brain.events()
    gate.set()
    await eventually(lambda: brain.events("dialog"))
    [event] = brain.events("dialog")
    assert event | {"callId": CALL, "accountId": ACCOUNT, "cause": "487", "state": "failed"} == event
    assert "1:1" not in kamailio.answers


async def test_a_caller_who_left_as_the_answer_came(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    await kamailio.ask("1:1", "route")
    kamailio.dialog("e1", "failed", 3, call="", account="", callid="call-1:1@phone", cseq="1", cause="487")
    await eventually(lambda: brain.events("dialog"))
    [event] = brain.events("dialog")
    assert event | {"callId": CALL, "accountId": ACCOUNT, "cause": "487"} == event
    assert agent.live.calls == 0


async def test_a_call_that_nobody_decided_is_told_by_its_domain_or_not_at_all(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    await kamailio.ask("1:1")
    for number, domain in (("e1", "stranger.test"), ("e2", "acme.tandem.test")):
        kamailio.dialog(number, "failed", 3, call="", account="", cause="503", fromu=f"sip:1@{domain}")
    await eventually(lambda: brain.events("dialog"))
    [event] = brain.events("dialog")
    assert event["accountId"] == ACCOUNT
    assert "callId" not in event
    assert kamailio.acked == ["e1", "e2"]


async def test_a_document_too_large_for_kamailio_is_refused_not_fatal(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    brain.answer["/route"] = lambda _: directive(vars={"x": "y" * 40_000})
    assert (await kamailio.ask("1:1", "route"))["code"] == 503
    await eventually(lambda: brain.events("dialog"))
    assert kamailio.connections == 1


async def test_too_many_questions_of_one_domain_are_refused_at_once(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    gate = asyncio.Event()

    async def held(_: Json) -> Json:
        await gate.wait()
        return verdict()

    brain.answer["/auth"] = held
    async with start_agent(max_questions_per_domain=3, max_questions=5):
        for n in range(3):
            kamailio.send(question(f"1:{n}"))
        assert (await kamailio.ask("1:9"))["reason"] == "Too Busy"
        for n in range(2):
            kamailio.send(question(f"2:{n}", tou=f"sip:1@d{n}.test"))
        assert (await kamailio.ask("2:9", tou="sip:1@d9.test"))["reason"] == "Too Busy"
        gate.set()
        await eventually(lambda: len([tm for tm in kamailio.answers if kamailio.answers[tm][0]["do"] == "save"]) == 5)
        assert (await kamailio.ask("3:1"))["do"] == "save"


async def test_a_draining_node_takes_no_new_calls(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    brain.answer["/fleet/heartbeat"] = lambda _: {"ok": True, "now": brain.now(), "status": "draining", "send": []}
    await eventually(lambda: agent.decisions.draining)
    answer = await kamailio.ask("1:1", "route")
    assert (answer["code"], answer["reason"], answer["headers"]) == (503, "Draining", "Retry-After: 5\r\n")
    assert (await kamailio.ask("1:2", "route", callid_ours=CALL, outcome="busy"))["do"] == "route"
    assert (await kamailio.ask("1:3"))["do"] == "save"
    brain.answer["/fleet/heartbeat"] = lambda _: {"ok": True, "now": brain.now(), "status": "active", "send": []}
    await eventually(lambda: not agent.decisions.draining)
    assert (await kamailio.ask("1:4", "route"))["do"] == "route"


async def test_no_call_before_the_hello(start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    hello = brain.answer["/fleet/hello"]
    brain.answer["/fleet/hello"] = lambda _: refusal(503, "unavailable")
    async with start_agent(ready=False, decision_timeout=0.3):
        await eventually(lambda: kamailio.connected)
        assert (await kamailio.ask("1:1", "route"))["code"] == 503
        assert (await kamailio.ask("1:2"))["do"] == "save", "registrations do not wait for it"
        assert not brain.bodies("/route")
        assert not brain.events()
        brain.answer["/fleet/hello"] = hello
        await eventually(lambda: len(brain.bodies("/fleet/heartbeat")) > 0)
        assert (await kamailio.ask("1:3", "route"))["do"] == "route"


async def test_garbage_never_kills_the_lane(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    garbage: list[bytes] = [
        b"{}",
        b"[]",
        b"not json",
        b'{"ask":"auth"}',
        b'{"ask":"what","tm":"1:1"}',
        b'{"ask":["auth"],"tm":"1:2"}',
        b'{"ask":"auth","tm":"x"}',
        b'{"ask":"auth","tm":"1:3","fromu64":"***"}',
        b'{"ask":"auth","tm":"1:4"}',
        b'{"ev":""}',
        b'{"ev":"e1","kind":"dialog"}',
        b'{"ev":"e2","kind":"register","device":"d","account":"a","state":"dancing"}',
        b"[" * 100_000,
        b"\xff\xfe",
    ]
    for payload in garbage:
        kamailio.write(b"%d:%b," % (len(payload), payload))
    assert (await kamailio.ask("5:5"))["do"] == "save"
    await eventually(lambda: set(kamailio.acked) == {"e1", "e2"})
    assert {kamailio.answers[tm][0]["code"] for tm in ("1:1", "1:2", "1:3", "1:4")} == {400}
    assert kamailio.connections == 1


async def test_a_broken_frame_costs_the_connection_only(agent: Agent, kamailio: FakeKamailio) -> None:
    kamailio.write(b"5:hello;")
    await eventually(lambda: kamailio.connections == 2 and kamailio.connected and agent.evapi.generation == 2)
    assert (await kamailio.ask("5:5"))["do"] == "save"


async def test_the_brains_clock_signs(start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    """A node whose clock is off by less than the tolerance learns the brain's."""
    brain.clock_ahead_ms = 20_000
    async with start_agent() as agent:
        await eventually(lambda: agent.clock.known)
        brain.clock_ahead_ms = 45_000
        agent.clock.learn(brain.now(), agent.clock.local(), agent.clock.local())
        assert (await kamailio.ask("1:1"))["do"] == "save"


async def test_secrets_are_not_logged(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio, log_lines: list[dict[str, Any]]
) -> None:
    brain.answer["/auth"] = lambda _: refusal(500, "internal_error")
    await kamailio.ask("1:1", auth=DIGEST)
    await kamailio.ask("1:2", auth=DIGEST[:-9])
    text = str(log_lines)
    assert "00112233445566778899aabbccddeeff" not in text
    assert "c0ffee" not in text
