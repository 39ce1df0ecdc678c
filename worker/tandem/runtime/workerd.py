"""The platform on workerd. Raw JavaScript objects throughout: the SDK's wrappers cost more than the work (design 3)."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import js
from pyodide.ffi import JsException, create_once_callable, jsnull, to_js
from workers import DurableObject, WorkerEntrypoint, import_from_javascript

from tandem.contracts.errors import TandemError
from tandem.runtime.ports import Counters, Env, HttpReply, Param, Reply, Request, Row, Statement
from tandem.runtime.workerd_bucket import BodyContent, MediaBucket, stream_of

__all__ = ["DurableObject", "WorkerEntrypoint"]

T = TypeVar("T")
SHORTEST_SECRET: Final = 12
LARGEST_TAKEN: Final = 16 * 1024 * 1024
LOST_ALARM_MS: Final = 10_000
LARGEST_SEND: Final = 100
counters = Counters()


def _raw(wrapped: Any) -> Any:
    """The JavaScript object under one of the SDK's wrappers."""
    for name in ("_binding", "_ctx", "_env"):
        inner = getattr(wrapped, name, None)
        if inner is not None:
            return inner
    return wrapped


def _object(value: dict[str, Any]) -> Any:
    return to_js(value, dict_converter=js.Object.fromEntries)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def random_bytes(count: int) -> bytes:
    return os.urandom(count)


def heap_bytes() -> int:
    """Size of the WebAssembly memory."""
    import pyodide_js

    return int(pyodide_js._module.HEAP8.length)


class ObjectSql:
    """`Sql` over a Durable Object's raw SqlStorage. Every cursor is consumed: an unread one kills the object."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self._exec = storage.sql.exec

    def run(self, statement: str, *params: Param) -> int:
        return int(self._exec(statement, *params).rowsWritten)

    def json(self, statement: str, *params: Param) -> Any:
        return json.loads(self._exec(statement, *params).one().j)

    def script(self, statements: str) -> None:
        self._exec(statements)

    def transaction(self, body: Callable[[], T]) -> T:
        result: list[T] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                result.append(body())
            except BaseException as error:
                failure.append(error)
                raise

        try:
            self._storage.transactionSync(create_once_callable(run))
        except JsException:
            # The way through JavaScript loses the exception's type.
            if failure:
                raise failure[0] from None
            raise
        return result[0]


def object_sql(ctx: Any) -> ObjectSql:
    return ObjectSql(_raw(_raw(ctx).storage))


async def erase(ctx: Any) -> None:
    """Drops all that the object keeps, its alarm too."""
    await _raw(_raw(ctx).storage).deleteAll()


class ObjectAlarm:
    """`Alarm` over storage.setAlarm; remembers what it armed, so that the common case costs nothing.

    An alarm that is long overdue was lost, and is armed anew.
    """

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self._due: int | None = None
        self._armed = 0

    def at_latest(self, due_ms: int) -> None:
        now = now_ms()
        if self._due is None or due_ms < self._due or now - self._armed > LOST_ALARM_MS:
            self._due = due_ms
            self._armed = max(due_ms, now + 1)
            self._storage.setAlarm(self._armed)

    def rang(self) -> None:
        self._due = None


def object_alarm(ctx: Any) -> ObjectAlarm:
    return ObjectAlarm(_raw(_raw(ctx).storage))


class ControlDatabase:
    """`Database` over D1, always against the primary."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        counters.d1_queries += 1
        session = self._binding.withSession("first-primary")
        prepared = [
            session.prepare(statement).bind(*(jsnull if param is None else param for param in params))
            for statement, params in statements
        ]
        results = await session.batch(to_js(prepared))
        return [json.loads(js.JSON.stringify(result.results)) for result in results]


class ObjectNamespace:
    """`Objects` over a Durable Object namespace."""

    def __init__(self, binding: Any) -> None:
        self._by_name = binding.getByName

    async def call(self, name: str, method: str, *texts: str) -> str:
        counters.object_hops += 1
        text: str = await getattr(self._by_name(name), method)(*texts)
        return text


class WorkerQueue:
    """`Queue` over a queue binding; `sendBatch`, because Pyodide takes `send` for a generator's."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding

    async def put(self, text: str) -> None:
        await self.put_all([text])

    async def put_all(self, texts: Sequence[str]) -> None:
        for first in range(0, len(texts), LARGEST_SEND):
            part = texts[first : first + LARGEST_SEND]
            await self._binding.sendBatch(to_js([_object({"body": text, "contentType": "text"}) for text in part]))


class WorkerRate:
    """`Rate` over a rate-limit binding."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding

    async def allows(self, key: str) -> bool:
        return bool((await self._binding.limit(_object({"key": key}))).success)


_env: Env | None = None


def make_env(env: Any) -> Env:
    """The typed bindings; made once an isolate, since bindings do not change in it."""
    global _env
    if _env is None:
        raw = _raw(env)
        _env = Env(
            control=ControlDatabase(raw.CONTROL),
            presence=ObjectNamespace(raw.PRESENCE),
            fleet=ObjectNamespace(raw.FLEET),
            sessions=ObjectNamespace(raw.CALL_SESSION),
            pokes=WorkerQueue(raw.CONFIG_POKES),
            master_key=_secret(raw, "MASTER_KEY"),
            version=str(getattr(raw, "TANDEM_VERSION", "")),
            media=MediaBucket(raw.MEDIA),
            api_rate=WorkerRate(raw.API_RATE) if hasattr(raw, "API_RATE") else None,
            http_allow=frozenset(str(getattr(raw, "TANDEM_HTTP_ALLOW", "")).replace(",", " ").split()),
        )
    return _env


def queue_texts(batch: Any) -> list[str]:
    return [str(message.body) for message in _raw(batch).messages]


def _secret(raw: Any, name: str) -> str:
    value = getattr(raw, name, None)
    if not isinstance(value, str) or len(value) < SHORTEST_SECRET:
        raise TandemError("unavailable", f"The secret {name} is not set; run: wrangler secret put {name}")
    return value


async def read_request(
    request: Any, largest: Callable[[str], int], is_upload: Callable[[str, str], bool] | None = None
) -> Request:
    """The request; `largest` tells how many bytes the body of a path may have. Of a body that is longer, no more than
    that ever reaches Python, whose memory never shrinks; `Request.body` is then a text that is too long as well.
    `is_upload` tells by method and path whether the body is no text."""
    raw = getattr(request, "js_object", request)
    headers = raw.headers
    target = "/" + raw.url.split("/", 3)[3]
    path, _, query = target.partition("?")
    most = largest(path)
    announced = headers.get("content-length")

    def header(name: str) -> str:
        return headers.get(name) or ""

    if is_upload is not None and is_upload(raw.method, path):
        content = BodyContent(raw, int(announced)) if announced and announced.isdecimal() else None
        return Request(raw.method, path, dict(parse_qsl(query)), target, header, "", content)
    body = await (_announced_body(raw, announced, most) if announced else _unannounced_body(raw, most))
    if body is None:
        body = " " * (most + 1)
    return Request(raw.method, path, dict(parse_qsl(query)) if query else {}, target, header, body)


async def _announced_body(raw: Any, announced: str, most: int) -> str | None:
    """None for a body that is longer than `most` bytes."""
    size = int(announced) if announced.isdecimal() else LARGEST_TAKEN + 1
    if size <= most:
        text: str = await raw.text()
        return text
    if size <= LARGEST_TAKEN:
        # Taken off the wire, so that the sender gets to read the refusal; not made a text of.
        await raw.arrayBuffer()
    return None


async def _unannounced_body(raw: Any, most: int) -> str | None:
    """A body sent in chunks (RFC 9112 section 7.1) or over HTTP/2 without its length, read piece by piece; None as
    above."""
    if not raw.body:
        return ""
    reader = raw.body.getReader()
    pieces: list[bytes] = []
    size = 0
    while not (read := await reader.read()).done:
        piece = read.value
        size += piece.byteLength
        if size > LARGEST_TAKEN:
            await reader.cancel()
            return None
        if size <= most:
            pieces.append(piece.to_bytes())
    return b"".join(pieces).decode(errors="replace") if size <= most else None


def _init(status: int, extra: dict[str, str] | None = None) -> Any:
    headers = {"content-type": "application/json", "cache-control": "no-store", **(extra or {})}
    return _object({"status": status, "headers": headers})


_INITS: Final[dict[int, Any]] = {}


def respond(status: int, text: str, retry_after_sec: int | None = None) -> Any:
    if retry_after_sec is not None:
        return js.Response.new(text, _init(status, {"retry-after": str(retry_after_sec)}))
    if status not in _INITS:
        _INITS[status] = _init(status)
    return js.Response.new(text, _INITS[status])


async def respond_with(ctx: Any, reply: Reply) -> Any:
    """A reply with headers of its own; what is to be done afterwards outlives the request."""
    if reply.afterwards is not None:
        ctx.waitUntil(reply.afterwards())
    headers = {"cache-control": "no-store", **reply.headers}
    body = reply.text if reply.content is None else stream_of(reply.content)
    return js.Response.new(body, _object({"status": reply.status, "headers": headers}))


def scrypt(password: str, salt: str, cost: int, block: int, parallel: int) -> str:
    """RFC 7914 over UTF-8 texts; 32 bytes as hex. Pyodide's hashlib has none, so node:crypto does it."""
    options = _object({"cost": cost, "blockSize": block, "parallelization": parallel})
    call = import_from_javascript("node:crypto").scryptSync
    # Pyodide cannot take a Buffer, so it is serialised where it is made: {"0": first byte, "1": …}.
    maker = js.Object.new()
    maker.toJSON = call.bind(None, password, salt, 32, options)
    return bytes(json.loads(js.JSON.stringify(maker)).values()).hex()


async def http_post(url: str, body: str, headers: dict[str, str], timeout_ms: int) -> tuple[int, str]:
    """Status and text. Raises `ConnectionError` when there is no answer in time."""
    options = {"method": "POST", "body": body, "headers": headers}
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            options["signal"] = js.AbortSignal.timeout(timeout_ms)
            reply = await js.fetch(url, _object(options))
            return int(reply.status), str(await reply.text())
    except (TimeoutError, OSError, Exception) as error:
        raise ConnectionError(f"no answer from {url}: {type(error).__name__}") from error


async def http_fetch(
    method: str, url: str, headers: dict[str, str], body: str | None, timeout_ms: int, largest: int
) -> HttpReply:
    """Redirects are not followed. Raises `TimeoutError` when the whole takes too long, `ConnectionError` with the
    reason when there is no answer, or one with a body of more than `largest` bytes."""
    options: dict[str, Any] = {"method": method, "headers": headers, "redirect": "manual"}
    if body is not None:
        options["body"] = body
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            options["signal"] = js.AbortSignal.timeout(timeout_ms)
            reply = await js.fetch(url, _object(options))
            return HttpReply(int(reply.status), await _read(reply.body, largest))
    except JsException as error:
        if error.name in ("TimeoutError", "AbortError"):
            raise TimeoutError from None
        raise ConnectionError(f"no answer: {error.message}") from None


async def _read(stream: Any, largest: int) -> bytes:
    if not stream:
        return b""
    parts: list[bytes] = []
    size = 0
    reader = stream.getReader()
    while True:
        part = await reader.read()
        if part.done:
            return b"".join(parts)
        parts.append(part.value.to_bytes())
        size += len(parts[-1])
        if size > largest:
            await reader.cancel()
            raise ConnectionError(f"the reply is larger than {largest} bytes")
