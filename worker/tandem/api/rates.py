"""How often one credential may ask: a token bucket each, in this isolate's memory, so a limit per isolate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tandem.contracts.errors import TandemError

BOUND: Final = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` requests at once, then `per_sec`."""

    burst: int
    per_sec: float


REQUESTS: Final = Rate(200, 20.0)
LOGINS: Final = Rate(20, 0.2)


class Buckets:
    """Bounded: when there are too many, those that are full again are forgotten, which changes nothing."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: dict[str, tuple[float, int]] = {}

    def take(self, key: str, now: int) -> None:
        """Raises `TandemError` `rate_limited` with the seconds after which there is a token again."""
        left, then = self._buckets.get(key, (float(self._rate.burst), now))
        left = min(float(self._rate.burst), left + (now - then) / 1000 * self._rate.per_sec)
        if left < 1:
            wait = int((1 - left) / self._rate.per_sec) + 1
            raise TandemError("rate_limited", f"Too many requests; try again in {wait} s.", retry_after_sec=wait)
        if len(self._buckets) >= BOUND:
            self._forget(now)
        self._buckets[key] = (left - 1, now)

    def _forget(self, now: int) -> None:
        full_after = self._rate.burst / self._rate.per_sec * 1000
        kept = {key: bucket for key, bucket in self._buckets.items() if now - bucket[1] < full_after}
        self._buckets = kept if len(kept) < BOUND else {}
