"""The embedded engine: `MediaEngine` over a pool of PJSIP processes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError, LegFailedError, Limits, Order, Release, Sink
from edge_node.agent.media_engine.embedded.bridge import Bridge
from edge_node.agent.media_engine.embedded.channel import Channel
from edge_node.agent.media_engine.embedded.messages import Failure, Told
from edge_node.agent.media_engine.embedded.pool import Pool
from edge_node.agent.media_engine.embedded.process import Process
from edge_node.agent.media_engine.embedded.settings import EmbeddedSettings

RATE: Final = 8_000
_OK: Final = 200
_REQUEST_TERMINATED: Final = 487
_UNAVAILABLE: Final = 503
# How long a leg waits for the place of one that is over but for the last answer.
_PLACE_SEC: Final = 3.0
_PLACE_ROUND_SEC: Final = 0.1
# Who lost his partner is given back his audio after this, if he is still there then.
_WIDOWED_SEC: Final = 0.2


class EmbeddedEngine:
    """Use as an asynchronous context manager; the processes live while the context lasts."""

    def __init__(self, settings: EmbeddedSettings, sink: Sink, log: Log) -> None:
        self._settings = settings
        self._sink = sink
        self._log = log
        self._channels: dict[tuple[Process, int], Channel] = {}
        self._names: dict[str, Channel] = {}
        self._pool = Pool(settings, self._told, self._lost, log)
        self._tasks: set[asyncio.Task[None]] = set()
        self._legs = itertools.count(1)

    @property
    def name(self) -> str:
        return "embedded"

    @property
    def version(self) -> str:
        return self._pool.version

    @property
    def limits(self) -> Limits:
        return Limits(self._settings.callers, RATE)

    @property
    def up(self) -> bool:
        return self._pool.up

    @property
    def channels(self) -> int:
        return len(self._names)

    @property
    def processes(self) -> list[Process]:
        return self._pool.processes

    def seat(self) -> str | None:
        return self._pool.seat()

    async def __aenter__(self) -> EmbeddedEngine:
        await self._pool.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Calls that are up are hung up, and told as ended."""
        await self._pool.__aexit__()
        for channel in list(self._channels.values()):
            self._ended(channel, 0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def answer(self, channel: str) -> None:
        answering = self._channel(channel)
        if not answering.answered:
            await answering.do("answer")
            await answering.confirmed()

    async def play(self, channel: str, files: Sequence[Path], loop: int = 1) -> None:
        playing = self._channel(channel)
        playing.sounds += 1
        try:
            await self._in_path(playing)
            await playing.play([_path(file) for file in files], loop)
        finally:
            playing.sounds -= 1
            if playing.bridge is not None:
                playing.bridge.changed()

    async def stop(self, channel: str) -> None:
        await self._channel(channel).do("quiet")

    async def hold_music(self, channel: str, file: Path) -> None:
        holding = self._channel(channel)
        await self._in_path(holding)
        await holding.do("music", file=_path(file))

    async def ringback(self, channel: str) -> None:
        ringing = self._channel(channel)
        await self._in_path(ringing)
        await ringing.do("ringing")

    async def originate(self, near: str, order: Order) -> str:
        caller = self._channel(near)
        await self._in_path(caller)
        leg = await self._dial(caller, order)
        try:
            code = await leg.answer_of_leg(order.timeout_sec)
        except BaseException as error:
            leg.process.send("hang_up", call=leg.number, code=0)
            self._quieten(leg)
            if isinstance(error, TimeoutError):
                raise LegFailedError(_REQUEST_TERMINATED) from None
            raise
        if code != _OK:
            self._quieten(leg)
            raise LegFailedError(code)
        if leg.over:
            raise leg.gone()
        return leg.name

    async def bridge(self, near: str, far: str) -> None:
        one, other = self._channel(near), self._channel(far)
        if one is other or not (one.answered and other.answered):
            raise EngineError(Failure.REFUSED, "a bridge is between two answered channels")
        if one.process is not other.process:
            raise EngineError(Failure.REFUSED, "the channels are in two processes")
        for channel in (one, other):
            if channel.bridge is not None:
                await self._separate(channel.bridge)
            await channel.come_back()
        await Bridge(one, other, self._settings.hold_music, self._log).start()

    async def release(self, near: str, far: str) -> Release:
        return await self._bridge(near, far).release()

    async def take_back(self, near: str, far: str) -> None:
        await self._bridge(near, far).take_back()

    async def unbridge(self, near: str, far: str) -> None:
        await self._separate(self._bridge(near, far))

    async def hang_up(self, channel: str, code: int = 0) -> None:
        ending = self._names.get(channel)
        if ending is not None:
            with contextlib.suppress(EngineError):
                await ending.do("hang_up", code=code)

    def _channel(self, name: str) -> Channel:
        channel = self._names.get(name)
        if channel is None:
            raise EngineError(Failure.GONE, f"there is no channel {name}")
        return channel

    def _bridge(self, near: str, far: str) -> Bridge:
        one, other = self._channel(near), self._channel(far)
        if one.bridge is None or one.bridge is not other.bridge:
            raise EngineError(Failure.REFUSED, f"{near} and {far} are not connected")
        return one.bridge

    async def _in_path(self, channel: Channel) -> None:
        if channel.bridge is not None:
            await channel.bridge.in_path()
        else:
            await channel.come_back()

    async def _separate(self, bridge: Bridge) -> None:
        bridge.stop()
        for channel in (bridge.near, bridge.far):
            await channel.do("listen", to=None)
            await channel.do("quiet")
            await channel.come_back()

    async def _dial(self, caller: Channel, order: Order) -> Channel:
        if any(character in text for pair in order.headers for text in pair for character in "\r\n"):
            raise EngineError(Failure.REFUSED, "a header with a line break")
        leg = Channel(caller.process, -next(self._legs), self._sink, caller=caller, early=order.early)
        self._channels[leg.process, leg.number] = leg
        until = asyncio.get_running_loop().time() + _PLACE_SEC
        try:
            while True:
                try:
                    await leg.do("dial", near=caller.number, uri=order.uri, headers=list(order.headers))
                except EngineError as error:
                    if error.code != Failure.FULL or asyncio.get_running_loop().time() > until:
                        raise
                    await asyncio.sleep(_PLACE_ROUND_SEC)
                else:
                    return leg
        except BaseException:
            leg.process.send("hang_up", call=leg.number, code=0)
            self._channels.pop((leg.process, leg.number), None)
            raise

    def _quieten(self, leg: Channel) -> None:
        """Its caller hears no more of it."""
        if leg.heard and leg.caller is not None and not leg.caller.over:
            leg.caller.process.send("listen", call=leg.caller.number, to=None)
            leg.caller.process.send("quiet", call=leg.caller.number)

    # --- from the processes

    def _told(self, process: Process, message: dict[str, Any]) -> None:
        number = message["call"]
        if message["event"] == Told.ARRIVED:
            channel = Channel(process, number, self._sink)
            self._channels[process, number] = self._names[channel.name] = channel
            self._pool.took_seat(process)
            self._sink.arrived(channel.name, message["headers"])
        elif (known := self._channels.get((process, number))) is not None:
            self._changed(known, message)

    def _changed(self, channel: Channel, message: dict[str, Any]) -> None:
        match message["event"]:
            case Told.RINGING:
                self._ringing(channel, audio=False)
            case Told.ANSWERED:
                self._names[channel.name] = channel
                channel.was_answered()
            case Told.MEDIA:
                channel.negotiated(message["away"], message["both_ways"])
                if message["early"]:
                    self._ringing(channel, audio=True)
                self._check(channel)
            case Told.REINVITED:
                channel.was_reinvited(message["code"])
                self._check(channel)
            case Told.DIGIT:
                if channel.name in self._names and not channel.away:
                    self._sink.digit(channel.name, message["digit"])
            case Told.PLAYED:
                channel.played(message["play"])
            case Told.ENDED:
                self._ended(channel, message["code"])

    def _check(self, channel: Channel) -> None:
        """Its audio may be where it should not."""
        if channel.bridge is not None:
            channel.bridge.changed()
        elif channel.astray:
            self._spawn(self._widowed(channel))

    def _ringing(self, leg: Channel, *, audio: bool) -> None:
        """Let the caller hear it, once: the far end's own sound is better than ours."""
        caller, heard = leg.caller, "audio" if audio else "ringing"
        if caller is None or caller.over or not leg.early or leg.heard in ("audio", heard):
            return
        leg.heard = heard
        if audio:
            caller.process.send("quiet", call=caller.number)
            caller.process.send("listen", call=caller.number, to=leg.number, early=True)
        else:
            caller.process.send("ringing", call=caller.number)

    def _ended(self, channel: Channel, code: int, cause: str | None = None) -> None:
        self._channels.pop((channel.process, channel.number), None)
        named = self._names.pop(channel.name, None) is not None
        channel.ended(code)
        if channel.caller is None:
            self._pool.left_seat(channel.process)
        for leg in list(self._channels.values()):
            if leg.caller is channel:
                leg.abandon()
        if (bridge := channel.bridge) is not None:
            bridge.stop()
            self._check(bridge.other(channel))
        if named:
            self._sink.ended(channel.name, cause or ("normal" if code in (0, _OK) else str(code)))

    def _lost(self, process: Process) -> None:
        for channel in [one for one in self._channels.values() if one.process is process]:
            self._ended(channel, _UNAVAILABLE, "engine_lost")

    async def _widowed(self, channel: Channel) -> None:
        """Nobody sends to where its audio goes."""
        await asyncio.sleep(_WIDOWED_SEC)
        with contextlib.suppress(EngineError):
            if channel.bridge is None:
                await channel.come_back()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _path(file: Path) -> str:
    """As the processes, which work elsewhere, find it."""
    return str(file.absolute())
