"""What nodes ask of the Worker: it finds the account and passes one text in and one text out (design section 3)."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tandem.contracts.auth import AuthRequest, ChallengeReply
from tandem.contracts.errors import TandemError, error_reply, parse
from tandem.contracts.events import EventAck, EventBatch
from tandem.contracts.ids import is_id
from tandem.contracts.objects import Origin, envelope, open_envelope
from tandem.contracts.route import RouteRequest
from tandem.contracts.signature import derive_key
from tandem.runtime import Env, Request, now_ms
from tandem.runtime.log import log
from tandem.sip import asking, finding
from tandem.sip.authentication import challenge
from tandem.sip.bodies import Body
from tandem.sip.finding import Place
from tandem.store.control import Control, Domain

NOT_MINE: Final = "421"
_SIP_ADDRESS: Final = re.compile(r"[A-Za-z0-9.\-\[\]:]{1,250}:[0-9]{1,5}", re.ASCII)
Find = Callable[[], Awaitable[Place | Domain]]


class NodeRequests:
    def __init__(self, env: Env, control: Control) -> None:
        self._env = env
        self._control = control
        self._nonce_key = derive_key(env.master_key, "nonce")

    async def route(self, request: Request) -> str:
        """`POST /route`: with credentials by domain, the next step of a call and a leg of the media engine by their
        account, else as a stranger's."""
        origin, body = await self._from_node(request)
        if ("callId" in body.fields or "leg" in body.fields) and isinstance(body.fields.get("accountId"), str):
            account_id: str = body.fields["accountId"]
            await asking.known_account(self._control, account_id)
            return await self._ask(account_id, "route", origin, body.text)
        if "credentials" in body.fields:
            return await self._to_domain(body, origin, "fromDomain", "route")
        asked = parse(RouteRequest, body.text)
        return await self._to_account(lambda: self._caller(asked), "route", origin, body.text)

    async def flow(self, request: Request) -> str:
        """`POST /flow`: one hop into the call's session."""
        origin, body = await self._from_node(request)
        call_id, account_id = body.fields.get("callId"), body.fields.get("accountId")
        if not isinstance(call_id, str) or not is_id("call", call_id):
            raise TandemError("invalid_request", "Field callId: the id of a call is required.", "callId")
        if not isinstance(account_id, str):
            raise TandemError("invalid_request", "Field accountId: a string is required.", "accountId")
        await asking.known_account(self._control, account_id)
        return await self._env.sessions.call(call_id, "step", origin.encode(), body.text)

    async def auth(self, request: Request) -> str:
        """`POST /auth`."""
        origin, body = await self._from_node(request)
        if "credentials" in body.fields:
            return await self._to_domain(body, origin, "realm", "auth")
        asked = parse(AuthRequest, body.text)
        return self._challenge(await finding.domain(self._control, asked.realm), origin)

    async def event(self, request: Request) -> str:
        """`POST /presence/event`: one hop for each account of the batch; an unknown account's events are refused for
        good.

        An account that cannot answer now holds up no other: its events alone are not acknowledged.
        """
        origin, body = await self._from_node(request)
        batch = parse(EventBatch, body.text)
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
                reply = await self._ask(account_id, "event", origin, part)
            except Exception as error:
                log("warning", "object_unreachable", account_id=account_id, error=type(error).__name__)
                away = TandemError("unavailable", "The account's object cannot be reached; send the events again.")
                reply = envelope(away.status, error_reply(away, origin.request_id))
            status, text = open_envelope(reply)
            if status == 200:
                acked.extend(json.loads(text)["acked"])
            else:
                failure = reply
        if failure is not None and not acked and not refused:
            return failure
        return envelope(200, EventAck(acked=acked + list(refused), refused=refused).wire())

    async def hello(self, request: Request) -> str:
        """`POST /fleet/hello`: what the node says of its address is kept for the others, once FLEET has taken it."""
        origin, body = await self._from_node(request)
        reply = await self._env.fleet.call(origin.region, "hello", origin.encode(), body.text, await self._fleet())
        told = body.fields.get("sipAddress")
        taken = open_envelope(reply)[0] == 200
        if taken and isinstance(told, str) and told != origin.sip_address and _SIP_ADDRESS.fullmatch(told):
            await self._control.report_sip_address(origin.node_id, told)
        return reply

    async def heartbeat(self, request: Request) -> str:
        """`POST /fleet/heartbeat`."""
        origin, body = await self._from_node(request)
        return await self._env.fleet.call(origin.region, "heartbeat", origin.encode(), body.text, await self._fleet())

    async def _from_node(self, request: Request) -> tuple[Origin, Body]:
        return await asking.node(self._control, self._env.master_key, request)

    async def _fleet(self) -> str:
        """The nodes' SIP addresses as JSON; null (what the node has stays) while they cannot be read."""
        try:
            return json.dumps(await self._control.fleet(now_ms()))
        except TandemError:
            return "null"

    async def _caller(self, asked: RouteRequest) -> Place | Domain:
        """Whoever takes a call without credentials; the next step of a known call is not challenged."""
        if asked.call_id is not None and await self._control.domain(asked.from_domain, now_ms()) is not None:
            return await finding.by_domain(self._control, asked.from_domain)
        return await finding.of_stranger(self._control, asked)

    async def _to_domain(self, body: Body, origin: Origin, realm_field: str, method: str) -> str:
        realm = body.fields.get(realm_field)
        if not isinstance(realm, str):
            raise TandemError("invalid_request", f"Field {realm_field}: a string is required.", realm_field)
        return await self._to_account(lambda: finding.by_domain(self._control, realm), method, origin, body.text)

    async def _to_account(self, find: Find, method: str, origin: Origin, text: str) -> str:
        """Asks the account that is found; when it says "not mine", what led there is forgotten and found anew."""
        first = await find()
        if isinstance(first, Domain):
            return self._challenge(first, origin)
        reply = await self._ask(first.account_id, method, origin, text)
        if not reply.startswith(NOT_MINE):
            return reply
        first.forget()
        second = await find()
        if isinstance(second, Domain):
            return self._challenge(second, origin)
        if second.account_id == first.account_id:
            # What was found is newer than the object's replica.
            await self._env.presence.call(second.account_id, "poke", second.account_id)
            origin = origin.again()
        return await self._ask(second.account_id, method, origin, text)

    async def _ask(self, account_id: str, method: str, origin: Origin, text: str) -> str:
        return await self._env.presence.call(account_id, method, account_id, origin.encode(), text)

    def _challenge(self, found: Domain, origin: Origin) -> str:
        """A first challenge needs no hop: its nonce is stateless."""
        made = challenge(self._nonce_key, found.domain, origin.node_id, now_ms())
        return envelope(200, ChallengeReply(challenge=made).wire())
