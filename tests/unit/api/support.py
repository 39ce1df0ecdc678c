"""The public API over the whole brain on CPython, and a world of accounts to ask it about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from tandem.api.front import Front, make_front
from tandem.runtime import Reply, Request
from tests.support.local_brain import LocalBrain

Fields = dict[str, Any]


class Api:
    """`ask` as whoever `key` says: an API key, or a login's token."""

    def __init__(self, brain: LocalBrain, key: str = "", front: Front | None = None) -> None:
        self.brain = brain
        self.key = key
        self.front = front or make_front(brain.env)

    def as_(self, key: str) -> Api:
        return Api(self.brain, key, self.front)

    async def raw(self, method: str, target: str, body: str = "", headers: Mapping[str, str] | None = None) -> Reply:
        path, _, query = target.partition("?")
        credential = {"x-api-key": self.key} if self.key.startswith("sk_") else {"authorization": f"Bearer {self.key}"}
        given = {**(credential if self.key else {}), **(headers or {})}
        request = Request(method, path, dict(parse_qsl(query)), target, lambda name: given.get(name, ""), body)
        reply = await self.front.handle(request)
        if reply.afterwards is not None:
            await reply.afterwards()
        return reply

    async def ask(
        self, method: str, target: str, fields: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Fields]:
        reply = await self.raw(method, target, "" if fields is None else json.dumps(fields), headers)
        return reply.status, json.loads(reply.text)

    async def get(self, target: str) -> Fields:
        status, reply = await self.ask("GET", target)
        assert status == 200, reply
        return reply

    async def make(self, name: str, /, **fields: Any) -> Fields:
        """The item of a new object."""
        status, reply = await self.ask("POST", f"/v1/{name}", fields)
        assert status == 201, reply
        item: Fields = reply["item"]
        return item

    async def patch(self, name: str, item: Fields, /, **fields: Any) -> Fields:
        status, reply = await self.ask("PATCH", f"/v1/{name}/{item['id']}", fields)
        assert status == 200, reply
        changed: Fields = reply["item"]
        return changed

    async def refused(
        self, expected: tuple[int, str], method: str, target: str, fields: Any = None, **how: Any
    ) -> Fields:
        """The error of a request that must be refused so."""
        status, reply = await self.ask(method, target, fields, **how)
        assert (status, reply["ok"], reply["error"]["code"]) == (expected[0], False, expected[1]), reply
        assert reply["error"]["request_id"].startswith("req_")
        error: Fields = reply["error"]
        return error
