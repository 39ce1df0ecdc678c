"""The node-agent away, slow or frozen, and Kamailio killed in a call."""

from __future__ import annotations

import asyncio
import sqlite3
import time

from tests.edge.kamailio_node import Node
from tests.edge.kamailio_phone import Phone, parse, sdp
from tests.edge.kamailio_scene import (
    Phones,
    by_user,
    establish,
    save_device,
    until,
    user,
)
from tests.edge.kamailio_stub_agent import StubAgent


async def test_without_an_agent_503_at_once(node: Node, phones: Phones) -> None:
    phone = await phones.open("lonely")
    begun = time.monotonic()
    reply = await phone.register()
    phone.raw(phone.build("INVITE", "sip:x@acme.test", body=sdp(4000)))
    for answer in (reply, await phone.final("INVITE")):
        assert answer.status == 503
        assert int(answer.header("retry-after")) > 0
    assert time.monotonic() - begun < 1


async def test_a_silent_agent_means_503_and_nobody_else_waits(agent: StubAgent, phones: Phones) -> None:
    caller, callee = await phones.pair()
    agent.route = lambda q: None if user(q, "ruri") == "slow" else by_user(q)
    agent.auth = lambda q: None if user(q, "tou") == "slow" else save_device(q)
    slow = await phones.open("slow")
    begun = time.monotonic()
    invite = slow.build("INVITE", "sip:slow@acme.test", body=sdp(4000))
    slow.raw(invite)
    registration = asyncio.ensure_future(slow.register())
    call = await establish(caller, callee)
    assert time.monotonic() - begun < 1
    final = await slow.final("INVITE")
    reply = await registration
    assert 1.2 < time.monotonic() - begun < 3.5
    for answer in (final, reply):
        assert answer.status == 503
        assert int(answer.header("retry-after")) > 0
    failed = await agent.event_of_dialog("failed", parse(invite.encode()).header("call-id"))
    assert (failed["cause"], failed["call"]) == ("503", "")
    caller.raw(caller.within(call.down, "BYE"))
    callee.answer(await callee.request("BYE"), 200)


async def test_an_agent_that_froze_is_not_waited_for_again(agent: StubAgent, phones: Phones) -> None:
    pair = [await phones.open(f"frozen{number}") for number in range(2)]
    agent.auth = lambda _question: None

    async def refused_after(phone: Phone) -> float:
        begun = time.monotonic()
        assert (await phone.register()).status == 503
        return time.monotonic() - begun

    waits: list[float] = []
    async with asyncio.timeout(10):
        while not waits or min(waits) > 0.5:
            waits = list(await asyncio.gather(*(refused_after(phone) for phone in pair)))
    # one of the two went out, to see whether the agent is back
    assert max(waits) > 1.2
    agent.auth = save_device
    agent.send({"ack": "none"})
    assert (await pair[0].register()).status == 200


async def test_events_wait_for_the_agent(node: Node, agent: StubAgent, phones: Phones) -> None:
    call = await establish(*await phones.pair())
    await agent.dialog_event("answer", call.call)
    await agent.close()
    call.caller.raw(call.caller.within(call.down, "BYE"))
    call.callee.answer(await call.callee.request("BYE"), 200)
    assert (await call.caller.final("BYE")).status == 200
    for _ in range(2):
        later = StubAgent(save_device, by_user)
        later.acknowledge = False
        await later.connect(node.settings.evapi_port)
        await later.dialog_event("end", call.call)
        await later.close()
    last = StubAgent(save_device, by_user)
    await last.connect(node.settings.evapi_port)
    await last.dialog_event("end", call.call)
    await last.close()


async def test_contacts_and_calls_survive_a_killed_kamailio(node: Node, agent: StubAgent, phones: Phones) -> None:
    caller, callee = await phones.pair()
    held = await phones.registered(f"held{callee.name}")
    call = await establish(caller, callee)
    # both are written within a second
    await until(lambda: _stored(node, call.invite.header("call-id"), held.contact))
    await agent.close()
    node.kill_kamailio()
    node.start_kamailio()
    await agent.connect(node.settings.evapi_port)

    callee.raw(callee.within(call.up, "BYE"))
    caller.answer(await caller.request("BYE"), 200)
    assert (await callee.final("BYE")).status == 200
    end = await agent.dialog_event("end", call.call)
    assert (end["cause"], end["by"], end["account"]) == ("normal", "callee", "acc_1")
    assert call.invite.header("call-id") not in node.media_sessions()
    await establish(caller, held)
    boots = {e["boot"] for e in agent.events if e["kind"] == "boot"}
    assert len(boots) == 2
    assert len({e["ev"] for e in agent.events}) == len(agent.events)


def _stored(node: Node, call_id: str, contact: str) -> bool:
    folder = node.settings.node_state / "data/kamailio"
    with sqlite3.connect(f"file:{folder}/dialog.sqlite?mode=ro", uri=True) as database:
        dialogs = database.execute(
            "SELECT state FROM dialog JOIN dialog_vars USING (hash_entry, hash_id)"
            " WHERE callid = ? AND dialog_key = 'flags_b'",
            (call_id,),
        ).fetchall()
    with sqlite3.connect(f"file:{folder}/location.sqlite?mode=ro", uri=True) as database:
        contacts = database.execute("SELECT 1 FROM location WHERE contact = ?", (contact,)).fetchall()
    return dialogs == [(4,)] and len(contacts) == 1
