"""Netstring framing of the evapi connection: `<length>:<payload>,` (https://cr.yp.to/proto/netstrings.txt).

Kamailio's own reader (evapi_dispatch.c, 5.6) shapes what the agent may send: it reads into a buffer of 32 767 bytes,
takes a longer frame for the end of the connection, and loses its place when a read ends between the digits of a length.
It skips white space between frames. So a frame is bounded and padded with spaces to a multiple of 1 024 bytes: a full
buffer that starts at a frame ends at byte 1 023 of such a block, never in a length.
"""

from __future__ import annotations

from typing import Final

MAX_INCOMING: Final = 256 * 1024
MAX_OUTGOING: Final = 31 * 1024
_BLOCK: Final = 1024
_MAX_DIGITS: Final = 7
_COLON: Final = 0x3A
_COMMA: Final = 0x2C
_SPACE: Final = b" \t\r\n"


class FramingError(ValueError):
    """The stream is not netstrings (any more): the connection is of no use."""


class TooLargeError(ValueError):
    """The payload would not fit into Kamailio's buffer."""


def encode(payload: bytes) -> bytes:
    """One padded frame. Raises `TooLargeError`."""
    if len(payload) > MAX_OUTGOING - _MAX_DIGITS - 2:
        raise TooLargeError(f"{len(payload)} bytes do not fit into one frame")
    frame = b"%d:%b," % (len(payload), payload)
    return frame.ljust(-(-len(frame) // _BLOCK) * _BLOCK)


class Decoder:
    """Cuts a byte stream into payloads, however the stream is split."""

    def __init__(self, max_payload: int = MAX_INCOMING) -> None:
        self._buffer = bytearray()
        self._max = max_payload

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes. Raises `FramingError`."""
        buffer = self._buffer
        buffer += data
        payloads: list[bytes] = []
        start = 0
        while True:
            while start < len(buffer) and buffer[start] in _SPACE:
                start += 1
            colon = buffer.find(_COLON, start, start + _MAX_DIGITS + 1)
            if colon < 0:
                self._check_digits(buffer[start : start + _MAX_DIGITS + 1])
                break
            length = self._length(buffer[start:colon])
            end = colon + 1 + length
            if len(buffer) <= end:
                break
            if buffer[end] != _COMMA:
                raise FramingError("a frame does not end in a comma")
            payloads.append(bytes(buffer[colon + 1 : end]))
            start = end + 1
        del buffer[:start]
        return payloads

    def _length(self, digits: bytearray) -> int:
        if not digits.isdigit():
            raise FramingError("a frame does not start with its length")
        length = int(digits)
        if length > self._max:
            raise FramingError(f"a frame of {length} bytes is beyond the limit of {self._max}")
        return length

    def _check_digits(self, seen: bytearray) -> None:
        if len(seen) > _MAX_DIGITS or (seen and not seen.isdigit()):
            raise FramingError("a frame does not start with its length")
