"""What was granted under this account's ceilings to calls of accounts below it, in the PresenceDO's SQLite.

Each row is ordered by the version that the child gives its messages, so lost, repeated and overtaken ones do no harm;
a released row stays for a while, so that a question which arrives late is not granted to a call that is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tandem.domain.cac import Dimension
from tandem.runtime import Sql
from tandem.store.blocks import load

_SQL: Final = load("live")
LEASE_MS: Final = 120_000
TOMBSTONE_MS: Final = 600_000


@dataclass(frozen=True, slots=True)
class ChildCall:
    call_id: str
    dimension: Dimension
    child_id: str
    version: int
    held: bool


class Children:
    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def get(self, call_id: str, dimension: Dimension) -> ChildCall | None:
        found = self._sql.json(_SQL["child_call"], call_id, str(dimension))
        return ChildCall(call_id, dimension, found[0][0], found[0][1], bool(found[0][2])) if found else None

    def put(self, call: ChildCall, now: int) -> None:
        due = now + (LEASE_MS if call.held else TOMBSTONE_MS)
        self._sql.run(
            _SQL["put_child_call"],
            call.call_id,
            str(call.dimension),
            call.child_id,
            call.version,
            int(call.held),
            due,
        )

    def held(self) -> list[ChildCall]:
        return [_decode(row) for row in self._sql.json(_SQL["held_child_calls"])]

    def due(self, now: int, limit: int) -> list[ChildCall]:
        """Those whose lease ran out: their accounts are to be asked."""
        return [_decode(row) for row in self._sql.json(_SQL["due_child_calls"], now, limit)]

    def next_due(self) -> int | None:
        due: int | None = self._sql.json(_SQL["next_child_call"])[0]
        return due

    def lease(self, call: ChildCall, until: int) -> None:
        """A fresh lease, unless the row has moved on meanwhile."""
        self._sql.run(_SQL["lease_child_call"], until, call.call_id, str(call.dimension), call.version)

    def forget(self, now: int) -> None:
        self._sql.run(_SQL["forget_child_calls"], now)


def _decode(row: list[str | int]) -> ChildCall:
    call_id, dimension, child_id, version, held = row
    return ChildCall(str(call_id), Dimension(str(dimension)), str(child_id), int(version), bool(held))
