"""A stand-in for the platform on CPython: sqlite3 as a Durable Object's storage and as D1, a clock that tests set.

The same shells run on it as on workerd; the contract tests in tests/contract pin both to the same behaviour.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from tandem.runtime.ports import Content, Counters, Env, HttpReply, Param, Reply, Request, Row, Statement, Stored

T = TypeVar("T")
counters = Counters()


class Clock:
    """Real time until a test sets `fixed` (epoch ms)."""

    fixed: int | None = None


clock = Clock()


def now_ms() -> int:
    return clock.fixed if clock.fixed is not None else time.time_ns() // 1_000_000


def random_bytes(count: int) -> bytes:
    return os.urandom(count)


def heap_bytes() -> int:
    return 0


class SqliteSql:
    """`Sql` over sqlite3."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.isolation_level = None
        self.connection = connection
        self.statements = 0

    def run(self, statement: str, *params: Param) -> int:
        self.statements += 1
        cursor = self.connection.execute(statement, params)
        cursor.fetchall()
        return max(cursor.rowcount, 0)

    def json(self, statement: str, *params: Param) -> Any:
        self.statements += 1
        (text,) = self.connection.execute(statement, params).fetchone()
        return json.loads(text)

    def script(self, statements: str) -> None:
        self.connection.executescript(statements)

    def transaction(self, body: Callable[[], T]) -> T:
        self.connection.execute("BEGIN")
        try:
            result = body()
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
        return result


class SqliteDatabase:
    """`Database` over sqlite3."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.isolation_level = None
        connection.row_factory = sqlite3.Row
        self.connection = connection
        self.available = True

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        counters.d1_queries += 1
        if not self.available:
            raise ConnectionError("D1 is not available")
        self.connection.execute("BEGIN")
        try:
            found = [
                [dict(row) for row in self.connection.execute(statement, params).fetchall()]
                for statement, params in statements
            ]
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
        return found


class MemoryAlarm:
    """`Alarm` that tests read: `due` is epoch ms, None when it is not set; `armed` has those of its kind that are."""

    def __init__(self, name: str = "", armed: dict[str, MemoryAlarm] | None = None) -> None:
        self.due: int | None = None
        self._name = name
        self._armed = {} if armed is None else armed

    def at_latest(self, due_ms: int) -> None:
        if self.due is None or due_ms < self.due:
            self.due = due_ms
            self._armed[self._name] = self

    def rang(self) -> None:
        self.due = None
        self._armed.pop(self._name, None)


@dataclass
class ObjectContext:
    """A Durable Object's `ctx`: its storage outlives the object."""

    connection: sqlite3.Connection = field(default_factory=lambda: sqlite3.connect(":memory:"))
    alarm: MemoryAlarm = field(default_factory=MemoryAlarm)


class DurableObject:
    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx = ctx
        self.env = env


class WorkerEntrypoint:
    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx = ctx
        self.env = env


def object_sql(ctx: ObjectContext) -> SqliteSql:
    return SqliteSql(ctx.connection)


async def erase(ctx: ObjectContext) -> None:
    """Drops all that the object keeps, its alarm too."""
    names = ctx.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in names:
        ctx.connection.execute(f"DROP TABLE {name}")
    ctx.alarm.rang()


def object_alarm(ctx: ObjectContext) -> MemoryAlarm:
    return ctx.alarm


class ObjectFactory(Protocol):
    def __call__(self, ctx: Any, env: Any) -> Any: ...


class LocalObjects:
    """A namespace whose objects live in this process; `evict` forgets an object but keeps its storage."""

    def __init__(self, factory: ObjectFactory) -> None:
        self.factory = factory
        self.env: Env | None = None
        self.contexts: dict[str, ObjectContext] = {}
        self.live: dict[str, Any] = {}
        self.armed: dict[str, MemoryAlarm] = {}

    def get(self, name: str) -> Any:
        if name not in self.live:
            if name not in self.contexts:
                self.contexts[name] = ObjectContext(alarm=MemoryAlarm(name, self.armed))
            self.live[name] = self.factory(self.contexts[name], self.env)
        return self.live[name]

    def evict(self, name: str) -> None:
        self.live.pop(name, None)

    async def call(self, name: str, method: str, *texts: str) -> str:
        counters.object_hops += 1
        text: str = await getattr(self.get(name), method)(*texts)
        return text


class MemoryQueue:
    def __init__(self) -> None:
        self.texts: list[str] = []

    async def put(self, text: str) -> None:
        self.texts.append(text)

    async def put_all(self, texts: Sequence[str]) -> None:
        self.texts.extend(texts)


class MemoryContent:
    """`Upload`, and so `Content`, in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.taken = False

    @property
    def size(self) -> int:
        return len(self._content)

    async def head(self, count: int) -> bytes:
        return self._content[:count]

    async def read(self) -> bytes:
        if self.taken:
            raise ValueError("the content was taken already")
        self.taken = True
        return self._content

    async def discard(self) -> None:
        self.taken = True


class MemoryBucket:
    """`Bucket` in memory: `objects` has the bytes by key."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self._media_types: dict[str, str] = {}
        self.available = True

    async def put(self, key: str, content: Content | bytes, media_type: str) -> Stored:
        self._reach()
        self.objects[key] = content if isinstance(content, bytes) else await content.read()
        self._media_types[key] = media_type
        return self._stored(key)

    async def put_new(self, key: str, content: Content | bytes, media_type: str) -> Stored | None:
        self._reach()
        return None if key in self.objects else await self.put(key, content, media_type)

    async def get(self, key: str, etag: str = "") -> Stored | None:
        self._reach()
        if key not in self.objects:
            return None
        stored = self._stored(key)
        return stored if stored.etag == etag else replace(stored, content=MemoryContent(self.objects[key]))

    async def head(self, key: str) -> Stored | None:
        self._reach()
        return self._stored(key) if key in self.objects else None

    async def delete(self, *keys: str) -> None:
        self._reach()
        for key in keys:
            self.objects.pop(key, None)

    def _stored(self, key: str) -> Stored:
        content = self.objects[key]
        return Stored(hashlib.md5(content, usedforsecurity=False).hexdigest(), len(content), self._media_types[key])

    def _reach(self) -> None:
        if not self.available:
            raise ConnectionError("the bucket is not available")


def make_env(env: Env) -> Env:
    return env


def queue_texts(batch: Sequence[str]) -> list[str]:
    return list(batch)


async def read_request(
    request: Request, largest: Callable[[str], int], is_upload: Callable[[str, str], bool] | None = None
) -> Request:
    return request


def respond(status: int, text: str, retry_after_sec: int | None = None) -> tuple[int, str]:
    return status, text


async def respond_with(ctx: Any, reply: Reply) -> Reply:
    if reply.afterwards is not None:
        await reply.afterwards()
    return reply


def scrypt(password: str, salt: str, cost: int, block: int, parallel: int) -> str:
    """RFC 7914 over UTF-8 texts; 32 bytes as hex."""
    key = hashlib.scrypt(password.encode(), salt=salt.encode(), n=cost, r=block, p=parallel, dklen=32)
    return key.hex()


Post = Callable[[str, str, dict[str, str], int], Awaitable[tuple[int, str]]]


Fetch = Callable[[str, str, dict[str, str], str | None], Awaitable[HttpReply]]


class Outside:
    """Where `http_post` and `http_fetch` go; a test puts its own functions here."""

    post: Post | None = None
    fetch: Fetch | None = None


outside = Outside()


async def http_post(url: str, body: str, headers: dict[str, str], timeout_ms: int) -> tuple[int, str]:
    if outside.post is None:
        raise ConnectionError(f"nothing listens at {url}")
    return await outside.post(url, body, headers, timeout_ms)


async def http_fetch(
    method: str, url: str, headers: dict[str, str], body: str | None, timeout_ms: int, largest: int
) -> HttpReply:
    if outside.fetch is None:
        raise ConnectionError(f"nothing listens at {url}")
    async with asyncio.timeout(timeout_ms / 1000):
        reply = await outside.fetch(method, url, headers, body)
    if len(reply.body) > largest:
        raise ConnectionError(f"the reply is larger than {largest} bytes")
    return reply
