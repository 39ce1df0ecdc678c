"""What was asked of ancestors' objects for the calls of this account, in the PresenceDO's SQLite.

A row says what the ancestor should have: `asking` (a decision waits for the answer), `held`, `taking` (a call that came
back: counted whatever the limit says) or `releasing`. The last two are an outbox: they stay until the ancestor knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tandem.domain.cac import Ask, Dimension
from tandem.domain.calls import Call
from tandem.runtime import Sql
from tandem.store.blocks import load

_SQL: Final = load("live")
ASKING_MS: Final = 3_000  # far longer than any decision waits: whoever asked is gone


@dataclass(frozen=True, slots=True)
class Owed:
    """A message that an ancestor must get: give `ask` back, or count it (`take`)."""

    ask: Ask
    take: bool
    attempts: int


class Asked:
    """`owing` is set when something was put into the outbox since it was last cleared."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self.owing = False

    def ask(self, call: Call, asks: Sequence[Ask], now: int) -> Call:
        """The call as one that waits for its ancestors, if there is anything to be asked; to be added or put."""
        if not asks:
            return call
        for ask in asks:
            self._set(ask, "asking", now + ASKING_MS)
        return replace(call, shared=True, pending=True)

    def open_asks(self, call_id: str) -> tuple[Ask, ...]:
        """What a pending call still waits for."""
        found = self._sql.json(_SQL["open_asks"], call_id)
        return tuple(Ask(call_id, ancestor, Dimension(kind), version) for ancestor, kind, version in found)

    def granted(self, call_id: str) -> None:
        self._sql.run(_SQL["asks_granted"], call_id)

    def let_go(self, call_id: str, version: int) -> None:
        """Everything that the call has or may have of its ancestors is to be given back."""
        self._sql.run(_SQL["let_go"], version, call_id)
        self.owing = True

    def take(self, asks: Sequence[Ask]) -> None:
        """A call came back: its ancestors count it again."""
        for ask in asks:
            self._set(ask, "taking", 0)
            self.owing = True

    def wants(self, call_id: str, ancestor_id: str, dimension: Dimension) -> bool:
        """Whether the call still counts under the ancestor's ceiling."""
        found: int = self._sql.json(_SQL["still_wanted"], call_id, ancestor_id, str(dimension))[0]
        return bool(found)

    def next_due(self) -> int | None:
        due: int | None = self._sql.json(_SQL["next_asked"])[0]
        return due

    def abandoned(self, now: int) -> list[str]:
        """Calls whose question nobody waits for any more."""
        found: list[str] = self._sql.json(_SQL["abandoned"], now)
        return found

    def owed(self, now: int, limit: int) -> list[Owed]:
        found = self._sql.json(_SQL["owed"], now, limit)
        return [
            Owed(Ask(call_id, ancestor, Dimension(kind), version), state == "taking", attempts)
            for call_id, ancestor, kind, version, state, attempts in found
        ]

    def told(self, owed: Owed) -> None:
        """The ancestor knows, unless the row has moved on meanwhile."""
        ask = owed.ask
        block = "told_taking" if owed.take else "told_releasing"
        self._sql.run(_SQL[block], ask.call_id, ask.ancestor_id, str(ask.dimension), ask.version)

    def not_told(self, owed: Owed, due: int) -> None:
        ask = owed.ask
        self._sql.run(_SQL["not_told"], due, ask.call_id, ask.ancestor_id, str(ask.dimension), ask.version)

    def _set(self, ask: Ask, state: str, due: int) -> None:
        self._sql.run(_SQL["put_asked"], ask.call_id, ask.ancestor_id, str(ask.dimension), ask.version, state, due)
