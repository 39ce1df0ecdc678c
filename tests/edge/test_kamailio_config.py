"""Calls through the edge configuration: the relay, forks, what goes back to the brain."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.edge.kamailio_node import Node
from tests.edge.kamailio_phone import media_port, sdp
from tests.edge.kamailio_scene import (
    Call,
    Phones,
    by_user,
    establish,
    live_dialogs,
    targets,
    until,
)
from tests.edge.kamailio_stub_agent import Answer, Message, StubAgent, text


async def test_a_call_goes_through_the_relay_and_is_reported(node: Node, agent: StubAgent, phones: Phones) -> None:
    caller, callee = await phones.pair()
    ears = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for ear in ears:
        ear.bind(("127.0.0.1", 0))
        ear.setblocking(False)
    try:
        caller.raw(caller.build("INVITE", f"sip:{callee.name}@acme.test", body=sdp(ears[0].getsockname()[1])))
        assert (await caller.reply(100)).status == 100
        invite = await callee.request("INVITE")
        callee.answer(invite, 180)
        await caller.reply(180)
        callee.answer(invite, 200, body=sdp(ears[1].getsockname()[1]))
        reply = await caller.reply(200)
        call = Call(caller, callee, invite, reply)
        caller.raw(caller.within(call.down, "ACK", cseq=1))
        await callee.request("ACK")
        await _hears(ears[0], media_port(reply), ears[1])
        await _hears(ears[1], media_port(invite), ears[0])
        assert invite.header("call-id") in node.media_sessions()
    finally:
        for ear in ears:
            ear.close()

    callee.raw(callee.within(call.up, "BYE"))
    caller.answer(await caller.request("BYE"), 200)
    assert (await callee.final("BYE")).status == 200
    early = await agent.dialog_event("early", call.call)
    answer = await agent.dialog_event("answer", call.call)
    end = await agent.dialog_event("end", call.call)
    assert (early["seq"], answer["seq"], end["seq"]) == (1, 2, 3)
    assert (end["cause"], end["by"], end["account"]) == ("normal", "callee", "acc_1")
    assert text(end, "callid") == invite.header("call-id")
    await until(lambda: invite.header("call-id") not in node.media_sessions())
    await until(lambda: invite.header("call-id") not in live_dialogs(node))


async def _hears(mouth: socket.socket, port: int, ear: socket.socket) -> None:
    """Sends RTP to the relay's port until the other side gets a packet of it."""
    loop = asyncio.get_running_loop()
    for number in range(50):
        packet = (
            b"\x80\x00" + number.to_bytes(2, "big") + (number * 160).to_bytes(4, "big") + b"\0\0\0\7" + b"\xff" * 160
        )
        mouth.sendto(packet, ("127.0.0.1", port))
        try:
            async with asyncio.timeout(0.1):
                heard = await loop.sock_recv(ear, 2000)
        except TimeoutError:
            continue
        if heard.endswith(b"\xff" * 160):
            return
    raise AssertionError("nothing came through the relay")


async def test_a_second_bye_gets_481(agent: StubAgent, phones: Phones) -> None:
    call = await establish(*await phones.pair())
    bye = call.caller.within(call.down, "BYE")
    call.caller.raw(bye)
    call.callee.answer(await call.callee.request("BYE"), 200)
    assert (await call.caller.final("BYE")).status == 200
    call.caller.raw(bye)
    assert (await call.caller.final("BYE")).status == 200
    call.caller.raw(call.caller.within(call.down, "BYE"))
    second = asyncio.ensure_future(call.callee.request("BYE"))
    final = asyncio.ensure_future(call.caller.final("BYE"))
    done, _ = await asyncio.wait({second, final}, return_when=asyncio.FIRST_COMPLETED)
    if second in done:
        call.callee.answer(second.result(), 481)
    second.cancel()
    assert (await final).status == 481
    ends = [e for e in agent.events if e["kind"] == "dialog" and e["state"] == "end" and e["call"] == call.call]
    assert len(ends) == 1


async def test_a_retransmitted_invite_asks_once(agent: StubAgent, phones: Phones) -> None:
    caller, callee = await phones.pair()
    agent.route = lambda _question: None
    invite = caller.build("INVITE", f"sip:{callee.name}@acme.test", body=sdp(4000), call_id=f"once-{callee.name}")
    for _ in range(3):
        caller.raw(invite)
        assert (await caller.reply(100)).status == 100
    # The 100 may overtake the question.
    await agent.question(lambda q: q["ask"] == "route" and text(q, "callid") == f"once-{callee.name}")
    questions = [q for q in agent.questions if q["ask"] == "route" and text(q, "callid") == f"once-{callee.name}"]
    assert len(questions) == 1
    agent.send({"tm": questions[0]["tm"], **(by_user(questions[0]) or {})})
    request = await callee.request("INVITE")
    callee.answer(request, 486)
    assert (await callee.request("ACK")).method == "ACK"
    await agent.question(lambda q: q["ask"] == "route" and q["outcome"] == "busy")


async def test_cancel_before_the_answer_of_the_brain(agent: StubAgent, phones: Phones) -> None:
    caller, callee = await phones.pair()
    agent.route = lambda _question: None
    branch, sender, call_id = "z9hG4bKcancel1", f"<sip:{caller.name}@acme.test>;tag=c1", f"cancel-{caller.name}"
    uri = f"sip:{callee.name}@acme.test"
    caller.raw(caller.build("INVITE", uri, sender=sender, call_id=call_id, branch=branch, body=sdp(4000)))
    question = await agent.question(lambda q: q["ask"] == "route" and text(q, "callid") == call_id)
    caller.raw(caller.build("CANCEL", uri, sender=sender, call_id=call_id, branch=branch))
    assert (await caller.final("CANCEL")).status == 200
    assert (await caller.final("INVITE")).status == 487
    failed = await agent.event(lambda e: e["kind"] == "dialog" and text(e, "callid") == call_id)
    assert (failed["state"], failed["cause"], failed["by"], failed["call"]) == ("failed", "487", "caller", "")
    assert failed["cseq"] == "1"
    assert text(failed, "fromu") == f"sip:{caller.name}@acme.test"
    agent.send({"tm": question["tm"], **(by_user(question) or {})})
    late = await agent.dialog_event("failed", f"call_{call_id}")
    assert (late["cause"], late["account"], late["cseq"]) == ("487", "acc_1", "1")
    assert text(late, "callid") == call_id
    with pytest.raises(TimeoutError):
        await callee.request("INVITE", deadline=0.5)


async def test_cancel_while_it_rings(node: Node, agent: StubAgent, phones: Phones) -> None:
    caller, callee = await phones.pair()
    branch, sender, call_id = "z9hG4bKcancel2", f"<sip:{caller.name}@acme.test>;tag=c2", f"cancel-{caller.name}"
    uri = f"sip:{callee.name}@acme.test"
    caller.raw(caller.build("INVITE", uri, sender=sender, call_id=call_id, branch=branch, body=sdp(4000)))
    invite = await callee.request("INVITE")
    callee.answer(invite, 180)
    await caller.reply(180)
    caller.raw(caller.build("CANCEL", uri, sender=sender, call_id=call_id, branch=branch))
    assert (await caller.final("CANCEL")).status == 200
    callee.answer(await callee.request("CANCEL"), 200)
    callee.answer(invite, 487)
    assert (await caller.final("INVITE")).status == 487
    failed = await agent.dialog_event("failed", f"call_{call_id}")
    assert (failed["cause"], failed["by"]) == ("487", "caller")
    assert not [q for q in agent.questions if q.get("outcome")]
    await until(lambda: call_id not in node.media_sessions())


async def test_busy_goes_back_to_the_brain_and_the_next_target_answers(agent: StubAgent, phones: Phones) -> None:
    caller, first = await phones.pair()
    second = await phones.registered(f"next{first.name}")
    agent.route = lambda q: targets(q, second.name) if q["outcome"] == "busy" else targets(q, first.name)
    caller.raw(caller.build("INVITE", "sip:100@acme.test", body=sdp(4000)))
    invite = await first.request("INVITE")
    first.answer(invite, 486)
    await first.request("ACK")
    again = await agent.question(lambda q: q["ask"] == "route" and q["outcome"] == "busy")
    assert again["callid_ours"] == "call_" + invite.header("call-id")
    assert again["account_ours"] == "acc_1"
    request = await second.request("INVITE")
    second.answer(request, 200, body=sdp(5000))
    reply = await caller.reply(200)
    call = Call(caller, second, request, reply)
    caller.raw(caller.within(call.down, "ACK", cseq=1))
    await second.request("ACK")
    caller.raw(caller.within(call.down, "BYE"))
    second.answer(await second.request("BYE"), 200)
    end = await agent.dialog_event("end", call.call)
    assert (end["cause"], end["by"]) == ("normal", "caller")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(600, "busy"), (603, "declined"), (480, "no_answer"), (404, "unreachable"), (500, "unreachable")],
)
async def test_outcomes(agent: StubAgent, phones: Phones, status: int, outcome: str) -> None:
    caller, callee = await phones.pair()
    caller.raw(caller.build("INVITE", f"sip:{callee.name}@acme.test", body=sdp(4000)))
    invite = await callee.request("INVITE")
    callee.answer(invite, status)
    await agent.question(lambda q: q["ask"] == "route" and q["outcome"] == outcome)
    final = await caller.final("INVITE")
    assert final.status == 480
    failed = await agent.event_of_dialog("failed", invite.header("call-id"))
    assert failed["cause"] == "480"


async def test_a_redirection_is_reported_and_not_followed(agent: StubAgent, phones: Phones) -> None:
    caller, callee = await phones.pair()
    caller.raw(caller.build("INVITE", f"sip:{callee.name}@acme.test", body=sdp(4000)))
    callee.answer(await callee.request("INVITE"), 302)
    await agent.question(lambda q: q["ask"] == "route" and q["outcome"] == f"redirected:{callee.contact}")
    assert (await caller.final("INVITE")).status == 480


async def test_nobody_registered_and_nobody_there(agent: StubAgent, phones: Phones) -> None:
    caller, gone = await phones.pair()
    caller.raw(caller.build("INVITE", "sip:nobody@acme.test", body=sdp(4000)))
    await agent.question(lambda q: q["ask"] == "route" and q["outcome"] == "unreachable")
    assert (await caller.final("INVITE")).status == 480
    agent.questions.clear()
    caller.raw(caller.build("INVITE", f"sip:{gone.name}@acme.test", body=sdp(4000)))
    await agent.question(lambda q: q["ask"] == "route" and q["outcome"] == "unreachable", deadline=4)
    assert (await caller.final("INVITE")).status == 480


async def test_serial_targets_need_no_second_question(agent: StubAgent, phones: Phones) -> None:
    caller, first = await phones.pair()
    second = await phones.registered(f"next{first.name}")
    agent.route = lambda q: targets(q, first.name, "nobody", second.name, routing="serial")
    caller.raw(caller.build("INVITE", "sip:100@acme.test", body=sdp(4000)))
    first.answer(await first.request("INVITE"), 486)
    second.answer(await second.request("INVITE"), 200, body=sdp(5000))
    assert (await caller.reply(200)).status == 200
    assert len([q for q in agent.questions if q["ask"] == "route"]) == 1


async def test_serial_targets_ring_for_their_own_time(agent: StubAgent, phones: Phones) -> None:
    caller, first = await phones.pair()
    second = await phones.registered(f"next{first.name}")

    def in_turn(question: Message) -> Answer:
        answer = targets(question, first.name, second.name, routing="serial")
        assert answer is not None
        answer["rtjson"]["routes"][0]["fr_inv_timer"] = 600
        return answer

    agent.route = in_turn
    caller.raw(caller.build("INVITE", "sip:100@acme.test", body=sdp(4000)))
    invite = await first.request("INVITE")
    first.answer(invite, 180)
    cancel = await first.request("CANCEL", 2)
    first.answer(cancel, 200)
    first.answer(invite, 487)
    second.answer(await second.request("INVITE"), 200, body=sdp(5000))
    assert (await caller.reply(200)).status == 200
    event = await agent.event_of_dialog("answer", invite.header("call-id"))
    assert text(event, "target") == f"sip:dev_{second.name}@acme.test"


async def test_all_contacts_ring_and_the_loser_is_cancelled(node: Node, agent: StubAgent, phones: Phones) -> None:
    caller, desk = await phones.pair()
    mobile = await phones.registered(f"{desk.name}-2")
    other = await phones.registered(f"other{desk.name}")
    agent.route = lambda q: targets(q, desk.name, other.name)
    caller.raw(caller.build("INVITE", "sip:100@acme.test", body=sdp(4000)))
    invites = [await phone.request("INVITE") for phone in (desk, mobile, other)]
    for phone, invite in zip((desk, mobile, other), invites, strict=True):
        phone.answer(invite, 180)
    mobile.answer(invites[1], 200, body=sdp(5000))
    reply = await caller.reply(200)
    for phone, invite in ((desk, invites[0]), (other, invites[2])):
        phone.answer(await phone.request("CANCEL"), 200)
        phone.answer(invite, 487)
    call = Call(caller, mobile, invites[1], reply)
    caller.raw(caller.within(call.down, "ACK", cseq=1))
    await mobile.request("ACK")
    caller.raw(caller.within(call.down, "BYE"))
    mobile.answer(await mobile.request("BYE"), 200)
    await agent.dialog_event("end", call.call)
    assert len([e for e in agent.events if e["kind"] == "dialog" and e["call"] == call.call]) == 3
    await until(lambda: invites[0].header("call-id") not in node.media_sessions())
