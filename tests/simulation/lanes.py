"""What the simulated nodes need of the brain; there are two ways to the same decisions."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol

from tandem.runtime.cpython import SqliteDatabase
from tests.support import seeds

Digests = dict[str, dict[str, str]]
Fields = dict[str, Any]


class UnavailableError(Exception):
    """The brain cannot be asked now; nothing was decided."""


class Lane(Protocol):
    control: SqliteDatabase

    @property
    def now(self) -> int: ...
    async def open(self) -> None: ...
    async def challenge(self, node_id: str, tenant: seeds.Tenant) -> Fields: ...
    async def route(self, node_id: str, tenant: seeds.Tenant, body: Fields) -> Fields: ...
    async def inbound(self, node_id: str, tenant: seeds.Tenant, body: Fields) -> Fields:
        """A question about a call from outside. Raises `DiedError` when the object died over it."""
        ...

    async def place_leg(self, tenant: seeds.Tenant, order: Fields) -> Fields | None:
        """Where the leg is to go; None when there is no such call."""
        ...

    async def events(self, node_id: str, tenant: seeds.Tenant, events: Sequence[Fields]) -> None: ...
    async def heartbeat(self, node_id: str, digests: Digests) -> list[str]:
        """The accounts whose snapshot is wanted."""
        ...

    async def reset(self, tenant: seeds.Tenant, lists: dict[str, Fields]) -> None:
        """Rebuilds from what the reachable nodes list: {node id: snapshot}."""
        ...

    async def advance(self, milliseconds: int) -> None: ...
    async def late(self) -> None:
        """A message between objects that was held up arrives."""
        ...

    async def settle(self) -> None:
        """The objects reach each other from now on."""
        ...

    def took(self) -> bool:
        """Whether, since this was last asked, a call came back under the reseller's ceiling."""
        ...

    def crash(self, tenant: seeds.Tenant) -> None: ...
    def crash_reseller(self) -> None: ...
    def crash_fleet(self) -> None: ...
    def connection(self, account_id: str) -> sqlite3.Connection: ...
