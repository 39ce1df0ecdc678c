"""Keeps the live view true: Kamailio's own lists at the agent's start, at Kamailio's start and every minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from edge_node.agent.clock import Clock
from edge_node.agent.kamailio import Kamailio, KamailioError
from edge_node.agent.live import Live
from edge_node.agent.log import Log
from edge_node.agent.retry import RECONNECT


class Rebuilder:
    """`boot_id` is Kamailio's; `on_boot` is called when it turns out to be another."""

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
        self.first_done = asyncio.Event()
        self.boot_id = ""
        self.done_at: float | None = None
        if kamailio is None:
            self.first_done.set()

    def request(self) -> None:
        """Soon, and once however often it is asked for."""
        self._due.set()

    def booted(self, boot_id: str) -> None:
        """Kamailio says that it started; without its JSON-RPC this is all that there is to know of it."""
        if self._kamailio is None and boot_id != self.boot_id:
            self.boot_id = boot_id
            self._on_boot()
        self.request()

    async def run(self) -> None:
        """Until cancelled."""
        if self._kamailio is None:
            return
        attempt = 0
        while True:
            try:
                await self.now()
                attempt = 0
                pause = self._interval
            except KamailioError as error:
                if attempt == 0:
                    self._log.warning("live view not rebuilt", error=str(error))
                pause = RECONNECT.delay(attempt)
                attempt += 1
                self._due.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._due.wait()
            except TimeoutError:
                continue

    async def now(self) -> None:
        """Raises `KamailioError`; the view is then as before."""
        if self._kamailio is None:
            return
        async with self._lock:
            self._due.clear()
            self._live.begin_rebuild()
            try:
                boot_id = await self._kamailio.boot_id()
                calls = await self._kamailio.calls()
                contacts = await self._kamailio.contacts(self._clock.now())
            except BaseException:
                self._live.cancel_rebuild()
                raise
            self._live.rebuild(calls, contacts)
            self.done_at = time.monotonic()
            self.first_done.set()
            if boot_id != self.boot_id:
                self._log.info("kamailio started", boot_id=boot_id, calls=len(calls), contacts=len(contacts))
                self.boot_id = boot_id
                self._on_boot()
