"""The edge's Kamailio and rtpengine, real ones, against a stand-in for the node-agent and phones that say anything."""

from __future__ import annotations

import asyncio
import secrets
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.edge.kamailio_node import Node
from tests.edge.kamailio_phone import Message as Sip
from tests.edge.kamailio_phone import Phone, media_port, parse, sdp
from tests.edge.kamailio_stub_agent import Answer, Message, StubAgent, text

FLAGS = "replace-origin replace-session-connection RTP/AVP ICE=remove"
OVERRIDES = {
    "kamailio_answer_timeout_ms": 1500,
    "kamailio_fr_timer_ms": 2000,
    "kamailio_min_expires_sec": 2,
    "kamailio_dialog_keepalive_sec": 30,
    "rtpengine_media_timeout_sec": 3,
    "rtpengine_hold_timeout_sec": 60,
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    found = Node(Path(tmp_path_factory.mktemp("edge")), OVERRIDES)
    found.start()
    yield found
    found.stop()


def user(message: Message, key: str) -> str:
    return text(message, key).partition(":")[2].partition("@")[0]


def save_device(question: Message) -> Answer:
    """`alice` is the device dev_alice; `alice-2` is another phone of the same device."""
    device = "dev_" + user(question, "tou").partition("-")[0]
    return {"do": "save", "aor": f"sip:{device}@acme.test", "account": "acc_1", "device": device, "expires": 600}


def targets(question: Message, *names: str, routing: str = "parallel", max_sec: int = 3600, **route: object) -> Answer:
    routes = [
        {"uri": f"sip:dev_{name}@acme.test", "flags": FLAGS, "fr_timer": 2000, "fr_inv_timer": 20000, **route}
        for name in names
    ]
    document = {"success": True, "version": "1.0", "routing": routing, "routes": routes}
    call = "call_" + text(question, "callid")
    return {"do": "route", "call": call, "account": "acc_1", "max": max_sec, "flags": FLAGS, "rtjson": document}


def by_user(question: Message) -> Answer:
    if question["outcome"]:
        return refusal(480, "Temporarily Unavailable")
    return targets(question, user(question, "ruri"))


def refusal(code: int, reason: str, headers: str = "") -> Answer:
    return {"do": "reply", "code": code, "reason": reason, "headers": headers}


@pytest.fixture
async def agent(node: Node) -> AsyncIterator[StubAgent]:
    found = StubAgent(save_device, by_user)
    await found.connect(node.settings.evapi_port)
    yield found
    await found.close()


class Phones:
    """Opens phones and closes all of them at the end of a test."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._open: list[Phone] = []

    async def open(self, name: str) -> Phone:
        phone = await Phone(name, self._node.sip).open()
        self._open.append(phone)
        return phone

    async def registered(self, name: str) -> Phone:
        phone = await self.open(name)
        reply = await phone.register()
        assert reply.status == 200, reply.start
        return phone

    async def pair(self) -> tuple[Phone, Phone]:
        """A caller and a registered callee, of names that no other test uses."""
        mark = secrets.token_hex(3)
        return await self.open(f"caller{mark}"), await self.registered(f"callee{mark}")

    async def close(self) -> None:
        for phone in self._open:
            await phone.close()


@pytest.fixture
async def phones(node: Node) -> AsyncIterator[Phones]:
    found = Phones(node)
    yield found
    await found.close()


class Call:
    """An established call; `call` is our id of it."""

    def __init__(self, caller: Phone, callee: Phone, invite: Sip, reply: Sip) -> None:
        self.caller, self.callee, self.invite, self.reply = caller, callee, invite, reply
        self.call = "call_" + invite.header("call-id")
        self.down = caller.caller_dialog(reply)
        self.up = callee.callee_dialog(invite)


async def establish(caller: Phone, callee: Phone, to: str = "", body: bool = True) -> Call:
    caller.raw(caller.build("INVITE", f"sip:{to or callee.name}@acme.test", body=sdp(4000) if body else ""))
    invite = await callee.request("INVITE")
    callee.answer(invite, 180, "Ringing")
    await caller.reply(180)
    callee.answer(invite, 200, "OK", body=sdp(5000))
    reply = await caller.reply(200)
    call = Call(caller, callee, invite, reply)
    caller.raw(caller.within(call.down, "ACK", cseq=1, body="" if body else sdp(4000)))
    await callee.request("ACK")
    return call


async def until(check: Callable[[], bool], deadline: float = 5.0) -> None:
    async with asyncio.timeout(deadline):
        while not check():  # noqa: ASYNC110 - another process's state makes no noise when it changes
            await asyncio.sleep(0.05)


def live_dialogs(node: Node) -> set[str]:
    """By Call-ID. State 5 is over: Kamailio keeps such a dialog until its transaction is gone."""
    return {dialog["call-id"] for dialog in node.rpc("dlg.list") if dialog["state"] != 5}


# --- registration


async def test_register_is_challenged_stored_refreshed_and_removed(
    node: Node, agent: StubAgent, phones: Phones
) -> None:
    phone = await phones.open("reg1")
    challenge = 'WWW-Authenticate: Digest realm="acme.test", nonce="n1"\r\nWWW-Authenticate: Digest realm="b"\r\n'
    agent.auth = lambda question: (
        save_device(question) if question["auth64"] else refusal(401, "Unauthorized", challenge)
    )

    refused = await phone.register()
    assert refused.status == 401
    assert len(refused.all("www-authenticate")) == 2

    credentials = 'Digest username="reg1", realm="acme.test", nonce="n1", uri="sip:acme.test", response="00"'
    aor = "<sip:reg1@acme.test>"
    seen = []
    for expires, cseq in ((60, 2), (60, 3), (0, 4)):
        extra = f"Authorization: {credentials}\r\nExpires: {expires}\r\n"
        phone.raw(phone.build("REGISTER", "sip:acme.test", to=aor, call_id="reg1-call", cseq=cseq, extra=extra))
        assert (await phone.final("REGISTER")).status == 200
        question = agent.questions[-1]
        assert text(question, "auth") == credentials
        seen.append(
            await agent.event(lambda e: e["kind"] == "register" and e["device"] == "dev_reg1" and e not in seen)
        )
    assert [event["state"] for event in seen] == ["added", "refreshed", "removed"]
    assert {text(event, "contact") for event in seen} == {phone.contact}
    assert abs(seen[0]["expires"] - time.time() - 60) < 3
    assert seen[0]["account"] == "acc_1"


async def test_an_interval_that_is_too_brief_is_refused(agent: StubAgent, phones: Phones) -> None:
    phone = await phones.open("brief")
    reply = await phone.register(expires=1)
    assert reply.status == 423
    assert reply.header("min-expires") == "2"


async def test_a_contact_that_runs_out_is_reported(agent: StubAgent, phones: Phones) -> None:
    phone = await phones.open("soon")
    assert (await phone.register(expires=2)).status == 200
    event = await agent.event(lambda e: e["kind"] == "register" and e["state"] == "expired", deadline=8)
    assert (event["device"], text(event, "contact")) == ("dev_soon", phone.contact)


# --- calls


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
    callee.answer(await callee.request("INVITE"), status)
    await agent.question(lambda q: q["ask"] == "route" and q["outcome"] == outcome)
    final = await caller.final("INVITE")
    assert final.status == 480
    failed = await agent.event(lambda e: e["kind"] == "dialog" and e["state"] == "failed")
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


# --- inside a dialog


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
        f"X-Tandem-Deliver: a.b.c\r\nP-Asserted-Identity: {pai}\r\nDiversion: <sip:1@x>\r\n"
        "Proxy-Authorization: Digest x\r\nUser-Agent: phone\r\nPrivacy: id\r\n"
    )
    caller.raw(caller.build("INVITE", f"sip:{callee.name}@acme.test", extra=extra, body=sdp(4000)))
    invite = await callee.request("INVITE")
    for name in ("x-tandem-deliver", "p-asserted-identity", "diversion", "proxy-authorization"):
        assert not invite.all(name), name
    assert invite.header("from").startswith('"Al x ice" <sip:')
    question = agent.questions[-1]
    assert (text(question, "pai"), text(question, "privacy"), text(question, "auth")) == (pai, "id", "Digest x")
    callee.answer(invite, 200, body=sdp(5000), extra="X-Tandem-Secret: 1\r\n")
    assert not (await caller.reply(200)).all("x-tandem-secret")


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


# --- ends without a BYE


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
    caller.raw(caller.build("INVITE", f"sip:{callee.name}@acme.test", body=sdp(4000), call_id=f"ring-{callee.name}"))
    question = await agent.question(lambda q: q["ask"] == "route")
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
    failed = await agent.event(lambda e: e["kind"] == "dialog" and e["state"] == "failed")
    assert failed["cause"] == "account_suspended"
    assert failed["call"] == (f"call_ring-{callee.name}" if rings else "")
    assert len([q for q in agent.questions if q["ask"] == "route"]) == 1


# --- the agent's absence


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
    failed = await agent.event(lambda e: e["kind"] == "dialog" and e["state"] == "failed")
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


# --- Kamailio's own end


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


# --- bad input


async def test_garbage_is_refused_or_ignored(node: Node, agent: StubAgent, phones: Phones) -> None:
    phone = await phones.open("bad")
    good = phone.build("OPTIONS", "sip:acme.test")
    for garbage in (
        b"\0" * 400,
        b"\r\n\r\n",
        secrets.token_bytes(1200),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        good.replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE").encode(),
        good.replace("Call-ID", "X-Nothing").encode(),
        good.replace("Call-ID: ", "Call-ID: x call-id=").encode(),
        good.replace("SIP/2.0\r\nVia", "SIP/9.0\r\nVia").encode(),
        good.replace("Content-Length: 0", "Content-Length: 99999999999").encode(),
        good.replace("From: <", 'From: "unclosed <').encode(),
        ("INVITE sip:x@acme.test SIP/2.0\r\n" + "A: b\r\n" * 5000 + "\r\n").encode(),
    ):
        phone.raw(garbage)
    phone.raw(phone.build("OPTIONS", "sip:acme.test", extra="User-Agent: friendly-scanner\r\n"))
    phone.raw(phone.build("INVITE", "sip:x@acme.test", body=sdp(1)).replace("Max-Forwards: 70", "Max-Forwards: 0"))
    assert (await phone.reply(483)).status == 483
    phone.raw(phone.build("PUBLISH", "sip:x@acme.test"))
    assert (await phone.final("PUBLISH")).status == 405
    phone.raw(phone.build("OPTIONS", "sip:acme.test", call_id="alive"))
    alive = await phone.wait(lambda m: m.header("call-id") == "alive")
    assert alive.status == 200
    assert not [m for m in phone.seen if m.status not in (400, 200, 100, 505, 416)], phone.seen
    assert not [q for q in agent.questions if q["ask"] == "route"]
    assert node.rpc("core.uptime")["uptime"] >= 0


# --- transports and NAT


async def test_a_phone_behind_nat(agent: StubAgent, phones: Phones) -> None:
    mark = secrets.token_hex(3)
    caller, callee = await phones.open(f"caller{mark}"), await phones.open(f"callee{mark}")
    hidden = f"<sip:{callee.name}@10.1.2.3:5062>"
    assert (await callee.register(contact=hidden)).status == 200
    event = await agent.event(lambda e: e["kind"] == "register" and e["device"] == f"dev_{callee.name}")
    assert text(event, "contact") == hidden[1:-1]
    caller.raw(
        caller.build("INVITE", f"sip:{callee.name}@acme.test", body=sdp(4000), contact=f"<sip:{caller.name}@10.9.9.9>")
    )
    invite = await callee.request("INVITE")
    callee.answer(invite, 200, body=sdp(5000), contact=hidden)
    reply = await caller.reply(200)
    call = Call(caller, callee, invite, reply)
    caller.raw(caller.within(call.down, "ACK", cseq=1))
    await callee.request("ACK")
    callee.raw(callee.within(call.up, "BYE"))
    caller.answer(await caller.request("BYE"), 200)
    assert (await callee.final("BYE")).status == 200


class TcpPhone:
    """Reads whole messages from one connection; its Contact is a port on which nobody listens."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.port: int = writer.get_extra_info("sockname")[1]

    async def read(self) -> Sip:
        async with asyncio.timeout(5):
            head = await self._reader.readuntil(b"\r\n\r\n")
            size = int(parse(head).header("content-length"))
            return parse(head + await self._reader.readexactly(size))

    def send(self, lines: list[str], body: str = "") -> None:
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}"])
        self._writer.write(f"{head}\r\n\r\n{body}".encode())

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def test_a_call_from_udp_to_tcp(node: Node, agent: StubAgent, phones: Phones) -> None:
    phone = TcpPhone(*await asyncio.open_connection("127.0.0.1", node.sip))
    via = f"Via: SIP/2.0/TCP 127.0.0.1:{phone.port};branch=z9hG4bKtcp{phone.port}"
    me, contact = "<sip:tcp1@acme.test>", "Contact: <sip:tcp1@192.0.2.9:5060;transport=tcp>"
    phone.send(
        [
            *("REGISTER sip:acme.test SIP/2.0", via, "Max-Forwards: 70", f"From: {me};tag=1", f"To: {me}"),
            *(f"Call-ID: tcp-{phone.port}", "CSeq: 1 REGISTER", contact, "Expires: 60"),
        ]
    )
    assert (await phone.read()).status == 200
    caller = await phones.open("tcpcaller")
    caller.raw(caller.build("INVITE", "sip:tcp1@acme.test", body=sdp(4000)))
    invite = await phone.read()
    assert invite.start.startswith("INVITE sip:tcp1@192.0.2.9")
    copied = [
        f"{name}: {value}" for name in ("via", "record-route", "call-id", "cseq", "from") for value in invite.all(name)
    ]
    to = f"To: {invite.header('to')};tag=tcp"
    phone.send(["SIP/2.0 200 OK", *copied, to, contact, "Content-Type: application/sdp"], sdp(5000))
    reply = await caller.reply(200)
    down = caller.caller_dialog(reply)
    caller.raw(caller.within(down, "ACK", cseq=1))
    assert (await phone.read()).method == "ACK"
    caller.raw(caller.within(down, "BYE"))
    bye = await phone.read()
    assert bye.method == "BYE"
    copied = [f"{name}: {value}" for name in ("via", "call-id", "cseq", "from", "to") for value in bye.all(name)]
    phone.send(["SIP/2.0 200 OK", *copied])
    assert (await caller.final("BYE")).status == 200
    await phone.close()
