"""The driver against a double of the switch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import Order
from edge_node.agent.media_engine.freeswitch import FreeSwitchEngine
from edge_node.local import audio
from tests.unit.agent.stubs import eventually
from tests.unit.freeswitch.channel import Channel
from tests.unit.freeswitch.double import Double, FarEnd

HEADERS = {"X-Tandem-Call": "call_1", "X-Tandem-Account": "acc_1"}


@dataclass
class Told:
    """A sink that remembers, in order."""

    log: list[tuple[str, str, object]] = field(default_factory=list)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)

    def arrived(self, channel: str, headers: dict[str, str]) -> None:
        self.headers[channel] = headers
        self.log.append(("arrived", channel, None))

    def digit(self, channel: str, digit: str) -> None:
        self.log.append(("digit", channel, digit))

    def ended(self, channel: str, cause: str) -> None:
        self.log.append(("ended", channel, cause))

    def in_path(self, channel: str, in_path: bool) -> None:
        self.log.append(("in_path", channel, in_path))

    def of(self, kind: str, channel: str) -> list[object]:
        return [value for what, name, value in self.log if what == kind and name == channel]


@dataclass
class Scene:
    """An engine that is up, and what it drives."""

    switch: Double
    engine: FreeSwitchEngine
    told: Told
    folder: Path
    log: list[str]

    async def caller(self, headers: dict[str, str] | None = None, *, answered: bool = True) -> Channel:
        channel = await self.switch.call(HEADERS if headers is None else headers)
        await eventually(lambda: self.told.of("arrived", channel.id), what="no call arrived")
        if answered:
            await self.engine.answer(channel.id)
        return channel

    async def pair(self, *, bridged: bool = True) -> tuple[Channel, Channel]:
        near = await self.caller()
        far = await self.far(near)
        if bridged:
            await self.engine.bridge(near.id, far.id)
        return near, far

    async def far(self, near: Channel, end: FarEnd | None = None) -> Channel:
        self.switch.far_ends.append(end or FarEnd())
        return self.switch.channels[await self.engine.originate(near.id, order())]

    def sound(self, name: str = "a", seconds: float = 0.05) -> Path:
        """A file that the switch takes so long to play."""
        path = self.folder / f"{name}.wav"
        audio.write_tone(path, 620, seconds=0.1)
        self.switch.files[str(path)] = seconds
        return path

    def commands(self) -> list[str]:
        """All that any connection that is still there was told, in its order."""
        return [command for listener in self.switch.listeners for command in listener.commands]


def order(
    *, timeout_sec: int = 5, early: bool = True, uri: str = "sip:leg@acme.test", leg: str = "leg_1.1.x-_"
) -> Order:
    return Order(uri, (("X-Tandem-Leg", leg), ("X-Tandem-Account", "acc_1")), timeout_sec, early)


@pytest.fixture
async def switch() -> AsyncIterator[Double]:
    async with Double() as found:
        yield found


@pytest.fixture
async def scene(switch: Double, tmp_path: Path) -> AsyncIterator[Scene]:
    told, log = Told(), list[str]()
    async with FreeSwitchEngine(switch.settings, told, Log(log.append)) as engine:
        await eventually(lambda: engine.up, what="the engine is not up")
        yield Scene(switch, engine, told, tmp_path, log)
        # Nothing is left running at the double that the engine would wait for.
        await asyncio.sleep(0)
