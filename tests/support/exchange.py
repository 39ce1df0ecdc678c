"""An account's telephone exchange in dictionaries: `Directory` and `Turns` of domain.routing, for its own tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tandem.domain.account import Account
from tandem.domain.hours import Schedule
from tandem.domain.routing import (
    Context,
    Device,
    Did,
    Extension,
    Forward,
    Limit,
    Member,
    RingGroup,
    Trunk,
    User,
)
from tests.support.ledger import Ledger

NOW = 1_783_332_000_000  # Monday 2026-07-06 10:00 UTC
NODE = "node_1"
DOMAIN = "acme.example"


@dataclass
class Exchange:
    """`devices` holds all devices of a user that have a contact; `groups` the members beside each group."""

    own: Account = field(default_factory=lambda: Account("acc_1", "Acme"))
    extensions: dict[str, Extension] = field(default_factory=dict)
    dids: dict[str, Did] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    devices: dict[str, list[Device]] = field(default_factory=dict)
    groups: dict[str, tuple[RingGroup, list[Member]]] = field(default_factory=dict)
    forwards: dict[str, Forward] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    trunks: dict[str, list[Trunk]] = field(default_factory=dict)
    verified: set[str] = field(default_factory=set)
    windows: list[tuple[str, Limit]] = field(default_factory=list)
    turns: Counter[str] = field(default_factory=Counter)
    ledger: Ledger = field(default_factory=Ledger)
    trace: list[dict[str, object]] | None = None

    def context(self, call_id: str = "call_1", at: int = NOW) -> Context:
        return Context(self.own, self, self.ledger, self, call_id, NOW, at, {NODE}, self.trace)

    def account(self) -> Account:
        return self.own

    def canonical_domain(self, domain: str) -> str | None:
        return DOMAIN if domain == DOMAIN else None

    def primary_domain(self) -> str:
        return DOMAIN

    def extension(self, digits: str) -> Extension | None:
        return self.extensions.get(digits)

    def extension_by_id(self, extension_id: str) -> Extension | None:
        return next((one for one in self.extensions.values() if one.extension_id == extension_id), None)

    def did(self, e164: str) -> Did | None:
        return self.dids.get(e164)

    def user(self, user_id: str) -> User | None:
        return self.users.get(user_id)

    def device_owner(self, device_id: str) -> User | None:
        owners = (user_id for user_id, own in self.devices.items() if any(one.device_id == device_id for one in own))
        return self.users.get(next(owners, ""))

    def reachable_devices(self, user_id: str, now: int) -> Sequence[Device]:
        assert now == NOW
        return self.devices.get(user_id, [])

    def reachable_device(self, device_id: str, now: int) -> Sequence[Device]:
        return [one for own in self.devices.values() for one in own if one.device_id == device_id]

    def ring_group(self, group_id: str) -> RingGroup | None:
        return self.groups[group_id][0] if group_id in self.groups else None

    def members(self, group_id: str, now: int) -> Sequence[Member]:
        return self.groups[group_id][1]

    def forward(self, forward_id: str) -> Forward | None:
        return self.forwards.get(forward_id)

    def schedule(self, schedule_id: str) -> Schedule | None:
        return self.schedules.get(schedule_id)

    def trunks_at(self, source_ip: str, source_port: int) -> Sequence[Trunk]:
        return self.trunks.get(source_ip, [])

    def owns_number(self, e164: str) -> bool:
        return e164 in self.dids or e164 in self.verified

    def has_limits(self) -> bool:
        return bool(self.windows)

    def limits(self, direction: str, user_id: str | None, did_id: str | None, number: str) -> Sequence[Limit]:
        asked = " ".join((direction, user_id or "-", did_id or "-", number))
        return [limit for wanted, limit in self.windows if wanted in ("", asked)]

    def next_turn(self, ring_group_id: str, size: int) -> int:
        turn = self.turns[ring_group_id]
        self.turns[ring_group_id] += 1
        return turn % size
