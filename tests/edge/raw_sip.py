"""SIP by hand over UDP, for what a well-behaved user agent would never do: retransmit on purpose, answer with another
algorithm, reuse a nonce or a Call-ID, send garbage. Nothing happens by itself: no timers, no retransmissions.

    with RawPhone("1001", "secret", "acme.tandem.test", ("127.0.0.1", 5060)) as phone:
        assert phone.register().status == 200
        invite = phone.request("INVITE", "sip:1002@acme.tandem.test", body=phone.sdp())
        phone.send(invite)
        phone.send(invite)
        responses = phone.collect(invite, deadline=5)
"""

from __future__ import annotations

import secrets
import select
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from tests.edge.sip_digest import answer
from tests.edge.sip_message import Message, parse, reply

__all__ = ["LOOPBACK", "Message", "RawPhone", "new_branch", "reply"]

LOOPBACK = "127.0.0.1"
DATAGRAM = 65_535


class RawPhone:
    """A UDP socket with an account. `edge` is where everything goes; `port` 0 is any free one."""

    def __init__(
        self, user: str, password: str, domain: str, edge: tuple[str, int], *, host: str = LOOPBACK, port: int = 0
    ) -> None:
        self.user = user
        self.password = password
        self.domain = domain
        self.edge = edge
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.host: str
        self.port: int
        self.host, self.port = self.socket.getsockname()[:2]
        self.source: tuple[str, int] = edge  # where the last message came from

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    @property
    def contact(self) -> str:
        return f"<sip:{self.user}@{self.host}:{self.port}>"

    def sdp(self, *, port: int = 9_000, direction: str = "sendrecv") -> str:
        """One PCMU stream; nothing need listen on the port."""
        lines = ["v=0", f"o=- 1 1 IN IP4 {self.host}", "s=-", f"c=IN IP4 {self.host}", "t=0 0"]
        return "\r\n".join([*lines, f"m=audio {port} RTP/AVP 0", "a=rtpmap:0 PCMU/8000", f"a={direction}", ""])

    # --- building

    def request(
        self,
        method: str,
        uri: str,
        *,
        to: str | None = None,
        call_id: str | None = None,
        from_tag: str | None = None,
        cseq: int = 1,
        branch: str | None = None,
        body: str = "",
        extra: Iterable[tuple[str, str]] = (),
    ) -> Message:
        """A request outside a dialog, with a new transaction and a new Call-ID unless they are given."""
        headers = [
            ("Via", f"SIP/2.0/UDP {self.host}:{self.port};rport;branch={branch or new_branch()}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.user}@{self.domain}>;tag={from_tag or secrets.token_hex(6)}"),
            ("To", to or f"<{uri}>"),
            ("Call-ID", call_id or f"{secrets.token_hex(10)}@raw"),
            ("CSeq", f"{cseq} {method}"),
            ("Contact", self.contact),
            *extra,
        ]
        if body:
            headers.append(("Content-Type", "application/sdp"))
        return Message(f"{method} {uri} SIP/2.0", tuple(headers), body)

    def again(self, request: Message, **changed: str | None) -> Message:
        """The same request as a new transaction: next CSeq, new branch, other header fields as given."""
        return request.with_headers(
            Via=f"SIP/2.0/UDP {self.host}:{self.port};rport;branch={new_branch()}",
            CSeq=f"{request.cseq + 1} {request.method}",
            **changed,
        )

    def authorised(self, request: Message, challenged: Message, algorithm: str = "MD5", **how: Any) -> Message:
        """The request once more with the answer to a challenge; `how` goes to `sip_digest.answer`."""
        challenge = next(one for one in challenged.challenges() if one.algorithm.upper() == algorithm)
        field = "Authorization" if challenged.status == 401 else "Proxy-Authorization"
        value = answer(challenge, self.user, self.password, request.method, request.uri, **how)
        return self.again(request, **{field.replace("-", "_"): value})

    def within(self, method: str, answered: Message, *, cseq: int, body: str = "", callee: bool = False) -> Message:
        """A request inside the dialog that `answered` (a 2xx to INVITE) confirmed; as its callee if told so."""
        routes = answered.all("Record-Route")
        mine, theirs = ("To", "From") if callee else ("From", "To")
        target = answered.get("Contact").partition("<")[2].partition(">")[0]
        request = self.request(method, target, call_id=answered.get("Call-ID"), cseq=cseq, body=body)
        headers = [("Route", route) for route in (routes if callee else reversed(routes))]
        built = request.with_headers(From=answered.get(mine), To=answered.get(theirs))
        return replace(built, headers=(*built.headers, *headers))

    def ack(self, invite: Message, final: Message) -> Message:
        """The ACK: end to end for a 2xx, hop by hop (same branch) for anything else (RFC 3261 section 17.1.1.3)."""
        if final.status < 300:
            return self.within("ACK", final, cseq=invite.cseq)
        ack = replace(invite, start=f"ACK {invite.uri} SIP/2.0", body="")
        return ack.with_headers(To=final.get("To"), CSeq=f"{invite.cseq} ACK", Content_Type=None, Contact=None)

    def cancel(self, invite: Message) -> Message:
        """A CANCEL of the very INVITE (RFC 3261 section 9.1)."""
        cancel = replace(invite, start=f"CANCEL {invite.uri} SIP/2.0", body="")
        return cancel.with_headers(CSeq=f"{invite.cseq} CANCEL", Content_Type=None, Contact=None)

    # --- wire

    def send(self, message: Message | bytes, to: tuple[str, int] | None = None) -> None:
        self.socket.sendto(message if isinstance(message, bytes) else message.encode(), to or self.edge)

    def receive(self, deadline: float, wanted: Callable[[Message], bool] = lambda message: True) -> Message | None:
        """The next message that is wanted (others are dropped), or None after `deadline` seconds."""
        end = time.monotonic() + deadline
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                return None
            data, self.source = self.socket.recvfrom(DATAGRAM)
            if data.strip(b"\r\n\0"):
                message = parse(data)
                if wanted(message):
                    return message
        return None

    def collect(self, request: Message, deadline: float, *, linger: float = 0.0) -> list[Message]:
        """The responses to a request up to its final one and `linger` seconds more, to see retransmissions."""
        found: list[Message] = []
        end = time.monotonic() + deadline
        while response := self.receive(end - time.monotonic(), lambda m: bool(m.status) and m.branch == request.branch):
            found.append(response)
            if response.status >= 200 and not any(one.status >= 200 for one in found[:-1]):
                end = min(end, time.monotonic() + linger)
        return found

    def final(self, request: Message, deadline: float = 5.0) -> Message:
        """Send a request once and return its final response; an INVITE's refusal is acknowledged."""
        self.send(request)
        responses = self.collect(request, deadline)
        assert responses, f"no answer to {request.start} in {deadline:g} s"
        last = responses[-1]
        assert last.status >= 200, f"no final answer to {request.start} in {deadline:g} s, only {last.start}"
        if request.method == "INVITE" and last.status >= 300:
            self.send(self.ack(request, last))
        return last

    def call(
        self, uri: str, *, body: str | None = None, algorithm: str = "MD5", deadline: float = 5.0, **request: Any
    ) -> tuple[Message, Message]:
        """An INVITE, with credentials when asked: the last INVITE and its final response, not acknowledged if 2xx."""
        invite = self.request("INVITE", uri, body=self.sdp() if body is None else body, **request)
        final = self.final(invite, deadline)
        if final.status in (401, 407):
            invite = self.authorised(invite, final, algorithm)
            final = self.final(invite, deadline)
        return invite, final

    def register(
        self, *, expires: int = 600, algorithm: str = "MD5", contact: str | None = None, **how: object
    ) -> Message:
        """A REGISTER and its final response after answering a challenge."""
        address = f"<sip:{self.user}@{self.domain}>"
        extra = [("Expires", str(expires))]
        request = self.request("REGISTER", f"sip:{self.domain}", to=address, extra=extra)
        if contact is not None:
            request = request.with_headers(Contact=contact)
        first = self.final(request)
        if first.status != 401:
            return first
        return self.final(self.authorised(request, first, algorithm, **how))


def new_branch() -> str:
    return f"z9hG4bK{secrets.token_hex(8)}"
