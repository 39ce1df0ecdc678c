"""Whose turn it is in a round-robin ring group, in the PresenceDO's SQLite."""

from __future__ import annotations

from typing import Final

from tandem.runtime import Sql
from tandem.store.blocks import load

_SQL: Final = load("live")


class Turns:
    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def next_turn(self, ring_group_id: str, size: int) -> int:
        """The index (0 to `size` - 1) of the member with whom this call begins; the next call's is one further."""
        self._sql.run(_SQL["next_turn"], ring_group_id)
        count: int = self._sql.json(_SQL["turn"], ring_group_id)[0]
        return (count - 1) % size
