"""FreeSWITCH behind the interface of the media engines."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError, LegFailedError, Limits, Order, Release, Sink
from edge_node.agent.media_engine.freeswitch import legs
from edge_node.agent.media_engine.freeswitch.bridges import Bridges
from edge_node.agent.media_engine.freeswitch.channel import Channel
from edge_node.agent.media_engine.freeswitch.codec import Event
from edge_node.agent.media_engine.freeswitch.dialling import Dialling
from edge_node.agent.media_engine.freeswitch.link import Link
from edge_node.agent.media_engine.freeswitch.orphans import bury_orphans
from edge_node.agent.media_engine.freeswitch.session import REINVITE, STEP_SEC, Session
from edge_node.agent.media_engine.freeswitch.settings import SAMPLE_RATE_HZ, FreeSwitchSettings
from edge_node.agent.media_engine.freeswitch.sound import check_files
from edge_node.agent.media_engine.freeswitch.switch import Switch

_DIGITS: Final = frozenset("0123456789*#ABCD")
# A call that was told to come here and did not: its place is free again.
_SEAT_SEC: Final = 5.0
_DECLINE: Final = 603
# Of a leg that answered and was gone before anybody knew.
_LOST_CODE: Final = 500


class FreeSwitchEngine:
    """Use as an asynchronous context manager: it drives the switch while the context lasts, and never starts it."""

    def __init__(self, settings: FreeSwitchSettings, sink: Sink, log: Log) -> None:
        self._settings = settings
        self._sink = sink
        self._log = log
        self._switch = Switch(settings, self._of_switch, self._connected, log)
        self._bridges = Bridges(self._switch, sink.in_path, self._spawn, self._hold_music, log)
        self._dialling = Dialling(settings, self._switch, self._bridges, self._spawn, log)
        self._channels: dict[str, Channel] = {}
        self._links: set[Link] = set()
        self._seats: deque[float] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def name(self) -> str:
        return "freeswitch"

    @property
    def version(self) -> str:
        return self._switch.version

    @property
    def limits(self) -> Limits:
        return Limits(self._settings.callers, SAMPLE_RATE_HZ)

    @property
    def up(self) -> bool:
        return self._server is not None and self._switch.up

    @property
    def channels(self) -> int:
        return len(self._channels)

    def seat(self) -> str | None:
        if not self.up:
            return None
        if self._settings.callers is not None:
            now = time.monotonic()
            while self._seats and self._seats[0] <= now:
                self._seats.popleft()
            callers = sum(channel.session.inbound for channel in self._channels.values())
            if callers + len(self._seats) >= self._settings.callers:
                return None
            self._seats.append(now + _SEAT_SEC)
        return f"{self._settings.sip.host}:{self._settings.sip.port}"

    async def answer(self, channel: str) -> None:
        await self._live(channel).session.answer()

    async def play(self, channel: str, files: Sequence[Path], loop: int = 1) -> None:
        await asyncio.to_thread(check_files, files)
        found = self._live(channel)
        await self._leave_early(found)
        async with self._bridges.in_bridge(found.session):
            await found.sound.play(files, loop)

    async def stop(self, channel: str) -> None:
        await self._live(channel).sound.stop()

    async def hold_music(self, channel: str, file: Path) -> None:
        await asyncio.to_thread(check_files, [file])
        await (await self._alone(channel)).sound.start(str(file))

    async def ringback(self, channel: str) -> None:
        await (await self._alone(channel)).ring()

    async def originate(self, near: str, order: Order) -> str:
        leg = await self._dialling.place(self._live(near), order)
        far = self._channels.get(leg.channel)
        if far is None or far.session.gone:
            await self._dialling.hush(leg)
            raise LegFailedError(_LOST_CODE)
        far.told = True
        self._sink.in_path(far.id, True)
        return far.id

    async def bridge(self, near: str, far: str) -> None:
        a, b = self._live(near), self._live(far)
        if not (a.session.answered and b.session.answered):
            raise EngineError("refused", "A channel is not answered yet.")
        await a.sound.stop()
        await b.sound.stop()
        await self._bridges.join(a.session, b.session)

    async def release(self, near: str, far: str) -> Release:
        return await self._bridges.release(self._live(near).session, self._live(far).session)

    async def take_back(self, near: str, far: str) -> None:
        await self._bridges.take_back(self._live(near).session, self._live(far).session)

    async def unbridge(self, near: str, far: str) -> None:
        await self._bridges.part(self._live(near).session, self._live(far).session)

    async def hang_up(self, channel: str, code: int = 0) -> None:
        found = self._channels.get(channel)
        if found is None or found.session.gone:
            return
        try:
            await self._end(found.session, code)
        except EngineError as error:
            if error.code != "gone":
                raise

    async def __aenter__(self) -> FreeSwitchEngine:
        """Raises `OSError` when somebody else has the port."""
        address = self._settings.socket
        self._server = await asyncio.get_running_loop().create_server(self._incoming, address.host, address.port)
        self._spawn(self._switch.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """The switch ends by itself what nobody controls any more, once what plays is over; bridges go on."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        links = [*self._links]
        for link in links:
            link.abort()
        await asyncio.gather(*(link.closed for link in links))

    # What the switch tells.

    def _incoming(self) -> Link:
        session: Session

        def made(link: Link) -> None:
            nonlocal session
            session = Session(link)
            self._links.add(link)
            link.closed.add_done_callback(lambda _: self._disconnected(session))
            self._spawn(self._welcome(session))

        return Link(lambda event: self._of_channel(session, event), self._log, made=made)

    async def _welcome(self, session: Session) -> None:
        """A channel of the switch is here: a caller's, or a leg that we placed."""
        try:
            await session.connect()
            if session.core != self._switch.core or session.channel in self._channels:
                # A stranger, a switch that we are not connected to, or a channel that came a second time.
                raise EngineError("refused", "This channel is not expected.")
            await session.subscribe()
            if session.inbound:
                await self._arrive(session)
            else:
                await self._reached(session)
        except EngineError as error:
            # The dial plan goes on where we let go: it refuses the call.
            self._log.warning("channel not taken", channel=session.channel, error=str(error))
            session.link.abort()

    async def _arrive(self, session: Session) -> None:
        await session.set(**legs.channel_variables(self._settings))
        headers = await session.read_headers()
        session.check()
        if self._seats:
            self._seats.popleft()
        channel = self._channels[session.channel] = Channel(session, self._log)
        channel.told = True
        self._sink.arrived(session.channel, headers)

    async def _reached(self, session: Session) -> None:
        """The far end of a leg answered, or sends something before it does."""
        session.check()
        leg = self._dialling.leg(session.channel)
        if leg is None:
            await session.link.api(f"uuid_kill {session.channel} ORIGINATOR_CANCEL")
            return
        channel = self._channels[session.channel] = Channel(session, self._log)
        if session.answered:
            leg.answered()
        else:
            with contextlib.suppress(EngineError):
                await self._dialling.hear(leg, channel)

    def _of_channel(self, session: Session, event: Event) -> None:
        """An event by way of a channel's own connection."""
        if event.channel != session.channel:
            return
        session.take(event)
        channel = self._channels.get(session.channel)
        if channel is None or channel.session is not session:
            return
        leg = self._dialling.leg(session.channel)
        if event.name == "DTMF" and channel.told:
            digit = event.get("DTMF-Digit").upper()
            if digit in _DIGITS:
                self._sink.digit(session.channel, digit)
        elif event.name == "CHANNEL_ANSWER":
            if leg is not None:
                leg.answered()
            elif channel.told:
                self._sink.in_path(session.channel, True)
        elif event.name in ("CHANNEL_HOLD", "CHANNEL_UNHOLD", "CHANNEL_CALLSTATE"):
            self._bridges.changed(session)
        elif event.name == "CUSTOM" and event.get("Event-Subclass") == REINVITE:
            self._bridges.spoke(session)
        elif event.name == "CHANNEL_HANGUP":
            self._leave(session)
        elif event.name == "CHANNEL_HANGUP_COMPLETE":
            if leg is not None:
                leg.ended(event)
            self._over(channel, session.cause)
            session.link.abort()

    def _of_switch(self, event: Event) -> None:
        """An event by way of the inbound connection: of legs that have no connection of their own yet."""
        leg = self._dialling.leg(event.channel)
        if leg is not None and event.name == "CHANNEL_HANGUP_COMPLETE":
            leg.ended(event)
        elif leg is not None and event.name == "CHANNEL_PROGRESS":
            self._dialling.progress(event)

    def _disconnected(self, session: Session) -> None:
        self._links.discard(session.link)
        cause = session.cause
        if not session.gone:
            cause = "engine_lost"
            lost = EngineError("gone", "The switch is gone.")
            session.leave(lost)
            if (leg := self._dialling.leg(session.channel)) is not None:
                leg.failed(lost)
        channel = self._channels.get(session.channel)
        if channel is not None and channel.session is session:
            self._over(channel, cause)

    def _over(self, channel: Channel, cause: str) -> None:
        del self._channels[channel.id]
        self._leave(channel.session)
        self._dialling.left(channel)
        if channel.told:
            self._sink.ended(channel.id, cause)

    def _leave(self, session: Session) -> None:
        """Whom it was connected with stays, with his audio."""
        if (other := self._bridges.left(session)) is not None and not other.gone:
            other.returning = self._spawn(self._fetch(other))

    def _connected(self) -> None:
        self._spawn(bury_orphans(self._switch, self._is_ours, self._log))

    def _is_ours(self, channel: str) -> bool:
        return channel in self._channels or self._dialling.leg(channel) is not None

    # How things are done.

    def _live(self, channel: str) -> Channel:
        found = self._channels.get(channel)
        if found is None:
            raise EngineError("gone", "There is no such channel.")
        found.session.check()
        return found

    async def _alone(self, channel: str) -> Channel:
        """It is to hear something of ours, and nobody else."""
        found = self._live(channel)
        await self._leave_early(found)
        if self._bridges.of(found.session) is not None:
            raise EngineError("refused", "The channel is connected with another one.")
        return found

    async def _leave_early(self, found: Channel) -> None:
        """It is to hear something of ours, and not the other end of a leg; a caller who is left hears ringing."""
        left = await self._bridges.leave_early(found.session)
        if left is not None and (caller := self._channels.get(left.channel)) is not None:
            with contextlib.suppress(EngineError):
                await caller.ring()

    async def _hold_music(self, channel: str, on: bool) -> None:
        """For one whose partner holds."""
        found, file = self._channels.get(channel), self._settings.hold_music
        if found is None or file is None:
            return
        with contextlib.suppress(EngineError):
            if on:
                await found.sound.start(str(file))
            else:
                await found.sound.stop()

    async def _fetch(self, session: Session) -> None:
        try:
            await self._bridges.fetch(session)
        except EngineError as error:
            self._log.warning("audio not taken back", channel=session.channel, error=str(error))

    async def _end(self, session: Session, code: int) -> None:
        with session.expect("CHANNEL_HANGUP") as over:
            if session.inbound and not session.answered:
                self._spawn(self._refuse(session, code or _DECLINE))
            else:
                # Also to take away one that a party has sent us.
                await session.set(sip_reason=f"SIP;cause={code}" if code else "")
                await session.link.api(f"uuid_kill {session.channel} NORMAL_CLEARING")
            await asyncio.wait({over}, timeout=STEP_SEC)
        if not session.gone:
            await session.link.api(f"uuid_kill {session.channel} NORMAL_CLEARING")

    async def _refuse(self, session: Session, code: int) -> None:
        with contextlib.suppress(EngineError):
            await session.respond(code)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
