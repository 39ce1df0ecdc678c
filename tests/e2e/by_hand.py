"""Calls by hand: each step of a phone is one line of a test."""

from __future__ import annotations

from edge_node.local.settings import LOOPBACK
from tests.e2e.installation import Installation
from tests.edge.raw_sip import Message, RawPhone, reply

RINGS_SEC = 5.0
QUIET_SEC = 0.7


def changed(tandem: Installation, extension: str, **columns: str | int | None) -> None:
    names = ", ".join(f"{name} = ?" for name in columns)
    tandem.sql(f"UPDATE sip_user SET {names} WHERE id = ?", *columns.values(), tandem.user(extension)["id"])


def dial(caller: RawPhone, number: str) -> Message:
    """The INVITE that is under way, its challenge answered."""
    invite = caller.request("INVITE", f"sip:{number}@{caller.domain}", body=caller.sdp())
    invite = caller.authorised(invite, caller.final(invite))
    caller.send(invite)
    return invite


def rings(phone: RawPhone, seconds: float = RINGS_SEC) -> Message:
    invite = phone.receive(seconds, lambda message: message.start.startswith("INVITE"))
    assert invite is not None, f"{phone.user} does not ring"
    phone.send(reply(invite, 180, "Ringing", to_tag="callee"), phone.source)
    return invite


def is_refused(caller: RawPhone, invite: Message, seconds: float = RINGS_SEC) -> Message:
    """The final answer to the INVITE that is under way."""
    final = caller.receive(seconds, lambda message: message.status >= 300 and message.branch == invite.branch)
    assert final is not None, f"{caller.user} is not refused"
    caller.send(caller.ack(invite, final))
    return final


def is_quiet(phone: RawPhone, seconds: float = QUIET_SEC) -> None:
    assert phone.receive(seconds, lambda message: message.start.startswith("INVITE")) is None


def refuses(phone: RawPhone, invite: Message, code: int = 486) -> None:
    phone.send(reply(invite, code, "No", to_tag="callee"), phone.source)


def is_cancelled(phone: RawPhone, invite: Message, seconds: float = RINGS_SEC) -> None:
    cancel = phone.receive(seconds, lambda message: message.start.startswith("CANCEL"))
    assert cancel is not None, f"{phone.user} goes on ringing"
    phone.send(reply(cancel, 200, "OK"), phone.source)
    phone.send(reply(invite, 487, "Request Terminated", to_tag="callee"), phone.source)


def hangs_up(caller: RawPhone, invite: Message, *ringing: tuple[RawPhone, Message]) -> None:
    caller.send(caller.cancel(invite))
    for phone, arrived in ringing:
        is_cancelled(phone, arrived)
    final = caller.receive(RINGS_SEC, lambda message: message.status == 487)
    assert final is not None
    caller.send(caller.ack(invite, final))


def carrier(tandem: Installation) -> RawPhone:
    """The demo carrier with a caller from outside."""
    trunk, edge = tandem.demo["trunk"], (LOOPBACK, tandem.settings.sip_port)
    return RawPhone("12025550199", "", "carrier.example", edge, host=trunk["source_ip"])


def from_carrier(caller: RawPhone, e164: str, **extra: str) -> Message:
    """The INVITE that is under way."""
    headers = [(name.replace("_", "-"), value) for name, value in extra.items()]
    invite = caller.request("INVITE", f"sip:+{e164}@{LOOPBACK}", body=caller.sdp(), extra=headers)
    caller.send(invite)
    return invite
