"""What operators and the platform's own tools ask of the Worker, and what nobody needs a key for."""

from __future__ import annotations

import json

from tandem.contracts.cac import CacResetRequest
from tandem.contracts.errors import parse
from tandem.contracts.objects import envelope, open_envelope
from tandem.contracts.signature import NODE
from tandem.runtime import Env, Request, counters, heap_bytes
from tandem.sip import asking
from tandem.store.control import Control
from tandem.store.pokes import reached


class OperatorRequests:
    def __init__(self, env: Env, control: Control) -> None:
        self._env = env
        self._control = control

    async def cac(self, request: Request) -> str:
        account_id = request.query.get("accountId", "")
        if request.header(NODE):
            await asking.node(self._control, self._env.master_key, request)
        else:
            await asking.operator(self._control, request, account_id)
        await asking.known_account(self._control, account_id)
        return await self._env.presence.call(account_id, "cac", account_id)

    async def cac_reset(self, request: Request) -> str:
        account_id = await self._named(request)
        return await self._env.presence.call(account_id, "cac_reset", account_id)

    async def poke(self, request: Request) -> str:
        """After a write to D1: the account's object pulls it now; if it cannot, the queue tries again."""
        account_id = await self._named(request)
        self._control.forget_trunks()
        if await reached(self._env, account_id):
            return envelope(200, '{"ok":true}')
        await self._env.pokes.put(account_id)
        return envelope(202, '{"ok":true}')

    async def poke_again(self, account_id: str) -> None:
        """A queued poke; raises to be retried."""
        status, text = open_envelope(await self._env.presence.call(account_id, "poke", account_id))
        if status >= 500:
            raise ConnectionError(text)

    async def healthz(self, request: Request) -> str:
        return envelope(200, json.dumps({"ok": True, "version": self._env.version}))

    async def counters(self, request: Request) -> str:
        await asking.operator(self._control, request, None)
        counts = {
            "ok": True,
            "requests": counters.requests,
            "d1_queries": counters.d1_queries,
            "object_hops": counters.object_hops,
            "heap_bytes": heap_bytes(),
        }
        return envelope(200, json.dumps(counts))

    async def _named(self, request: Request) -> str:
        account_id = parse(CacResetRequest, request.body).account_id
        await asking.operator(self._control, request, None)
        await asking.known_account(self._control, account_id)
        return account_id
