"""Commands over HTTP: signed, fresh, once; and the agent's own pages."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import aiohttp
import pytest

from edge_node.agent.app import Agent
from tandem.contracts.ids import ulid
from tandem.contracts.signature import sign_headers
from tests.unit.agent.conftest import StartAgent
from tests.unit.agent.stubs import (
    ACCOUNT,
    CALL,
    CREDENTIAL,
    DEVICE,
    NODE,
    FakeKamailio,
    Json,
    StubBrain,
    b64,
    eventually,
    live_dialog,
    verdict,
)


def command(agent: Agent, op: str = "ping", name: str = "cmd_1", lifetime_ms: int = 5_000, **args: Any) -> Json:
    now = agent.clock.now()
    return {"id": name, "op": op, "args": args, "issued_at": now, "expires_at": now + lifetime_ms}


def signed(agent: Agent, body: bytes, *, key: str = CREDENTIAL, node: str = NODE, age_ms: int = 0) -> dict[str, str]:
    now = agent.clock.now() - age_ms
    return sign_headers(key, "POST", "/commands", body, now, ulid(now, os.urandom(10)), node)


async def post(agent: Agent, body: bytes, headers: dict[str, str]) -> tuple[int, Json]:
    url = f"http://127.0.0.1:{agent.port}/commands"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        return response.status, await response.json()


async def give(agent: Agent, message: Json) -> Json:
    body = json.dumps(message).encode()
    status, reply = await post(agent, body, signed(agent, body))
    assert status == 200, reply
    return reply


async def test_ping(agent: Agent, kamailio: FakeKamailio) -> None:
    reply = await give(agent, command(agent))
    assert (reply["id"], reply["status"]) == ("cmd_1", "done")
    assert reply["result"]["node"] == NODE
    assert reply["result"]["boot_ids"]["kamailio"] == kamailio.boot


async def test_hangup_ends_the_dialog_once(agent: Agent, kamailio: FakeKamailio) -> None:
    kamailio.dialogs = [live_dialog(CALL)]
    for _ in range(2):
        reply = await give(agent, command(agent, "hangup", call_id=CALL, cause="platform"))
        assert (reply["status"], reply["result"]) == ("done", {"live": True})
    reason = 'Reason: SIP;cause=200;text="platform"\r\n'
    assert [params for method, params in kamailio.rpc_calls if method == "dlg.end_dlg"] == [[11, 22, reason]]


async def test_hangup_is_told_even_when_kamailio_does_not(
    agent: Agent, kamailio: FakeKamailio, brain: StubBrain
) -> None:
    kamailio.dialogs = [live_dialog(CALL)]
    await give(agent, command(agent, "hangup", call_id=CALL, cause="operator"))
    await eventually(lambda: brain.events("dialog"))
    [event] = brain.events("dialog")
    expected = {"callId": CALL, "accountId": ACCOUNT, "state": "end", "cause": "operator", "hungUpBy": "platform"}
    assert event | expected == event
    assert agent.live.calls == 0


async def test_hangup_of_a_ringing_call_cancels_it(agent: Agent, kamailio: FakeKamailio) -> None:
    """Kamailio reports the end itself."""
    kamailio.dialogs = [live_dialog(CALL, state=2)]
    reply = await give(agent, command(agent, "hangup", call_id=CALL, cause="operator"))
    assert (reply["status"], reply["result"]) == ("done", {"live": True})
    await eventually(lambda: kamailio.hangups)
    [order] = kamailio.hangups
    expected = {"callid64": b64(f"sip-{CALL}"), "ftag64": b64("ft1"), "cseq": "7", "cause": "operator"}
    assert order == {"do": "hangup", **expected}
    assert not [method for method, _ in kamailio.rpc_calls if method == "dlg.end_dlg"]


async def test_hangup_of_a_call_that_is_gone(agent: Agent, kamailio: FakeKamailio) -> None:
    reply = await give(agent, command(agent, "hangup", call_id="call_gone"))
    assert (reply["status"], reply["result"]) == ("done", {"live": False})


async def test_hangup_without_kamailio_fails(agent: Agent, kamailio: FakeKamailio) -> None:
    kamailio.rpc_up = False
    reply = await give(agent, command(agent, "hangup", call_id=CALL))
    assert (reply["status"], reply["result"]["code"]) == ("failed", "kamailio_refused")
    reply = await give(agent, command(agent, "hangup", "cmd_2"))
    assert (reply["status"], reply["result"]["code"]) == ("failed", "invalid_request")


async def test_reconcile_lists_an_account(start_agent: StartAgent, kamailio: FakeKamailio, brain: StubBrain) -> None:
    brain.answer["/auth"] = lambda _: verdict()
    async with start_agent() as agent:
        await kamailio.ask("1:1")
        kamailio.dialogs = [live_dialog(CALL)]
        kamailio.contacts = [(DEVICE, "sip:1001@127.0.0.1:5555", 300)]
        result = (await give(agent, command(agent, "reconcile", account_id=ACCOUNT)))["result"]
        assert [one["callId"] for one in result["dialogs"]] == [CALL]
        assert [one["deviceId"] for one in result["contacts"]] == [DEVICE]
        hellos = len(brain.bodies("/fleet/hello"))
        reply = await give(agent, command(agent, "reconcile", "cmd_2"))
        assert reply["result"] == {"calls": 1, "contacts": 1}
        await eventually(lambda: len(brain.bodies("/fleet/hello")) > hellos)


async def test_expired_and_unknown_commands_are_not_executed(agent: Agent) -> None:
    assert (await give(agent, command(agent, lifetime_ms=-1)))["status"] == "expired"
    reply = await give(agent, command(agent, "format_disk", "cmd_2"))
    assert (reply["status"], reply["result"]["code"]) == ("refused", "unknown_op")
    assert "hangup, ping, reconcile" in reply["result"]["message"]


async def test_a_repeat_gets_the_first_result_also_after_a_restart_and_after_expiry(
    start_agent: StartAgent, kamailio: FakeKamailio
) -> None:
    kamailio.dialogs = [live_dialog(CALL)]
    async with start_agent() as agent:
        message = command(agent, "hangup", lifetime_ms=200, call_id=CALL)
        first = await give(agent, message)
    async with start_agent() as agent:
        await eventually(lambda: agent.clock.now() > message["expires_at"])
        assert await give(agent, message) == first
    assert len([call for call in kamailio.rpc_calls if call[0] == "dlg.end_dlg"]) == 1


async def test_a_repeat_while_it_runs_waits_for_the_same_result(agent: Agent, kamailio: FakeKamailio) -> None:
    kamailio.dialogs = [live_dialog(CALL)]
    message = command(agent, "hangup", call_id=CALL)
    first, second = await asyncio.gather(give(agent, message), give(agent, message))
    assert first == second
    assert len([call for call in kamailio.rpc_calls if call[0] == "dlg.end_dlg"]) == 1


async def test_a_command_that_a_crash_interrupted_is_not_run_again(agent: Agent, kamailio: FakeKamailio) -> None:
    await agent.store.run(
        lambda db: db.execute("INSERT INTO command VALUES ('cmd_1', NULL, ?)", (agent.clock.local(),)).rowcount
    )
    reply = await give(agent, command(agent, "hangup", call_id=CALL))
    assert (reply["status"], reply["result"]["code"]) == ("failed", "interrupted")


async def test_a_fault_in_an_operation_is_an_answer(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent.live, "snapshot", lambda _: 1 / 0)
    reply = await give(agent, command(agent, "reconcile", account_id=ACCOUNT))
    assert (reply["status"], reply["result"]["code"]) == ("failed", "internal_error")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"key": "wrong"}, 401, "bad_signature"),
        ({"node": "node_other"}, 401, "unknown_node"),
        ({"age_ms": 40_000}, 401, "stale_request"),
        ({"age_ms": -40_000}, 401, "stale_request"),
    ],
)
async def test_only_the_brain_commands(agent: Agent, headers: dict[str, Any], status: int, code: str) -> None:
    body = json.dumps(command(agent)).encode()
    found, reply = await post(agent, body, signed(agent, body, **headers))
    assert (found, reply["error"]["code"]) == (status, code)
    assert reply["error"]["request_id"]


async def test_unsigned_changed_and_replayed_requests_are_refused(agent: Agent) -> None:
    body = json.dumps(command(agent)).encode()
    assert (await post(agent, body, {}))[1]["error"]["code"] == "unsigned_request"
    headers = signed(agent, body)
    assert (await post(agent, body + b" ", headers))[0] == 401
    assert (await post(agent, body, headers))[0] == 200
    status, reply = await post(agent, body, headers)
    assert (status, reply["error"]["code"]) == (409, "replayed_request")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"id":1}', b'{"id":"x","op":"ping","issued_at":"1","expires_at":2}']
)
async def test_malformed_commands_are_named(agent: Agent, body: bytes) -> None:
    status, reply = await post(agent, body, signed(agent, body))
    assert (status, reply["error"]["code"]) == (400, "invalid_request")


async def test_a_huge_body_is_refused(agent: Agent) -> None:
    body = b"x" * 200_000
    status, reply = await post(agent, body, signed(agent, body))
    assert (status, reply["error"]["code"]) == (413, "too_large")


async def test_health_and_metrics(agent: Agent, kamailio: FakeKamailio) -> None:
    await kamailio.ask("1:1")
    base = f"http://127.0.0.1:{agent.port}"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{base}/healthz") as response:
            assert response.status == 200
            state = await response.json()
        assert state["ok"] is state["kamailio"] is state["brain"] is True
        async with session.get(f"{base}/metrics") as response:
            assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
            text = await response.text()
        assert 'tandem_agent_questions_total{ask="auth",result="accepted"} 1.0' in text
        assert "tandem_agent_kamailio_connected 1.0" in text
        await kamailio.stop()
        await eventually(lambda: not agent.evapi.connected)
        assert (await session.get(f"{base}/healthz")).status == 503
