"""The isolate's look-ups in D1, cached: hits for 60 s, misses for 5 s, bounded (design section 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from tandem.contracts.errors import TandemError
from tandem.runtime import Database, Row
from tandem.runtime.log import log
from tandem.store.blocks import load

_SQL: Final = load("control")
HIT_MS: Final = 60_000
MISS_MS: Final = 5_000
BOUND: Final = 10_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Domain:
    """`domain` is the canonical spelling: the digest realm."""

    account_id: str
    domain: str


@dataclass(frozen=True, slots=True)
class NodeRow:
    node_id: str
    region: str
    credential_version: int
    command_url: str | None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key; `account_id` None is a platform operator's."""

    key_id: str
    account_id: str | None
    scopes: frozenset[str]


class _Cache(Generic[T]):
    def __init__(self, block: str, make: Callable[[Row], T]) -> None:
        self._statement = _SQL[block]
        self._make = make
        self._entries: dict[str, tuple[int, T | None]] = {}

    async def get(self, control: Database, key: str, now: int) -> T | None:
        entry = self._entries.get(key)
        if entry is not None and entry[0] > now:
            return entry[1]
        try:
            rows = (await control.batch([(self._statement, (key,))]))[0]
        except Exception as error:
            log("warning", "control_unreachable", error=type(error).__name__)
            raise TandemError("unavailable", "The control database cannot be read; retry.") from error
        value = self._make(rows[0]) if rows else None
        if len(self._entries) >= BOUND:
            self._entries.clear()
        self._entries[key] = (now + (MISS_MS if value is None else HIT_MS), value)
        return value

    def forget(self, key: str) -> None:
        self._entries.pop(key, None)


class Control:
    """One per isolate. Keys of the caches are what a stranger sent: lengths are bounded by the contracts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._domains = _Cache("domain", lambda row: Domain(row["account_id"], row["domain"]))
        self._nodes = _Cache(
            "node", lambda row: NodeRow(row["id"], row["region"], row["credential_version"], row["command_url"])
        )
        self._keys = _Cache("key", lambda row: Key(row["id"], row["account_id"], frozenset(row["scopes"].split())))
        self._accounts = _Cache("account", lambda row: str(row["id"]))

    async def domain(self, name: str, now: int) -> Domain | None:
        return await self._domains.get(self._database, name.lower(), now)

    async def node(self, node_id: str, now: int) -> NodeRow | None:
        return await self._nodes.get(self._database, node_id, now)

    async def key(self, sha256: str, now: int) -> Key | None:
        return await self._keys.get(self._database, sha256, now)

    async def account_exists(self, account_id: str, now: int) -> bool:
        return await self._accounts.get(self._database, account_id, now) is not None

    def forget_domain(self, name: str) -> None:
        """A PresenceDO said "not mine": the entry was stale."""
        self._domains.forget(name.lower())
