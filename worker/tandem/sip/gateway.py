"""The stateless front: proves who asks, finds the account, passes one text in and one text out (design section 3)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic_core import from_json

from tandem.contracts.auth import AuthRequest, ChallengeReply
from tandem.contracts.cac import CacResetRequest
from tandem.contracts.errors import TandemError, error_reply, parse
from tandem.contracts.events import EventAck, EventBatch
from tandem.contracts.objects import Origin, envelope, open_envelope
from tandem.contracts.route import RouteRequest
from tandem.contracts.signature import NODE, REQUEST_ID, SIGNATURE, TIMESTAMP, derive_key, node_credential, verify
from tandem.runtime import Env, Request, counters, heap_bytes, now_ms
from tandem.runtime.log import log
from tandem.sip.authentication import challenge
from tandem.store.control import Control, Domain, Key

LARGEST_BODY: Final = 512 * 1024
_SIGNED: Final = (NODE, TIMESTAMP, REQUEST_ID, SIGNATURE)


class Gateway:
    """One per isolate."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._control = Control(env.control)
        self._nonce_key = derive_key(env.master_key, "nonce")
        self._posts: dict[str, Callable[[Request], Awaitable[str]]] = {
            "/route": self._route,
            "/auth": self._auth,
            "/presence/event": self._event,
            "/fleet/heartbeat": self._heartbeat,
            "/fleet/hello": self._hello,
            "/cac/reset": self._cac_reset,
            "/config/poke": self._poke,
        }
        self._gets: dict[str, Callable[[Request], Awaitable[str]]] = {
            "/cac": self._cac,
            "/healthz": self._healthz,
            "/ops/counters": self._counters,
        }

    async def handle(self, request: Request) -> tuple[int, str]:
        """Status and JSON text; every failure in the one error shape."""
        counters.requests += 1
        try:
            if len(request.body) > LARGEST_BODY:
                raise TandemError("too_large", f"The body is larger than {LARGEST_BODY} bytes.")
            return open_envelope(await self._handler(request)(request))
        except TandemError as error:
            return error.status, error_reply(error, _request_id(request))
        except Exception as error:
            log("error", "request_failed", path=request.path, error=f"{type(error).__name__}: {error}")
            failure = TandemError("internal_error", "The brain failed; the incident is in its log.")
            return failure.status, error_reply(failure, _request_id(request))

    def _handler(self, request: Request) -> Callable[[Request], Awaitable[str]]:
        table = {"POST": self._posts, "GET": self._gets}.get(request.method, {})
        handler = table.get(request.path)
        if handler is not None:
            return handler
        if request.path in self._posts or request.path in self._gets:
            raise TandemError("method_not_allowed", f"{request.path} does not take {request.method}.")
        raise TandemError("not_found", f"There is nothing at {request.path}.")

    async def _route(self, request: Request) -> str:
        origin, fields = await self._from_node(request)
        if "credentials" in fields or "callId" in fields:
            return await self._to_account(request, origin, fields, "fromDomain", "route")
        asked = parse(RouteRequest, request.body)
        return await self._challenge(asked.from_domain, origin)

    async def _auth(self, request: Request) -> str:
        origin, fields = await self._from_node(request)
        if "credentials" in fields:
            return await self._to_account(request, origin, fields, "realm", "auth")
        asked = parse(AuthRequest, request.body)
        return await self._challenge(asked.realm, origin)

    async def _challenge(self, realm: str, origin: Origin) -> str:
        """A first challenge needs no hop: its nonce is stateless."""
        found = await self._domain(realm)
        made = challenge(self._nonce_key, found.domain, origin.node_id, now_ms())
        return envelope(200, ChallengeReply(challenge=made).wire())

    async def _to_account(
        self, request: Request, origin: Origin, fields: dict[str, Any], realm_field: str, method: str
    ) -> str:
        realm = fields.get(realm_field)
        if not isinstance(realm, str):
            raise TandemError("invalid_request", f"Field {realm_field}: a string is required.", realm_field)
        found = await self._domain(realm)
        reply = await self._ask(found, method, origin, request.body)
        if not reply.startswith("421"):
            return reply
        self._control.forget_domain(realm)
        owner = await self._domain(realm)
        if owner.account_id == found.account_id:
            # The domain is newer than the object's replica. The object has seen this request id, so it gets another
            # one: a replay of the request stops at the first.
            await self._env.presence.call(owner.account_id, "poke", owner.account_id)
            origin = Origin(origin.node_id, origin.region, f"{origin.request_id}-2")
        return await self._ask(owner, method, origin, request.body)

    async def _ask(self, found: Domain, method: str, origin: Origin, body: str) -> str:
        return await self._env.presence.call(found.account_id, method, found.account_id, origin.encode(), body)

    async def _event(self, request: Request) -> str:
        """One hop for each account of the batch; an unknown account's events are refused for good.

        An account that cannot answer now holds up no other: its events alone are not acknowledged.
        """
        origin, _ = await self._from_node(request)
        batch = parse(EventBatch, request.body)
        by_account: dict[str, list[Any]] = {}
        for event in batch.events:
            by_account.setdefault(event.account_id, []).append(event)
        acked: list[str] = []
        refused: dict[str, str] = {}
        failure: str | None = None
        for account_id, events in by_account.items():
            ids = [event.event_id for event in events]
            if not await self._control.account_exists(account_id, now_ms()):
                refused.update(dict.fromkeys(ids, "unknown_account"))
                continue
            part = EventBatch(node=origin.node_id, events=events).wire()
            try:
                reply = await self._env.presence.call(account_id, "event", account_id, origin.encode(), part)
            except Exception as error:
                log("warning", "object_unreachable", account_id=account_id, error=type(error).__name__)
                away = TandemError("unavailable", "The account's object cannot be reached; send the events again.")
                reply = envelope(away.status, error_reply(away, origin.request_id))
            status, text = open_envelope(reply)
            if status == 200:
                acked.extend(json.loads(text)["acked"])
            else:
                failure = reply
        return failure if failure is not None and not acked and not refused else _partial(acked, refused)

    async def _hello(self, request: Request) -> str:
        origin, _ = await self._from_node(request)
        return await self._env.fleet.call(origin.region, "hello", origin.encode(), request.body)

    async def _heartbeat(self, request: Request) -> str:
        origin, _ = await self._from_node(request)
        return await self._env.fleet.call(origin.region, "heartbeat", origin.encode(), request.body)

    async def _cac(self, request: Request) -> str:
        account_id = request.query.get("accountId", "")
        if request.header(NODE):
            await self._from_node(request)
        else:
            await self._operator(request, account_id)
        await self._known(account_id)
        return await self._env.presence.call(account_id, "cac", account_id)

    async def _cac_reset(self, request: Request) -> str:
        account_id = parse(CacResetRequest, request.body).account_id
        await self._operator(request, None)
        await self._known(account_id)
        return await self._env.presence.call(account_id, "cac_reset", account_id)

    async def _poke(self, request: Request) -> str:
        """After a write to D1: the account's object pulls it now; if it cannot be reached, the queue tries again."""
        account_id = parse(CacResetRequest, request.body).account_id
        await self._operator(request, None)
        await self._known(account_id)
        try:
            return await self._env.presence.call(account_id, "poke", account_id)
        except Exception as error:
            log("warning", "poke_failed", account_id=account_id, error=type(error).__name__)
            await self._env.pokes.put(account_id)
            return envelope(202, '{"ok":true}')

    async def poke_again(self, account_id: str) -> None:
        """A queued poke; raises to be retried."""
        status, text = open_envelope(await self._env.presence.call(account_id, "poke", account_id))
        if status >= 500:
            raise ConnectionError(text)

    async def _healthz(self, request: Request) -> str:
        return envelope(200, json.dumps({"ok": True, "version": self._env.version}))

    async def _counters(self, request: Request) -> str:
        await self._operator(request, None)
        counts = {
            "ok": True,
            "requests": counters.requests,
            "d1_queries": counters.d1_queries,
            "object_hops": counters.object_hops,
            "heap_bytes": heap_bytes(),
        }
        return envelope(200, json.dumps(counts))

    async def _from_node(self, request: Request) -> tuple[Origin, dict[str, Any]]:
        """The verified sender and the body's fields. Raises `TandemError` 400 or 401."""
        now = now_ms()
        headers = {name: request.header(name) for name in _SIGNED}
        node_id = headers[NODE]
        if not node_id or not headers[SIGNATURE]:
            raise TandemError("unsigned_request", "Only a node with a credential may ask this; sign the request.")
        node = await self._control.node(node_id, now)
        if node is None:
            raise TandemError("unknown_node", "No such node is enrolled, or its credential was revoked.")
        key = node_credential(self._env.master_key, node_id, node.credential_version)
        request_id = verify(key, request.method, request.target, request.body.encode(), headers, now)
        return Origin(node_id, node.region, request_id), _fields(request)

    async def _operator(self, request: Request, account_id: str | None) -> Key:
        """The API key with scope `nodes`: a platform operator's, or the account's own when `account_id` is given."""
        given = request.header("x-api-key")
        if not given:
            raise TandemError("unsigned_request", "Send an API key with scope nodes as x-api-key.")
        key = await self._control.key(hashlib.sha256(given.encode()).hexdigest(), now_ms())
        if key is None:
            raise TandemError("unsigned_request", "This API key is not known, or it was revoked.")
        if key.account_id is not None and key.account_id != account_id:
            raise TandemError("forbidden", "This API key belongs to another account.")
        if not key.scopes & {"nodes", "*"}:
            raise TandemError("forbidden", "This API key lacks the scope nodes.")
        return key

    async def _domain(self, name: str) -> Domain:
        found = await self._control.domain(name, now_ms()) if len(name) <= 255 and name.isascii() else None
        if found is None:
            raise TandemError("unknown_domain", "No account has this SIP domain.")
        return found

    async def _known(self, account_id: str) -> None:
        if len(account_id) > 64 or not await self._control.account_exists(account_id, now_ms()):
            raise TandemError("unknown_account", "There is no such account; give its id as accountId.", "accountId")


def _fields(request: Request) -> dict[str, Any]:
    if request.method == "GET":
        return {}
    try:
        # Unlike json.loads it refuses lone surrogates, and nesting that would exhaust the stack.
        fields = from_json(request.body)
    except ValueError:
        raise TandemError("invalid_request", "The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise TandemError("invalid_request", "The body must be a JSON object.")
    return fields


def _partial(acked: list[str], refused: dict[str, str]) -> str:
    return envelope(200, EventAck(acked=acked + list(refused), refused=refused).wire())


def _request_id(request: Request) -> str | None:
    return request.header(REQUEST_ID)[:64] or None
