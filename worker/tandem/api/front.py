"""Between the Worker and the application: a request of the platform in, status, text and headers out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import unquote

from pydantic_core import from_json

from tandem.api.access import Principal
from tandem.api.app import failure, make_app
from tandem.api.bulk import MOST_BYTES
from tandem.api.media import CONTENT, is_upload
from tandem.api.services import Services
from tandem.contracts.errors import TandemError, error_reply
from tandem.contracts.ids import new_id
from tandem.contracts.v1.flows import MOST_GRAPH_BYTES
from tandem.runtime import Env, Reply, Request, now_ms, random_bytes

PREFIX: Final = "/v1"
LARGEST_BODY: Final = 64 * 1024
# A graph may be laid out for people.
LARGEST_FLOW: Final = 2 * MOST_GRAPH_BYTES
_HEADERS: Final = (
    "x-api-key",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "cf-connecting-ip",
    "accept",
)
Message = MutableMapping[str, Any]
# Made while the isolate starts, so a snapshot of its memory has it.
APP: Final = make_app()


def is_api(path: str) -> bool:
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def largest_body(path: str) -> int:
    if path.endswith("/import"):
        return MOST_BYTES
    return LARGEST_FLOW if path.startswith(f"{PREFIX}/flows") else LARGEST_BODY


class Front:
    """One per isolate."""

    def __init__(self, services: Services) -> None:
        self.services = services

    async def handle(self, request: Request) -> Reply:
        """Never raises; every failure is in the one error shape."""
        request_id = new_id("req", now_ms(), random_bytes(10))
        try:
            body = _body(request)
            return await self._ask(request, body, request_id)
        except TandemError as error:
            return _json(error.status, error_reply(error, request_id))
        except Exception as error:
            return _json(*failure(request_id, error))
        finally:
            if request.content is not None:
                await request.content.discard()

    async def _ask(self, request: Request, body: bytes, request_id: str) -> Reply:
        scope = _scope(request, {"services": self.services, "request_id": request_id, "content": request.content})
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await APP(scope, receive, send)
        text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
        headers = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        headers.pop("content-length", None)
        headers["x-request-id"] = request_id
        content = sent[1].get(CONTENT) if len(sent) > 1 else None
        return Reply(sent[0]["status"], text, headers, self._afterwards(scope["state"].get("principal")), content)

    def _afterwards(self, principal: Principal | None) -> Callable[[], Awaitable[None]] | None:
        if principal is None or not principal.use_is_to_be_noted(now_ms()):
            return None
        return lambda: self.services.note(principal)


def make_front(env: Env, forget_trunks: Callable[[], None] = lambda: None) -> Front:
    """`forget_trunks`: makes this isolate ask D1 anew whose address is whose."""
    return Front(Services(env, forget_trunks=forget_trunks))


def _body(request: Request) -> bytes:
    """The body, which is a JSON object wherever one is taken. Raises `TandemError`."""
    largest = largest_body(request.path)
    if len(request.body) > largest:
        raise TandemError("too_large", f"The body is larger than {largest} bytes.")
    if request.body and request.method in ("POST", "PATCH") and not request.path.endswith("/import"):
        try:
            # Unlike json.loads it refuses lone surrogates, NaN, and nesting that would exhaust the stack.
            content = from_json(request.body, allow_inf_nan=False)
        except ValueError:
            raise TandemError("invalid_request", "The body is not JSON.") from None
        if not isinstance(content, dict):
            raise TandemError("invalid_request", "The body must be a JSON object.")
    return request.body.encode()


def _scope(request: Request, state: dict[str, Any]) -> dict[str, Any]:
    headers = [
        (name.encode(), request.header(name).encode("latin-1", "replace")) for name in _HEADERS if request.header(name)
    ]
    if not (request.path.endswith("/import") or is_upload(request.method, request.path)):
        headers = [(name, value) for name, value in headers if name != b"content-type"]
        headers.append((b"content-type", b"application/json"))
    _, _, query = request.target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "https",
        "path": unquote(request.path),
        "raw_path": request.path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": None,
        "server": None,
        "state": state,
    }


def _json(status: int, text: str) -> Reply:
    return Reply(status, text, {"content-type": "application/json"}, None)
