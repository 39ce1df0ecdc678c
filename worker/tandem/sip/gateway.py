"""The stateless front: one table of paths, and every failure in the one error shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from tandem.contracts.errors import TandemError, error_reply
from tandem.contracts.objects import open_envelope
from tandem.contracts.signature import REQUEST_ID
from tandem.runtime import Env, Reply, Request, counters
from tandem.runtime.log import log
from tandem.sip.media_requests import MediaRequests
from tandem.sip.node_requests import NodeRequests
from tandem.sip.operator_requests import OperatorRequests
from tandem.store.control import Control

LARGEST_BODY: Final = 512 * 1024
Handler = Callable[[Request], Awaitable[str]]


class Gateway:
    """One per isolate."""

    def __init__(self, env: Env) -> None:
        control = Control(env.control)
        nodes, operators = NodeRequests(env, control), OperatorRequests(env, control)
        self._media = MediaRequests(env, control)
        self.poke_again = operators.poke_again
        self.forget_trunks = control.forget_trunks
        self._posts: dict[str, Handler] = {
            "/route": nodes.route,
            "/auth": nodes.auth,
            "/flow": nodes.flow,
            "/presence/event": nodes.event,
            "/fleet/heartbeat": nodes.heartbeat,
            "/fleet/hello": nodes.hello,
            "/cac/reset": operators.cac_reset,
            "/config/poke": operators.poke,
        }
        self._gets: dict[str, Handler] = {
            "/cac": operators.cac,
            "/healthz": operators.healthz,
            "/ops/counters": operators.counters,
        }

    async def handle(self, request: Request) -> tuple[int, str]:
        """Status and JSON text."""
        counters.requests += 1
        try:
            if len(request.body) > LARGEST_BODY:
                raise TandemError("too_large", f"The body is larger than {LARGEST_BODY} bytes.")
            return open_envelope(await self._handler(request)(request))
        except Exception as error:
            return _refused(request, error)

    async def media(self, request: Request) -> Reply:
        """What nodes ask at `/media/`: replies that are sounds, with headers of their own."""
        counters.requests += 1
        try:
            return await self._media.answer(request)
        except Exception as error:
            status, text = _refused(request, error)
            return Reply(status, text, {"content-type": "application/json"})
        finally:
            if request.content is not None:
                await request.content.discard()

    def _handler(self, request: Request) -> Handler:
        table = {"POST": self._posts, "GET": self._gets}.get(request.method, {})
        handler = table.get(request.path)
        if handler is not None:
            return handler
        if request.path in self._posts or request.path in self._gets:
            raise TandemError("method_not_allowed", f"{request.path} does not take {request.method}.")
        raise TandemError("not_found", f"There is nothing at {request.path}.")


def _refused(request: Request, error: Exception) -> tuple[int, str]:
    if not isinstance(error, TandemError):
        log("error", "request_failed", path=request.path, error=f"{type(error).__name__}: {error}")
        error = TandemError("internal_error", "The brain failed; the incident is in its log.")
    return error.status, error_reply(error, _request_id(request))


def _request_id(request: Request) -> str | None:
    return request.header(REQUEST_ID)[:64] or None
