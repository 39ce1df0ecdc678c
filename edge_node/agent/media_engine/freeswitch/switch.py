"""The switch as a whole: the inbound connection of its event socket, kept up, with jobs that run in the background."""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
from collections.abc import Callable
from typing import Final

from edge_node.agent.clock import backoff_sec
from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError
from edge_node.agent.media_engine.freeswitch import codec
from edge_node.agent.media_engine.freeswitch.codec import Event, Message
from edge_node.agent.media_engine.freeswitch.link import REPLY_SEC, Link, check
from edge_node.agent.media_engine.freeswitch.settings import FreeSwitchSettings

# The switch is on loopback: one that was restarted is found again within a second.
_LONGEST_PAUSE_SEC: Final = 1.0
# A switch that hangs keeps its connections; it is asked whether it still lives.
_PING_SEC: Final = 5.0
_PROFILE_SEC: Final = 0.5
_EVENTS: Final = "BACKGROUND_JOB CHANNEL_PROGRESS CHANNEL_HANGUP_COMPLETE"


class Switch:
    """`event` gets what is not a job's result; `connected` is called once the switch takes commands.
    Neither may block or raise. `core` names the switch's process: another one is another start."""

    def __init__(
        self,
        settings: FreeSwitchSettings,
        event: Callable[[Event], None],
        connected: Callable[[], None],
        log: Log,
    ) -> None:
        self._settings = settings
        self._on_event = event
        self._on_connected = connected
        self._log = log
        self._link: Link | None = None
        self._jobs: dict[str, asyncio.Future[str]] = {}
        self._complained = ""
        self.core = ""
        self.version = ""
        # SIP profiles that run: they come up after the event socket.
        self.profiles: frozenset[str] = frozenset()

    @property
    def up(self) -> bool:
        """It takes commands, and calls."""
        return self._link is not None and self._link.open and self._settings.profile in self.profiles

    async def api(self, line: str) -> str:
        """For what the switch does at once. Raises `EngineError`."""
        return await self._ready().api(line)

    async def job(self, line: str, seconds: float) -> str:
        """Runs an api command in the background and waits for its answer, without the line's end.

        Raises `EngineError`: `timeout` after so many seconds, `gone`; not when the answer is `-ERR`.
        """
        link = self._ready()
        number = str(uuid.uuid4())
        result: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._jobs[number] = result
        try:
            check((await link.command(f"bgapi {line}", (("Job-UUID", number),))).text, line)
            async with asyncio.timeout(seconds):
                return await result
        except TimeoutError:
            raise EngineError("timeout", f"The switch did not finish {line.split(' ', 1)[0]}.") from None
        finally:
            self._jobs.pop(number, None)
            result.cancel()

    async def run(self) -> None:
        """Keeps the connection until cancelled."""
        attempt = 0
        while True:
            link = await self._dial()
            if link is not None:
                try:
                    if await self._login(link):
                        attempt = 0
                        with contextlib.suppress(EngineError):
                            await self._serve(link)
                finally:
                    self._drop(link)
            attempt += 1
            await asyncio.sleep(backoff_sec(attempt, _LONGEST_PAUSE_SEC))

    def _ready(self) -> Link:
        if self._link is None or not self._link.open:
            raise EngineError("gone", "The switch is not reachable.")
        return self._link

    async def _dial(self) -> Link | None:
        self._asked: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        address = self._settings.esl
        try:
            _, link = await asyncio.get_running_loop().create_connection(
                lambda: Link(self._event, self._log, greeting=self._greeted), address.host, address.port
            )
        except OSError as error:
            self._complain(f"not reachable: {error.strerror or error}")
            return None
        return link

    def _greeted(self, message: Message) -> None:
        if not self._asked.done():
            self._asked.set_result(message)

    async def _login(self, link: Link) -> bool:
        """False when the switch does not let us in; it is said in the log once."""
        try:
            async with asyncio.timeout(REPLY_SEC):
                greeting = await self._asked
            if greeting.kind != codec.AUTH:
                raise EngineError("refused", "it does not ask for a password")
            check((await link.command(f"auth {self._settings.password}")).text, "auth")
            line = f"event plain {_EVENTS}"
            check((await link.command(line)).text, line)
            self.core = await link.api("global_getvar core_uuid")
            self.version = (await link.api("version short")).strip()
        except (EngineError, TimeoutError) as error:
            self._complain(f"no login: {error}")
            return False
        return True

    async def _serve(self, link: Link) -> None:
        while self._settings.profile not in await self._read_profiles(link):
            self._complain(f"it has no SIP profile {self._settings.profile} yet")
            await asyncio.wait({link.closed}, timeout=_PROFILE_SEC)
        self._link = link
        self._complained = ""
        self._log.info("switch connected", version=self.version)
        self._on_connected()
        while not link.closed.done():
            await asyncio.wait({link.closed}, timeout=_PING_SEC)
            with contextlib.suppress(EngineError):
                await link.api("uptime")
                continue
            link.abort()

    async def _read_profiles(self, link: Link) -> frozenset[str]:
        """Raises `EngineError` when the connection is gone."""
        try:
            text = await link.api("sofia status")
        except EngineError as error:
            if error.code != "refused":
                raise
            text = ""  # SIP is not loaded yet
        self.profiles = frozenset(re.findall(r"^\s*(\S+)\s+profile\s.*\bRUNNING\b", text, re.MULTILINE))
        return self.profiles

    def _drop(self, link: Link) -> None:
        link.abort()
        was_up, self._link = self._link is link, None
        for result in self._jobs.values():
            if not result.done():
                result.set_exception(EngineError("gone", "The connection to the switch broke."))
        if was_up:
            self._log.warning("switch lost")

    def _event(self, event: Event) -> None:
        if event.name == "BACKGROUND_JOB":
            result = self._jobs.get(event.get("Job-UUID"))
            if result is not None and not result.done():
                result.set_result(event.body.rstrip("\n"))
        else:
            self._on_event(event)

    def _complain(self, what: str) -> None:
        if what != self._complained:
            self._complained = what
            self._log.warning("no connection to the switch", error=what)
