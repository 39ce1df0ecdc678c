"""A SIP user agent over UDP that says exactly what a test wants: no timers, no retransmissions of its own."""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

_COUNTER = itertools.count(1)


@dataclass(frozen=True)
class Message:
    """A SIP message as it came; header names in lower case, values in order."""

    start: str
    headers: list[tuple[str, str]]
    body: str

    @property
    def status(self) -> int:
        return int(self.start.split(" ")[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        return self.header("cseq").split(" ")[1] if self.status else self.start.split(" ")[0]

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def to_tag(self) -> str:
        found = re.search(r";tag=([^;>\s]+)", self.header("to"))
        return found[1] if found else ""


def parse(data: bytes) -> Message:
    head, _, body = data.decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    headers = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
    return Message(lines[0], headers, body)


def sdp(port: int, attribute: str = "sendrecv") -> str:
    return (
        f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
        f"a=rtpmap:101 telephone-event/8000\r\na={attribute}\r\n"
    )


def media_port(message: Message) -> int:
    found = re.search(r"m=audio (\d+)", message.body)
    assert found, message.body
    return int(found[1])


@dataclass
class Dialog:
    """One side's view: what its own requests inside the dialog need."""

    call_id: str
    local: str
    remote: str
    target: str
    routes: list[str] = field(default_factory=list)
    cseq: int = 1


class Phone(asyncio.DatagramProtocol):
    """`server` is the proxy's port on loopback."""

    def __init__(
        self, name: str, server: int, domain: str = "acme.test", host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.name = name
        self.server = server
        self.domain = domain
        self.host = host
        self.port = port
        self.seen: list[Message] = []
        self._news = asyncio.Condition()
        self._closed = asyncio.Event()
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> Phone:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, self.port))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()

    def connection_lost(self, _error: Exception | None) -> None:
        self._closed.set()

    def datagram_received(self, data: bytes, _addr: tuple[str, int]) -> None:
        if len(data) < 10:
            return
        self.seen.append(parse(data))
        task = asyncio.ensure_future(self._announce())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _announce(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def wait(self, match: Callable[[Message], bool], deadline: float | None = 5.0) -> Message:
        """The first message that matches, taken out of `seen`; for ever without a deadline. Raises `TimeoutError`."""
        async with asyncio.timeout(deadline), self._news:
            while True:
                for index, message in enumerate(self.seen):
                    if match(message):
                        return self.seen.pop(index)
                await self._news.wait()

    async def request(self, method: str, deadline: float = 5.0) -> Message:
        return await self.wait(lambda m: m.status == 0 and m.method == method, deadline)

    async def final(self, method: str, deadline: float = 5.0) -> Message:
        return await self.wait(lambda m: m.status >= 200 and m.method == method, deadline)

    async def reply(self, status: int, method: str = "INVITE", deadline: float = 5.0) -> Message:
        return await self.wait(lambda m: m.status == status and m.method == method, deadline)

    def raw(self, data: bytes | str) -> None:
        assert self._transport is not None
        self._transport.sendto(data.encode() if isinstance(data, str) else data, ("127.0.0.1", self.server))

    @property
    def contact(self) -> str:
        return f"sip:{self.name}@{self.host}:{self.port}"

    def build(
        self,
        method: str,
        uri: str,
        *,
        to: str = "",
        sender: str = "",
        call_id: str = "",
        cseq: int = 1,
        extra: str = "",
        body: str = "",
        branch: str = "",
        contact: str | None = None,
    ) -> str:
        sender = sender or f"<sip:{self.name}@{self.domain}>;tag={secrets.token_hex(4)}"
        branch = branch or f"z9hG4bK{next(_COUNTER)}{secrets.token_hex(6)}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host}:{self.port};branch={branch};rport",
            "Max-Forwards: 70",
            f"From: {sender}",
            f"To: {to or '<' + uri + '>'}",
            f"Call-ID: {call_id or secrets.token_hex(8)}",
            f"CSeq: {cseq} {method}",
            f"Contact: {contact or '<' + self.contact + '>'}",
        ]
        if body:
            lines.append("Content-Type: application/sdp")
        head = "\r\n".join(lines) + "\r\n" + extra
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}"

    def answer(
        self,
        request: Message,
        status: int,
        reason: str = "",
        *,
        tag: str = "",
        body: str = "",
        extra: str = "",
        contact: str = "",
    ) -> None:
        """Replies to a request; the To tag stays the same for one Call-ID unless one is given."""
        to = request.header("to")
        if ";tag=" not in to and status > 100:
            to += f";tag={tag or 'callee' + self.name}"
        lines = [f"SIP/2.0 {status} {reason or 'Reply'}"]
        lines += [f"Via: {value}" for value in request.all("via")]
        lines += [f"Record-Route: {value}" for value in request.all("record-route")]
        lines += [f"From: {request.header('from')}", f"To: {to}", f"Call-ID: {request.header('call-id')}"]
        lines += [f"CSeq: {request.header('cseq')}", f"Contact: {contact or '<' + self.contact + '>'}"]
        if body:
            lines.append("Content-Type: application/sdp")
        head = "\r\n".join(lines) + "\r\n" + extra
        self.raw(f"{head}Content-Length: {len(body)}\r\n\r\n{body}")

    def within(self, dialog: Dialog, method: str, *, body: str = "", cseq: int | None = None, extra: str = "") -> str:
        """A request inside the dialog, along its route set. An ACK gives the CSeq of its INVITE."""
        if cseq is None:
            dialog.cseq += 1
            cseq = dialog.cseq
        routes = "".join(f"Route: {route}\r\n" for route in dialog.routes)
        return self.build(
            method,
            dialog.target,
            to=dialog.remote,
            sender=dialog.local,
            call_id=dialog.call_id,
            cseq=cseq,
            extra=routes + extra,
            body=body,
        )

    def caller_dialog(self, reply: Message) -> Dialog:
        return Dialog(
            call_id=reply.header("call-id"),
            local=reply.header("from"),
            remote=reply.header("to"),
            target=_uri(reply.header("contact")),
            routes=list(reversed(reply.all("record-route"))),
            cseq=int(reply.header("cseq").split(" ")[0]),
        )

    def callee_dialog(self, invite: Message, tag: str = "") -> Dialog:
        return Dialog(
            call_id=invite.header("call-id"),
            local=f"{invite.header('to')};tag={tag or 'callee' + self.name}",
            remote=invite.header("from"),
            target=_uri(invite.header("contact")),
            routes=invite.all("record-route"),
            cseq=100,
        )

    async def register(self, expires: int = 300, contact: str | None = None) -> Message:
        uri = f"sip:{self.domain}"
        extra = f"Expires: {expires}\r\nUser-Agent: test phone\r\n"
        self.raw(self.build("REGISTER", uri, to=f"<sip:{self.name}@{self.domain}>", extra=extra, contact=contact))
        return await self.final("REGISTER")


def _uri(header: str) -> str:
    found = re.search(r"<([^>]+)>", header)
    return found[1] if found else header
