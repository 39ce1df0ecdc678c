"""What routing asks of an account, answered from its replica (it is the `Directory` of domain.routing)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tandem.domain.digest import Secrets
from tandem.domain.routing import Device, Target, User
from tandem.runtime import Sql
from tandem.store.blocks import load

_SQL: Final = load("replica")


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    status: str


@dataclass(frozen=True, slots=True)
class Registrant:
    """A device with what authenticates it, and the user whose device it is."""

    device: Device
    user: User
    secrets: Secrets
    user_agent_lock: str | None
    active: bool


class SqlDirectory:
    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def account(self) -> Account | None:
        found = self._sql.json(_SQL["account"])
        return Account(*found[0]) if found else None

    def registrant(self, auth_username: str, realm: str) -> Registrant | None:
        found = self._sql.json(_SQL["caller_by_username"], auth_username, realm)
        if not found:
            return None
        device_id, user_id, device_realm, ha1, ha1b, ha1_sha256, ha1b_sha256, is_webrtc, lock, active, *user = found[0]
        return Registrant(
            Device(device_id, device_realm, bool(is_webrtc)),
            _user(user_id, *user),
            Secrets(ha1, ha1b, ha1_sha256, ha1b_sha256),
            lock,
            bool(active),
        )

    def canonical_domain(self, domain: str) -> str | None:
        """The account's own spelling of `domain`, None when it is not the account's."""
        found: str | None = self._sql.json(_SQL["canonical_domain"], domain)[0]
        return found

    def extension(self, digits: str) -> Target | None:
        found = self._sql.json(_SQL["extension"], digits)
        return Target(*found[0]) if found else None

    def user(self, user_id: str) -> User | None:
        found = self._sql.json(_SQL["user"], user_id)
        return _user(*found[0]) if found else None

    def reachable_devices(self, user_id: str, now: int) -> list[Device]:
        found = self._sql.json(_SQL["reachable_devices"], user_id, now)
        return [Device(device_id, realm, bool(is_webrtc)) for device_id, realm, is_webrtc in found]


def _user(
    user_id: str,
    username: str,
    display_name: str,
    max_simultaneous: int | None,
    ring_timeout_sec: int,
    dnd: int,
    active: int,
) -> User:
    return User(user_id, username, display_name, max_simultaneous, ring_timeout_sec, bool(dnd), bool(active))
