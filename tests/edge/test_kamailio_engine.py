"""Calls that the platform answers: the engine behind the proxy, its legs, the border, media that goes past it."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.edge.kamailio_node import Node
from tests.edge.kamailio_phone import Dialog, Phone, media_port, sdp
from tests.edge.kamailio_phone import Message as Sip
from tests.edge.kamailio_scene import Call, Phones, live_dialogs, refusal, targets, until
from tests.edge.kamailio_stub_agent import Answer, Message, StubAgent, text

TOKEN = "leg_01hzzzzzzzzzzzzzzzzzzzzzz1.2000000000.00112233445566778899aabbccddeeff"
SECRET = "X-Tandem-Secret: 1\r\n"


def to_engine(question: Message, engine: Phone) -> Answer:
    """What the node-agent makes of the action `flow`: one route with the engine's seat."""
    extra = f"X-Tandem-Call: call_{text(question, 'callid')}\r\nX-Tandem-Account: acc_1\r\n"
    seat = f"sip:127.0.0.1:{engine.port}"
    answer = targets(question, "600", headers={"extra": extra}, dst_uri=seat)
    assert answer is not None
    answer["rtjson"]["routes"][0]["uri"] = "sip:600@acme.test"
    return answer


def leg_headers(token: str = TOKEN) -> str:
    return f"X-Tandem-Leg: {token}\r\nX-Tandem-Account: acc_1\r\n"


class Bridged:
    """A caller in the engine and the leg that the engine placed, each with an ear for RTP."""

    def __init__(self, near: Call, far: Call, ears: dict[str, socket.socket]) -> None:
        self.near, self.far, self.ears = near, far, ears

    @property
    def engine(self) -> Phone:
        return self.near.callee


@pytest.fixture
def ears() -> Iterator[dict[str, socket.socket]]:
    with ExitStack() as stack:
        found = {}
        for name in ("caller", "near", "far", "called"):
            ear = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            ear.bind(("127.0.0.1", 0))
            ear.setblocking(False)
            found[name] = ear
        yield found


def port_of(ear: socket.socket) -> int:
    port: int = ear.getsockname()[1]
    return port


@pytest.fixture
async def bridged(agent: StubAgent, phones: Phones, ears: dict[str, socket.socket]) -> Bridged:
    engine = await phones.engine()
    caller, called = await phones.pair()
    agent.route = lambda q: targets(q, called.name) if q["leg64"] else to_engine(q, engine)
    caller.raw(caller.build("INVITE", "sip:600@acme.test", body=sdp(port_of(ears["caller"]))))
    invite = await engine.request("INVITE")
    engine.answer(invite, 200, body=sdp(port_of(ears["near"])))
    near = Call(caller, engine, invite, await caller.reply(200))
    caller.raw(caller.within(near.down, "ACK", cseq=1))
    await engine.request("ACK")
    ask = engine.build("INVITE", "sip:leg@acme.test", extra=leg_headers(), body=sdp(port_of(ears["far"])))
    engine.raw(ask)
    request = await called.request("INVITE")
    called.answer(request, 200, body=sdp(port_of(ears["called"])))
    far = Call(engine, called, request, await engine.reply(200))
    engine.raw(engine.within(far.down, "ACK", cseq=1))
    await called.request("ACK")
    return Bridged(near, far, ears)


async def test_a_call_goes_to_the_engines_seat(node: Node, agent: StubAgent, phones: Phones) -> None:
    engine = await phones.engine(31)
    caller = await phones.open(f"caller{secrets.token_hex(3)}")
    agent.route = lambda q: to_engine(q, engine)
    caller.raw(caller.build("INVITE", "sip:600@acme.test", extra=leg_headers() + SECRET, body=sdp(4000)))
    invite = await engine.request("INVITE")
    call = "call_" + invite.header("call-id")
    assert invite.start == "INVITE sip:600@acme.test SIP/2.0"
    assert invite.all("x-tandem-call") == [call]
    assert invite.all("x-tandem-account") == ["acc_1"], "the caller's own was stripped"
    assert not invite.all("x-tandem-leg")
    assert not invite.all("x-tandem-secret")
    assert media_port(invite) in range(node.settings.rtp_min, node.settings.rtp_max + 1)
    assert agent.questions[-1]["leg64"] == "", "a token from a phone is nobody's"
    engine.answer(invite, 183, body=sdp(5000), extra=SECRET)
    assert not (await caller.reply(183)).all("x-tandem-secret")
    engine.answer(invite, 200, body=sdp(5000), extra=SECRET)
    reply = await caller.reply(200)
    assert not reply.all("x-tandem-secret")
    here = Call(caller, engine, invite, reply)
    caller.raw(caller.within(here.down, "ACK", cseq=1, extra=SECRET))
    assert not (await engine.request("ACK")).all("x-tandem-secret")
    engine.raw(engine.within(here.up, "INFO", extra=SECRET))
    info = await caller.request("INFO")
    assert not info.all("x-tandem-secret")
    caller.answer(info, 200, extra=SECRET)
    assert not (await engine.final("INFO")).all("x-tandem-secret")
    engine.raw(engine.within(here.up, "BYE", extra=SECRET + 'Reason: SIP;cause=486;text="busy"\r\n'))
    bye = await caller.request("BYE")
    assert not bye.all("x-tandem-secret")
    assert bye.header("reason") == 'SIP;cause=486;text="busy"'
    caller.answer(bye, 200)
    assert (await engine.final("BYE")).status == 200
    end = await agent.dialog_event("end", call)
    assert (end["cause"], end["by"]) == ("486", "platform")


async def test_a_call_that_the_engine_ends_without_a_reason(agent: StubAgent, bridged: Bridged) -> None:
    bridged.engine.raw(bridged.engine.within(bridged.near.up, "BYE"))
    caller = bridged.near.caller
    caller.answer(await caller.request("BYE"), 200)
    end = await agent.dialog_event("end", bridged.near.call)
    assert (end["cause"], end["by"]) == ("normal", "platform")


async def test_a_call_that_the_engine_ends_for_a_reason_of_ours(agent: StubAgent, bridged: Bridged) -> None:
    reason = 'Reason: SIP;cause=200;text="agent_lost"\r\n'
    bridged.engine.raw(bridged.engine.within(bridged.near.up, "BYE", extra=reason))
    caller = bridged.near.caller
    caller.answer(await caller.request("BYE"), 200)
    end = await agent.dialog_event("end", bridged.near.call)
    assert (end["cause"], end["by"]) == ("agent_lost", "platform")


async def test_a_phones_reason_is_not_believed(agent: StubAgent, bridged: Bridged) -> None:
    caller, engine = bridged.near.caller, bridged.engine
    caller.raw(caller.within(bridged.near.down, "BYE", extra="Reason: SIP;cause=486\r\n"))
    engine.answer(await engine.request("BYE"), 200)
    end = await agent.dialog_event("end", bridged.near.call)
    assert (end["cause"], end["by"]) == ("normal", "caller")


@pytest.mark.parametrize("headers", ["", f"X-Tandem-Leg: {TOKEN}\r\n", "X-Tandem-Account: acc_1\r\n"])
async def test_the_engine_needs_a_token_and_an_account(agent: StubAgent, phones: Phones, headers: str) -> None:
    engine = await phones.engine()
    engine.raw(engine.build("INVITE", "sip:1002@acme.test", extra=headers, body=sdp(4000)))
    assert (await engine.final("INVITE")).status == 403
    assert not agent.questions


async def test_an_account_that_would_break_the_question(agent: StubAgent, phones: Phones) -> None:
    engine = await phones.engine()
    extra = f'X-Tandem-Leg: {TOKEN}\r\nX-Tandem-Account: a","ask":"auth\r\n'
    engine.raw(engine.build("INVITE", "sip:1002@acme.test", extra=extra, body=sdp(4000)))
    assert (await engine.final("INVITE")).status == 403
    assert not agent.questions


async def test_a_leg_names_itself_in_its_events(agent: StubAgent, phones: Phones) -> None:
    engine = await phones.engine(5)
    called = await phones.registered(f"called{secrets.token_hex(3)}")

    def as_leg(question: Message) -> Answer:
        answer = targets(question, called.name)
        return answer and answer | {"call": "leg_1", "account": "acc_7"}

    agent.route = as_leg
    engine.raw(engine.build("INVITE", "sip:leg@acme.test", extra=leg_headers() + SECRET, body=sdp(4000)))
    request = await called.request("INVITE")
    assert not [name for name, _ in request.headers if name.startswith("x-tandem-")]
    [question] = [q for q in agent.questions if q["ask"] == "route"]
    assert (text(question, "leg"), question["account_ours"], question["callid_ours"]) == (TOKEN, "acc_1", "")
    called.answer(request, 180)
    await engine.reply(180)
    called.answer(request, 200, body=sdp(5000))
    reply = await engine.reply(200)
    leg = Call(engine, called, request, reply)
    engine.raw(engine.within(leg.down, "ACK", cseq=1))
    await called.request("ACK")
    engine.raw(engine.within(leg.down, "BYE", extra=SECRET))
    bye = await called.request("BYE")
    assert not bye.all("x-tandem-secret")
    called.answer(bye, 200)
    for state in ("early", "answer", "end"):
        assert (await agent.dialog_event(state, "leg_1"))["account"] == "acc_7"
    end = await agent.dialog_event("end", "leg_1")
    assert (end["cause"], end["by"]) == ("normal", "platform")


async def test_a_leg_that_nobody_takes_is_asked_about_by_its_own_id(agent: StubAgent, phones: Phones) -> None:
    engine = await phones.engine()
    called = await phones.registered(f"called{secrets.token_hex(3)}")
    agent.route = lambda q: targets(q, called.name) if not q["outcome"] else refusal(486, "Busy Here")
    engine.raw(engine.build("INVITE", "sip:leg@acme.test", extra=leg_headers(), body=sdp(4000)))
    called.answer(await called.request("INVITE"), 486)
    assert (await engine.final("INVITE")).status == 486
    again = agent.questions[-1]
    assert (again["outcome"], again["callid_ours"], again["account_ours"]) == (
        "busy",
        "call_" + text(again, "callid"),
        "acc_1",
    )
    assert "leg64" not in again, "a token is for one question"


async def test_a_phone_has_no_use_for_a_token(agent: StubAgent, phones: Phones) -> None:
    caller, called = await phones.pair()
    caller.raw(caller.build("INVITE", f"sip:{called.name}@acme.test", extra=leg_headers(), body=sdp(4000)))
    invite = await called.request("INVITE")
    assert not [name for name, _ in invite.headers if name.startswith("x-tandem-")]
    question = agent.questions[-1]
    assert (question["leg64"], question["account_ours"]) == ("", "")


async def test_a_contact_that_names_the_engine_leads_nowhere(agent: StubAgent, phones: Phones) -> None:
    """Registered, or as the target of a dialog: only a directive leads to the engine."""
    engine = await phones.engine(7)
    caller, thief = await phones.pair()
    assert (await thief.register(contact=f"<sip:{thief.name}@127.0.0.1:{engine.port}>")).status == 200
    caller.raw(caller.build("INVITE", f"sip:{thief.name}@acme.test", body=sdp(4000)))
    invite = await thief.request("INVITE")
    stolen = f"<sip:x@127.0.0.1:{engine.port}>"
    thief.answer(invite, 200, body=sdp(5000), contact=stolen)
    reply = await caller.reply(200)
    call = Call(caller, thief, invite, reply)
    caller.raw(caller.within(call.down, "ACK", cseq=1))
    call.down.target = f"sip:x@127.0.0.1:{engine.port}"
    caller.raw(caller.within(call.down, "INFO"))
    assert (await caller.final("INFO")).status == 403
    assert not engine.seen


async def test_no_seat_goes_back_to_the_brain(agent: StubAgent, phones: Phones) -> None:
    """A directive without any route is how the node-agent says that it has none."""
    caller = await phones.open(f"caller{secrets.token_hex(3)}")

    def no_seat(question: Message) -> Answer:
        return targets(question) if not question["outcome"] else refusal(480, "Temporarily Unavailable")

    agent.route = no_seat
    caller.raw(caller.build("INVITE", "sip:600@acme.test", body=sdp(4000)))
    assert (await caller.final("INVITE")).status == 480
    again = agent.questions[-1]
    assert (again["outcome"], again["callid_ours"]) == ("unreachable", "call_" + text(again, "callid"))


async def test_the_engines_refusal_is_asked_about(agent: StubAgent, phones: Phones) -> None:
    engine = await phones.engine()
    caller = await phones.open(f"caller{secrets.token_hex(3)}")
    agent.route = lambda q: to_engine(q, engine) if not q["outcome"] else refusal(404, "Not Found")
    caller.raw(caller.build("INVITE", "sip:600@acme.test", body=sdp(4000)))
    invite = await engine.request("INVITE")
    engine.answer(invite, 404, extra=SECRET)
    final = await caller.final("INVITE")
    assert (final.status, final.all("x-tandem-secret")) == (404, [])
    assert agent.questions[-1]["outcome"] == "unreachable"
    failed = await agent.dialog_event("failed", "call_" + invite.header("call-id"))
    assert failed["cause"] == "404"


async def test_a_cancelled_call_is_cancelled_at_the_engine(agent: StubAgent, phones: Phones) -> None:
    engine = await phones.engine()
    caller = await phones.open(f"caller{secrets.token_hex(3)}")
    agent.route = lambda q: to_engine(q, engine)
    uri, sender, call_id = "sip:600@acme.test", f"<sip:{caller.name}@acme.test>;tag=e1", f"cancel-{caller.name}"
    branch = f"z9hG4bK{secrets.token_hex(6)}"
    caller.raw(caller.build("INVITE", uri, sender=sender, call_id=call_id, branch=branch, body=sdp(4000)))
    invite = await engine.request("INVITE")
    engine.answer(invite, 180)
    await caller.reply(180)
    caller.raw(caller.build("CANCEL", uri, sender=sender, call_id=call_id, branch=branch, extra=SECRET))
    cancel = await engine.request("CANCEL")
    assert not cancel.all("x-tandem-secret")
    engine.answer(cancel, 200)
    engine.answer(invite, 487, extra=SECRET)
    final = await caller.final("INVITE")
    assert (final.status, final.all("x-tandem-secret")) == (487, [])


@pytest.mark.parametrize("late", [False, True])
async def test_media_is_released_to_the_relays(node: Node, agent: StubAgent, bridged: Bridged, late: bool) -> None:
    """Each party is re-INVITEd to where the other's relay is: then the engine hears nothing, and each the other."""
    near, far, ears, engine = bridged.near, bridged.far, bridged.ears, bridged.engine
    await hears(ears["caller"], media_port(near.reply), ears["near"])
    await hears(ears["called"], media_port(far.invite), ears["far"])
    # where the relay awaits the engine's audio: for the caller, for the party called
    to_caller, to_called = media_port(near.invite), media_port(far.reply)
    await reinvite(engine, near.up, near.caller, offer=sdp(to_called), answer=sdp(port_of(ears["caller"])), late=late)
    await reinvite(engine, far.down, far.callee, offer=sdp(to_caller), answer=sdp(port_of(ears["called"])), late=late)
    await hears(ears["caller"], media_port(near.reply), ears["called"])
    await hears(ears["called"], media_port(far.invite), ears["caller"])
    drain(ears["near"], ears["far"])
    await hears(ears["caller"], media_port(near.reply), ears["called"])
    await hears(ears["called"], media_port(far.invite), ears["caller"])
    assert drain(ears["near"], ears["far"]) == 0
    # hold and resume, then a late offer, of a party: the engine passes them on or answers; the relay takes each
    caller = near.caller
    caller.raw(caller.within(near.down, "INVITE", body=sdp(port_of(ears["caller"]), "sendonly")))
    held = await engine.request("INVITE")
    assert "a=sendonly" in held.body
    engine.answer(held, 200, body=sdp(to_called, "recvonly"))
    assert "a=recvonly" in (await caller.reply(200)).body
    caller.raw(caller.within(near.down, "ACK", cseq=near.down.cseq))
    await engine.request("ACK")
    caller.raw(caller.within(near.down, "INVITE"))
    again = await engine.request("INVITE")
    assert not again.body
    engine.answer(again, 200, body=sdp(to_called))
    await caller.reply(200)
    caller.raw(caller.within(near.down, "ACK", cseq=near.down.cseq, body=sdp(port_of(ears["caller"]))))
    await engine.request("ACK")
    await hears(ears["caller"], media_port(near.reply), ears["called"])
    await hears(ears["called"], media_port(far.invite), ears["caller"])
    # and back
    await reinvite(engine, near.up, caller, offer=sdp(port_of(ears["near"])), answer=sdp(port_of(ears["caller"])))
    await hears(ears["caller"], media_port(near.reply), ears["near"])
    for phone, dialog in ((engine, far.down), (engine, near.up)):
        phone.raw(phone.within(dialog, "BYE"))
    for phone in (far.callee, caller):
        phone.answer(await phone.request("BYE"), 200)
    await until(lambda: not {near.reply.header("call-id"), far.reply.header("call-id")} & set(node.media_sessions()))
    await until(lambda: not {near.reply.header("call-id"), far.reply.header("call-id")} & live_dialogs(node))


@pytest.mark.parametrize("end", ["near", "far"])
async def test_audio_that_is_still_on_its_way_does_not_draw_the_engines_to_where_it_came_from(
    bridged: Bridged, end: str
) -> None:
    """As when a party holds while its audio goes past the engine: the other relay's last packet comes afterwards."""
    ears, near, far = bridged.ears, bridged.near, bridged.far
    if end == "near":
        party, relay, awaits, elsewhere = ears["caller"], media_port(near.reply), media_port(near.invite), ears["far"]
    else:
        party, relay, awaits, elsewhere = ears["called"], media_port(far.invite), media_port(far.reply), ears["near"]
    elsewhere.sendto(rtp(1, b"late"), ("127.0.0.1", awaits))
    async with asyncio.timeout(2):
        assert (await asyncio.get_running_loop().sock_recv(party, 2000)).endswith(b"late")
    await hears(party, relay, ears[end])
    drain(elsewhere)
    await hears(party, relay, ears[end])
    assert drain(elsewhere) == 0


async def test_a_party_that_refuses_the_release_keeps_its_audio(bridged: Bridged) -> None:
    near, ears, engine = bridged.near, bridged.ears, bridged.engine
    engine.raw(engine.within(near.up, "INVITE", body=sdp(media_port(bridged.far.reply))))
    near.caller.answer(await near.caller.request("INVITE"), 488)
    assert (await engine.final("INVITE")).status == 488
    # the engine offers what was before
    await reinvite(engine, near.up, near.caller, offer=sdp(port_of(ears["near"])), answer=sdp(port_of(ears["caller"])))
    await hears(ears["caller"], media_port(near.reply), ears["near"])


async def test_a_party_that_is_silent_to_a_release_keeps_its_call(bridged: Bridged) -> None:
    """The engine hears that its offer was not taken, not that the call is over."""
    near, ears, engine = bridged.near, bridged.ears, bridged.engine
    engine.raw(engine.within(near.up, "INVITE", body=sdp(media_port(bridged.far.reply))))
    await near.caller.request("INVITE")
    # the engine's port may still get what an earlier test left unacknowledged
    call_id = near.reply.header("call-id")
    refused = await engine.wait(lambda m: m.status >= 200 and m.header("call-id") == call_id, 5.0)
    assert refused.status == 488
    await reinvite(engine, near.up, near.caller, offer=sdp(port_of(ears["near"])), answer=sdp(port_of(ears["caller"])))
    await hears(ears["caller"], media_port(near.reply), ears["near"])


async def test_a_released_call_is_listed_with_the_sides_that_are_the_engines(node: Node, bridged: Bridged) -> None:
    """For the node-agent: whose media is worth watching, and what is left of an engine that died."""
    by_call_id = {
        dialog["call-id"]: {key: value for pair in dialog["variables"] for key, value in pair.items()}
        for dialog in node.rpc("dlg.list")
    }
    near, far = (by_call_id[call.reply.header("call-id")] for call in (bridged.near, bridged.far))
    assert (near.get("engine_a"), near.get("engine_b")) == (None, "1")
    assert (far.get("engine_a"), far.get("engine_b")) == ("1", None)


async def reinvite(engine: Phone, dialog: Dialog, party: Phone, *, offer: str, answer: str, late: bool = False) -> Sip:
    """A re-INVITE of the engine's; `late`: without SDP, the engine's description comes in the ACK."""
    engine.raw(engine.within(dialog, "INVITE", body="" if late else offer))
    request = await party.request("INVITE")
    party.answer(request, 200, body=answer)
    reply = await engine.reply(200)
    engine.raw(engine.within(dialog, "ACK", cseq=int(reply.header("cseq").split()[0]), body=offer if late else ""))
    ack = await party.request("ACK")
    assert bool(ack.body) == late
    return request


def rtp(number: int, payload: bytes) -> bytes:
    """A packet of a stream of PCMU (RFC 3550 section 5.1)."""
    return b"\x80\x00" + number.to_bytes(2, "big") + (number * 160).to_bytes(4, "big") + b"\0\0\0\7" + payload


async def hears(mouth: socket.socket, port: int, ear: socket.socket) -> None:
    """Sends RTP to the relay's port until the ear gets a packet of just this mouth."""
    mark = secrets.token_bytes(8) * 20
    loop = asyncio.get_running_loop()
    for number in range(100):
        mouth.sendto(rtp(number, mark), ("127.0.0.1", port))
        try:
            async with asyncio.timeout(0.1):
                while not (await loop.sock_recv(ear, 2000)).endswith(mark):
                    pass
        except TimeoutError:
            continue
        return
    raise AssertionError("nothing came through the relay")


def drain(*ears: socket.socket) -> int:
    """How many packets lay there."""
    count = 0
    for ear in ears:
        while True:
            try:
                ear.recv(2000)
            except BlockingIOError:
                break
            count += 1
    return count
