"""The lane of the decisions alone, over each account's SQLite; fleet and alarms are played here."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from pydantic import TypeAdapter

from tandem.contracts.children import AdmitChild, ChildChanges, ChildrenQuery
from tandem.contracts.errors import TandemError
from tandem.contracts.events import Event
from tandem.contracts.objects import envelope
from tandem.contracts.route import RouteRequest
from tandem.contracts.session import PlaceLeg
from tandem.domain.fleet import LOST_AFTER_MS
from tandem.runtime import Env
from tandem.runtime.cpython import LocalObjects, MemoryBucket, MemoryQueue, SqliteDatabase, SqliteSql, clock
from tandem.sip import admission, cac, children, legs, presence, route
from tandem.sip.authentication import challenge
from tandem.sip.book import Book
from tandem.sip.outbox import Outbox
from tandem.store import records
from tests.simulation.lanes import Digests, Fields
from tests.simulation.peers import DiedError, Peers
from tests.simulation.tenancy import RESELLER, statements
from tests.support import node, seeds
from tests.support.local_brain import START

SHIP_EVERY_MS: Final = 2_000
LAPSE_EVERY_MS: Final = 1_000
PRUNE_EVERY_MS: Final = 30_000
_EVENT: Final[TypeAdapter[Event]] = TypeAdapter(Event)


class Books:
    def __init__(self, tenants: list[seeds.Tenant], nodes: Sequence[str], seed: int) -> None:
        clock.fixed = START
        self.control = SqliteDatabase(seeds.migrated())
        self._peers = Peers(self._hear, random.Random(seed))
        nobody = LocalObjects(_nobody)
        self._env = Env(
            self.control,
            self._peers,
            nobody,
            MemoryQueue(),
            seeds.MASTER_KEY,
            "test",
            sessions=nobody,
            media=MemoryBucket(),
        )
        accounts = [RESELLER, *(tenant.account_id for tenant in tenants)]
        self._connections = {account: sqlite3.connect(":memory:") for account in accounts}
        self._books: dict[str, Book] = {}
        for statement, params in statements(tenants):
            self.control.connection.execute(statement, params)
        for account in accounts:
            self._wake(account)
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
        request = RouteRequest.model_validate(body)
        text, asks = book.sql.transaction(lambda: route.answer(book, request, node_id, "local", self.now))
        if asks:
            refusal = await admission.ask_ancestors(self._env, tenant.account_id, asks)
            call_id = asks[0].call_id
            text = book.sql.transaction(lambda: admission.settle(book, call_id, text, refusal, self.now))
        found: Fields = json.loads(text)
        return found

    async def inbound(self, node_id: str, tenant: seeds.Tenant, body: Fields) -> Fields:
        try:
            return await self.route(node_id, tenant, body)
        except DiedError:
            self.crash(tenant)
            raise

    async def place_leg(self, tenant: seeds.Tenant, order: Fields) -> Fields | None:
        book = self._books[tenant.account_id]
        asked = PlaceLeg.model_validate(order)
        try:
            return book.sql.transaction(lambda: legs.place(book, asked, self.now)).model_dump()
        except TandemError as error:
            if error.code == "not_found":
                return None
            raise

    async def _hear(self, name: str, method: str, *texts: str) -> str:
        """What one account's book says to another's."""
        book, text = self._books[name], texts[1]
        match method:
            case "admit_child":
                reply = children.admit_child(book, AdmitChild.model_validate_json(text), self.now).wire()
            case "children_changed":
                children.apply(book, ChildChanges.model_validate_json(text), self.now)
                reply = "{}"
            case _:
                reply = admission.still_held(book, ChildrenQuery.model_validate_json(text)).wire()
        return envelope(200, reply)

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
            for account_id, book in list(self._books.items()):
                self._lapse(account_id, book)
                await self._ring(account_id, book)
        if self.control.available and self.now - self._shipped >= SHIP_EVERY_MS:
            self._shipped = self.now
            for account_id, book in self._books.items():
                await self._ship(account_id, book)
        if self.now - self._pruned >= PRUNE_EVERY_MS:
            self._pruned = self.now
            for book in self._books.values():
                book.guards.prune(self.now)
                book.orders.forget(self.now)
                book.calls.forget_before(self.now - 600_000)
                book.holdings.forget_entries(self.now)

    async def _ship(self, account_id: str, book: Book) -> None:
        while calls := book.calls.unshipped(50):
            await records.ship(self.control, account_id, calls)
            for call in calls:
                book.calls.shipped(call)

    def _lapse(self, account_id: str, book: Book) -> None:
        for call in book.calls.lapsed(self.now):
            digests = self._digests.get(call.node_id, {}).get(account_id)
            status = "lost" if call.node_id in self._lost else "active"
            presence.lapse(book, call, status, None if digests is None else digests["dialogs"], self.now)

    async def _ring(self, account_id: str, book: Book) -> None:
        """The tasks between objects that are due; one that dies over them is woken."""
        for task in (Outbox(book, self._env), children.ChildLeases(book, self._env)):
            due = task.next_due(self.now)
            if due is not None and due <= self.now:
                with suppress(DiedError):
                    await task.run(self.now)
                    continue
                self._wake(account_id)

    async def late(self) -> None:
        await self._peers.late()

    async def settle(self) -> None:
        await self._peers.settle()

    def took(self) -> bool:
        took, self._peers.took = self._peers.took, False
        return took

    def crash(self, tenant: seeds.Tenant) -> None:
        self._wake(tenant.account_id)

    def crash_reseller(self) -> None:
        self._wake(RESELLER)

    def _wake(self, account_id: str) -> None:
        self._books[account_id] = Book(SqliteSql(self._connections[account_id]), seeds.MASTER_KEY)

    def crash_fleet(self) -> None:
        """There is none."""

    def connection(self, account_id: str) -> sqlite3.Connection:
        return self._connections[account_id]


def _nobody(ctx: object, env: object) -> None:
    raise AssertionError("no fleet here")
