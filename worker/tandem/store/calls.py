"""Live calls and their records, in the PresenceDO's SQLite."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from tandem.domain.calls import Call, Direction, Disposition, Lost, State, step
from tandem.runtime import Param, Sql
from tandem.store.asked import Asked
from tandem.store.blocks import load
from tandem.store.holdings import SqlHoldings

CALL_ENDED: Final = "call_ended"
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
    values["direction"] = Direction(values["direction"])
    for name in ("lost", "shared", "pending"):
        values[name] = bool(values[name])
    for name in ("ringing", "limit_warnings"):
        values[name] = tuple(values[name].split())
    if values["disposition"] is not None:
        values["disposition"] = Disposition(values["disposition"])
    return Call(**values)


def _encode(call: Call) -> list[Param]:
    # The enums are strings and the flags numbers only to Python: SQL takes plain ones.
    return [_plain(getattr(call, name)) for name in _FIELDS]


def _plain(value: Any) -> Param:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, tuple):
        return " ".join(value)
    return int(value) if isinstance(value, bool) else value


@dataclass(frozen=True, slots=True)
class Known:
    """What a question was answered before; `pending`: ancestors have not all granted that yet."""

    call_id: str
    reply: str
    pending: bool


class Calls:
    """The rows of `call`. A call that ends lets go of all that it holds, here and in its ancestors' objects."""

    def __init__(self, sql: Sql, holdings: SqlHoldings, asked: Asked) -> None:
        self._sql = sql
        self._holdings = holdings
        self._asked = asked
        self._warned: list[Call] = []

    def known(self, sip_call_id: str, from_tag: str, cseq: str) -> Known | None:
        """The answer that this very question got before (spec 00: the first `/route` is idempotent)."""
        found = self._sql.json(_SQL["known_reply"], sip_call_id, from_tag, cseq)
        return Known(found[0][0], found[0][1], bool(found[0][2])) if found else None

    def by_sip(self, sip_call_id: str, from_tag: str, cseq: str) -> Call | None:
        return self._first("call_by_sip", sip_call_id, from_tag, cseq)

    def by_id(self, call_id: str) -> Call | None:
        return self._first("call_by_id", call_id)

    def live(self) -> list[Call]:
        return self._all("live_calls")

    def live_on(self, node_id: str) -> list[Call]:
        return self._all("live_calls_of_node", node_id)

    def live_legs(self, call_id: str) -> list[Call]:
        return self._all("live_legs", call_id)

    def last_to_answer(self, call_id: str) -> str | None:
        """The user who answered the call's newest leg that anybody answered."""
        found: str | None = self._sql.json(_SQL["last_to_answer"], call_id)[0]
        return found

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
        """A new call, or a leg of one, with the reply to its first question."""
        self._sql.run(_SQL["add_call" if call.parent_id is None else "add_leg"], *_encode(call), reply)
        if call.state is State.ENDED:
            self._holdings.release(call.call_id)
        if call.limit_warnings:
            self._warned.append(call)

    def take_warned(self) -> list[Call]:
        """The calls that went over a soft limit since this was last asked."""
        warned, self._warned = self._warned, []
        return warned

    def put(self, call: Call) -> None:
        """Writes the call; one that has ended lets go of everything it held, and its legs are taken for gone."""
        self._sql.run(_SQL["put_call"], *_encode(call), call.call_id)
        if call.state is State.ENDED:
            self._holdings.release(call.call_id)
            if call.shared:
                self._asked.let_go(call.call_id, call.row_version)
            if call.media_app_ms is not None:
                for leg in self.live_legs(call.call_id):
                    self.put(step(leg, Lost(call.end_ts or call.start_ts, CALL_ENDED)))

    def answer_anew(self, call_id: str, reply: str) -> None:
        """What a repeat of the first question gets from now on."""
        self._sql.run(_SQL["answer_anew"], reply, call_id)

    def shipped(self, call: Call) -> None:
        self._sql.run(_SQL["shipped"], call.row_version, call.call_id, call.row_version)

    def forget_before(self, at: int) -> None:
        self._sql.run(_SQL["forget_calls"], at)

    def _first(self, block: str, *params: Param) -> Call | None:
        found = self._all(block, *params)
        return found[0] if found else None

    def _all(self, block: str, *params: Param) -> list[Call]:
        return [_decode(row) for row in self._sql.json(_SQL[block], *params)]
