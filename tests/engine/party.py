"""A caller in plain Python, SIP and RTP: many of them fit into one process, and each says when it hears something.

It sends RTP all the time, as a phone does: its voice (silence, unless told), or a digit (RFC 4733). One that suppresses
silence sends digits alone. Only G.711 µ-law.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import struct
import time
from typing import Final, Self

from tests.edge.kamailio_phone import Dialog, Message, Phone, sdp

EVENT_TYPE: Final = 101
PACKET_SEC: Final = 0.02
_SAMPLES: Final = 160
_SILENCE: Final = b"\xff" * _SAMPLES
# µ-law of samples no louder than a few steps: the noise of a codec, no sound.
_QUIET: Final = frozenset((*range(0x70, 0x80), *range(0xF0, 0x100)))
_DIGITS: Final = "0123456789*#ABCD"
_SERIAL: Final = itertools.count(1)


class Party(Phone):
    """`await party.call(seat)`, `party.press("1")`, `await party.hears(since)`, `await party.hang_up()`."""

    def __init__(self, name: str, server: int, *, suppresses_silence: bool = False) -> None:
        super().__init__(name, server)
        self._suppresses_silence = suppresses_silence
        self.dialog: Dialog | None = None
        self.sounds: list[float] = []  # when (monotonic, s) a packet with sound in it came
        self.speech = bytearray()  # the audio of those packets, as it came
        self.voice = _SILENCE  # what it says: 20 ms, over and over
        self._audio = _Audio(self.sounds, self.speech)
        self._sender: asyncio.Task[None] | None = None
        self._digits: list[bytes] = []
        self._stamp = 0  # of the digit being sent: the RTP timestamp of its start

    async def __aenter__(self) -> Self:
        await self.open()
        await self._audio.open(self.host)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        self._audio.close()
        await self.close()

    @property
    def audio_port(self) -> int:
        return self._audio.port

    async def call(self, seat: str, deadline: float = 15.0) -> None:
        """Until the engine has answered."""
        invite = self.build("INVITE", f"sip:600@{seat}", extra=self._route(), body=sdp(self._audio.port))
        self.raw(invite)
        final = await self.final("INVITE", deadline)
        assert final.status == 200, final.start
        self.dialog = self.caller_dialog(final)
        self.raw(self.within(self.dialog, "ACK", cseq=self.dialog.cseq))
        self._speak(final)

    async def offer(self, seat: str, body: str) -> int:
        """The final code of an INVITE with that description; a refusal's ACK is not sent."""
        self.raw(self.build("INVITE", f"sip:600@{seat}", extra=self._route(), body=body))
        return (await self.final("INVITE")).status

    def press(self, digit: str) -> float:
        """When (monotonic, s) its first packet is sent, at the latest."""
        self._digits.extend(_event_payloads(digit))
        return time.monotonic() + PACKET_SEC

    async def inform(self, content_type: str, body: str) -> int:
        """An INFO: the code of its answer."""
        assert self.dialog is not None
        head = f"Content-Type: {content_type}\r\n" if content_type else ""
        request = self.within(self.dialog, "INFO", extra=head)
        self.raw(request.replace("Content-Length: 0\r\n\r\n", f"Content-Length: {len(body)}\r\n\r\n{body}"))
        return (await self.final("INFO")).status

    async def hears(self, since: float, deadline: float = 5.0) -> float:
        """When the first sound after that moment came."""
        end = time.monotonic() + deadline
        while True:
            found = next((at for at in self.sounds if at > since), None)
            if found is not None:
                return found
            assert time.monotonic() < end, f"{self.name} hears nothing"
            await asyncio.sleep(PACKET_SEC / 4)

    async def hang_up(self) -> None:
        assert self.dialog is not None
        self.raw(self.within(self.dialog, "BYE"))
        await self.final("BYE")

    def _route(self) -> str:
        return f"Route: <sip:{self.host}:{self.server};lr>\r\n"

    def _speak(self, answered: Message) -> None:
        self._sender = asyncio.create_task(self._send(_address(answered)))

    async def _send(self, to: tuple[str, int]) -> None:
        source, started = next(_SERIAL), time.monotonic()
        for number in itertools.count():
            stamp = number * _SAMPLES
            if self._digits:
                payload, kind, stamp = self._digits.pop(0), EVENT_TYPE, self._stamp
            else:
                payload, kind, self._stamp = self.voice, 0, stamp + _SAMPLES
            if kind == EVENT_TYPE or not self._suppresses_silence:
                head = struct.pack("!BBHII", 0x80, kind, number & 0xFFFF, stamp & 0xFFFFFFFF, source)
                self._audio.send(head + payload, to)
            await asyncio.sleep(max(0.0, started + (number + 1) * PACKET_SEC - time.monotonic()))


class _Audio(asyncio.DatagramProtocol):
    def __init__(self, sounds: list[float], speech: bytearray) -> None:
        self._sounds = sounds
        self._speech = speech
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    async def open(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, 0))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data[1] & 0x7F == 0 and not _QUIET.issuperset(data[12:]):
            self._sounds.append(time.monotonic())
            self._speech += data[12:]

    def error_received(self, exc: Exception) -> None:
        """The other end is gone already."""

    def send(self, packet: bytes, to: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(packet, to)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _event_payloads(digit: str) -> list[bytes]:
    """100 ms of a telephone-event, its end told three times (RFC 4733 section 2.5.1.4)."""
    number = _DIGITS.index(digit)
    going = [struct.pack("!BBH", number, 10, _SAMPLES * step) for step in range(1, 5)]
    return going + [struct.pack("!BBH", number, 0x80 | 10, _SAMPLES * 5)] * 3


def _address(message: Message) -> tuple[str, int]:
    found = re.search(r"c=IN IP4 (\S+)", message.body), re.search(r"m=audio (\d+)", message.body)
    assert found[0], message.body
    assert found[1], message.body
    return found[0][1], int(found[1][1])
