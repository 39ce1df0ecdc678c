"""The whole brain on CPython: the real shells over sqlite3, with a clock that the test moves."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from durable_objects.call_session import CallSession
from durable_objects.fleet import Fleet
from durable_objects.presence import Presence
from tandem.runtime import Env, Reply, Request, Upload
from tandem.runtime.cpython import LocalObjects, MemoryBucket, MemoryContent, MemoryQueue, SqliteDatabase, clock
from tandem.sip.gateway import Gateway
from tests.support import node, seeds

START = 1_800_000_000_000


class LocalBrain:
    """`post` and `get` speak to the gateway; `advance` moves the clock and rings the alarms that come due."""

    def __init__(self) -> None:
        clock.fixed = START
        self.control = SqliteDatabase(seeds.migrated())
        self.presence = LocalObjects(Presence)
        self.fleet = LocalObjects(Fleet)
        self.sessions = LocalObjects(CallSession)
        self.queue = MemoryQueue()
        self.media = MemoryBucket()
        env = Env(
            self.control,
            self.presence,
            self.fleet,
            self.queue,
            seeds.MASTER_KEY,
            "test",
            sessions=self.sessions,
            media=self.media,
        )
        self.presence.env = self.fleet.env = self.sessions.env = env
        self.env = env
        self.gateway = Gateway(env)
        self.write(seeds.platform_rows())

    @property
    def now(self) -> int:
        assert clock.fixed is not None
        return clock.fixed

    def write(self, rows: Any) -> None:
        for statement, params in rows:
            self.control.connection.execute(statement, params)

    async def post(self, path: str, body: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        signed = node.signed("POST", path, body, self.now) if headers is None else headers
        return await self._ask("POST", path, body, signed)

    async def get(self, target: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        signed = node.signed("GET", target, "", self.now) if headers is None else headers
        return await self._ask("GET", target, "", signed)

    async def node_media(
        self,
        method: str,
        path: str,
        content: Upload | bytes | None = None,
        headers: dict[str, str] | None = None,
        **more: str,
    ) -> Reply:
        """What a node asks at `/media/`; `more` are headers besides the signature's."""
        sound = content if isinstance(content, bytes) else b""
        signed = node.signed_bytes(method, path, sound, self.now) if headers is None else headers
        given = signed | {name.replace("_", "-"): value for name, value in more.items()}
        body = MemoryContent(content) if isinstance(content, bytes) else content
        return await self.gateway.media(Request(method, path, {}, path, lambda name: given.get(name, ""), "", body))

    async def _ask(self, method: str, target: str, body: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        path, _, query = target.partition("?")
        request = Request(method, path, dict(parse_qsl(query)), target, lambda name: headers.get(name, ""), body)
        status, text = await self.gateway.handle(request)
        return status, json.loads(text)

    async def advance(self, milliseconds: int) -> None:
        end = self.now + milliseconds
        while True:
            due = [
                (alarm.due, objects, name)
                for objects in (self.presence, self.fleet, self.sessions)
                for name, alarm in objects.armed.items()
                if alarm.due is not None and alarm.due <= end
            ]
            if not due:
                break
            at, objects, name = min(due, key=lambda item: item[0])
            clock.fixed = max(self.now, at)
            await objects.get(name).alarm()
        clock.fixed = end

    async def register(self, tenant: seeds.Tenant, digits: str, **changes: Any) -> tuple[int, dict[str, Any]]:
        _, asked = await self.post("/auth", node.register_body(tenant, digits))
        credentials = node.respond_to(asked["challenge"], tenant.people[digits], "REGISTER", f"sip:{tenant.domain}")
        return await self.post("/auth", node.register_body(tenant, digits, credentials, **changes))

    async def invite(self, tenant: seeds.Tenant, caller: str, callee: str, **changes: Any) -> dict[str, Any]:
        """The `rtjson` of an authenticated call, with the SIP identifiers that it was made with under `asked`."""
        body = json.loads(node.invite_body(tenant, caller, callee, **changes))
        _, asked = await self.post("/route", json.dumps(body))
        body["credentials"] = node.respond_to(asked["challenge"], tenant.people[caller], "INVITE", body["ruri"])
        _, reply = await self.post("/route", json.dumps(body))
        return {**reply["rtjson"], "asked": body}
