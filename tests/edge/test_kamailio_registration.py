"""Registration, phones behind NAT and over TCP, bad input."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

import pytest

from tandem.contracts.auth import DEFAULT_EXPIRES_SEC, LONGEST_EXPIRES_SEC
from tests.edge.kamailio_node import Node
from tests.edge.kamailio_phone import Message as Sip
from tests.edge.kamailio_phone import Phone, parse, sdp
from tests.edge.kamailio_scene import (
    Call,
    Phones,
    refusal,
    save_device,
)
from tests.edge.kamailio_stub_agent import Message, StubAgent, text

MOST_CONTACTS = 10


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


@pytest.mark.parametrize(("asked", "granted"), [("", DEFAULT_EXPIRES_SEC), ("86400", LONGEST_EXPIRES_SEC)])
async def test_the_registrar_grants_what_the_brain_reckons_with(
    agent: StubAgent, phones: Phones, asked: str, granted: int
) -> None:
    phone = await phones.open(f"granted{asked}")
    extra = f"Expires: {asked}\r\n" if asked else ""
    phone.raw(phone.build("REGISTER", "sip:acme.test", to=f"<sip:{phone.name}@acme.test>", extra=extra))
    assert f"expires={granted}" in (await phone.final("REGISTER")).header("contact")
    event = await agent.event(_registered(phone, "added"))
    assert abs(event["expires"] - time.time() - granted) < 3


async def test_a_refused_registration_is_told_as_what_is_left(agent: StubAgent, phones: Phones) -> None:
    """By then the brain takes the contact for registered (or for gone), since it let the phone in."""
    phone = await phones.open("brief")
    reply = await phone.register(expires=1)
    assert reply.status == 423
    assert reply.header("min-expires") == "2"
    removed = await agent.event(_registered(phone, "removed"))
    assert text(removed, "contact") == phone.contact
    assert (await phone.register(expires=60)).status == 200
    assert (await phone.register(expires=1)).status == 423
    kept = await agent.event(_registered(phone, "refreshed"))
    assert (text(kept, "contact"), kept["account"]) == (phone.contact, "acc_1")
    assert abs(kept["expires"] - time.time() - 60) < 3


async def test_one_contact_too_many_is_told_as_gone(agent: StubAgent, phones: Phones) -> None:
    phone = await phones.open("many")
    for number in range(MOST_CONTACTS):
        assert (await phone.register(contact=f"<sip:many@127.0.0.1:{6000 + number}>")).status == 200
    assert (await phone.register(contact="<sip:many@127.0.0.1:7000>")).status == 503
    removed = await agent.event(_registered(phone, "removed"))
    assert text(removed, "contact") == "sip:many@127.0.0.1:7000"
    assert (await phone.register(contact="*", expires=60)).status == 400
    for number in range(MOST_CONTACTS):
        contact = f"sip:many@127.0.0.1:{6000 + number}"
        await agent.event(lambda e, it=contact: _registered(phone, "refreshed")(e) and text(e, "contact") == it)  # type: ignore[misc]  # mypy cannot infer a lambda's default


async def test_a_contact_without_brackets_is_spelt_without_its_parameters(agent: StubAgent, phones: Phones) -> None:
    phone = await phones.open("plain")
    assert (await phone.register(contact=f"{phone.contact};expires=60")).status == 200
    assert text(await agent.event(_registered(phone, "added")), "contact") == phone.contact
    assert (await phone.register(contact=f"{phone.contact};expires=0")).status == 200
    assert text(await agent.event(_registered(phone, "removed")), "contact") == phone.contact


def _registered(phone: Phone, state: str) -> Callable[[Message], bool]:
    return lambda e: e["kind"] == "register" and e["device"] == f"dev_{phone.name}" and e["state"] == state


async def test_a_contact_that_runs_out_is_reported(agent: StubAgent, phones: Phones) -> None:
    phone = await phones.open("soon")
    assert (await phone.register(expires=2)).status == 200
    event = await agent.event(lambda e: e["kind"] == "register" and e["state"] == "expired", deadline=8)
    assert (event["device"], text(event, "contact")) == ("dev_soon", phone.contact)


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
