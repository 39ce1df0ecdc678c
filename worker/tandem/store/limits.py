"""What concurrency control asks of the account's configuration, and usage beside its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tandem.domain.cac import Dimension
from tandem.runtime import Sql
from tandem.store.blocks import load

_SQL: Final = load("live")


@dataclass(frozen=True, slots=True)
class AccountCeilings:
    """`Ceilings` of domain.cac."""

    account_id: str
    max_in: int | None
    max_out: int | None
    max_dialer: int | None


@dataclass(frozen=True, slots=True)
class Usage:
    dimension: Dimension
    subject: str
    used: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class WindowUsage:
    """`used`: calls that began within the last `period_sec` seconds."""

    limit_id: str
    subject: str
    used: int
    max_count: int
    period_sec: int
    hard: bool


class Limits:
    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def ceilings(self, account_id: str) -> list[AccountCeilings]:
        """Of the account and of all its ancestors, the account itself first; empty before its configuration came."""
        return [AccountCeilings(*row) for row in self._sql.json(_SQL["ceilings"], account_id)]

    def owns_trunk(self, trunk_id: str) -> bool:
        """The trunk is the account's own, not the platform's."""
        return bool(self._sql.json(_SQL["owns_trunk"], trunk_id)[0])

    def user_of_device(self, device_id: str) -> str | None:
        found: str | None = self._sql.json(_SQL["user_of_device"], device_id)[0]
        return found

    def usage(self) -> list[Usage]:
        """Of everything that is held."""
        return [
            Usage(Dimension(kind), subject, used, limit) for kind, subject, used, limit in self._sql.json(_SQL["usage"])
        ]

    def window_usage(self, now: int) -> list[WindowUsage]:
        """Of every limit; one that no call has entered is shown once, unused."""
        return [
            WindowUsage(limit_id, subject, used, max_count, period_sec, bool(hard))
            for limit_id, subject, used, max_count, period_sec, hard in self._sql.json(_SQL["window_usage"], now)
        ]
