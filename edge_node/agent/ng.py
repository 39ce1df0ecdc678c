"""rtpengine's ng protocol: a cookie and a bencoded dictionary in one UDP packet each way."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any, Final, Self

from edge_node.agent.config import Address

_REPLY_SEC: Final = 1.0


class NgError(Exception):
    """rtpengine does not answer, or not in its protocol."""


class Ng:
    """Use as an asynchronous context manager."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._protocol = _Replies()
        self._transport: asyncio.DatagramTransport | None = None
        # rtpengine answers a cookie that it knows with the reply of then.
        self._cookies = (f"{time.time_ns()}_{number}".encode() for number in itertools.count())

    async def __aenter__(self) -> Self:
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self._protocol, remote_addr=(self._address.host, self._address.port)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._transport is not None:
            self._transport.close()

    async def ask(self, command: str, **members: str) -> dict[str, Any]:
        """The reply's dictionary; names are given with `_` for `-`. Raises `NgError`."""
        return decode(await self.exchange(command, **members))

    async def exchange(self, command: str, **members: str) -> bytes:
        """The reply as it came. Raises `NgError`."""
        assert self._transport is not None, "used outside of its context"
        fields = {name.replace("_", "-"): value for name, value in members.items()}
        cookie = next(self._cookies)
        future = self._protocol.expect(cookie)
        self._transport.sendto(cookie + b" " + encode({**fields, "command": command}))
        try:
            async with asyncio.timeout(_REPLY_SEC):
                return await future
        except TimeoutError as error:
            raise NgError(f"no reply to {command} within {_REPLY_SEC:g} s") from error
        finally:
            self._protocol.forget(cookie)


class _Replies(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}

    def expect(self, cookie: bytes) -> asyncio.Future[bytes]:
        future = self._waiting[cookie] = asyncio.get_running_loop().create_future()
        return future

    def forget(self, cookie: bytes) -> None:
        self._waiting.pop(cookie, None)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        cookie, _, body = data.partition(b" ")
        future = self._waiting.get(cookie)
        if future is not None and not future.done():
            future.set_result(body)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: the time-out says so."""


def encode(texts: dict[str, str]) -> bytes:
    """A dictionary of texts."""
    parts = [f"{len(text.encode())}:{text}" for name in sorted(texts) for text in (name, texts[name])]
    return f"d{''.join(parts)}e".encode()


def decode(body: bytes) -> dict[str, Any]:
    """Raises `NgError`."""
    try:
        value, end = _value(body, 0)
    except (ValueError, IndexError, RecursionError) as error:
        raise NgError("not bencoded") from error
    if not isinstance(value, dict) or end != len(body):
        raise NgError("not one bencoded dictionary")
    return value


def _value(body: bytes, at: int) -> tuple[Any, int]:
    kind = body[at : at + 1]
    if kind == b"i":
        end = body.index(b"e", at)
        return int(body[at + 1 : end]), end + 1
    if kind in (b"d", b"l"):
        items: list[Any] = []
        at += 1
        while body[at] != ord("e"):
            item, at = _value(body, at)
            items.append(item)
        return (items if kind == b"l" else dict(zip(items[::2], items[1::2], strict=True))), at + 1
    colon = body.index(b":", at)
    end = colon + 1 + int(body[at:colon])
    if end > len(body):
        raise ValueError("cut off")
    return body[colon + 1 : end].decode("utf-8", "replace"), end
