"""The isolate's look-ups in D1, remembered (`tandem.store.cache`): who is whose, asked by what a request names."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from tandem.contracts.errors import TandemError
from tandem.runtime import Database, Row
from tandem.runtime.log import log
from tandem.store.addresses import is_address, search_keys
from tandem.store.blocks import load
from tandem.store.cache import MISS_MS, Lookup, Wanted, read

_SQL: Final = load("control")
FLEET_MS: Final = 10_000
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
    sip_address: str | None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key; `account_id` None is a platform operator's."""

    key_id: str
    account_id: str | None
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class TrunkRow:
    """A trunk that an address belongs to; `account_id` None is the platform's, whose `country` is None."""

    trunk_id: str
    account_id: str | None
    role: str
    number_from: str
    country: str | None


@dataclass(frozen=True, slots=True)
class DidRow:
    account_id: str
    accept_any_source: bool


def _domain(rows: list[Row]) -> Domain | None:
    return Domain(rows[0]["account_id"], rows[0]["domain"]) if rows else None


def _node(rows: list[Row]) -> NodeRow | None:
    if not rows:
        return None
    row = rows[0]
    return NodeRow(row["id"], row["region"], row["credential_version"], row["command_url"], row["sip_address"])


def _key(rows: list[Row]) -> Key | None:
    return Key(rows[0]["id"], rows[0]["account_id"], frozenset(rows[0]["scopes"].split())) if rows else None


def _trunks(rows: list[Row]) -> tuple[TrunkRow, ...] | None:
    names = ("id", "account_id", "role", "inbound_number_from", "country")
    return tuple(TrunkRow(*(row[name] for name in names)) for row in rows) or None


def _did(rows: list[Row]) -> DidRow | None:
    return DidRow(rows[0]["account_id"], bool(rows[0]["accept_any_source"])) if rows else None


def _fleet(rows: list[Row]) -> tuple[str, ...] | None:
    return tuple(str(row["sip_address"]) for row in rows) or None


def _account(rows: list[Row]) -> str | None:
    return str(rows[0]["id"]) if rows else None


def _address(key: str) -> tuple[str, str, int]:
    address, port = key.split(" ")
    return search_keys(address, int(port))


class Control:
    """One per isolate. Keys are what a stranger sent: lengths are bounded by the contracts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._domains = Lookup(_SQL["domain"], _domain)
        self._nodes = Lookup(_SQL["node"], _node)
        self._keys = Lookup(_SQL["key"], _key, outlives_d1=False)
        self._accounts = Lookup(_SQL["account"], _account)
        self._trunks = Lookup(_SQL["trunks"], _trunks, _address)
        self._dids = Lookup(_SQL["did"], _did)
        self._fleet = Lookup(_SQL["fleet"], _fleet, lambda key: (), FLEET_MS)

    async def node(self, node_id: str, now: int) -> NodeRow | None:
        return await self._one(self._nodes, node_id, now)

    async def key(self, sha256: str, now: int) -> Key | None:
        return await self._one(self._keys, sha256, now)

    async def account_exists(self, account_id: str, now: int) -> bool:
        return await self._one(self._accounts, account_id, now) is not None

    async def domain(self, name: str, now: int) -> Domain | None:
        return await self._one(self._domains, name.lower(), now)

    def remembered_domain(self, name: str, now: int) -> Domain | None:
        """None, too, when it is not known without asking D1."""
        entry = self._domains.fresh(name.lower(), now)
        return None if entry is None else entry.value

    async def did(self, e164: str, now: int) -> DidRow | None:
        return await self._one(self._dids, e164, now)

    async def trunks(self, address: str, port: int, now: int, miss_ms: int = MISS_MS) -> tuple[TrunkRow, ...]:
        """The trunks whose calls come from there: the platform's, then the narrowest network, then the port's.

        `miss_ms`: for how long it may be remembered that there is none.
        """
        if not is_address(address):
            return ()
        return await self._one(self._trunks, f"{address} {port}", now, miss_ms) or ()

    async def prepare(self, address: str, port: int, domain: str | None, e164: str | None, now: int) -> None:
        """Reads what a call from outside needs in one batch; what cannot be read is left to who asks for it."""
        wanted: list[Wanted] = []
        if is_address(address):
            wanted.append((self._trunks, f"{address} {port}"))
        if domain is not None:
            wanted.append((self._domains, domain.lower()))
        if e164 is not None:
            wanted.append((self._dids, e164))
        with suppress(TandemError):
            await read(self._database, wanted, now)

    async def look_again(self, address: str, port: int, numbers: Iterable[str], now: int) -> bool:
        """Before a caller is told that there is nothing for him: asks D1 for what was remembered for longer than it is
        remembered that there is nothing. False when all of it is that new."""
        wanted: list[Wanted] = [(self._dids, number) for number in numbers]
        if is_address(address):
            wanted.append((self._trunks, f"{address} {port}"))
        old = [(lookup, key) for lookup, key in wanted if lookup.fresh(key, now, hit_ms=MISS_MS) is None]
        if old:
            with suppress(TandemError):
                await read(self._database, old, now, MISS_MS)
        return bool(old)

    async def fleet(self, now: int) -> tuple[str, ...]:
        """The SIP addresses (`host:port`) of all nodes."""
        return await self._one(self._fleet, "", now) or ()

    async def report_sip_address(self, node: str, sip_address: str) -> None:
        """What a node says of itself; what an operator wrote counts before it. Not being able to write is no error."""
        try:
            await self._database.batch([(_SQL["report_sip_address"], (node, sip_address))])
        except Exception as error:
            log("warning", "control_unreachable", error=type(error).__name__, node=node)
            return
        self._nodes.forget(node)
        self._fleet.forget_all()

    def forget_domain(self, name: str) -> None:
        """A PresenceDO said "not mine": the entry was stale. So for the others."""
        self._domains.forget(name.lower())

    def forget_did(self, e164: str) -> None:
        self._dids.forget(e164)

    def forget_inbound(self, e164: str) -> None:
        self.forget_did(e164)
        self.forget_trunks()

    def forget_trunks(self) -> None:
        """All, since a new network can lie within any other."""
        self._trunks.forget_all()

    async def _one(self, lookup: Lookup[T], key: str, now: int, miss_ms: int = MISS_MS) -> T | None:
        entry = lookup.fresh(key, now, miss_ms)
        if entry is not None:
            return entry.value
        found: T | None = (await read(self._database, ((lookup, key),), now))[0]
        return found
