"""The client side of Kamailio's evapi: netstrings over TCP on loopback, connected again whenever it breaks.

What arrives is handed on at once and synchronously: the reader never waits, so Kamailio is never held up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from edge_node.agent.clock import backoff_sec
from edge_node.agent.config import Address
from edge_node.agent.log import Log
from edge_node.agent.netstring import Decoder, FramingError, encode

# Kamailio is on loopback: one that was restarted is found again within a second.
_LONGEST_PAUSE_SEC: Final = 1.0
# Kamailio reads its answers at once; one that does not read this much is stuck and gets a new connection.
MAX_UNREAD: Final = 4 * 1024 * 1024


class _Connection(asyncio.Protocol):
    def __init__(self, received: Callable[[bytes], None], log: Log) -> None:
        self._decoder = Decoder()
        self._received = received
        self._log = log
        self.transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            payloads = self._decoder.feed(data)
        except FramingError as error:
            self._log.error("evapi framing lost", error=str(error))
            self.abort()
            return
        for payload in payloads:
            self._received(payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if not self.closed.done():
            self.closed.set_result(None)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Evapi:
    """`received(payload)` must neither block nor raise. `generation` grows with every connection."""

    def __init__(
        self, address: Address, received: Callable[[bytes], None], connected: Callable[[], None], log: Log
    ) -> None:
        self._address = address
        self._received = received
        self._on_connected = connected
        self._log = log
        self._connection: _Connection | None = None
        self.generation = 0

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.transport is not None

    def send(self, payload: bytes) -> bool:
        """False when there is nobody to take it. Raises `netstring.TooLargeError`."""
        frame = encode(payload)
        connection = self._connection
        if connection is None or connection.transport is None or connection.transport.is_closing():
            return False
        if connection.transport.get_write_buffer_size() > MAX_UNREAD:
            self._log.error("evapi peer does not read")
            connection.abort()
            return False
        connection.transport.write(frame)
        return True

    async def run(self) -> None:
        """Keeps the connection until cancelled."""
        attempt = 0
        while True:
            try:
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self._received, self._log), self._address.host, self._address.port
                )
            except OSError as error:
                if attempt == 0:
                    self._log.warning("evapi not reachable", error=str(error))
                attempt += 1
                await asyncio.sleep(backoff_sec(attempt, _LONGEST_PAUSE_SEC))
                continue
            attempt = 0
            self._connection = connection
            self.generation += 1
            self._log.info("evapi connected", generation=self.generation)
            self._on_connected()
            try:
                await connection.closed
            finally:
                connection.abort()
                self._connection = None
            self._log.warning("evapi connection lost")
            await asyncio.sleep(backoff_sec(1, _LONGEST_PAUSE_SEC))
