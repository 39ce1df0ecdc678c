"""What a test of an engine has before it: what the engine tells, phones, and what they say to each other."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from edge_node.agent.media_engine.base import MediaEngine, Order, Release
from edge_node.local import audio
from edge_node.local.phone import Phone
from tests.e2e.phones import Phones
from tests.edge.sipp import free_port
from tests.engine.party import Party
from tests.engine.relay import Relay

T = TypeVar("T")

DOMAIN = "acme.tandem.test"
DEADLINE = 15.0
HEADER = "x-tandem-call"


@dataclass
class Told:
    """A sink that remembers; each entry with its moment (monotonic, s)."""

    arrivals: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    digits: list[tuple[float, str, str]] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=dict)
    paths: dict[str, list[bool]] = field(default_factory=dict)
    listener: Callable[[str, str], None] | None = None

    def arrived(self, channel: str, headers: dict[str, str]) -> None:
        self.arrivals.append((channel, headers))

    def digit(self, channel: str, digit: str) -> None:
        self.digits.append((time.monotonic(), channel, digit))
        if self.listener is not None:
            self.listener(channel, digit)

    def ended(self, channel: str, cause: str) -> None:
        assert channel not in self.ends, "an end is told once"
        self.ends[channel] = cause

    def in_path(self, channel: str, in_path: bool) -> None:
        self.paths.setdefault(channel, []).append(in_path)

    def typed(self, channel: str) -> str:
        return "".join(digit for _, name, digit in self.digits if name == channel)

    def passes(self, channel: str) -> bool:
        """Its audio passes the engine."""
        return self.paths.get(channel, [False])[-1]


@dataclass
class Scene:
    """An engine behind its relay. `rtp` are the ports of its audio, and of nobody else's."""

    engine: MediaEngine
    told: Told
    relay: Relay
    folder: Path
    rtp: range
    phones: Phones
    recordings: Iterator[int] = field(default_factory=itertools.count)

    def tone(self, hz: int, seconds: float = 1.0) -> Path:
        path = self.folder / f"{hz}-{seconds}.wav"
        if not path.exists():
            audio.write_tone(path, hz, seconds=seconds)
        return path

    async def phone(self, user: str) -> Phone:
        return await asyncio.to_thread(self.phones.open, user, "secret", DOMAIN, registered=False, port=free_port())

    async def seat(self) -> str:
        await until(lambda: self.engine.up, "the engine is not up")
        seat = self.engine.seat()
        assert seat is not None
        return seat

    async def arrive(self, phone: Phone, *, late_offer: bool = False) -> str:
        """The phone calls the engine: the channel, not answered yet."""
        before = len(self.told.arrivals)
        await asyncio.to_thread(phone.call, f"sip:600@{await self.seat()}", late_offer=late_offer)
        await until(lambda: len(self.told.arrivals) > before, "no call arrived")
        return self.told.arrivals[-1][0]

    async def caller(self, user: str = "1001", *, late_offer: bool = False) -> tuple[Phone, str]:
        """A phone whose call the engine has answered."""
        phone = await self.phone(user)
        channel = await self.arrive(phone, late_offer=late_offer)
        await self.engine.answer(channel)
        await asyncio.to_thread(phone.wait_for, "media_active", DEADLINE)
        return phone, channel

    async def talk(self, caller: str = "1001", called: str = "1002") -> tuple[Phone, Phone, str, str]:
        """Two phones that the engine has connected, and their channels."""
        alice, near = await self.caller(caller)
        bob = await self.phone(called)
        await asyncio.to_thread(bob.auto_answer)
        far = await ends(self.engine.originate(near, self.order(bob, user=called)))
        await self.engine.bridge(near, far)
        return alice, bob, near, far

    async def released(self) -> tuple[Phone, Phone, str, str]:
        """As above, and their audio goes past the engine."""
        talking = await self.talk()
        assert await ends(self.engine.release(*talking[2:])) is Release.RELEASED
        return talking

    def hears(self, phone: Phone, hz: int, seconds: float = 0.5) -> None:
        """Fail unless the phone hears the tone for so long without a gap."""
        path = self.recording()
        phone.record(path)
        end = time.monotonic() + DEADLINE
        while not audio.heard(path, hz).lasted(seconds):
            assert time.monotonic() < end, f"{phone} does not hear {hz} Hz"
            time.sleep(0.05)
        phone.stop_recording()

    def recording(self) -> Path:
        return self.folder / f"heard-{next(self.recordings)}.wav"

    @staticmethod
    def loud(path: Path) -> float:
        """Seconds with any sound in them: ringing is two tones, neither of which has most of the power."""
        return sum(abs(sample) > 300 for sample in audio.read(path).samples) / audio.RATE

    async def answered(self, party: Party) -> str:
        """The channel of a party that calls, and is answered."""
        return (await self.all_answered([party]))[0]

    async def all_answered(self, parties: Sequence[Party]) -> list[str]:
        """The channels of parties that call at once, and are answered as they come."""
        known = len(self.told.arrivals)
        seats = [await self.seat() for _ in parties]
        calls = [asyncio.create_task(party.call(seat)) for party, seat in zip(parties, seats, strict=True)]
        await until(lambda: len(self.told.arrivals) == known + len(parties), "a call did not arrive")
        channels = [channel for channel, _ in self.told.arrivals[known:]]
        for channel in channels:
            await self.engine.answer(channel)
        await ends(asyncio.gather(*calls))
        return channels

    def order(self, phone: Phone | int, *, timeout_sec: int = 20, early: bool = True, user: str = "1002") -> Order:
        """A leg to a phone that has an address, or to a port."""
        port = phone if isinstance(phone, int) else phone.config.port
        headers = (("X-Tandem-Leg", "leg.1.token"), ("X-Tandem-Account", "acc_1"))
        return Order(f"sip:{user}@127.0.0.1:{port}", headers, timeout_sec, early)


async def until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} (waited {seconds:g} s)"
        await asyncio.sleep(0.01)


async def ends(work: Awaitable[T], seconds: float = DEADLINE) -> T:
    """The result of what must be over by then."""
    async with asyncio.timeout(seconds):
        return await work
