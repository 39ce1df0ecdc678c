"""Two channels that hear each other, and the way of their audio: through the engine, or past it.

To send it past, each party is re-INVITEd with the description of the other's relay. Both or none: when the second
refuses, the first is called back. Any re-INVITE of a party's own is answered with our audio (the process does that);
then the other one is called back too, hears music while the first one holds, and when both send and receive again for
a while, the audio goes past the engine again.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Final

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError, Release
from edge_node.agent.media_engine.embedded.channel import Channel

SETTLE_SEC: Final = 1.0


class Bridge:
    """Works from `start` to `stop`."""

    def __init__(self, near: Channel, far: Channel, music: Path | None, log: Log) -> None:
        self.near = near
        self.far = far
        self._music = music
        self._log = log
        self._wanted = False
        self._changed = asyncio.Event()
        self._moving = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._comforted: set[Channel] = set()  # who hears music, for the other one holds

    async def start(self) -> None:
        """Raises `EngineError`."""
        self.near.bridge = self.far.bridge = self
        await self.near.do("quiet")
        await self.far.do("quiet")
        await self.near.do("listen", to=self.far.number)
        await self.far.do("listen", to=self.near.number)
        self._keeper = asyncio.create_task(self._keep(), name=f"bridge {self.near.name} {self.far.name}")
        self.changed()

    def stop(self) -> None:
        """The channels stay as they are, each on its own."""
        self.near.bridge = self.far.bridge = None
        if self._keeper is not None:
            self._keeper.cancel()

    def other(self, channel: Channel) -> Channel:
        return self.far if channel is self.near else self.near

    def changed(self) -> None:
        """A party re-negotiated, or a play began or ended."""
        self._changed.set()

    async def release(self) -> Release:
        """Raises `EngineError`."""
        self._wanted = True
        async with self._moving:
            return await self._send_away()

    async def take_back(self) -> None:
        """Raises `EngineError`."""
        self._wanted = False
        await self.in_path()

    async def in_path(self) -> None:
        """The audio passes the engine, for now. Raises `EngineError`."""
        async with self._moving:
            await self._call_back()

    def _may_go(self) -> bool:
        ready = self.near.both_ways and self.far.both_ways
        return self._wanted and ready and not self.near.sounds and not self.far.sounds

    def _gone(self) -> bool:
        return self.near.away and self.far.away

    async def _send_away(self) -> Release:
        if self._gone():
            return Release.RELEASED
        if not self._may_go():
            return Release.KEPT  # one of them holds: later
        if not await self._exchange():
            self._wanted = self._wanted and not self._may_go()  # refused; but who holds meanwhile did not refuse
            await self._call_back()
            self._log.info("audio stays", near=self.near.name, far=self.far.name)
            return Release.KEPT
        self.changed()  # what a party did meanwhile has its turn now
        return Release.RELEASED if self._gone() else Release.KEPT

    async def _exchange(self) -> bool:
        theirs = await self.far.describe()
        if theirs is None or not await self.near.go_away(theirs, self._may_go):
            return False
        ours = await self.near.describe()
        if ours is None or not await self.far.go_away(ours, self._may_go):
            return False
        final = await self.far.describe()
        if final is None or final == theirs or not self._may_go():
            return True
        return await self.near.go_away(final, self._may_go)

    async def _call_back(self) -> None:
        """Both, also when one of them makes trouble. Raises `EngineError` then."""
        results = await asyncio.gather(self.near.come_back(), self.far.come_back(), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _keep(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            with contextlib.suppress(EngineError):  # of an end, which has its own way; or of a party that will not
                await self._tend()

    async def _tend(self) -> None:
        if self._gone() and self._may_go():
            return
        if self.near.astray or self.far.astray:
            await self._mend()
        await self._comfort(self.near, self.far)
        await self._comfort(self.far, self.near)
        if not self._may_go():
            return
        try:
            async with asyncio.timeout(SETTLE_SEC):
                await self._changed.wait()
        except TimeoutError:
            async with self._moving:
                await self._send_away()

    async def _mend(self) -> None:
        """One is away and the other is not, or must not be."""
        async with self._moving:
            if not (self._gone() and self._may_go()):
                await self._call_back()

    async def _comfort(self, holder: Channel, waiting: Channel) -> None:
        held = holder.answered and not holder.both_ways
        if held and self._music is not None and waiting not in self._comforted and not waiting.sounds:
            await waiting.do("music", file=str(self._music))
            self._comforted.add(waiting)
        elif not held and waiting in self._comforted:
            self._comforted.discard(waiting)
            await waiting.do("quiet")
