"""A media engine that does what a test says, below the interface whose behaviour the conformance suite pins."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_node.agent.media_engine.base import EngineError, LegFailedError, Limits, Order, Release, Sink
from edge_node.agent.prompts.sounds import MissingError
from tandem.contracts.flow import Media, Sound
from tests.unit.agent.stubs import ACCOUNT, CALL

CALLER = "ch-1"


class EngineDouble:
    """`told` is what it was told to do, in order: (method, channel, more…). Sounds last until the test ends them."""

    name = "double"
    version = "1"
    limits = Limits(2, 8_000)

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._numbers = itertools.count(1)
        self.told: list[tuple[Any, ...]] = []
        self.up = True
        self.next_seat: str | None = "127.0.0.1:5080"
        self.live: set[str] = set()
        self.playing: dict[str, asyncio.Future[None]] = {}
        self.dialled: dict[str, asyncio.Future[str]] = {}
        self.orders: list[Order] = []
        self.release_with: Release | EngineError = Release.RELEASED
        self.fail: dict[str, EngineError] = {}

    @property
    def channels(self) -> int:
        return len(self.live)

    # --- what a test does

    def arrive(self, channel: str = CALLER, call: str = CALL, account: str = ACCOUNT) -> None:
        self.live.add(channel)
        self._sink.arrived(channel, {"x-tandem-call": call, "x-tandem-account": account})

    def press(self, digits: str, channel: str = CALLER) -> None:
        for digit in digits:
            self._sink.digit(channel, digit)

    def end(self, channel: str = CALLER, cause: str = "normal") -> None:
        """Whatever waits for the channel ends early."""
        self.live.discard(channel)
        self._finish(channel, EngineError("gone", "the channel is over"))
        for near, future in list(self.dialled.items()):
            if near == channel and not future.done():
                future.set_exception(EngineError("gone", "the channel is over"))
        self._sink.ended(channel, cause)

    def played(self, channel: str = CALLER) -> None:
        self._finish(channel, None)

    def leg_answers(self, near: str = CALLER) -> str:
        channel = f"leg-{next(self._numbers)}"
        self.live.add(channel)
        self.dialled[near].set_result(channel)
        return channel

    def leg_fails(self, code: int, near: str = CALLER) -> None:
        self.dialled[near].set_exception(LegFailedError(code))

    def did(self, method: str) -> list[tuple[Any, ...]]:
        return [one for one in self.told if one[0] == method]

    # --- the interface

    def seat(self) -> str | None:
        return self.next_seat

    async def answer(self, channel: str) -> None:
        self._note("answer", channel)
        self._sink.in_path(channel, True)

    async def play(self, channel: str, files: Sequence[Path], loop: int = 1) -> None:
        self._note("play", channel, *(path.name for path in files), loop)
        self._finish(channel, None)
        future = self.playing[channel] = asyncio.get_running_loop().create_future()
        await future

    async def stop(self, channel: str) -> None:
        self._note("stop", channel)
        self._finish(channel, None)

    async def hold_music(self, channel: str, file: Path) -> None:
        self._note("hold_music", channel, file.name)

    async def ringback(self, channel: str) -> None:
        self._note("ringback", channel)

    async def originate(self, near: str, order: Order) -> str:
        self._note("originate", near)
        self.orders.append(order)
        future = self.dialled[near] = asyncio.get_running_loop().create_future()
        try:
            channel: str = await future
            return channel
        except asyncio.CancelledError:
            self.told.append(("cancelled", near))
            raise

    async def bridge(self, near: str, far: str) -> None:
        self._note("bridge", near, far)

    async def release(self, near: str, far: str) -> Release:
        self._note("release", near, far)
        if isinstance(self.release_with, EngineError):
            raise self.release_with
        if self.release_with is Release.RELEASED:
            self._sink.in_path(near, False)
            self._sink.in_path(far, False)
        return self.release_with

    async def take_back(self, near: str, far: str) -> None:
        self._note("take_back", near, far)

    async def unbridge(self, near: str, far: str) -> None:
        self._note("unbridge", near, far)

    async def hang_up(self, channel: str, code: int = 0) -> None:
        self.told.append(("hang_up", channel, code))
        if channel in self.live:
            self.end(channel)

    async def __aenter__(self) -> EngineDouble:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def _note(self, method: str, channel: str, *more: Any) -> None:
        self.told.append((method, channel, *more))
        if channel not in self.live:
            raise EngineError("gone", "the channel is over")
        if (error := self.fail.get(method)) is not None:
            raise error

    def _finish(self, channel: str, error: EngineError | None) -> None:
        future = self.playing.pop(channel, None)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


class SwitchDouble(EngineDouble):
    """Goes on without the agent, whose connections to its channels break when it stops."""

    async def __aexit__(self, *_: object) -> None:
        for channel in [*self.live]:
            self._sink.ended(channel, "engine_lost")


class Sounds:
    """Every sound is there, named by its key or text, but those of `missing`; those of `slow` once that is set."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.slow: dict[str, asyncio.Event] = {}

    async def file(self, sound: Sound) -> Path:
        name = sound.key if isinstance(sound, Media) else sound.text
        if (slow := self.slow.get(name)) is not None:
            await slow.wait()
        if name in self.missing:
            raise MissingError(f"{name}: not found")
        return Path("/prompts") / name
