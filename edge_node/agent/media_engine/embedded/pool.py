"""The processes of the embedded engine: so many that the next callers find room, never more than allowed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from edge_node.agent.clock import backoff_sec
from edge_node.agent.log import Log
from edge_node.agent.media_engine.embedded.messages import CALLERS_A_PROCESS, ProcessConfig, Told
from edge_node.agent.media_engine.embedded.process import Process
from edge_node.agent.media_engine.embedded.settings import RTP_PORTS_A_PROCESS, EmbeddedSettings

SEAT_SEC: Final = 5.0
IDLE_SEC: Final = 60.0
_ROUND_SEC: Final = 1.0
_LONGEST_BACKOFF_SEC: Final = 30.0


class _Room:
    """One process and how full it is. `callers` are in it, `reserved` are on their way until then (monotonic, s)."""

    def __init__(self, process: Process, now: float) -> None:
        self.process = process
        self.callers = 0
        self.reserved: deque[float] = deque()
        self.idle_since = now

    def free(self, now: float) -> int:
        while self.reserved and self.reserved[0] <= now:
            self.reserved.popleft()
        return CALLERS_A_PROCESS - self.callers - len(self.reserved)


class Pool:
    """Use as an asynchronous context manager. `event` gets what the processes tell, `lost` those that died."""

    def __init__(
        self,
        settings: EmbeddedSettings,
        event: Callable[[Process, dict[str, Any]], None],
        lost: Callable[[Process], None],
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._event = event
        self._lost = lost
        self._log = log
        self._clock = clock
        self._serials = itertools.count(1)
        # Those given back last are taken last: what is still sent to a dead process's ports must not reach a new one.
        self._places = deque(range(settings.processes))
        self._rooms: dict[int, _Room] = {}
        self.version = "unknown"
        self._failures = 0
        self._not_before = 0.0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Pool:
        self._grow()
        self._task = asyncio.create_task(self._run(), name="media pool")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for place in list(self._rooms):
            self._end(place)
        await asyncio.gather(*self._ending)

    @property
    def up(self) -> bool:
        return any(room.process.ready for room in self._rooms.values())

    @property
    def processes(self) -> list[Process]:
        return [room.process for room in self._rooms.values()]

    def seat(self) -> str | None:
        """In the fullest process with room, so that others may end. One that is only starting will do if need be:
        Kamailio sends its INVITE again until the process is there."""
        if not self.up:
            return None
        now = self._clock()
        taken = sum(CALLERS_A_PROCESS - room.free(now) for room in self._rooms.values())
        with_room = [room for room in self._rooms.values() if room.free(now) > 0]
        if not with_room or taken >= self._settings.callers:
            return None
        room = min(with_room, key=lambda one: (not one.process.ready, one.free(now), one.process.serial))
        room.reserved.append(now + SEAT_SEC)
        self._grow()
        return room.process.address

    def took_seat(self, process: Process) -> None:
        """A caller is there."""
        if (room := self._room(process)) is not None:
            room.callers += 1
            if room.reserved:
                room.reserved.popleft()
            self._changed.set()

    def left_seat(self, process: Process) -> None:
        if (room := self._room(process)) is not None:
            room.callers -= 1
            room.idle_since = self._clock()

    def _room(self, process: Process) -> _Room | None:
        """None for one that is being ended."""
        return next((room for room in self._rooms.values() if room.process is process), None)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ROUND_SEC):
                    await self._changed.wait()
            self._changed.clear()
            self._grow()
            self._shrink()

    def _grow(self) -> None:
        while self._places and self._free() < self._wanted() and self._clock() >= self._not_before:
            place = self._places.popleft()
            settings = self._settings
            config = ProcessConfig(
                host=settings.host,
                sip_port=settings.sip_port + place,
                rtp_port=settings.rtp_min + place * RTP_PORTS_A_PROCESS,
                rtp_ports=RTP_PORTS_A_PROCESS,
                kamailio=f"{settings.kamailio.host}:{settings.kamailio.port}",
            )
            process = Process(next(self._serials), config, self._told, self._died, self._log)
            try:
                process.start()
            except OSError as error:
                self._places.append(place)
                self._failed("media process cannot start", error=str(error))
                return
            self._rooms[place] = _Room(process, self._clock())

    def _shrink(self) -> None:
        now = self._clock()
        for place, room in list(self._rooms.items()):
            idle = room.free(now) == CALLERS_A_PROCESS and now - room.idle_since > IDLE_SEC
            if idle and room.process.ready and self._free() - CALLERS_A_PROCESS >= self._wanted():
                self._end(place)

    def _free(self) -> int:
        now = self._clock()
        return sum(room.free(now) for room in self._rooms.values())

    def _wanted(self) -> int:
        """Room to be had beyond what is taken: more when much is going on."""
        taken = sum(room.callers for room in self._rooms.values())
        return max(self._settings.spare, taken // 2)

    def _told(self, process: Process, message: dict[str, Any]) -> None:
        if message["event"] == Told.READY:
            self._failures = 0
            self.version = f"PJSIP {message['version']}"
            return
        self._event(process, message)

    def _died(self, process: Process) -> None:
        place, room = next((place, room) for place, room in self._rooms.items() if room.process is process)
        self._failed("media process died", address=process.address, pid=process.pid, callers=room.callers)
        self._lost(process)  # which makes them leave their seats
        self._end(place)
        self._changed.set()

    def _failed(self, message: str, **fields: object) -> None:
        """The first one is replaced at once; who dies again and again is given time."""
        self._failures += 1
        if self._failures > 1:
            self._not_before = self._clock() + backoff_sec(self._failures - 1, _LONGEST_BACKOFF_SEC)
        self._log.error(message, **fields)

    def _end(self, place: int) -> None:
        process = self._rooms.pop(place).process
        task = asyncio.create_task(process.stop(), name=f"end media process {process.address}")
        self._ending.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            self._ending.discard(done)
            self._places.append(place)
            self._changed.set()

        task.add_done_callback(ended)
