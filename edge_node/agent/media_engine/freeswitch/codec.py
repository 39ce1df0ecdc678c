"""The event socket's framing, without I/O: blocks of header lines, each with a body of Content-Length bytes or none.

What is told from the outside (a caller's name, a header) reaches us as header values: those of events and of the
`connect` reply are percent-encoded, those of other replies are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

MAX_HEADERS: Final = 256 * 1024
MAX_BODY: Final = 4 * 1024 * 1024

REPLY: Final = "command/reply"
API_REPLY: Final = "api/response"
EVENT: Final = "text/event-plain"
AUTH: Final = "auth/request"
NOTICE: Final = "text/disconnect-notice"
REJECTION: Final = "text/rude-rejection"


class FramingError(Exception):
    """The stream is not what an event socket sends; the connection is of no more use."""


@dataclass(frozen=True, slots=True)
class Headers:
    """Header lines by name, as they came."""

    raw: dict[str, str]

    def get(self, name: str, default: str = "") -> str:
        """The value, decoded. A percent sign that was stored is not told from one that encodes: see `Session.read`."""
        value = self.raw.get(name)
        if value is None:
            return default
        return unquote(value, errors="replace") if "%" in value else value


@dataclass(frozen=True, slots=True)
class Message:
    """One block from the switch."""

    headers: Headers
    body: bytes

    @property
    def kind(self) -> str:
        return self.headers.raw.get("Content-Type", "")

    @property
    def text(self) -> str:
        """What the switch answered, raw: the body of an api response, the Reply-Text of any other reply."""
        if self.kind == API_REPLY:
            return self.body.decode(errors="replace")
        return self.headers.raw.get("Reply-Text", "")


@dataclass(frozen=True, slots=True)
class Event:
    """The inside of an event message, which has a body of its own only for a background job's result."""

    headers: Headers
    body: str

    @property
    def name(self) -> str:
        return self.headers.raw.get("Event-Name", "")

    @property
    def channel(self) -> str:
        return self.headers.raw.get("Unique-ID", "")

    def get(self, name: str, default: str = "") -> str:
        return self.headers.get(name, default)


def parse_headers(block: bytes) -> Headers:
    """Lines of `Name: value`. The first of two of one name holds. Raises `FramingError`."""
    raw: dict[str, str] = {}
    for line in block.decode(errors="replace").split("\n"):
        if not line:
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise FramingError("a header line without a colon")
        raw.setdefault(name, value.strip())
    return Headers(raw)


def parse_event(body: bytes) -> Event:
    """Raises `FramingError`."""
    block, _, inside = body.partition(b"\n\n")
    return Event(parse_headers(block), inside.decode(errors="replace"))


class Decoder:
    """Takes bytes as they come and gives the messages that are whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._headers: Headers | None = None
        self._length = 0

    def feed(self, data: bytes) -> list[Message]:
        """Raises `FramingError`."""
        self._buffer += data
        found = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> Message | None:
        if self._headers is None and not self._read_headers():
            return None
        if self._headers is None or len(self._buffer) < self._length:
            return None
        message = Message(self._headers, bytes(self._buffer[: self._length]))
        del self._buffer[: self._length]
        self._headers = None
        return message

    def _read_headers(self) -> bool:
        while self._buffer.startswith(b"\n"):
            del self._buffer[:1]
        end = self._buffer.find(b"\n\n")
        if end < 0 or end > MAX_HEADERS:
            if len(self._buffer) > MAX_HEADERS:
                raise FramingError("a block of headers without an end")
            return False
        self._headers = parse_headers(bytes(self._buffer[:end]))
        del self._buffer[: end + 2]
        length = self._headers.raw.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            raise FramingError("a content length out of range")
        self._length = int(length)
        return True


def encode(command: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """A command with its header lines. Raises `ValueError` for a text that would end its line."""
    lines = [command, *(f"{name}: {value}" for name, value in headers)]
    if any(character in line for line in lines for character in "\r\n\0"):
        raise ValueError("a command of the event socket has a line break in it")
    return "\n".join([*lines, "", ""]).encode()
