"""What an isolate remembers of D1: hits for 60 s, misses for 1 s, bounded; old hits while D1 cannot be read.

docs/decisions/0014-stale-lookups.md tells why an entry outlives its time when D1 is away, and for how long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from tandem.contracts.errors import TandemError
from tandem.runtime import Database, Param, Row, Statement
from tandem.runtime.log import log

HIT_MS: Final = 60_000
MISS_MS: Final = 1_000
STALE_MS: Final = 600_000
ASK_AGAIN_MS: Final = 2_000
BOUND: Final = 10_000
T = TypeVar("T")


@dataclass(slots=True)
class _Entry(Generic[T]):
    """`asked_at` is when D1 was asked for it last, whether or not it answered."""

    value: T | None
    read_at: int
    good_until: int
    asked_at: int


def _key_alone(key: str) -> tuple[Param, ...]:
    return (key,)


class Lookup(Generic[T]):
    """The answers to one statement. Keys are what a stranger may have sent: misses are kept apart, so that a flood of
    them pushes out no hit."""

    def __init__(
        self,
        statement: str,
        make: Callable[[list[Row]], T | None],
        params: Callable[[str], tuple[Param, ...]] = _key_alone,
        hit_ms: int = HIT_MS,
        outlives_d1: bool = True,
    ) -> None:
        self._statement = statement
        self._make = make
        self._params = params
        self._hit_ms = hit_ms
        self._outlives_d1 = outlives_d1
        self._hits: dict[str, _Entry[T]] = {}
        self._misses: dict[str, _Entry[T]] = {}

    def fresh(self, key: str, now: int, miss_ms: int = MISS_MS, hit_ms: int = HIT_MS) -> _Entry[T] | None:
        """`miss_ms`, `hit_ms`: how long ago D1 may have been asked for a miss, for a hit."""
        entry = self._hits.get(key)
        if entry is not None:
            return entry if now < min(entry.good_until, entry.asked_at + hit_ms) else None
        entry = self._misses.get(key)
        return entry if entry is not None and now < entry.read_at + miss_ms else None

    def stale(self, key: str, now: int) -> _Entry[T] | None:
        """The hit that serves while D1 is away; D1 is asked again for it in a while."""
        entry = self._hits.get(key)
        if entry is None or not self._outlives_d1 or now >= entry.read_at + STALE_MS:
            return None
        entry.good_until = now + ASK_AGAIN_MS
        entry.asked_at = now
        return entry

    def statement(self, key: str) -> Statement:
        return self._statement, self._params(key)

    def keep(self, key: str, rows: list[Row], now: int) -> _Entry[T]:
        value = self._make(rows)
        self.forget(key)
        side, life = (self._misses, MISS_MS) if value is None else (self._hits, self._hit_ms)
        if len(side) >= BOUND:
            del side[next(iter(side))]
        side[key] = entry = _Entry(value, now, now + life, now)
        return entry

    def forget(self, key: str) -> None:
        self._hits.pop(key, None)
        self._misses.pop(key, None)

    def forget_all(self) -> None:
        self._hits.clear()
        self._misses.clear()


Wanted = tuple[Lookup[Any], str]


async def read(database: Database, wanted: Sequence[Wanted], now: int, hit_ms: int = HIT_MS) -> list[Any]:
    """The values of all that is wanted, in order: those that are not remembered, or were asked for longer than
    `hit_ms` ago, come in one batch.

    Raises `TandemError` `unavailable` when one of them cannot be read and no entry may serve in its place.
    """
    found = [lookup.fresh(key, now, hit_ms=hit_ms) for lookup, key in wanted]
    missing = [index for index, entry in enumerate(found) if entry is None]
    if missing:
        try:
            rows = await database.batch([wanted[index][0].statement(wanted[index][1]) for index in missing])
        except Exception as error:
            log("warning", "control_unreachable", error=type(error).__name__)
            for index in missing:
                found[index] = wanted[index][0].stale(wanted[index][1], now)
            if None in found:
                raise TandemError("unavailable", "The control database cannot be read; retry.") from error
        else:
            for index, some in zip(missing, rows, strict=True):
                found[index] = wanted[index][0].keep(wanted[index][1], some, now)
    return [entry.value for entry in found if entry is not None]
