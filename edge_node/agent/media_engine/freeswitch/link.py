"""One connection of the event socket, either kind: commands and their replies in order, events handed on at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError
from edge_node.agent.media_engine.freeswitch import codec
from edge_node.agent.media_engine.freeswitch.codec import Decoder, Event, FramingError, Message

REPLY_SEC: Final = 5.0
"""A switch that does not answer a command for so long is stuck: what takes longer is a job in the background."""
# The switch reads its commands at once; one that does not read this much is stuck.
_MAX_UNREAD: Final = 1024 * 1024


class Link(asyncio.Protocol):
    """`event(event)` and `greeting(message)`, for what comes unasked, must neither block nor raise."""

    def __init__(
        self,
        event: Callable[[Event], None],
        log: Log,
        *,
        made: Callable[[Link], None] | None = None,
        greeting: Callable[[Message], None] | None = None,
    ) -> None:
        self._event = event
        self._log = log
        self._made = made
        self._greeting = greeting
        self._decoder = Decoder()
        self._replies: deque[asyncio.Future[Message]] = deque()
        self._transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def command(self, line: str, headers: tuple[tuple[str, str], ...] = ()) -> Message:
        """The reply, whatever it says. Raises `EngineError`: `gone`, `timeout`, `refused` (it cannot be sent)."""
        try:
            data = codec.encode(line, headers)
        except ValueError as error:
            raise EngineError("refused", str(error)) from error
        transport = self._transport
        if transport is None or transport.is_closing():
            raise EngineError("gone", "The connection to the switch is gone.")
        if transport.get_write_buffer_size() > _MAX_UNREAD:
            self._log.error("the switch does not read its commands")
            self.abort()
            raise EngineError("gone", "The switch does not read its commands.")
        reply: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        # One that is given up keeps its place: its reply is still to come, and is not the next one's.
        self._replies.append(reply)
        transport.write(data)
        try:
            async with asyncio.timeout(REPLY_SEC):
                return await reply
        except TimeoutError:
            raise EngineError("timeout", f"The switch did not answer {line.split(' ', 1)[0]}.") from None

    async def api(self, line: str) -> str:
        """What an api command answered, without the line's end. Raises `EngineError`, also when it says `-ERR`."""
        text = (await self.command(f"api {line}")).text.rstrip("\n")
        check(text, line)
        return text

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._made is not None:
            self._made(self)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._decoder.feed(data):
                self._take(message)
        except FramingError as error:
            self._log.error("event socket framing lost", error=str(error))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        while self._replies:
            reply = self._replies.popleft()
            if not reply.done():
                reply.set_exception(EngineError("gone", "The connection to the switch broke."))
        if not self.closed.done():
            self.closed.set_result(None)

    def _take(self, message: Message) -> None:
        if message.kind == codec.EVENT:
            self._event(codec.parse_event(message.body))
        elif message.kind in (codec.REPLY, codec.API_REPLY):
            if not self._replies:
                raise FramingError("a reply to nothing")
            reply = self._replies.popleft()
            if not reply.done():
                reply.set_result(message)
        elif self._greeting is not None:
            self._greeting(message)


def check(text: str, line: str) -> None:
    """Raises `EngineError` for an answer that says no: `gone` for a channel that is not there, else `refused`."""
    if not text.startswith("-ERR"):
        return
    said = text.removeprefix("-ERROR").removeprefix("-ERR").strip()
    gone = said.lower().startswith(("no such channel", "invalid uuid", "invalid session id"))
    name = line.split(" ", 1)[0]
    raise EngineError("gone" if gone else "refused", f"The switch refused {name}: {said or 'no reason given'}.")
