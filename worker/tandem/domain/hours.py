"""Business hours: open, closed or holiday at an instant (spec 10, "Business hours").

Rules speak of the wall clock of the schedule's IANA zone, so daylight saving needs no arithmetic here: an hour that a
zone skips never comes, one that it repeats is the same to a rule both times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

DAY: Final = 24 * 60
_ONE_DAY: Final = timedelta(days=1)


class Hours(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    HOLIDAY = "holiday"


@dataclass(frozen=True, slots=True)
class Rule:
    """Each week on `dow` (0 Sunday … 6 Saturday), or on every day from `first` to `last` (a weekly rule has neither).

    `start` and `end` are minutes of the day. When `end` is not after `start`, the time runs past midnight and belongs
    to the day on which it starts.
    """

    start: int = 0
    end: int = DAY
    dow: int | None = None
    first: date | None = None
    last: date | None = None
    is_closed: bool = False
    label: str = ""

    @property
    def weekly(self) -> bool:
        return self.first is None

    def is_of(self, day: date) -> bool:
        if self.first is None or self.last is None:
            return self.dow == day.isoweekday() % 7
        return self.first <= day <= self.last

    def covers(self, day: date, minute: int) -> bool:
        """Whether the rule, started on that day or the day before, holds at that minute of it."""
        if self.end > self.start:
            return self.start <= minute < self.end and self.is_of(day)
        return (minute >= self.start and self.is_of(day)) or (minute < self.end and self.is_of(day - _ONE_DAY))


@dataclass(frozen=True, slots=True)
class Schedule:
    """`timezone` None: the account's."""

    schedule_id: str
    timezone: str | None
    rules: tuple[Rule, ...]


def make_rule(
    kind: str,
    dow: int | None,
    start_time: str | None,
    end_time: str | None,
    start_date: str | None,
    end_date: str | None,
    is_closed: bool,
    label: str = "",
) -> Rule:
    """The rule of a row: times `HH:MM` (None: the day's begin or end), dates `YYYY-MM-DD`. Raises `ValueError`."""
    start = 0 if start_time is None else _minutes(start_time)
    end = DAY if end_time is None else _minutes(end_time)
    if kind == "weekly":
        return Rule(start, end, dow, None, None, is_closed, label)
    first = date.fromisoformat(start_date or "")
    last = first if kind == "date" or end_date is None else date.fromisoformat(end_date)
    return Rule(start, end, None, first, last, is_closed, label)


def evaluate(schedule: Schedule, account_timezone: str, at_ms: int) -> Hours:
    """Dates beat weekdays, and closed beats open: a dated closing is a holiday. A day for which a date gives opening
    hours has those alone. What no rule opens is closed."""
    zone = _zone(schedule.timezone or account_timezone)
    local = datetime.fromtimestamp(at_ms / 1000, zone)
    day, minute = local.date(), local.hour * 60 + local.minute
    covering = [rule for rule in schedule.rules if rule.covers(day, minute)]
    dated = [rule for rule in covering if not rule.weekly]
    if dated:
        return Hours.HOLIDAY if any(rule.is_closed for rule in dated) else Hours.OPEN
    weekly = [rule for rule in covering if not _replaced(schedule.rules, _start_day(rule, day, minute))]
    if weekly and not any(rule.is_closed for rule in weekly):
        return Hours.OPEN
    return Hours.CLOSED


def _start_day(rule: Rule, day: date, minute: int) -> date:
    """The day that a time which `rule` covers belongs to."""
    overnight = rule.end <= rule.start
    today = minute >= rule.start and rule.is_of(day) if overnight else True
    return day if today else day - _ONE_DAY


def _replaced(rules: Sequence[Rule], day: date) -> bool:
    """Whether a date gives this day its own opening hours."""
    return any(not rule.weekly and not rule.is_closed and rule.is_of(day) for rule in rules)


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    """UTC for a name that is none: /v1 lets no such name in."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # unknown; a directory of zones; no name at all
        return UTC


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes or "0")
