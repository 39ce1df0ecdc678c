"""Reachability of the account's devices, in the PresenceDO's SQLite."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tandem.contracts.events import ContactState
from tandem.domain.reachability import Contact, ContactChange, apply
from tandem.runtime import Sql
from tandem.store.blocks import load

_SQL: Final = load("live")
EVERY: Final = "*"
REMOVAL_MEMORY_MS: Final = 600_000  # longer than a node holds a report back while it can reach the brain


class Contacts:
    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def report(self, change: ContactChange, reported: Contact, now: int) -> None:
        """Takes a registration report. A removal without a contact URI (`*`) removes the device's on that node."""
        if change is ContactChange.REMOVED and reported.contact in ("", EVERY):
            reported = replace(reported, contact=EVERY)
            self._sql.run(_SQL["end_device_contacts"], reported.updated_at, reported.device_id, reported.node_id)
        found = self._sql.json(_SQL["contact"], reported.device_id, reported.node_id, reported.contact, EVERY)
        known = Contact(*found[0]) if found else None
        result = apply(known, change, reported, now)
        if result is not known:
            self._put(result)

    def replace_node(self, node_id: str, as_of: int, contacts: list[ContactState], now: int) -> None:
        """What a node's snapshot says, for all that was not heard later than it was taken."""
        self._sql.run(_SQL["end_node_contacts"], as_of, node_id)
        for one in contacts:
            self.report(ContactChange.ADDED, from_state(one, node_id, as_of), now)

    def node_lost(self, node_id: str, now: int) -> None:
        self._sql.run(_SQL["lose_node"], node_id, now)

    def node_returned(self, node_id: str) -> None:
        self._sql.run(_SQL["find_node"], node_id)

    def forget_expired(self, now: int) -> None:
        self._sql.run(_SQL["forget_contacts"], now, now - REMOVAL_MEMORY_MS)

    def _put(self, contact: Contact) -> None:
        self._sql.run(
            _SQL["put_contact"],
            contact.device_id,
            contact.node_id,
            contact.contact,
            contact.expires_at,
            contact.updated_at,
            contact.transport,
            contact.user_agent,
        )


def from_state(state: ContactState, node_id: str, at: int) -> Contact:
    return Contact(state.device_id, node_id, state.contact, state.expires_at, at, state.transport, state.user_agent)
