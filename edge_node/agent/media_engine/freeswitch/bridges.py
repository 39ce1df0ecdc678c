"""Two channels joined: connected, apart again, and with the switch in or out of their audio path."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError, Release
from edge_node.agent.media_engine.freeswitch.codec import Event
from edge_node.agent.media_engine.freeswitch.reinvites import Answers, accepts, passed_on
from edge_node.agent.media_engine.freeswitch.session import STEP_SEC, Session
from edge_node.agent.media_engine.freeswitch.switch import Switch

# Two re-INVITEs one after the other, each of which may go unanswered for as long as a SIP transaction lives.
_RE_INVITES_SEC: Final = 70.0
# After a hold, or a prompt, audio is sent away again; not at once, for people often do more than one thing.
_AGAIN_SEC: Final = 1.0
# Of the telephone-events, the payload type by which a party sends, and is sent, its digits (RFC 4733).
_DIGITS: Final = ("rtp_2833_send_payload", "rtp_2833_recv_payload")


@dataclass(slots=True)
class Bridge:
    """`early`: the far end has not answered, or nobody has asked for the bridge since. `released`: the audio goes past
    the switch; `wanted`: it is to, when it can. `holder`: who put the other one on hold while the audio was away, which
    the switch does not know of since it is back. `prompts`: how many are being played. `lock`: one thing at a time."""

    near: Session
    far: Session
    early: bool = False
    released: bool = False
    wanted: bool = False
    holder: Session | None = None
    prompts: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def held(self) -> bool:
        return self.holder is not None or self.near.held or self.far.held

    def other(self, session: Session) -> Session:
        return self.far if session is self.near else self.near

    def check(self) -> None:
        """Raises `EngineError` when either is over."""
        self.near.check()
        self.far.check()


class Bridges:
    """`in_path(channel, in_path)` is told of both when their audio path changes; `spawn` keeps a task until its end;
    `music(channel, on)` lets one hear hold music, or no more."""

    def __init__(
        self,
        switch: Switch,
        in_path: Callable[[str, bool], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        music: Callable[[str, bool], Coroutine[Any, Any, None]],
        log: Log,
    ) -> None:
        self._switch = switch
        self._in_path = in_path
        self._spawn = spawn
        self._music = music
        self._log = log
        self._of: dict[str, Bridge] = {}

    def of(self, session: Session) -> Bridge | None:
        return self._of.get(session.channel)

    async def join(self, near: Session, far: Session, *, early: bool = False) -> None:
        """Raises `EngineError`."""
        known = self.of(near)
        if known is not None and known is self.of(far) and known.early:
            known.early = early
            return
        if known is not None or self.of(far) is not None:
            raise EngineError("refused", "A channel is connected already.")
        bridge = self._of[near.channel] = self._of[far.channel] = Bridge(near, far, early)
        self._engage(bridge)
        try:
            # Whichever of the two the switch makes the first one tells of it.
            with near.expect("CHANNEL_BRIDGE") as here, far.expect("CHANNEL_BRIDGE") as there:
                await self._bridge(near, far)
                await _first("connect", here, there)
        except EngineError:
            self._forget(bridge)
            raise

    async def _bridge(self, near: Session, far: Session) -> None:
        """Raises `EngineError`; where the switch says no, nobody has gone anywhere."""
        try:
            await near.link.api(f"uuid_bridge {near.channel} {far.channel}")
        except EngineError as error:
            if error.code != "timeout":
                near.free.set()
                far.free.set()
            raise

    async def part(self, near: Session, far: Session) -> None:
        bridge = self._joined(near, far)
        async with bridge.lock:
            await self._part(bridge)

    async def leave_early(self, session: Session) -> Session | None:
        """Ends a bridge that is only for what a far end sends before its answer. Returns a caller who is left.

        Raises `EngineError`.
        """
        bridge = self.of(session)
        if bridge is None or not bridge.early:
            return None
        async with bridge.lock:
            try:
                await self._part(bridge)
            except EngineError:
                # The other one was gone already: the switch has let go of this one by itself.
                self._forget(bridge)
                await session.wait_free()
        return bridge.near if session is bridge.far else None

    async def release(self, near: Session, far: Session) -> Release:
        bridge = self._joined(near, far)
        bridge.wanted = True
        async with bridge.lock:
            return await self._release(bridge)

    async def take_back(self, near: Session, far: Session) -> None:
        bridge = self._joined(near, far)
        bridge.wanted = False
        async with bridge.lock:
            await self._take_back(bridge)

    @contextlib.asynccontextmanager
    async def in_bridge(self, session: Session) -> AsyncIterator[None]:
        """What is played meanwhile is for one of two who talk: the audio comes back for it."""
        bridge = self.of(session)
        if bridge is None:
            yield
            return
        bridge.prompts += 1
        try:
            async with bridge.lock:
                await self._take_back(bridge)
            yield
        finally:
            bridge.prompts -= 1
            self._settle(bridge)

    def changed(self, session: Session) -> None:
        """A party holds, or does so no more."""
        bridge = self.of(session)
        if bridge is None:
            return
        if bridge.released and session.held:
            self._spawn(self._held(bridge, session))
        else:
            self._settle(bridge)

    def spoke(self, session: Session) -> None:
        """A party has sent a re-INVITE, and has its answer."""
        bridge = self.of(session)
        if bridge is not None and bridge.holder is session:
            self._spawn(self._resumed(bridge, session))

    def left(self, session: Session) -> Session | None:
        """A channel is over: the other one stays. Returns it when its audio is to come back."""
        bridge = self._of.get(session.channel)
        if bridge is None:
            return None
        self._forget(bridge)
        other = bridge.other(session)
        if bridge.holder is session:
            self._spawn(self._music(other.channel, False))
        return other if bridge.released else None

    async def fetch(self, session: Session) -> None:
        """The audio of one that was left while it went past the switch. Raises `EngineError`."""
        await session.wait_free()
        answer = await self._switch.job(f"uuid_media {session.channel}", _RE_INVITES_SEC)
        session.check()
        if not answer.startswith("+OK"):
            raise EngineError("refused", f"The switch cannot take the audio back: {answer}")
        self._in_path(session.channel, True)

    def _settle(self, bridge: Bridge) -> None:
        """Sends the audio away once more where it is wanted, in a while."""
        if bridge.wanted and not bridge.released:
            self._spawn(self._again(bridge))

    async def _held(self, bridge: Bridge, holder: Session) -> None:
        """The audio comes back, so that the other one hears music.

        By way of the other one: for the holder, who answers that he takes no audio, the switch would wait. It takes the
        hold for over then, so its end is seen in what the holder says next.
        """
        async with bridge.lock:
            other = bridge.other(holder)
            with contextlib.suppress(EngineError):
                await passed_on(other)
                if not bridge.released or not holder.held or self.of(holder) is not bridge:
                    return
                bridge.holder = holder
                await self._take_back(bridge, other)
                await self._music(other.channel, True)

    async def _resumed(self, bridge: Bridge, holder: Session) -> None:
        async with bridge.lock:
            with contextlib.suppress(EngineError):
                if bridge.holder is not holder or await holder.direction() in ("sendonly", "inactive"):
                    return
                bridge.holder = None
                await self._music(bridge.other(holder).channel, False)
        # The re-INVITE that comes before a release also tells the holder that audio goes both ways again.
        self._settle(bridge)

    async def _again(self, bridge: Bridge) -> None:
        await asyncio.sleep(_AGAIN_SEC)
        async with bridge.lock:
            if self._of.get(bridge.near.channel) is not bridge or not bridge.wanted:
                return
            try:
                await self._release(bridge)
            except EngineError as error:
                if error.code != "gone":
                    self._log.warning("audio not sent away", channel=bridge.near.channel, error=str(error))

    async def _release(self, bridge: Bridge) -> Release:
        if bridge.released:
            return Release.RELEASED
        if bridge.held or bridge.prompts:
            # Later: see `_settle`.
            return Release.KEPT
        near, far = bridge.near, bridge.far
        if not await self._same_digits(bridge) or not (await accepts(near) and await accepts(far)):
            bridge.wanted = False
            return Release.KEPT
        bridge.check()
        answers = Answers(near, far)
        await answers.begin()
        answer = await self._switch.job(f"uuid_media off {near.channel}", _RE_INVITES_SEC)
        bridge.check()
        if not answer.startswith("+OK"):
            return Release.KEPT
        self._moved(bridge, released=True)
        if await answers.look() == 0:
            return Release.RELEASED
        self._log.warning("release undone", channel=near.channel)
        bridge.wanted = False
        await self._take_back(bridge)
        return Release.KEPT

    async def _same_digits(self, bridge: Bridge) -> bool:
        """Past the switch nobody turns one payload type into another: digits would be lost."""
        types = [[await session.read(name) for name in _DIGITS] for session in (bridge.near, bridge.far)]
        if types[0] != types[1]:
            self._log.info("digits differ, audio kept", channel=bridge.near.channel, types=types)
        return types[0] == types[1]

    async def _part(self, bridge: Bridge) -> None:
        await self._take_back(bridge)
        bridge.check()
        self._engage(bridge)
        await bridge.near.link.api(f"uuid_transfer {bridge.near.channel} -both park: inline")
        self._forget(bridge)
        await bridge.near.wait_free()
        await bridge.far.wait_free()

    async def _take_back(self, bridge: Bridge, first: Session | None = None) -> None:
        """`first` is re-INVITEd first."""
        if not bridge.released:
            return
        answer = await self._switch.job(f"uuid_media {(first or bridge.near).channel}", _RE_INVITES_SEC)
        bridge.check()
        if not answer.startswith("+OK"):
            raise EngineError("refused", f"The switch cannot take the audio back: {answer}")
        self._moved(bridge, released=False)

    def _moved(self, bridge: Bridge, *, released: bool) -> None:
        bridge.released = released
        for session in (bridge.near, bridge.far):
            if not session.gone:
                self._in_path(session.channel, not released)

    def _engage(self, bridge: Bridge) -> None:
        """On its way into a bridge, or out of it."""
        for session in (bridge.near, bridge.far):
            session.joined = True
            session.free.clear()

    def _joined(self, near: Session, far: Session) -> Bridge:
        near.check()
        far.check()
        bridge = self._of.get(near.channel)
        if bridge is None or bridge is not self._of.get(far.channel):
            raise EngineError("refused", "The two channels are not connected.")
        return bridge

    def _forget(self, bridge: Bridge) -> None:
        bridge.wanted = False
        for session in (bridge.near, bridge.far):
            session.joined = False
            if self._of.get(session.channel) is bridge:
                del self._of[session.channel]


async def _first(what: str, *waits: asyncio.Future[Event]) -> None:
    """Returns with the first of them, raises what it raises, or `EngineError` `timeout`."""
    done, _ = await asyncio.wait(waits, timeout=STEP_SEC, return_when=asyncio.FIRST_COMPLETED)
    if not done:
        raise EngineError("timeout", f"The switch did not {what} the channels.")
    for one in done:
        one.result()
