"""The agent's own HTTP on loopback: `/healthz`, `/metrics`, `POST /commands`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from edge_node.agent.commands import Commands
from edge_node.agent.config import Address
from edge_node.agent.metrics import Metrics
from tandem.contracts.errors import STATUS, TandemError, error_reply
from tandem.contracts.signature import REQUEST_ID

MAX_BODY: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Health:
    """`ok` when the node can take calls; `parts` says what is up, for people."""

    ok: bool
    parts: dict[str, object]


def application(commands: Commands, health: Callable[[], Health], metrics: Metrics) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        state = health()
        return web.json_response({"ok": state.ok, **state.parts}, status=200 if state.ok else 503)

    async def exposition(_: web.Request) -> web.Response:
        # The gauges of what is up are set by looking.
        health()
        content = generate_latest(metrics.registry)
        return web.Response(body=content, headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})

    async def command(request: web.Request) -> web.Response:
        request_id = request.headers.get(REQUEST_ID)
        try:
            body = await request.read()
            reply = await commands.handle("POST", request.raw_path, body, request.headers)
        except web.HTTPRequestEntityTooLarge:
            return _error(TandemError("too_large", f"A command has at most {MAX_BODY} bytes."), request_id)
        except TandemError as error:
            return _error(error, request_id)
        return web.Response(text=reply.wire(), content_type="application/json")

    app = web.Application(client_max_size=MAX_BODY)
    app.add_routes([web.get("/healthz", healthz), web.get("/metrics", exposition), web.post("/commands", command)])
    return app


def _error(error: TandemError, request_id: str | None) -> web.Response:
    return web.Response(text=error_reply(error, request_id), status=STATUS[error.code], content_type="application/json")


class Server:
    """Use as an asynchronous context manager; `port` is the one that it listens on."""

    def __init__(self, app: web.Application, address: Address) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        self._address = address
        self.port = address.port

    async def __aenter__(self) -> Server:
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._address.host, self._address.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
