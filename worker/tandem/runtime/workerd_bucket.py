"""R2 and the bytes on their way into it and out of it, which stay in JavaScript."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import js
from pyodide.ffi import JsException, jsnull, to_js

from tandem.runtime.ports import Content, Stored

LARGEST_DISCARDED: Final = 32 * 1024 * 1024


class BodyContent:
    """`Upload` of a body that stays in JavaScript."""

    def __init__(self, request: Any, size: int) -> None:
        self._request = request
        self.size = size
        self._pieces: list[Any] | None = None
        self._taken = False

    async def head(self, count: int) -> bytes:
        if not self._request.body:
            return b""
        reader = self._request.body.getReader()
        taken, self._pieces = 0, []
        while taken < count and not (read := await _whole(reader.read())).done:
            self._pieces.append(read.value)
            taken += read.value.byteLength
        reader.releaseLock()
        return b"".join(piece.to_bytes() for piece in self._pieces)[:count]

    async def read(self) -> bytes:
        return await _bytes(self.stream())

    async def discard(self) -> None:
        body = self._request.body
        if body and not self._taken and self.size <= LARGEST_DISCARDED:
            with suppress(JsException):  # the sender has gone
                await body.pipeTo(js.WritableStream.new())

    def stream(self) -> Any:
        """The whole body as a stream of known length, as R2 wants it; what `head` took goes in front again."""
        self._taken = True
        if self._pieces is None:
            return self._request.body
        whole = js.FixedLengthStream.new(self.size)
        writer = whole.writable.getWriter()
        for piece in self._pieces:
            writer.write(piece)
        writer.releaseLock()
        self._request.body.pipeTo(whole.writable)
        return whole.readable


class ObjectContent:
    """`Content` of an object that a bucket gave."""

    def __init__(self, found: Any) -> None:
        self._found = found
        self.size = int(found.size)

    async def read(self) -> bytes:
        return await _bytes(self.stream())

    def stream(self) -> Any:
        return self._found.body


async def _bytes(stream: Any) -> bytes:
    content: bytes = (await _whole(js.Response.new(stream).arrayBuffer())).to_bytes()
    return content


async def _whole(promise: Any) -> Any:
    try:
        return await promise
    except JsException as error:
        raise ConnectionError(f"the content broke off: {error}") from error


def stream_of(content: Content) -> Any:
    assert isinstance(content, BodyContent | ObjectContent)
    return content.stream()


class MediaBucket:
    """`Bucket` over an R2 binding."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding

    async def put(self, key: str, content: Content | bytes, media_type: str) -> Stored:
        stored = await self._put(key, content, {"httpMetadata": {"contentType": media_type}})
        assert stored is not None
        return stored

    async def put_new(self, key: str, content: Content | bytes, media_type: str) -> Stored | None:
        options = {"httpMetadata": {"contentType": media_type}, "onlyIf": {"etagDoesNotMatch": "*"}}
        return await self._put(key, content, options)

    async def _put(self, key: str, content: Content | bytes, options: dict[str, Any]) -> Stored | None:
        body = to_js(content) if isinstance(content, bytes) else stream_of(content)
        return _stored(await self._ask("put", key, body, _js(options)))

    async def get(self, key: str, etag: str = "") -> Stored | None:
        options = {"onlyIf": {"etagDoesNotMatch": etag}} if etag else {}
        return _stored(await self._ask("get", key, _js(options)))

    async def head(self, key: str) -> Stored | None:
        return _stored(await self._ask("head", key))

    async def delete(self, *keys: str) -> None:
        await self._ask("delete", to_js(keys))

    async def _ask(self, method: str, *how: Any) -> Any:
        try:
            return await getattr(self._binding, method)(*how)
        except JsException as error:
            raise ConnectionError(f"the bucket refused to {method}: {error}") from error


def _stored(found: Any) -> Stored | None:
    # Not by truth: to Pyodide whatever has the size 0 is false.
    if found is None or found is jsnull:
        return None
    content = ObjectContent(found) if getattr(found, "body", None) else None
    return Stored(str(found.etag), int(found.size), str(found.httpMetadata.contentType or ""), content)


def _js(value: dict[str, Any]) -> Any:
    return to_js(value, dict_converter=js.Object.fromEntries)
