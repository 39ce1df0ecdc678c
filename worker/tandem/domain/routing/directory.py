"""What routing asks of one account's configuration and reachability. Every answer is of that account alone.

A decision asks few of these, each a look-up by index; account, schedules and trunks are kept in memory by whoever
implements this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tandem.domain.account import Account
from tandem.domain.hours import Schedule
from tandem.domain.routing.model import Device, Did, Extension, Forward, Limit, Member, RingGroup, Trunk, User


class Directory(Protocol):
    def account(self) -> Account | None: ...
    def canonical_domain(self, domain: str) -> str | None:
        """The account's own spelling of `domain`, None when it is not the account's."""
        ...

    def primary_domain(self) -> str:
        """The domain that callers from outside are shown under; empty when the account has none."""
        ...

    def extension(self, digits: str) -> Extension | None: ...
    def extension_by_id(self, extension_id: str) -> Extension | None: ...
    def did(self, e164: str) -> Did | None: ...
    def user(self, user_id: str) -> User | None: ...
    def device_owner(self, device_id: str) -> User | None:
        """The user of an active device."""
        ...

    def reachable_devices(self, user_id: str, now: int) -> Sequence[Device]:
        """Those that ring for the user, by ring_order; one entry for each node that holds a contact."""
        ...

    def reachable_device(self, device_id: str, now: int) -> Sequence[Device]: ...
    def ring_group(self, group_id: str) -> RingGroup | None: ...
    def members(self, group_id: str, now: int) -> Sequence[Member]:
        """In the order of their position."""
        ...

    def forward(self, forward_id: str) -> Forward | None: ...
    def schedule(self, schedule_id: str) -> Schedule | None: ...
    def trunks_at(self, source_ip: str, source_port: int) -> Sequence[Trunk]:
        """The active trunks that may send calls from the address, the longest prefix first; there, the account's own.
        An address of the platform's carriers is no PBX's."""
        ...

    def owns_number(self, e164: str) -> bool:
        """A DID of the account, or a number that it has verified."""
        ...

    def has_limits(self) -> bool:
        """Whether the account has any sliding windows at all."""
        ...

    def limits(self, direction: str, user_id: str | None, did_id: str | None, number: str) -> Sequence[Limit]:
        """The sliding windows for a call: `in`, `out`, `dialer` or `any` (which only `any` limits are for), by whom,
        through which DID, to which number."""
        ...


class Turns(Protocol):
    def next_turn(self, ring_group_id: str, size: int) -> int:
        """The index of the member that this call's round begins with, one further each time."""
        ...
