"""The truth of the simulated telephone network, beside what the brain makes of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Final

from tests.simulation.lanes import Fields, Lane
from tests.simulation.tenancy import RESELLER
from tests.support import seeds

NODES: Final = (seeds.NODE_ID, "node_00000000000000000000000002", "node_00000000000000000000000003")
EXTENSIONS: Final = tuple(str(1001 + number) for number in range(10))
LIMITS: Final = (1, 1, 2, 2, 3, 5, 6, 8, None, 0)
Subject = tuple[str, str]  # dimension, id


@dataclass
class TrueCall:
    """What really happened; `told` is false once any report about it was lost for good.

    `rings`: {AOR of a ringing device: its user}, of an inbound call. `taken_by` is the user who answered; `narrowed` is
    set once the brain heard of him. `engine`: it is in the media engine; `parent`: it is a leg of that call.
    `connected`: the users who answered legs of it.
    """

    tenant: seeds.Tenant
    node_id: str
    call_id: str
    asked: Fields
    state: str = "early"
    answered: bool = False
    seq: int = 0
    gone_at: int | None = None
    outcome: str | None = None
    told: bool = True
    rings: dict[str, str] = field(default_factory=dict)
    taken_by: str | None = None
    narrowed: bool = False
    engine: bool = False
    parent: str | None = None
    connected: set[str] = field(default_factory=set)


@dataclass
class SimNode:
    node_id: str
    silent_until: int = 0
    beat_at: int = 0
    live: dict[str, dict[str, TrueCall]] = field(default_factory=dict)
    outbox: list[tuple[seeds.Tenant, Fields]] = field(default_factory=list)
    delivered: list[tuple[seeds.Tenant, Fields]] = field(default_factory=list)
    listed: dict[str, str] = field(default_factory=dict)


class State:
    """Everything that actions change and checks read."""

    def __init__(self, lane: Lane, tenants: list[seeds.Tenant], seed: int) -> None:
        self.lane = lane
        self.seed = seed
        self.random = random.Random(seed)
        self.tenants = tenants
        self.nodes = {one: SimNode(one, live={tenant.account_id: {} for tenant in tenants}) for one in NODES}
        self.calls: dict[str, TrueCall] = {}
        self.rejected: dict[str, tuple[seeds.Tenant, int]] = {}
        self.nonces: dict[tuple[str, str], tuple[int, Fields]] = {}
        self.nc = 0
        self.number = 0
        self.counts: dict[str, int] = {}
        self.limits: dict[Subject, int | None] = {
            ("user_simultaneous", tenant.people[digits].user_id): limit
            for tenant in tenants
            for digits, limit in zip(EXTENSIONS, LIMITS, strict=True)
        }
        self.touched: tuple[seeds.Tenant, tuple[Subject, ...]] | None = None
        self.may_readmit = False  # since the last full check
        self.usage: dict[Subject, int] = {}
        self.d1_back_at: int | None = None
        self.accounts = [RESELLER, *(tenant.account_id for tenant in tenants)]
        self.seen: dict[str, int] = {}

    def has_changed(self, account_id: str) -> bool:
        """Whether the account's object wrote anything since this was last asked."""
        changes = self.lane.connection(account_id).total_changes
        before = self.seen.get(account_id)
        self.seen[account_id] = changes
        return changes != before

    def awake(self) -> list[SimNode]:
        return [one for one in self.nodes.values() if one.silent_until <= self.lane.now]

    def new_id(self, kind: str) -> str:
        self.number += 1
        return f"{kind}-{self.number}"

    def event(self, tenant: seeds.Tenant, kind: str, **fields: Any) -> Fields:
        base = {"eventId": self.new_id("ev"), "type": kind, "accountId": tenant.account_id, "at": self.lane.now}
        return base | fields

    def pick(self, *states: str) -> TrueCall | None:
        """A random live call in one of `states`."""
        one, tenant = self.random.choice(list(self.nodes.values())), self.random.choice(self.tenants)
        found = [call for call in one.live[tenant.account_id].values() if call.state in states]
        return self.random.choice(found) if found else None
