"""Two ways to the same decisions: through the whole brain, or straight into an account's book."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final, Protocol

from pydantic import TypeAdapter

from tandem.contracts.events import Event
from tandem.contracts.route import RouteRequest
from tandem.domain.fleet import LOST_AFTER_MS
from tandem.runtime.cpython import SqliteDatabase, SqliteSql, clock, outside
from tandem.sip import cac, presence, route
from tandem.sip.authentication import challenge
from tandem.sip.book import Book
from tandem.store import records
from tests.support import node, scene, seeds
from tests.support.local_brain import START, LocalBrain

Digests = dict[str, dict[str, str]]
Fields = dict[str, Any]
SHIP_EVERY_MS: Final = 2_000
LAPSE_EVERY_MS: Final = 1_000
PRUNE_EVERY_MS: Final = 30_000
_EVENT: Final[TypeAdapter[Event]] = TypeAdapter(Event)


class UnavailableError(Exception):
    """The brain cannot be asked now; nothing was decided."""


class Lane(Protocol):
    """What the simulated nodes need of the brain."""

    control: SqliteDatabase

    @property
    def now(self) -> int: ...
    async def open(self) -> None: ...
    async def challenge(self, node_id: str, tenant: seeds.Tenant) -> Fields: ...
    async def route(self, node_id: str, tenant: seeds.Tenant, body: Fields) -> Fields: ...
    async def events(self, node_id: str, tenant: seeds.Tenant, events: Sequence[Fields]) -> None: ...
    async def heartbeat(self, node_id: str, digests: Digests) -> list[str]:
        """The accounts whose snapshot is wanted."""
        ...

    async def reset(self, tenant: seeds.Tenant, lists: dict[str, Fields]) -> None:
        """Rebuilds from what the reachable nodes list: {node id: snapshot}."""
        ...

    async def advance(self, milliseconds: int) -> None: ...
    def crash(self, tenant: seeds.Tenant) -> None: ...
    def crash_fleet(self) -> None: ...
    def connection(self, tenant: seeds.Tenant) -> sqlite3.Connection: ...


class WholeBrain:
    """Gateway, signatures, both kinds of object, alarms, D1: everything but workerd."""

    def __init__(self, tenants: Sequence[seeds.Tenant], nodes: Sequence[str]) -> None:
        self.brain = LocalBrain()
        self.control = self.brain.control
        for tenant in tenants:
            self.brain.write(seeds.rows_of(tenant))
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

    async def _post(self, node_id: str, path: str, fields: Fields) -> Fields:
        status, reply = await scene.post_as(self.brain, node_id, path, fields)
        if status == 503:
            raise UnavailableError(path)
        assert status == 200, reply
        return reply

    async def challenge(self, node_id: str, tenant: seeds.Tenant) -> Fields:
        found: Fields = (await self._post(node_id, "/route", json.loads(node.invite_body(tenant, "1", "1"))))[
            "challenge"
        ]
        return found

    async def route(self, node_id: str, tenant: seeds.Tenant, body: Fields) -> Fields:
        return await self._post(node_id, "/route", body)

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
        await self.brain.advance(milliseconds)

    def crash(self, tenant: seeds.Tenant) -> None:
        self.brain.presence.evict(tenant.account_id)

    def crash_fleet(self) -> None:
        self.brain.fleet.evict("local")

    def connection(self, tenant: seeds.Tenant) -> sqlite3.Connection:
        return self.brain.presence.contexts[tenant.account_id].connection


class Books:
    """The decisions alone, over each account's SQLite; fleet and alarms are played by this lane."""

    def __init__(self, tenants: Sequence[seeds.Tenant], nodes: Sequence[str]) -> None:
        clock.fixed = START
        self.control = SqliteDatabase(seeds.migrated())
        self._tenants = tenants
        self._connections = {tenant.account_id: sqlite3.connect(":memory:") for tenant in tenants}
        self._books: dict[str, Book] = {}
        for tenant in tenants:
            for statement, params in seeds.rows_of(tenant):
                self.control.connection.execute(statement, params)
            self.crash(tenant)
        self._heard: dict[str, int] = {}
        self._digests: dict[str, Digests] = {}
        self._lost: set[str] = set()
        self._shipped = self._pruned = self._lapsed = START

    @property
    def now(self) -> int:
        assert clock.fixed is not None
        return clock.fixed

    async def open(self) -> None:
        for account_id, book in self._books.items():
            await book.replica.pull(self.control, account_id)
            book.belong_to(account_id)

    async def challenge(self, node_id: str, tenant: seeds.Tenant) -> Fields:
        book = self._books[tenant.account_id]
        return challenge(book.nonce_key, tenant.domain, node_id, self.now).model_dump()

    async def route(self, node_id: str, tenant: seeds.Tenant, body: Fields) -> Fields:
        book = self._books[tenant.account_id]
        reply: Fields = json.loads(route.answer(book, RouteRequest.model_validate(body), node_id, "local", self.now)[0])
        return reply

    async def events(self, node_id: str, tenant: seeds.Tenant, events: Sequence[Fields]) -> None:
        for one in events:
            presence.apply(self._books[tenant.account_id], _EVENT.validate_python(one), node_id, self.now)

    async def heartbeat(self, node_id: str, digests: Digests) -> list[str]:
        back = node_id in self._lost or node_id not in self._heard
        self._heard[node_id] = self.now
        self._digests[node_id] = digests
        self._lost.discard(node_id)
        if back:
            for book in self._books.values():
                book.contacts.node_returned(node_id)
        return list(self._books) if back else []

    async def reset(self, tenant: seeds.Tenant, lists: dict[str, Fields]) -> None:
        for node_id, found in lists.items():
            whole = {"type": "snapshot", "eventId": node.event_id(self.now), "accountId": tenant.account_id}
            await self.events(node_id, tenant, [whole | {"at": self.now} | found])
        cac.rebuild(self._books[tenant.account_id], self.now)

    async def advance(self, milliseconds: int) -> None:
        clock.fixed = self.now + milliseconds
        for node_id, heard in self._heard.items():
            if node_id not in self._lost and self.now - heard >= LOST_AFTER_MS:
                self._lost.add(node_id)
                for book in self._books.values():
                    presence.node_lost(book, node_id, self.now)
        if self.now - self._lapsed >= LAPSE_EVERY_MS:
            self._lapsed = self.now
            for account_id, book in self._books.items():
                self._lapse(account_id, book)
        if self.control.available and self.now - self._shipped >= SHIP_EVERY_MS:
            self._shipped = self.now
            for account_id, book in self._books.items():
                while calls := book.calls.unshipped(50):
                    await records.ship(self.control, account_id, calls)
                    for call in calls:
                        book.calls.shipped(call)
        if self.now - self._pruned >= PRUNE_EVERY_MS:
            self._pruned = self.now
            for book in self._books.values():
                book.guards.prune(self.now)
                book.calls.forget_before(self.now - 600_000)

    def _lapse(self, account_id: str, book: Book) -> None:
        for call in book.calls.lapsed(self.now):
            digests = self._digests.get(call.node_id, {}).get(account_id)
            status = "lost" if call.node_id in self._lost else "active"
            presence.lapse(book, call, status, None if digests is None else digests["dialogs"], self.now)

    def crash(self, tenant: seeds.Tenant) -> None:
        sql = SqliteSql(self._connections[tenant.account_id])
        self._books[tenant.account_id] = Book(sql, seeds.MASTER_KEY)

    def crash_fleet(self) -> None:
        """There is none."""

    def connection(self, tenant: seeds.Tenant) -> sqlite3.Connection:
        return self._connections[tenant.account_id]
