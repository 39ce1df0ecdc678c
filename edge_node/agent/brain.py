"""The signed, kept-alive HTTP client to the brain. One error type; what to do about it is the caller's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import aiohttp
from pydantic import ValidationError

from edge_node.agent.clock import Clock
from tandem.contracts.errors import ErrorReply
from tandem.contracts.ids import RANDOM_BYTES, ulid
from tandem.contracts.signature import sign_headers

# A reply larger than this is no reply of the brain's.
MAX_REPLY: Final = 4 * 1024 * 1024
TOO_LARGE: Final = "too_large"
_KEEP_ALIVE_SEC: Final = 30


class Failure(StrEnum):
    """`CONNECTION`: nothing or only a part was heard. `SERVER`: a 5xx, or a reply that cannot be read."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    SERVER = "server"


class BrainError(Exception):
    """No usable reply. `status` is 0 and `code` a word of the agent's when there was no HTTP reply."""

    def __init__(self, failure: Failure, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.failure = failure
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Reply:
    """`etag` is empty when there was none."""

    content: bytes
    etag: str


class Brain:
    """One pool of connections to the brain of the node's region. Use as an asynchronous context manager."""

    def __init__(self, url: str, node: str, credential: str, clock: Clock) -> None:
        self._url = url
        self._node = node
        self._credential = credential
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Brain:
        # Bounds on what is in flight are the callers': a queue for connections would let accounts delay each other.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SEC),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, path: str, body: str, within: float) -> bytes:
        """The body of a 200. Raises `BrainError`. Each call takes a new request id; `within` in seconds."""
        reply = await self._exchange("POST", path, body.encode(), "application/json", within, MAX_REPLY)
        return reply.content

    async def get(self, path: str, within: float, largest: int, stalled: float | None = None) -> Reply:
        """A file of at most `largest` bytes; nothing in `path` needs encoding. What does not move for `stalled` seconds
        is given up before `within` is over. Raises `BrainError`."""
        return await self._exchange("GET", path, b"", None, within, largest, stalled)

    async def put(self, path: str, body: bytes, content_type: str, within: float) -> None:
        """Raises `BrainError`."""
        await self._exchange("PUT", path, body, content_type, within, MAX_REPLY)

    async def _exchange(
        self,
        method: str,
        path: str,
        data: bytes,
        content_type: str | None,
        within: float,
        largest: int,
        stalled: float | None = None,
    ) -> Reply:
        assert self._session is not None, "used outside of its context"
        now = self._clock.now()
        request_id = ulid(now, os.urandom(RANDOM_BYTES))
        headers = sign_headers(self._credential, method, path, data, now, request_id, self._node)
        if content_type is not None:
            headers["content-type"] = content_type
        try:
            async with self._session.request(
                method,
                self._url + path,
                data=data or None,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=within, sock_connect=stalled, sock_read=stalled),
            ) as response:
                status, etag = response.status, response.headers.get("etag", "")
                content = await _bounded(response, largest)
        except TimeoutError as error:
            raise BrainError(Failure.TIMEOUT, 0, "timeout", str(error) or f"no reply within {within:.1f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise BrainError(Failure.CONNECTION, 0, "connection", str(error) or type(error).__name__) from error
        if status == 200 or (method == "PUT" and status in (201, 204)):
            return Reply(content, etag)
        raise _refusal(status, content)


async def _bounded(response: aiohttp.ClientResponse, largest: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > largest:
            raise BrainError(Failure.SERVER, response.status, TOO_LARGE, "the reply is too large")
        pieces.append(piece)
    return b"".join(pieces)


def _refusal(status: int, content: bytes) -> BrainError:
    failure = Failure.REFUSED if 400 <= status < 500 else Failure.SERVER
    try:
        error = ErrorReply.model_validate_json(content).error
    except ValidationError:
        return BrainError(failure, status, "unreadable", f"HTTP {status} without the error shape")
    return BrainError(failure, status, error.code, error.message)
