"""The load: kept-alive connections of one asyncio loop, in a closed loop or at a steady rate. Latencies in seconds."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from bench.world import end_event, event_body, post
from tandem.runtime import now_ms

MAX_BATCH = 100
ANSWER_SEC = 30.0
Check = Callable[[int, bytes], None]


class LoadError(Exception):
    """The server answered something else than what the load asked for."""


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection with one request in flight."""

    def __init__(self) -> None:
        self._buffer = b""
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator or self._waiting is None or self._waiting.done():
            return
        at = head.lower().find(b"content-length:")
        if at < 0:
            self._waiting.set_exception(LoadError(f"an answer without a length: {head!r}"))
            return
        length = int(head[at + 15 :].partition(b"\r\n")[0])
        if len(rest) >= length:
            self._buffer = b""
            self._waiting.set_result((int(head[9:12]), rest[:length]))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises `ConnectionError`, `TimeoutError` or `LoadError`."""
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        async with asyncio.timeout(ANSWER_SEC):
            return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connect(port: int) -> Connection:
    _, made = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return made


@dataclass
class Sample:
    """What one run saw; `elapsed` ends when the last release is acknowledged."""

    latencies: list[float] = field(default_factory=list)
    elapsed: float = 0.0
    batches: int = 0

    def quantile(self, part: float) -> float:
        ranked = sorted(self.latencies)
        return ranked[min(len(ranked) - 1, int(part * len(ranked)))]


class Releases:
    """Ends the calls that were admitted, as the node's event shipper does: in order, one batch in flight."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._waiting: deque[str] = deque()
        self._news = asyncio.Event()
        self._closing = False
        self.batches = 0

    def admitted(self, status: int, body: bytes) -> None:
        """Takes the reply of a `/route`. Raises `LoadError` unless it lets the call through."""
        if status != 200 or b'"action":"proxy"' not in body:
            raise LoadError(f"/route: {status} {body[:300]!r}")
        self._waiting.append(end_event(_value(body, b"account_id"), _value(body, b"call_id"), now_ms()))
        self._news.set()

    def close(self) -> None:
        self._closing = True
        self._news.set()

    async def run(self) -> None:
        connection = await connect(self._port)
        while self._waiting or not self._closing:
            if not self._waiting:
                self._news.clear()
                await self._news.wait()
                continue
            batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
            status, body = await connection.ask(post("/presence/event", event_body(batch)))
            if status != 200 or body.count(b"ev_") != len(batch):
                raise LoadError(f"/presence/event: {status} {body[:300]!r}")
            self.batches += 1
        connection.close()


def registered(status: int, body: bytes) -> None:
    if status != 200 or not body.startswith(b'{"ok":true'):
        raise LoadError(f"/auth: {status} {body[:300]!r}")


async def closed_loop(port: int, requests: Iterable[bytes], concurrency: int, seconds: float, check: Check) -> Sample:
    """Every connection asks again as soon as it is answered, until the time or the requests are over."""
    sample = Sample()
    queue = iter(requests)
    connections = [await connect(port) for _ in range(concurrency)]
    start = time.perf_counter()

    async def client(connection: Connection) -> None:
        for request in queue:
            asked = time.perf_counter()
            if asked - start > seconds:
                return
            status, body = await connection.ask(request)
            sample.latencies.append(time.perf_counter() - asked)
            check(status, body)

    async with asyncio.TaskGroup() as group:
        for connection in connections:
            group.create_task(client(connection))
    sample.elapsed = time.perf_counter() - start
    for connection in connections:
        connection.close()
    return sample


async def conversations(port: int, requests: Sequence[Iterable[bytes]], seconds: float, check: Check) -> Sample:
    """A connection for each series of requests, which follow one another; until the time or the requests are over."""
    sample = Sample()
    connections = [await connect(port) for _ in requests]
    start = time.perf_counter()

    async def client(connection: Connection, own: Iterable[bytes]) -> None:
        for request in own:
            asked = time.perf_counter()
            if asked - start > seconds:
                return
            status, body = await connection.ask(request)
            sample.latencies.append(time.perf_counter() - asked)
            check(status, body)

    async with asyncio.TaskGroup() as group:
        for connection, own in zip(connections, requests, strict=True):
            group.create_task(client(connection, own))
    sample.elapsed = time.perf_counter() - start
    for connection in connections:
        connection.close()
    return sample


async def open_loop(port: int, requests: list[bytes], rate: float, check: Check) -> Sample:
    """Requests start at a steady rate whatever the answers do; a latency counts from when its request was due."""
    sample = Sample()
    idle: list[Connection] = []
    start = time.perf_counter()

    async def one(request: bytes, due: float) -> None:
        connection = idle.pop() if idle else await connect(port)
        status, body = await connection.ask(request)
        sample.latencies.append(time.perf_counter() - due)
        idle.append(connection)
        check(status, body)

    async with asyncio.TaskGroup() as group:
        for index, request in enumerate(requests):
            due = start + index / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0.0))
            group.create_task(one(request, due))
    sample.elapsed = time.perf_counter() - start
    for connection in idle:
        connection.close()
    return sample


def _value(body: bytes, name: bytes) -> str:
    """A string of the reply, found without decoding all of it."""
    return body.partition(b'"' + name + b'":"')[2].partition(b'"')[0].decode()
