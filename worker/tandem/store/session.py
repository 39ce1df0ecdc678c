"""A call's session in its object's SQLite. Nothing is written before there is one: a question about a call that the
account does not have leaves no trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tandem.runtime import Database, Sql
from tandem.store.blocks import load
from tandem.store.lists import lists

_SQL: Final = load("session")
_RECORDS: Final = load("records")
_STEPS: Final = tuple(name for name in _SQL if name.startswith("step_"))
PART_CHARACTERS: Final = 400_000  # at most four bytes each, and a value has two million
MOST_ENTRIES: Final = 5_000  # of one call's trace
SOURCE: Final = "flow"


@dataclass(frozen=True, slots=True)
class Kept:
    """`state` is the interpreter's, in its own JSON. `ended_at`: None while the flow runs. `checked_at`: when the
    account was last known to have the call."""

    call_id: str
    account_id: str
    node_id: str
    started_at: int
    checked_at: int
    state: dict[str, Any]
    ended_at: int | None
    flushed: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the trace; `data` is JSON."""

    at: int
    kind: str
    node_id: str | None
    data: str


class SessionRows:
    """Writes are for a transaction of the caller's."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._next_seq: int | None = None

    def get(self) -> Kept | None:
        if not self._sql.json(_SQL["exists"])[0]:
            return None
        found = self._sql.json(_SQL["session"])
        if not found:
            return None
        call_id, account_id, node_id, started_at, checked_at, state, ended_at, flushed = found[0]
        return Kept(call_id, account_id, node_id, started_at, checked_at, json.loads(state), ended_at, bool(flushed))

    def facts(self) -> str:
        return "".join(self._sql.json(_SQL["facts"]))

    def begin(self, kept: Kept, facts: str) -> None:
        for name in _STEPS:
            for statement in _SQL[name].split(";\n"):
                self._sql.run(statement)
        state = _dumps(kept.state)
        self._sql.run(
            _SQL["begin"], kept.call_id, kept.account_id, kept.node_id, kept.started_at, kept.checked_at, state
        )
        for part, first in enumerate(range(0, len(facts), PART_CHARACTERS)):
            self._sql.run(_SQL["put_fact"], part, facts[first : first + PART_CHARACTERS])

    def put(self, state: dict[str, Any], ended_at: int | None) -> None:
        if ended_at is None:
            self._sql.run(_SQL["put_state"], _dumps(state))
        else:
            self._sql.run(_SQL["end"], _dumps(state), ended_at)

    def add(self, entries: Sequence[Entry], *, last: bool = False) -> None:
        """Beyond `MOST_ENTRIES` a call's story is not told on, but for its last line."""
        first = self._seq()
        room = entries if last else entries[: max(MOST_ENTRIES - first, 0)]
        if room:
            rows = [[first + index, one.at, one.kind, one.node_id, one.data] for index, one in enumerate(room)]
            self._sql.run(_SQL["add_trace"], json.dumps(rows))
            self._next_seq = first + len(room)

    def undone(self) -> None:
        """The transaction failed: what is remembered of it is forgotten."""
        self._next_seq = None

    def trace(self) -> list[list[Any]]:
        rows: list[list[Any]] = self._sql.json(_SQL["trace"])
        return rows

    def checked(self, at: int) -> None:
        self._sql.run(_SQL["checked"], at)

    def flushed(self) -> None:
        self._sql.run(_SQL["flushed"])

    def _seq(self) -> int:
        if self._next_seq is None:
            last = self._sql.json(_SQL["last_trace"])[0]
            self._next_seq = 0 if last is None else last + 1
        return self._next_seq


async def flush(control: Database, kept: Kept, trace: Sequence[Sequence[Any]]) -> None:
    """Writes the whole trace into D1 in one batch; repeating it changes nothing."""
    if trace:
        await control.batch(
            [(_RECORDS["add_trace"], (kept.account_id, kept.call_id, SOURCE, text)) for text in lists(trace)]
        )


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
