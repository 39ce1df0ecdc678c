"""The network between the node-agent and the brain, with faults: delays, an outage, and a count of what passes."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

HOST = "127.0.0.1"
PASSED_ON = ("x-tandem-node", "x-tandem-timestamp", "x-tandem-request-id", "x-tandem-signature", "content-type")
PASSED_BACK = ("content-type", "etag")
Slow = Callable[[str, str], float]


class FaultProxy:
    """A reverse proxy on a port of its own. `slow(path, body)` gives the seconds by which a request is held back."""

    def __init__(self, port: int, target: str) -> None:
        self.port = port
        self.slow: Slow = lambda path, body: 0.0
        self.passed: Counter[str] = Counter()
        self._target = target
        self._down = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def cut(self) -> None:
        """From now on every connection is dropped, as when the brain is unreachable."""
        self._down = True

    def mend(self) -> None:
        self._down = False

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port).start()

    async def _stop(self) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if not self._down:
            await asyncio.sleep(self.slow(request.path, body.decode(errors="replace")))
        if self._down:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the line is cut")
        self.passed[request.path] += 1
        headers = {name: value for name, value in request.headers.items() if name.lower() in PASSED_ON}
        try:
            async with self._session.request(
                request.method, self._target + request.path_qs, data=body, headers=headers
            ) as reply:
                back = {name: reply.headers[name] for name in PASSED_BACK if name in reply.headers}
                return web.Response(status=reply.status, body=await reply.read(), headers=back)
        except aiohttp.ClientError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the brain is away") from None
