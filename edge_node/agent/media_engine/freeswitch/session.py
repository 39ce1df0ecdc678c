"""One channel: what runs on it, by way of the connection that the switch made for it (outbound, `async full`)."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from edge_node.agent.media_engine.base import EngineError
from edge_node.agent.media_engine.freeswitch import causes
from edge_node.agent.media_engine.freeswitch.codec import Event, Headers
from edge_node.agent.media_engine.freeswitch.link import Link, check

STEP_SEC: Final = 5.0
"""How long the switch may take for what it does at once: answer, refuse, connect, separate."""
# After the hang-up the switch keeps the connection for this long, so that its last events arrive.
_LINGER_SEC: Final = 10
REINVITE: Final = "sofia::reinvite"
"""The subclass of the event that tells of a party's own re-INVITE, once it is answered."""
_EVENTS: Final = (
    "CHANNEL_ANSWER CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_PARK CHANNEL_BRIDGE CHANNEL_UNBRIDGE "
    "CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE CHANNEL_HOLD CHANNEL_UNHOLD CHANNEL_CALLSTATE DTMF "
    f"CUSTOM {REINVITE}"
)
# How the switch names a bridge to each of the two: with their audio, or past it.
_BRIDGES: Final = ("uuid_bridge", "signal_bridge")
_HEADER: Final = "variable_sip_h_"
_TOLD: Final = "x-tandem-"


class _App(StrEnum):
    """All that is ever executed: an application that the switch does not know ends the channel."""

    ANSWER = "answer"
    PLAYBACK = "playback"
    PRE_ANSWER = "pre_answer"
    RESPOND = "respond"
    RING_READY = "ring_ready"


class Session:
    """Keyed by its connection: the switch may make a second one for the same channel."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.channel = ""
        self.core = ""
        self.inbound = True
        self.answered = False
        self.gone = False
        self.cause = ""
        # In a bridge that is settled; its party holds.
        self.joined = False
        self.held = False
        # It waits for what to do: neither in a bridge nor on its way out of one.
        self.free = asyncio.Event()
        self.free.set()
        # Its audio is on its way back from where it went past the switch.
        self.returning: asyncio.Task[None] | None = None
        self._facts = Headers({})
        self._executions: dict[str, asyncio.Future[Event]] = {}
        self._expected: list[tuple[frozenset[str], asyncio.Future[Event]]] = []

    async def connect(self) -> None:
        """Learns which channel this is. Raises `EngineError`."""
        facts = (await self.link.command("connect")).headers
        self._facts = facts
        self.channel = facts.get("Unique-ID")
        self.core = facts.get("Core-UUID")
        self.inbound = facts.get("Call-Direction", "inbound") == "inbound"
        self.answered = facts.get("Answer-State") == "answered"
        if not self.channel:
            raise EngineError("refused", "What connected is not a channel.")

    async def subscribe(self) -> None:
        """From here on its events come. Raises `EngineError`."""
        for line in (f"linger {_LINGER_SEC}", f"filter Unique-ID {self.channel}", f"event plain {_EVENTS}"):
            check((await self.link.command(line)).text, line)

    async def direction(self) -> str:
        """Which way the party last said that audio goes, as he sees it (RFC 3264 section 6.1). Raises `EngineError`."""
        found = re.search(r"a=(sendonly|recvonly|inactive)\b", await self.read("switch_r_sdp"))
        return found[1] if found else "sendrecv"

    @property
    def digit_type(self) -> int:
        """The payload type for digits that the caller offered, 0 without one (RFC 4733)."""
        found = re.search(r"a=rtpmap:(\d+) telephone-event/8000", self._facts.get("variable_switch_r_sdp"))
        return int(found[1]) if found else 0

    async def read_headers(self) -> dict[str, str]:
        """The caller's X-Tandem-… headers by lower-case name. Raises `EngineError`."""
        found = {}
        for name, raw in self._facts.raw.items():
            if name.startswith(_HEADER) and (header := name.removeprefix(_HEADER).lower()).startswith(_TOLD):
                # A percent sign in it may be the switch's or the sender's: it says which when asked for the text.
                found[header] = await self.read(name.removeprefix("variable_")) if "%" in raw else raw
        return found

    async def read(self, variable: str) -> str:
        """A channel variable as it is stored; empty when it is not set. Raises `EngineError`."""
        text = await self.link.api(f"uuid_getvar {self.channel} {variable}")
        return "" if text == "_undef_" else text

    async def set(self, **variables: str) -> None:
        """Raises `EngineError`."""
        pairs = ";".join(name + "=" + value.replace(";", r"\;") for name, value in variables.items())
        await self.link.api(f"uuid_setvar_multi {self.channel} {pairs}")

    async def ready(self) -> None:
        """To be played to: in a bridge or out of it, not on its way; its audio is here. Raises `EngineError`."""
        if not self.joined:
            await self.wait_free()
        if self.returning is not None:
            await asyncio.wait({self.returning})
        self.check()

    async def answer(self) -> None:
        """At once, whatever plays; a late offer, before which nothing can play, once it is answered.

        Raises `EngineError`.
        """
        self.check()
        if self.answered:
            return
        if not self._facts.get("variable_switch_r_sdp"):
            # The command waits for the party's answer with the channel's own thread held up, so that it never sees it.
            await self._soon(_App.ANSWER)
            return
        with self.expect("CHANNEL_ANSWER") as answered:
            await self.link.api(f"uuid_answer {self.channel}")
            await asyncio.wait({answered}, timeout=STEP_SEC)
            if not answered.done():
                raise EngineError("timeout", "The switch did not answer the call.")
            answered.result()

    async def begin(self) -> None:
        """Audio before the answer. Raises `EngineError`."""
        if not self.answered:
            await self._soon(_App.PRE_ANSWER)

    async def ring(self) -> None:
        """180 Ringing. Raises `EngineError`."""
        await self._soon(_App.RING_READY)

    async def respond(self, code: int) -> None:
        """Refuses the call, whatever plays. Raises `EngineError`."""
        await self._execute(_App.RESPOND, str(code), at_once=True)

    async def play(self, file: str) -> str:
        """Plays a file to its end: what the switch says of it. Raises `EngineError`."""
        return (await self._execute(_App.PLAYBACK, file)).get("Application-Response")

    async def _soon(self, app: _App) -> None:
        try:
            async with asyncio.timeout(STEP_SEC):
                await self._execute(app)
        except TimeoutError:
            raise EngineError("timeout", f"The switch did not {app.value.replace('_', ' ')}.") from None

    async def _execute(self, app: _App, argument: str = "", *, at_once: bool = False) -> Event:
        """Runs an application to its end, after the one that runs now, or inside it when `at_once`.

        Raises `EngineError`.
        """
        if not at_once:
            await self.ready()
        self.check()
        number = str(uuid.uuid4())
        headers = [("call-command", "execute"), ("execute-app-name", app.value)]
        if argument:
            headers.append(("execute-app-arg", argument))
        headers.append(("Event-UUID", number))
        if not at_once:
            headers.append(("event-lock", "true"))
        over: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._executions[number] = over
        try:
            line = f"sendmsg {self.channel}"
            check((await self.link.command(line, tuple(headers))).text, line)
            return await over
        finally:
            self._executions.pop(number, None)

    @contextmanager
    def expect(self, *names: str) -> Iterator[asyncio.Future[Event]]:
        """The next event of one of these names; a hang-up ends the wait with `EngineError` `gone`."""
        self.check()
        found: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        entry = (frozenset(names), found)
        self._expected.append(entry)
        try:
            yield found
        finally:
            self._expected.remove(entry)
            found.cancel()

    async def wait_free(self) -> None:
        """Out of the bridge that it was in. Raises `EngineError`."""
        self.check()
        try:
            async with asyncio.timeout(STEP_SEC):
                await self.free.wait()
        except TimeoutError:
            raise EngineError("timeout", "The switch did not separate the channel.") from None
        self.check()

    def check(self) -> None:
        """Raises `EngineError` `gone` when the channel is over."""
        if self.gone:
            raise EngineError("gone", "The channel is over.")

    def take(self, event: Event) -> None:
        """An event of this channel."""
        if event.name == "CHANNEL_EXECUTE_COMPLETE":
            over = self._executions.get(event.get("Application-UUID"))
            if over is not None and not over.done():
                over.set_result(event)
        elif event.name == "CHANNEL_ANSWER":
            self.answered = True
        elif event.name in ("CHANNEL_HOLD", "CHANNEL_UNHOLD", "CHANNEL_CALLSTATE"):
            self.held = event.get("Channel-Call-State") == "HELD"
        elif event.name == "CHANNEL_EXECUTE":
            # A park before it was on the way in, one after it is the way out: only this connection has their order.
            if event.get("Application") in _BRIDGES and not self.gone:
                self.free.clear()
        elif event.name == "CHANNEL_PARK":
            self.free.set()
        elif event.name in ("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE"):
            self.cause = causes.of_channel(event)
            self.leave(EngineError("gone", "The channel is over."))
        for names, found in self._expected:
            if event.name in names and not found.done():
                found.set_result(event)

    def leave(self, error: EngineError) -> None:
        """The channel is over, or lost: whoever waits for something of it is told."""
        self.gone = True
        self.free.set()
        for waiting in [*self._executions.values(), *(found for _, found in self._expected)]:
            if not waiting.done():
                waiting.set_exception(error)
                # Nobody may look any more.
                waiting.exception()
