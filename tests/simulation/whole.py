"""The lane through gateway, signatures, both kinds of object, alarms and D1: everything but workerd."""

from __future__ import annotations

import dataclasses
import json
import random
import sqlite3
from collections.abc import Sequence

from tandem.runtime.cpython import outside
from tests.simulation.lanes import Digests, Fields, UnavailableError
from tests.simulation.peers import DiedError, Peers
from tests.simulation.tenancy import RESELLER, statements
from tests.support import engine, node, scene, seeds
from tests.support.local_brain import LocalBrain


class WholeBrain:
    def __init__(self, tenants: list[seeds.Tenant], nodes: Sequence[str], seed: int) -> None:
        self.brain = LocalBrain()
        self.control = self.brain.control
        self._peers = Peers(self.brain.presence.call, random.Random(seed))
        self.brain.presence.env = dataclasses.replace(self.brain.env, presence=self._peers)
        self._tenants = tenants
        self.brain.write(statements(tenants))
        for one in nodes:
            url = (f"http://{one}",)
            if one == seeds.NODE_ID:
                self.brain.write([("UPDATE node SET command_url = ?", url)])
            else:
                row = (
                    "INSERT INTO node (id, region, status, command_url, created_at) VALUES (?, 'local', 'active', ?, 0)"
                )
                self.brain.write([(row, (one, *url))])

    @property
    def now(self) -> int:
        return self.brain.now

    async def open(self) -> None:
        """Every object reads its configuration when it is first asked."""
        await self.brain.presence.call(RESELLER, "cac", RESELLER)

    async def _post(self, node_id: str, path: str, fields: Fields) -> Fields:
        status, reply = await scene.post_as(self.brain, node_id, path, fields)
        if status == 503:
            raise UnavailableError(path)
        assert status == 200, reply
        return reply

    async def challenge(self, node_id: str, tenant: seeds.Tenant) -> Fields:
        body = json.loads(node.invite_body(tenant, "1", "1"))
        found: Fields = (await self._post(node_id, "/route", body))["challenge"]
        return found

    async def route(self, node_id: str, tenant: seeds.Tenant, body: Fields) -> Fields:
        return await self._post(node_id, "/route", body)

    async def inbound(self, node_id: str, tenant: seeds.Tenant, body: Fields) -> Fields:
        try:
            return await self.route(node_id, tenant, body)
        except DiedError:
            self.crash(tenant)
            raise

    async def place_leg(self, tenant: seeds.Tenant, order: Fields) -> Fields | None:
        status, reply = await engine.ask_presence(self.brain, tenant, "place_leg", order)
        if status == 503:
            raise UnavailableError("place_leg")
        assert status in (200, 404), reply
        return reply if status == 200 else None

    async def events(self, node_id: str, tenant: seeds.Tenant, events: Sequence[Fields]) -> None:
        reply = await self._post(node_id, "/presence/event", {"node": node_id, "events": events})
        assert set(reply["acked"]) == {event["eventId"] for event in events}
        assert reply["refused"] == {}

    async def heartbeat(self, node_id: str, digests: Digests) -> list[str]:
        status, reply = await scene.heartbeat(self.brain, node_id, digests)
        if status == 409:
            status, reply = await scene.post_as(
                self.brain, node_id, "/fleet/hello", scene.presence_fields(node_id, digests)
            )
        if status == 503:
            raise UnavailableError("heartbeat")
        assert status == 200, reply
        found: list[str] = reply["send"]
        return found

    async def reset(self, tenant: seeds.Tenant, lists: dict[str, Fields]) -> None:
        async def post(url: str, body: str, headers: dict[str, str], timeout_ms: int) -> tuple[int, str]:
            node_id = url.removeprefix("http://").partition("/")[0]
            if node_id not in lists:
                raise ConnectionError(node_id)
            return 200, json.dumps({"id": json.loads(body)["id"], "status": "done", "result": lists[node_id]})

        outside.post = post
        body = json.dumps({"accountId": tenant.account_id})
        status, reply = await self.brain.post("/cac/reset", body, scene.operator())
        assert status in (200, 503), reply

    async def advance(self, milliseconds: int) -> None:
        """An object that dies in its alarm is woken by the alarm again."""
        end = self.now + milliseconds
        while True:
            try:
                await self.brain.advance(end - self.now)
            except DiedError:
                self._wake_all()
            else:
                return

    def _wake_all(self) -> None:
        for name in (RESELLER, *(tenant.account_id for tenant in self._tenants)):
            self.brain.presence.evict(name)
            self.brain.presence.get(name)

    async def late(self) -> None:
        await self._peers.late()

    async def settle(self) -> None:
        await self._peers.settle()

    def took(self) -> bool:
        took, self._peers.took = self._peers.took, False
        return took

    def crash(self, tenant: seeds.Tenant) -> None:
        self.brain.presence.evict(tenant.account_id)

    def crash_reseller(self) -> None:
        self.brain.presence.evict(RESELLER)

    def crash_fleet(self) -> None:
        self.brain.fleet.evict("local")

    def connection(self, account_id: str) -> sqlite3.Connection:
        return self.brain.presence.contexts[account_id].connection
