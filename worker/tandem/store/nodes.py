"""FLEET's rows: nodes, which accounts they have to do with, and what those accounts must still be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tandem.contracts.events import NOTHING, AccountDigests
from tandem.domain.fleet import Change, Node, NodeStatus
from tandem.runtime import Sql
from tandem.store.blocks import load
from tandem.store.guards import REQUEST_MEMORY_MS

_SQL: Final = load("nodes")


@dataclass(frozen=True, slots=True)
class Telling:
    """An account to be told that a node was lost or returned."""

    id: int
    account_id: str
    node_id: str
    change: Change


class Nodes:
    def __init__(self, sql: Sql) -> None:
        sql.script(_SQL["schema"])
        self._sql = sql

    def first_request(self, request_id: str, now: int) -> bool:
        return self._sql.run(_SQL["see_request"], request_id, now) > 0

    def prune(self, now: int) -> None:
        self._sql.run(_SQL["forget_requests"], now - REQUEST_MEMORY_MS)

    def get(self, node_id: str) -> Node | None:
        found = self._sql.json(_SQL["node"], node_id)
        return _node(found[0]) if found else None

    def all(self) -> list[Node]:
        return [_node(row) for row in self._sql.json(_SQL["nodes"])]

    def put(self, node: Node) -> None:
        self._sql.run(_SQL["put_node"], node.node_id, str(node.status), node.deadline, node.boot_ids)

    def report(self, node_id: str, load: str, version: str | None) -> None:
        self._sql.run(_SQL["report"], version, load, node_id)

    def next_deadline(self) -> int | None:
        due: int | None = self._sql.json(_SQL["next_deadline"])[0]
        return due

    def digests(self, node_id: str) -> dict[str, AccountDigests]:
        return {
            account_id: AccountDigests(dialogs=dialogs, contacts=contacts)
            for account_id, dialogs, contacts in self._sql.json(_SQL["digests"], node_id)
        }

    def digests_of(self, node_id: str, account_id: str) -> AccountDigests | None:
        found = self._sql.json(_SQL["digests_of_account"], node_id, account_id)
        return AccountDigests(dialogs=found[0][0], contacts=found[0][1]) if found else None

    def set_digests(self, node_id: str, digests: dict[str, AccountDigests]) -> None:
        """Keeps the index (node, account) in line with what the node reports; writes only what changed."""
        known = self.digests(node_id)
        for account_id, one in digests.items():
            if known.get(account_id) != one:
                self._sql.run(_SQL["put_digests"], node_id, account_id, one.dialogs, one.contacts)
        for account_id in known.keys() - digests.keys():
            self._sql.run(_SQL["drop_digests"], node_id, account_id)

    def want(self, node_id: str, account_id: str) -> None:
        """The account's snapshot is wanted of the node, whatever its digests say."""
        self._sql.run(_SQL["want"], node_id, account_id, NOTHING.dialogs, NOTHING.contacts)

    def take_wanted(self, node_id: str) -> list[str]:
        """The accounts whose snapshot is wanted; asking for them once is all that is done."""
        wanted: list[str] = self._sql.json(_SQL["wanted"], node_id)
        if wanted:
            self._sql.run(_SQL["asked_for"], node_id)
        return wanted

    def tell(self, node_id: str, change: Change) -> None:
        """Puts a telling for every account on the node into the outbox.

        A return takes back the losses that were not told yet: by the time that they arrive, the account may have the
        returned node's list of live calls.
        """
        if change is Change.RETURNED:
            self._sql.run(_SQL["untell"], node_id, str(Change.LOST))
        self._sql.run(_SQL["tell"], node_id, str(change))

    def tellings(self, after: int, limit: int) -> list[Telling]:
        """The next of the outbox, in order, behind the one with the id `after`."""
        rows = self._sql.json(_SQL["outbox"], after, limit)
        return [Telling(id_, account, node, Change(change)) for id_, account, node, change in rows]

    def has_tellings(self) -> bool:
        return bool(self._sql.json(_SQL["outbox_size"])[0])

    def told(self, telling: Telling) -> None:
        self._sql.run(_SQL["told"], telling.id)


def _node(row: list[Any]) -> Node:
    node_id, status, deadline, boot_ids = row
    return Node(node_id, NodeStatus(status), deadline, boot_ids)
