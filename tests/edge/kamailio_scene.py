"""What the tests of the edge configuration share: answers of the agent, phones, an established call."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from tests.edge.kamailio_node import Node
from tests.edge.kamailio_phone import Message as Sip
from tests.edge.kamailio_phone import Phone, sdp
from tests.edge.kamailio_stub_agent import Answer, Message, text

FLAGS = "replace-origin replace-session-connection RTP/AVP ICE=remove"
OVERRIDES = {
    "kamailio_answer_timeout_ms": 1500,
    "kamailio_fr_timer_ms": 2000,
    "kamailio_min_expires_sec": 2,
    "kamailio_dialog_keepalive_sec": 30,
    "rtpengine_media_timeout_sec": 3,
    "rtpengine_hold_timeout_sec": 60,
}


def user(message: Message, key: str) -> str:
    return text(message, key).partition(":")[2].partition("@")[0]


def save_device(question: Message) -> Answer:
    """`alice` is the device dev_alice; `alice-2` is another phone of the same device."""
    device = "dev_" + user(question, "tou").partition("-")[0]
    return {"do": "save", "aor": f"sip:{device}@acme.test", "account": "acc_1", "device": device}


def targets(question: Message, *names: str, routing: str = "parallel", max_sec: int = 3600, **route: object) -> Answer:
    routes = [
        {"uri": f"sip:dev_{name}@acme.test", "flags": FLAGS, "fr_timer": 2000, "fr_inv_timer": 20000, **route}
        for name in names
    ]
    document = {"success": True, "version": "1.0", "routing": routing, "routes": routes}
    call = "call_" + text(question, "callid")
    return {"do": "route", "call": call, "account": "acc_1", "max": max_sec, "flags": FLAGS, "rtjson": document}


def staggered(question: Message, *names: str, first: int, headers: object = None, ring_ms: int = 20000) -> Answer:
    """All ring one after the other, `first` of them at once; the test says when the others join."""
    answer = targets(question, *names, headers=headers or {})
    assert answer is not None
    return answer | {"first": first, "ends": 1, "wait": 10000, "ring": ring_ms}


def by_user(question: Message) -> Answer:
    if question["outcome"]:
        return refusal(480, "Temporarily Unavailable")
    return targets(question, user(question, "ruri"))


def refusal(code: int, reason: str, headers: str = "") -> Answer:
    return {"do": "reply", "code": code, "reason": reason, "headers": headers}


class Phones:
    """Opens phones and closes all of them at the end of a test."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._open: list[Phone] = []

    async def open(self, name: str, port: int = 0) -> Phone:
        phone = await Phone(name, self._node.sip, port=port).open()
        self._open.append(phone)
        return phone

    async def engine(self, number: int = 0) -> Phone:
        """The media engine: user agents on its ports, of which this is one."""
        return await self.open(f"engine{number}", self._node.settings.media_sip_port + number)

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
