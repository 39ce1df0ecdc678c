"""What routing asks of an account, answered from its replica (it is the `Directory` of domain.routing).

Account, domains, trunks and schedules are read once per version of the replica and kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

from tandem.domain.account import Account, effective
from tandem.domain.digest import Secrets
from tandem.domain.hours import Schedule, make_rule
from tandem.domain.routing import (
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
from tandem.runtime import Sql
from tandem.store import routing_rows as rows
from tandem.store.blocks import load
from tandem.store.replica import Replica
from tandem.store.trunks import TrunkTable

_SQL: Final = load("replica")


@dataclass(frozen=True, slots=True)
class Registrant:
    """A device with what authenticates it, and the user whose device it is."""

    device: Device
    user: User
    secrets: Secrets
    user_agent_lock: str | None
    active: bool


@dataclass(slots=True)
class _Kept:
    """What was read of one version of the replica."""

    version: int
    account: Account | None
    domains: dict[str, str]
    primary_domain: str
    has_limits: bool
    trunks: TrunkTable | None = None
    schedules: dict[str, Schedule | None] = field(default_factory=dict)


class SqlDirectory:
    def __init__(self, sql: Sql, replica: Replica) -> None:
        self._sql = sql
        self._replica = replica
        self._now_kept: _Kept | None = None

    def account(self) -> Account | None:
        """The effective account: what it inherits is in it."""
        return self._kept().account

    def canonical_domain(self, domain: str) -> str | None:
        """The account's own spelling of `domain`, None when it is not the account's."""
        return self._kept().domains.get(domain.lower())

    def primary_domain(self) -> str:
        return self._kept().primary_domain

    def registrant(self, auth_username: str, realm: str) -> Registrant | None:
        found = self._sql.json(_SQL["caller_by_username"], auth_username, realm)
        if not found:
            return None
        device_id, user_id, device_realm, ha1, ha1b, ha1_sha256, ha1b_sha256, is_webrtc, lock, active, *user = found[0]
        return Registrant(
            Device(device_id, device_realm, bool(is_webrtc)),
            rows.user(user_id, *user),
            Secrets(ha1, ha1b, ha1_sha256, ha1b_sha256),
            lock,
            bool(active),
        )

    def extension(self, digits: str) -> Extension | None:
        return rows.extension(self._sql.json(_SQL["extension"], digits))

    def extension_by_id(self, extension_id: str) -> Extension | None:
        return rows.extension(self._sql.json(_SQL["extension_by_id"], extension_id))

    def did(self, e164: str) -> Did | None:
        found = self._sql.json(_SQL["did"], e164)
        if not found:
            return None
        did_id, number, status, any_source, anonymous, max_channels, *rest = found[0]
        return Did(did_id, number, rows.attached(*rest), status, bool(any_source), bool(anonymous), max_channels)

    def user(self, user_id: str) -> User | None:
        found = self._sql.json(_SQL["user"], user_id)
        return rows.user(*found[0]) if found else None

    def user_by_username(self, username: str) -> User | None:
        found = self._sql.json(_SQL["user_by_username"], username)
        return self.user(found[0]) if found else None

    def device_owner(self, device_id: str) -> User | None:
        found = self._sql.json(_SQL["device_owner"], device_id)
        return self.user(found[0]) if found else None

    def reachable_devices(self, user_id: str, now: int) -> list[Device]:
        return [rows.device(*row) for row in self._sql.json(_SQL["reachable_devices"], user_id, now)]

    def reachable_device(self, device_id: str, now: int) -> list[Device]:
        return [rows.device(*row) for row in self._sql.json(_SQL["reachable_device"], device_id, now)]

    def ring_group(self, group_id: str) -> RingGroup | None:
        found = self._sql.json(_SQL["ring_group"], group_id)
        if not found:
            return None
        id_, name, strategy, timeout, exit_kind, exit_id, exit_xform, *hours = found[0]
        attached = rows.attached(None, None, None, *hours)
        return RingGroup(id_, name, strategy, timeout, attached, rows.target(exit_kind, exit_id, exit_xform))

    def members(self, group_id: str, now: int) -> list[Member]:
        return [rows.member(*row) for row in self._sql.json(_SQL["members"], group_id, now)]

    def forward(self, forward_id: str) -> Forward | None:
        found = self._sql.json(_SQL["forward"], forward_id)
        return Forward(*found[0]) if found else None

    def schedule(self, schedule_id: str) -> Schedule | None:
        kept = self._kept().schedules
        if schedule_id not in kept:
            kept[schedule_id] = self._read_schedule(schedule_id)
        return kept[schedule_id]

    def trunks_at(self, source_ip: str, source_port: int) -> list[Trunk]:
        kept = self._kept()
        if kept.trunks is None:
            kept.trunks = TrunkTable(
                (Trunk(id_, name, role, bool(owned), number_from, channels, cid), json.loads(addresses))
                for id_, name, role, owned, number_from, channels, cid, addresses in self._sql.json(
                    _SQL["inbound_trunks"]
                )
            )
        return kept.trunks.find(source_ip, source_port)

    def owns_number(self, e164: str) -> bool:
        return bool(self._sql.json(_SQL["owns_number"], e164)[0])

    def has_limits(self) -> bool:
        return self._kept().has_limits

    def limits(self, direction: str, user_id: str | None, did_id: str | None, number: str) -> list[Limit]:
        beginnings = json.dumps([number[:length] for length in range(1, len(number) + 1)])
        found = self._sql.json(_SQL["limits"], user_id, did_id, beginnings, direction)
        return [Limit(id_, subject, period, count, bool(hard)) for id_, subject, period, count, hard in found]

    def _kept(self) -> _Kept:
        kept = self._now_kept
        if kept is None or kept.version != self._replica.version:
            kept = self._now_kept = self._read()
        return kept

    def _read(self) -> _Kept:
        domains = self._sql.json(_SQL["domains"])
        chain = [rows.account_row(*row) for row in self._sql.json(_SQL["account"])]
        primary = sorted(domains, key=lambda row: (-row[1], row[0]))
        return _Kept(
            self._replica.version,
            effective(chain),
            {domain.lower(): domain for domain, _ in domains},
            primary[0][0] if primary else "",
            bool(self._sql.json(_SQL["has_limits"])[0]),
        )

    def _read_schedule(self, schedule_id: str) -> Schedule | None:
        found = self._sql.json(_SQL["schedule"], schedule_id)
        if not found:
            return None
        rules = tuple(
            make_rule(kind, dow, start_time, end_time, start_date, end_date, bool(is_closed), label)
            for kind, dow, start_time, end_time, start_date, end_date, is_closed, label in self._sql.json(
                _SQL["schedule_rules"], schedule_id
            )
        )
        return Schedule(schedule_id, found[0][1], rules)
