"""A terminal on the whole brain on CPython: every command goes through the real API."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

import httpx
from click.testing import CliRunner, Result

from cli.app import tandem
from tandem.api.front import Front
from tandem.api.media import is_upload
from tandem.runtime import Request
from tandem.runtime.cpython import MemoryContent


class BrainTransport(httpx.BaseTransport):
    """What a command sends, handed to the API; `sent` has the requests, `away` makes the next ones fail."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self.sent: list[httpx.Request] = []
        self.away = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        if self.away > 0:
            self.away -= 1
            raise httpx.ConnectError("connection refused", request=request)
        target = request.url.raw_path.decode()
        path, _, query = target.partition("?")
        body = request.read()
        sound = MemoryContent(body) if is_upload(request.method, path) else None
        asked = Request(
            request.method,
            path,
            dict(parse_qsl(query)),
            target,
            lambda name: request.headers.get(name, ""),
            "" if sound else body.decode(),
            sound,
        )
        status, headers, content = asyncio.run(self._ask(asked))
        return httpx.Response(status, headers=headers, content=content, request=request)

    async def _ask(self, asked: Request) -> tuple[int, dict[str, str], bytes]:
        reply = await self._front.handle(asked)
        content = reply.text.encode() if reply.content is None else await reply.content.read()
        return reply.status, dict(reply.headers), content


class Terminal:
    """`terminal("users", "list")` is the command's JSON; `run` is the command as people see it."""

    def __init__(self, transport: BrainTransport, key: str, *before: str) -> None:
        self.transport = transport
        self.before = ("--url", "http://brain.test", "--key", key, *before)

    def __call__(self, *words: str) -> Any:
        done = self.run("--json", *words)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def run(self, *words: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(tandem, [*self.before, *words], input=typed, obj=self.transport)
