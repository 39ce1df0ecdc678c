"""Legs that sessions ordered and that have not arrived yet, in the PresenceDO's SQLite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tandem.domain.target import Target
from tandem.runtime import Sql
from tandem.store.blocks import load

_SQL: Final = load("live")


@dataclass(frozen=True, slots=True)
class Order:
    """`call_id`: the call that the leg is for. `timeout_sec`: None (0 in the table) is each target's own time.
    `caller_id`: a number to show instead of the caller's."""

    leg_id: str
    call_id: str
    node_id: str
    targets: Sequence[Target]
    timeout_sec: int | None
    caller_id: str | None = None


class Orders:
    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def put(self, order: Order, expires_at: int) -> None:
        """What was ordered first stays; only the time is new."""
        targets = json.dumps([[one.dest_kind, one.dest_id] for one in order.targets])
        self._sql.run(
            _SQL["put_order"],
            order.leg_id,
            order.call_id,
            order.node_id,
            targets,
            order.timeout_sec or 0,
            order.caller_id,
            expires_at,
        )

    def get(self, leg_id: str) -> Order | None:
        found = self._sql.json(_SQL["order"], leg_id)
        if not found:
            return None
        leg_id, call_id, node_id, targets, timeout_sec, caller_id = found[0]
        return Order(leg_id, call_id, node_id, [Target(*one) for one in targets], timeout_sec or None, caller_id)

    def drop(self, leg_id: str) -> None:
        self._sql.run(_SQL["drop_order"], leg_id)

    def forget(self, now: int) -> None:
        """Drops those whose token is no good any more."""
        self._sql.run(_SQL["forget_orders"], now)
