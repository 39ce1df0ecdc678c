"""Keeps the live view true: Kamailio's own lists at the agent's start, at Kamailio's start and every minute."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge_node.agent.clock import Clock, backoff_sec
from edge_node.agent.kamailio import Kamailio, KamailioError
from edge_node.agent.live import SETTLE_SEC, Live
from edge_node.agent.log import Log


class Rebuilder:
    """`boot_id` is that of the Kamailio whose state the live view holds; `on_boot` is called when it has changed."""

    def __init__(
        self,
        kamailio: Kamailio | None,
        live: Live,
        clock: Clock,
        interval: float,
        on_boot: Callable[[], None],
        log: Log,
    ) -> None:
        self._kamailio = kamailio
        self._live = live
        self._clock = clock
        self._interval = interval
        self._on_boot = on_boot
        self._log = log
        self._due = asyncio.Event()
        self._lock = asyncio.Lock()
        self._announced = ""
        self.boot_id = ""
        # Set once the node knows itself: which Kamailio it is, and what that holds.
        self.first_done = asyncio.Event()

    def request(self) -> None:
        """Soon, and once however often it is asked for."""
        self._due.set()

    def booted(self, boot_id: str) -> None:
        """Kamailio says who it is, whenever the agent connects."""
        self._announced = boot_id
        self.request()

    async def run(self) -> None:
        """Until cancelled."""
        attempt = 0
        while True:
            try:
                await self.now()
                attempt = 0
                pause = self._interval
            except KamailioError as error:
                if attempt == 0:
                    self._log.warning("live view not rebuilt", error=str(error))
                attempt += 1
                pause = backoff_sec(attempt, 1.0)
            try:
                async with asyncio.timeout(pause):
                    await self._due.wait()
            except TimeoutError:
                continue

    async def now(self) -> None:
        """Raises `KamailioError`; the view is then as before."""
        async with self._lock:
            self._due.clear()
            announced = self._announced
            if self._kamailio is not None:
                await self._fetch(self._kamailio, settle=SETTLE_SEC if announced == self.boot_id else 0.0)
            if announced and announced != self.boot_id:
                self._log.info("kamailio started", boot_id=announced, calls=self._live.calls)
                self.boot_id = announced
                self.first_done.set()
                self._on_boot()

    async def _fetch(self, kamailio: Kamailio, settle: float) -> None:
        """A Kamailio that started anew has forgotten the directives of before: then nothing need settle."""
        self._live.begin_rebuild()
        try:
            calls = await kamailio.calls()
            contacts = await kamailio.contacts(self._clock.now())
        except BaseException:
            self._live.cancel_rebuild()
            raise
        self._live.rebuild(calls, contacts, settle)
