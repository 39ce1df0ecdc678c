"""Places legs, lets the caller hear them, and sees to it that none is left over."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Final

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError, LegFailedError, Order
from edge_node.agent.media_engine.freeswitch import causes, legs
from edge_node.agent.media_engine.freeswitch.bridges import Bridges
from edge_node.agent.media_engine.freeswitch.channel import Channel
from edge_node.agent.media_engine.freeswitch.codec import Event
from edge_node.agent.media_engine.freeswitch.legs import Leg
from edge_node.agent.media_engine.freeswitch.settings import FreeSwitchSettings
from edge_node.agent.media_engine.freeswitch.switch import Switch

# How long after its own time the switch may take to say that it gave up.
_JOB_GRACE_SEC: Final = legs.SWITCH_GRACE_SEC + 5
# The SIP code of a failure comes beside the failure itself.
_END_SEC: Final = 0.5
_CANCELLED: Final = "ORIGINATOR_CANCEL"
_NO_ANSWER: Final = "NO_ANSWER"


class Dialling:
    """`spawn` keeps a background task until it is done."""

    def __init__(
        self,
        settings: FreeSwitchSettings,
        switch: Switch,
        bridges: Bridges,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        log: Log,
    ) -> None:
        self._settings = settings
        self._switch = switch
        self._bridges = bridges
        self._spawn = spawn
        self._log = log
        self._legs: dict[str, Leg] = {}

    def leg(self, channel: str) -> Leg | None:
        """One that is wanted and not answered yet."""
        return self._legs.get(channel)

    async def place(self, near: Channel, order: Order) -> Leg:
        """The leg that answered. Raises `LegFailedError`, `EngineError`; a leg that is not returned is ended."""
        told = await near.session.read("read_codec") or await near.session.read("ep_codec_string")
        leg = Leg(str(uuid.uuid4()), near, order)
        profile = legs.profile_of(self._settings, near.session.digit_type, self._switch.profiles)
        line = legs.command(self._settings, order, leg.channel, legs.first_codec(told), profile)
        self._legs[leg.channel] = leg
        asked = asyncio.create_task(self._ask(leg, line))
        try:
            async with asyncio.timeout(order.timeout_sec):
                await asyncio.shield(leg.outcome)
            # What is heard of it before its answer may still be on its way.
            async with leg.lock:
                del self._legs[leg.channel]
        except TimeoutError:
            await self._give_up(leg, _NO_ANSWER, asked)
            raise LegFailedError(causes.TIME_UP) from None
        except BaseException:
            await self._give_up(leg, _CANCELLED, asked)
            raise
        return leg

    def progress(self, event: Event) -> None:
        """The far end rings."""
        leg = self._legs.get(event.channel)
        if leg is not None and leg.order.early:
            self._spawn(self._ring(leg))

    def left(self, near: Channel) -> None:
        """A caller is gone: nobody wants his legs any more."""
        for leg in self._legs.values():
            if leg.near is near:
                leg.failed(EngineError("gone", "The caller is gone."))

    async def hush(self, leg: Leg) -> None:
        """The far end is gone, or will be: the caller hears nothing of it any more."""
        if not leg.order.early:
            return
        async with leg.lock:
            with contextlib.suppress(EngineError):
                if leg.heard:
                    await leg.near.session.wait_free()
                await leg.near.sound.stop()

    async def hear(self, leg: Leg, far: Channel) -> None:
        """The far end sends something before its answer: it passes both ways, as between two phones."""
        async with leg.lock:
            if leg.outcome.done():
                return
            leg.heard = True
            await leg.near.sound.stop()
            await leg.near.session.begin()
            await self._bridges.join(leg.near.session, far.session, early=True)

    async def _ring(self, leg: Leg) -> None:
        async with leg.lock:
            if not leg.heard and not leg.outcome.done():
                with contextlib.suppress(EngineError):
                    await leg.near.ring()

    async def _give_up(self, leg: Leg, cause: str, asked: asyncio.Task[None]) -> None:
        del self._legs[leg.channel]
        leg.failed(LegFailedError(causes.TIME_UP))
        self._spawn(self._bury(leg, cause, asked))
        await self.hush(leg)

    async def _ask(self, leg: Leg, line: str) -> None:
        try:
            answer = await self._switch.job(line, leg.order.timeout_sec + _JOB_GRACE_SEC)
        except EngineError as error:
            leg.failed(error)
            return
        if answer.startswith("+OK"):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SEC):
                await leg.end.wait()
        leg.failed(causes.of_leg(answer.removeprefix("-ERR").strip(), None))

    async def _bury(self, leg: Leg, cause: str, asked: asyncio.Task[None]) -> None:
        """Ends a leg wherever it is: not yet made, ringing, or just answered."""
        await self._kill(leg, cause)
        await asyncio.wait({asked})
        await self._kill(leg, cause)

    async def _kill(self, leg: Leg, cause: str) -> None:
        for way in (self._switch.api, leg.near.session.link.api):
            with contextlib.suppress(EngineError):
                await way(f"uuid_kill {leg.channel} {cause}")
                return
