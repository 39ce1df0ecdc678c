"""SIP messages as text (RFC 3261), for tests: read, changed and written without any opinion on what is right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tests.edge.sip_digest import Challenge, parse_challenge

_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
}


@dataclass(frozen=True)
class Message:
    """A SIP request or response: its first line, header fields in order, body."""

    start: str
    headers: tuple[tuple[str, str], ...]
    body: str = ""

    @property
    def status(self) -> int:
        """The code of a response, 0 for a request."""
        words = self.start.split(" ", 2)
        return int(words[1]) if words[0] == "SIP/2.0" else 0

    @property
    def method(self) -> str:
        """The method of a request; of a response, that of its CSeq."""
        return self.all("CSeq")[0].split()[1] if self.status else self.start.split(" ", 1)[0]

    @property
    def uri(self) -> str:
        return self.start.split(" ")[1]

    @property
    def cseq(self) -> int:
        return int(self.get("CSeq").split()[0])

    @property
    def branch(self) -> str:
        """The branch of the topmost Via."""
        return self.get("Via").partition("branch=")[2].partition(";")[0]

    def all(self, name: str) -> list[str]:
        """The values of every header field of that name, top down."""
        wanted = name.lower()
        return [value for key, value in self.headers if _COMPACT.get(key.lower(), key.lower()) == wanted]

    def get(self, name: str) -> str:
        """The first value of a header field, "" when it is absent."""
        return next(iter(self.all(name)), "")

    def tag(self, name: str) -> str:
        """The tag of `From` or `To`, "" when there is none."""
        return self.get(name).rpartition(">")[2].partition("tag=")[2].partition(";")[0]

    def with_headers(self, **changed: str | None) -> Message:
        """A copy with header fields replaced, added at the end, or (None) removed; `Call_ID` means Call-ID."""
        result = list(self.headers)
        for key, value in changed.items():
            name = key.replace("_", "-")
            places = [index for index, (one, _) in enumerate(result) if one.lower() == name.lower()]
            if value is not None and places:
                result[places[0]] = (name, value)
                places = places[1:]
            elif value is not None:
                result.append((name, value))
            result = [pair for index, pair in enumerate(result) if index not in places]
        return replace(self, headers=tuple(result))

    def encode(self) -> bytes:
        body = self.body.encode()
        lines = [self.start, *(f"{name}: {value}" for name, value in self.headers), f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def challenges(self) -> list[Challenge]:
        """What a 401 or 407 asks for, in the order of the server's preference."""
        return [
            parse_challenge(value) for name in ("WWW-Authenticate", "Proxy-Authenticate") for value in self.all(name)
        ]


def parse(data: bytes) -> Message:
    """A datagram as a message. Raises `ValueError` when it is none."""
    head, separator, body = data.decode(errors="replace").partition("\r\n\r\n")
    start, *lines = head.split("\r\n")
    if not separator or "SIP/2.0" not in start:
        raise ValueError(f"not SIP: {data[:80]!r}")
    pairs = [line.partition(":") for line in lines]
    headers = tuple(
        (name.strip(), value.strip()) for name, _, value in pairs if name.lower() not in ("content-length", "l")
    )
    return Message(start, headers, body)


def reply(
    request: Message, code: int, reason: str, *, to_tag: str = "", body: str = "", extra: Iterable[tuple[str, str]] = ()
) -> Message:
    """A response to a request (RFC 3261 section 8.2.6): its Vias, Record-Routes and identity."""
    to = request.get("To") + (f";tag={to_tag}" if to_tag and not request.tag("To") else "")
    headers = [("Via", value) for value in request.all("Via")]
    headers += [("Record-Route", value) for value in request.all("Record-Route")]
    headers += [("From", request.get("From")), ("To", to)]
    headers += [("Call-ID", request.get("Call-ID")), ("CSeq", request.get("CSeq")), *extra]
    if body:
        headers.append(("Content-Type", "application/sdp"))
    return Message(f"SIP/2.0 {code} {reason}", tuple(headers), body)
