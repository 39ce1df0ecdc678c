"""The newest snapshot that each node sent of the account: its digests, and when it was taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tandem.runtime import Sql
from tandem.store.blocks import load

_SQL: Final = load("live")


@dataclass(frozen=True, slots=True)
class Snapshot:
    dialogs: str
    contacts: str
    as_of: int


class Snapshots:
    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def get(self, node_id: str) -> Snapshot | None:
        found = self._sql.json(_SQL["snapshot"], node_id)
        return Snapshot(*found[0]) if found else None

    def put(self, node_id: str, snapshot: Snapshot) -> None:
        self._sql.run(_SQL["put_snapshot"], node_id, snapshot.dialogs, snapshot.contacts, snapshot.as_of)

    def nodes(self) -> list[str]:
        """Every node that has to do with the account: it sent a snapshot, or carries a live call."""
        nodes: list[str] = self._sql.json(_SQL["nodes"])
        return nodes
