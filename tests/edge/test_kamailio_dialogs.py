"""Inside a dialog: offers in every order, strangers kept out, ends that no phone asked for."""

from __future__ import annotations

import asyncio

import pytest

from tests.edge.kamailio_node import Node
from tests.edge.kamailio_phone import Message as Sip
from tests.edge.kamailio_phone import Phone, media_port, sdp
from tests.edge.kamailio_scene import (
    FLAGS,
    Call,
    Phones,
    establish,
    targets,
    user,
)
from tests.edge.kamailio_stub_agent import Answer, Message, StubAgent, text


async def test_late_offer(node: Node, agent: StubAgent, phones: Phones) -> None:
    caller, callee = await phones.pair()
    caller.raw(caller.build("INVITE", f"sip:{callee.name}@acme.test"))
    invite = await callee.request("INVITE")
    assert not invite.body
    callee.answer(invite, 200, body=sdp(5000))
    reply = await caller.reply(200)
    assert media_port(reply) in range(node.settings.rtp_min, node.settings.rtp_max + 1)
    call = Call(caller, callee, invite, reply)
    caller.raw(caller.within(call.down, "ACK", cseq=1, body=sdp(4000)))
    ack = await callee.request("ACK")
    assert media_port(ack) in range(node.settings.rtp_min, node.settings.rtp_max + 1)
    # a late offer in a re-INVITE of the callee's
    callee.raw(callee.within(call.up, "INVITE"))
    again = await caller.request("INVITE")
    caller.answer(again, 200, body=sdp(4002))
    assert media_port(await callee.reply(200)) in range(node.settings.rtp_min, node.settings.rtp_max + 1)
    callee.raw(callee.within(call.up, "ACK", cseq=call.up.cseq, body=sdp(5002)))
    assert media_port(await caller.request("ACK")) in range(node.settings.rtp_min, node.settings.rtp_max + 1)
    caller.raw(caller.within(call.down, "BYE"))
    callee.answer(await callee.request("BYE"), 200)
    await agent.dialog_event("end", call.call)


async def test_hold_update_info_and_prack(node: Node, agent: StubAgent, phones: Phones) -> None:
    caller, callee = await phones.pair()
    caller.raw(caller.build("INVITE", f"sip:{callee.name}@acme.test", body=sdp(4000), extra="Supported: 100rel\r\n"))
    invite = await callee.request("INVITE")
    callee.answer(invite, 183, body=sdp(5000), extra="Require: 100rel\r\nRSeq: 1\r\n")
    progress = await caller.reply(183)
    assert media_port(progress) in range(node.settings.rtp_min, node.settings.rtp_max + 1)
    early = caller.caller_dialog(progress)
    caller.raw(caller.within(early, "PRACK", extra="RAck: 1 1 INVITE\r\n"))
    callee.answer(await callee.request("PRACK"), 200)
    assert (await caller.final("PRACK")).status == 200
    callee.answer(invite, 200, body=sdp(5000))
    call = Call(caller, callee, invite, await caller.reply(200))
    call.down.cseq = 2
    caller.raw(caller.within(call.down, "ACK", cseq=1))
    await callee.request("ACK")

    caller.raw(caller.within(call.down, "INVITE", body=sdp(4000, "sendonly")))
    held = await callee.request("INVITE")
    assert "a=sendonly" in held.body
    assert media_port(held) in range(node.settings.rtp_min, node.settings.rtp_max + 1)
    callee.answer(held, 200, body=sdp(5000, "recvonly"))
    assert "a=recvonly" in (await caller.reply(200)).body
    caller.raw(caller.within(call.down, "ACK", cseq=call.down.cseq))
    await callee.request("ACK")

    callee.raw(callee.within(call.up, "UPDATE", body=sdp(5000)))
    update = await caller.request("UPDATE")
    assert media_port(update) in range(node.settings.rtp_min, node.settings.rtp_max + 1)
    caller.answer(update, 200, body=sdp(4000))
    assert (await callee.final("UPDATE")).status == 200

    caller.raw(caller.within(call.down, "INFO"))
    callee.answer(await callee.request("INFO"), 200)
    assert (await caller.final("INFO")).status == 200
    callee.raw(callee.within(call.up, "BYE"))
    caller.answer(await caller.request("BYE"), 200)
    await agent.dialog_event("end", call.call)


async def test_an_early_offer_gets_the_media_of_its_own_branch(node: Node, agent: StubAgent, phones: Phones) -> None:
    """Two phones of different media ring; a new offer before the answer (RFC 3311) goes through the relay as theirs."""
    hidden = sdp(4002).replace("127.0.0.1", "10.9.9.9")
    relay = range(node.settings.rtp_min, node.settings.rtp_max + 1)
    caller, plain = await phones.pair()
    secure = await phones.registered(f"{plain.name}s")

    def both(question: Message) -> Answer:
        answer = targets(question, plain.name, secure.name)
        assert answer is not None
        answer["rtjson"]["routes"][1]["flags"] = FLAGS.replace("RTP/AVP", "RTP/AVPF")
        return answer

    agent.route = both
    caller.raw(caller.build("INVITE", "sip:both@acme.test", body=sdp(4000), extra="Supported: 100rel\r\n"))
    for phone, profile in ((secure, "RTP/AVPF"), (plain, "RTP/AVP")):
        invite = await phone.request("INVITE")
        assert f" {profile} " in invite.body
        theirs = sdp(5000).replace("RTP/AVP", profile)
        phone.answer(invite, 183, body=theirs, extra="Require: 100rel\r\nRSeq: 1\r\n")
        progress = await caller.reply(183)
        early = caller.caller_dialog(progress)
        caller.raw(caller.within(early, "PRACK", extra="RAck: 1 1 INVITE\r\n"))
        phone.answer(await phone.request("PRACK"), 200)
        assert (await caller.final("PRACK")).status == 200

        caller.raw(caller.within(early, "UPDATE", body=hidden))
        update = await phone.request("UPDATE")
        assert (f" {profile} " in update.body, media_port(update) in relay) == (True, True)
        assert "10.9.9.9" not in update.body, "replace-origin and the like are in the target's flags"
        phone.answer(update, 200, body=theirs)
        reply = await caller.final("UPDATE")
        assert (" RTP/AVP " in reply.body, media_port(reply) in relay) == (True, True)

        phone.raw(phone.within(phone.callee_dialog(invite), "UPDATE", body=theirs))
        update = await caller.request("UPDATE")
        assert (" RTP/AVP " in update.body, media_port(update) in relay) == (True, True)
        caller.answer(update, 200, body=hidden)
        reply = await phone.final("UPDATE")
        assert (f" {profile} " in reply.body, media_port(reply) in relay) == (True, True)
        assert "10.9.9.9" not in reply.body
    plain.answer(invite, 200)
    reply = await caller.reply(200)
    call = Call(caller, plain, invite, reply)
    caller.raw(caller.within(call.down, "ACK", cseq=1))
    await plain.request("ACK")
    secure.answer(await secure.request("CANCEL"), 200)
    call.down.cseq = 9
    caller.raw(caller.within(call.down, "INVITE", body=sdp(4002)))
    again = await plain.request("INVITE")
    assert (" RTP/AVP " in again.body, media_port(again) in relay) == (True, True)
    plain.answer(again, 200, body=sdp(5000))
    await caller.reply(200)
    caller.raw(caller.within(call.down, "ACK", cseq=call.down.cseq))
    await plain.request("ACK")
    caller.raw(caller.within(call.down, "BYE"))
    plain.answer(await plain.request("BYE"), 200)
    await agent.dialog_event("end", call.call)


async def test_no_relay_for_strangers(agent: StubAgent, phones: Phones) -> None:
    caller, victim = await phones.pair()
    away = f"Route: <sip:127.0.0.1:{victim.port};lr>\r\n"
    here = f"Route: <sip:127.0.0.1:{caller.server};lr>\r\n"
    for extra in (away, here + away):
        caller.raw(caller.build("INVITE", "sip:x@acme.test", extra=extra, body=sdp(4000)))
        assert (await caller.final("INVITE")).status == 403
    for method in ("BYE", "INVITE", "MESSAGE"):
        to = f"<sip:{victim.name}@acme.test>;tag=1"
        caller.raw(caller.build(method, victim.contact, to=to, extra=here + away))
        assert (await caller.final(method)).status == 481
    caller.raw(caller.build("ACK", victim.contact, to="<sip:v@acme.test>;tag=1", extra=here + away))
    call = await establish(caller, victim)
    call.down.routes.append(f"<sip:127.0.0.1:{caller.port};lr>")
    caller.raw(caller.within(call.down, "INFO"))
    assert (await caller.final("INFO")).status == 403
    assert not victim.seen


async def test_headers_of_strangers_are_stripped(agent: StubAgent, phones: Phones) -> None:
    caller, callee = await phones.pair()
    agent.route = lambda q: targets(q, callee.name, headers={"from": {"display": 'Al "x" ice', "uri": ""}})
    pai = "<sip:ceo@acme.test>"
    extra = (
        f"X-Tandem-Anything: a.b.c\r\nP-Asserted-Identity: {pai}\r\nDiversion: <sip:1@x>\r\n"
        "Diversion: <sip:2@x>;reason=unknown\r\nP-Called-Party-ID: <sip:+1202@x>\r\n"
        "Proxy-Authorization: Digest x\r\nUser-Agent: phone\r\nPrivacy: id\r\n"
    )
    caller.raw(caller.build("INVITE", f"sip:{callee.name}@acme.test", extra=extra, body=sdp(4000)))
    invite = await callee.request("INVITE")
    for name in ("x-tandem-anything", "p-asserted-identity", "diversion", "p-called-party-id", "proxy-authorization"):
        assert not invite.all(name), name
    assert invite.header("from").startswith('"Al x ice" <sip:')
    question = agent.questions[-1]
    assert (text(question, "pai"), text(question, "privacy"), text(question, "auth")) == (pai, "id", "Digest x")
    assert text(question, "diversion") == "<sip:1@x>,<sip:2@x>;reason=unknown"
    assert text(question, "called") == "<sip:+1202@x>"


STRANGE = {
    "X-Tandem-Secret": "1",
    "P-Asserted-Identity": "<sip:ceo@acme.test>",
    "P-Preferred-Identity": "<sip:ceo@acme.test>",
    "Remote-Party-ID": "<sip:ceo@acme.test>;party=called",
    "P-Called-Party-ID": "<sip:+1202@x>",
    "Diversion": "<sip:1@x>",
    "History-Info": "<sip:1@x>;index=1",
}
SAID = "".join(f"{name}: {value}\r\n" for name, value in STRANGE.items()) + "Allow: INVITE\r\n"


async def test_replies_of_strangers_are_stripped(agent: StubAgent, phones: Phones) -> None:
    """Of the first INVITE and inside the dialog, of either party."""
    caller, callee = await phones.pair()
    caller.raw(caller.build("INVITE", f"sip:{callee.name}@acme.test", body=sdp(4000)))
    invite = await callee.request("INVITE")
    callee.answer(invite, 180, extra=SAID)
    assert _strange(await caller.reply(180)) == []
    callee.answer(invite, 200, body=sdp(5000), extra=SAID)
    reply = await caller.reply(200)
    assert _strange(reply) == []
    call = Call(caller, callee, invite, reply)
    caller.raw(caller.within(call.down, "ACK", cseq=1))
    await callee.request("ACK")
    for asks, dialog, answers in ((caller, call.down, callee), (callee, call.up, caller)):
        asks.raw(asks.within(dialog, "INFO", extra=SAID))
        request = await answers.request("INFO")
        assert _strange(request) == []
        answers.answer(request, 200, extra=SAID)
        assert _strange(await asks.final("INFO")) == []


async def test_replies_to_a_delivered_call_are_stripped(agent: StubAgent, phones: Phones) -> None:
    caller, callee = await phones.pair()
    agent.deliver = lambda _question: {"do": "deliver", "flags": ""}
    extra = "X-Tandem-Deliver: a.b.c\r\n"
    caller.raw(caller.build("INVITE", f"sip:dev_{callee.name}@acme.test", body=sdp(4000), extra=extra))
    invite = await callee.request("INVITE")
    for status in (180, 200):
        callee.answer(invite, status, body=sdp(5000), extra=SAID)
        assert _strange(await caller.reply(status)) == []


def _strange(message: Sip) -> list[str]:
    """The headers that should not have come; others did."""
    assert message.all("allow") == ["INVITE"]
    return [name for name in STRANGE if message.all(name.lower())]


async def test_a_changed_from_is_seen_by_the_callee_alone(agent: StubAgent, phones: Phones) -> None:
    caller, callee = await phones.pair()
    shown = {"display": "Alice", "uri": "sip:1001@acme.test"}
    agent.route = lambda q: targets(q, callee.name, headers={"from": shown, "extra": "X-Note: hello\r\n"})
    call = await establish(caller, callee)
    assert call.invite.header("from").startswith('"Alice" <sip:1001@acme.test>;tag=')
    assert call.invite.header("x-note") == "hello"
    assert f"<sip:{caller.name}@acme.test>" in call.reply.header("from")
    caller.raw(caller.within(call.down, "INFO"))
    info = await callee.request("INFO")
    assert "<sip:1001@acme.test>" in info.header("from")
    callee.answer(info, 200)
    assert f"<sip:{caller.name}@acme.test>" in (await caller.final("INFO")).header("from")
    callee.raw(callee.within(call.up, "BYE"))
    bye = await caller.request("BYE")
    assert f"<sip:{caller.name}@acme.test>" in bye.header("to")
    caller.answer(bye, 200)
    assert (await callee.final("BYE")).status == 200


async def test_no_media_ends_the_call(agent: StubAgent, phones: Phones) -> None:
    """Many at once: both sides get their BYE however fast the first one answers, and the end is told once."""
    calls = [await establish(*await phones.pair()) for _ in range(12)]

    async def hears_bye(phone: Phone) -> None:
        phone.answer(await phone.request("BYE", deadline=10), 200)

    await asyncio.gather(*(hears_bye(phone) for call in calls for phone in (call.caller, call.callee)))
    for call in calls:
        end = await agent.dialog_event("end", call.call)
        assert (end["cause"], end["by"]) == ("no_media", "platform")
        assert len([e for e in agent.events if e.get("call") == call.call and e["state"] == "end"]) == 1


async def test_the_longest_duration_ends_the_call(agent: StubAgent, phones: Phones) -> None:
    agent.route = lambda q: targets(q, user(q, "ruri"), max_sec=2)
    call = await establish(*await phones.pair())
    for phone in (call.caller, call.callee):
        phone.answer(await phone.request("BYE", deadline=6), 200)
    end = await agent.dialog_event("end", call.call)
    assert (end["cause"], end["by"]) == ("max_duration", "platform")


async def test_the_agent_lists_and_ends_calls(node: Node, agent: StubAgent, phones: Phones) -> None:
    call = await establish(*await phones.pair())
    [dialog] = [d for d in node.rpc("dlg.list") if d["call-id"] == call.invite.header("call-id")]
    variables = {key: value for pair in dialog["variables"] for key, value in pair.items()}
    assert (variables["call"], variables["account"]) == (call.call, "acc_1")
    node.rpc("dlg.end_dlg", dialog["h_entry"], dialog["h_id"], 'Reason: SIP;cause=200;text="credit_gone"\r\n')
    for phone in (call.caller, call.callee):
        phone.answer(await phone.request("BYE"), 200)
    end = await agent.dialog_event("end", call.call)
    assert (end["cause"], end["by"]) == ("credit_gone", "platform")


@pytest.mark.parametrize("rings", [True, False])
async def test_the_agent_ends_a_call_that_is_not_answered(agent: StubAgent, phones: Phones, rings: bool) -> None:
    caller, callee = await phones.pair()
    if not rings:
        agent.route = lambda _question: None
    call_id = f"ring-{callee.name}"
    caller.raw(caller.build("INVITE", f"sip:{callee.name}@acme.test", body=sdp(4000), call_id=call_id))
    question = await agent.question(lambda q: q["ask"] == "route" and text(q, "callid") == call_id)
    if rings:
        invite = await callee.request("INVITE")
        callee.answer(invite, 180)
        await caller.reply(180)
    keys = {key: question[key] for key in ("callid64", "ftag64", "cseq")}
    agent.send({"do": "hangup", **keys, "cause": "account_suspended"})
    if rings:
        callee.answer(await callee.request("CANCEL"), 200)
        callee.answer(invite, 487)
    assert (await caller.final("INVITE")).status == 487
    failed = await agent.event_of_dialog("failed", call_id)
    assert failed["cause"] == "account_suspended"
    assert failed["call"] == (f"call_{call_id}" if rings else "")
    assert len([q for q in agent.questions if q["ask"] == "route" and text(q, "callid") == call_id]) == 1
