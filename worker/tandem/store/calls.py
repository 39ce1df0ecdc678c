"""Live calls, what they hold, and their records, in the PresenceDO's SQLite."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from tandem.domain.cac import Dimension, Leg, Want
from tandem.domain.calls import Call, Disposition, State
from tandem.runtime import Param, Sql
from tandem.store.blocks import load

_FIELDS: Final = tuple(field.name for field in fields(Call))
_SQL: Final = {
    name: block.replace("{fields}", ", ".join(_FIELDS))
    .replace("{marks}", ", ".join("?" * len(_FIELDS)))
    .replace("{assignments}", ", ".join(f"{name} = ?" for name in _FIELDS))
    for name, block in load("live").items()
}


def _decode(row: list[Any]) -> Call:
    values = dict(zip(_FIELDS, row, strict=True))
    values["state"] = State(values["state"])
    values["lost"] = bool(values["lost"])
    if values["disposition"] is not None:
        values["disposition"] = Disposition(values["disposition"])
    return Call(**values)


def _encode(call: Call) -> list[Param]:
    # The enums are strings and `lost` a number only to Python: SQL takes plain ones.
    return [_plain(getattr(call, name)) for name in _FIELDS]


def _plain(value: Any) -> Param:
    if isinstance(value, str):
        return str(value)
    return int(value) if isinstance(value, bool) else value


class Calls:
    """The rows of `call`, and those of `holding` (it is the `Holdings` of domain.cac)."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def known_reply(self, sip_call_id: str, from_tag: str, cseq: str) -> str | None:
        """The reply that this very question got before (spec 00: the first `/route` is idempotent)."""
        found: list[str] = self._sql.json(_SQL["known_reply"], sip_call_id, from_tag, cseq)
        return found[0] if found else None

    def by_sip(self, sip_call_id: str, from_tag: str, cseq: str) -> Call | None:
        return self._first("call_by_sip", sip_call_id, from_tag, cseq)

    def by_id(self, call_id: str) -> Call | None:
        return self._first("call_by_id", call_id)

    def live(self) -> list[Call]:
        return self._all("live_calls")

    def live_on(self, node_id: str) -> list[Call]:
        return self._all("live_calls_of_node", node_id)

    def lapsed(self, now: int) -> list[Call]:
        return self._all("lapsed_calls", now)

    def unshipped(self, limit: int) -> list[Call]:
        return self._all("unshipped_calls", limit)

    def next_lapse(self) -> int | None:
        due: int | None = self._sql.json(_SQL["next_lapse"])[0]
        return due

    def has_unshipped(self) -> bool:
        return self._sql.json(_SQL["oldest_unshipped"])[0] is not None

    def add(self, call: Call, reply: str) -> None:
        self._sql.run(_SQL["add_call"], *_encode(call), reply)

    def put(self, call: Call) -> None:
        """Writes the call; one that has ended lets go of everything it held."""
        self._sql.run(_SQL["put_call"], *_encode(call), call.call_id)
        if call.state is State.ENDED:
            self.release(call.call_id)

    def shipped(self, call: Call) -> None:
        self._sql.run(_SQL["shipped"], call.row_version, call.call_id, call.row_version)

    def forget_before(self, at: int) -> None:
        self._sql.run(_SQL["forget_calls"], at)

    def used_beside(self, call_id: str, want: Want) -> int:
        used: int = self._sql.json(_SQL["used_beside"], str(want.dimension), want.subject, call_id, str(want.leg))[0]
        return used

    def take(self, call_id: str, want: Want) -> None:
        self._sql.run(_SQL["take"], call_id, str(want.leg), str(want.dimension), want.subject)

    def release(self, call_id: str, leg: Leg | None = None) -> None:
        if leg is None:
            self._sql.run(_SQL["release_call"], call_id)
        else:
            self._sql.run(_SQL["release_leg"], call_id, str(leg))

    def release_all(self) -> None:
        self._sql.run(_SQL["release_all"])

    def usage(self) -> list[tuple[Dimension, str, int]]:
        """(dimension, subject, used) of everything that is held."""
        return [(Dimension(kind), subject, used) for kind, subject, used in self._sql.json(_SQL["usage"])]

    def _first(self, block: str, *params: Param) -> Call | None:
        found = self._all(block, *params)
        return found[0] if found else None

    def _all(self, block: str, *params: Param) -> list[Call]:
        return [_decode(row) for row in self._sql.json(_SQL[block], *params)]
