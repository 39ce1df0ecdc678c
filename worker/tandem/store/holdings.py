"""What live calls hold, and the entries of sliding windows (`Holdings` of domain.cac), in the PresenceDO's SQLite."""

from __future__ import annotations

from typing import Final

from tandem.domain.cac import Entries, Leg, Want, Window
from tandem.runtime import Sql
from tandem.store.blocks import load

_SQL: Final = load("live")


class SqlHoldings:
    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def used_beside(self, call_id: str, want: Want) -> int:
        used: int = self._sql.json(_SQL["used_beside"], str(want.dimension), want.subject, call_id, str(want.leg))[0]
        return used

    def take(self, call_id: str, want: Want) -> None:
        self._sql.run(_SQL["take"], call_id, str(want.leg), str(want.dimension), want.subject)

    def release(self, call_id: str, leg: Leg | None = None, keep: str | None = None) -> None:
        if leg is None:
            self._sql.run(_SQL["release_call"], call_id)
        elif keep is None:
            self._sql.run(_SQL["release_leg"], call_id, str(leg))
        else:
            self._sql.run(_SQL["release_losers"], call_id, str(leg), keep)

    def give_back(self, call_id: str, want: Want) -> None:
        """Lets go of this one row."""
        self._sql.run(_SQL["give_back"], str(want.dimension), want.subject, call_id, str(want.leg))

    def release_all(self) -> None:
        self._sql.run(_SQL["release_all"])

    def entries(self, call_id: str, window: Window) -> Entries:
        inside, blocking_at = self._sql.json(
            _SQL["entries"], window.limit_id, window.subject, call_id, max(window.max_count, 1)
        )
        return Entries(bool(inside), blocking_at)

    def enter(self, call_id: str, window: Window, now: int) -> None:
        until = now + window.period_sec * 1000
        self._sql.run(_SQL["enter"], window.limit_id, window.subject, call_id, now, until)

    def leave_windows(self, call_id: str) -> None:
        """The call was not admitted after all: no window counts it."""
        for limit_id, subject, place in self._sql.json(_SQL["places"], call_id):
            self._sql.run(_SQL["close_gap"], limit_id, subject, place)
        self._sql.run(_SQL["leave_windows"], call_id)

    def forget_entries(self, now: int) -> None:
        """Drops the windows' entries whose period is over."""
        self._sql.run(_SQL["forget_entries"], now)
