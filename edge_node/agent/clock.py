"""The brain's clock as the node knows it, from the `now` of heartbeat replies; and how long to wait after a failure."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from tandem.contracts.retry import backoff_ms

# Half of a longer round trip says too little about where in it the brain read its clock: a cold start, mostly.
MAX_ROUND_TRIP_MS = 200
# How fast a good sample grows old, in ms a ms: clocks drift, and a better sample should not rule for ever.
_AGEING = 0.001


def system_ms() -> int:
    return time.time_ns() // 1_000_000


def backoff_sec(attempt: int, longest: float) -> float:
    """Seconds before the try after `attempt` failures (1, 2, …), at most `longest`."""
    return backoff_ms(attempt, random.random(), round(longest * 1000)) / 1000  # noqa: S311 - jitter is no secret


class Clock:
    """Epoch milliseconds by the brain's clock when known, else by the node's."""

    def __init__(self, local: Callable[[], int] = system_ms) -> None:
        self._local = local
        self.offset_ms = 0
        self.known = False
        self._uncertainty_ms = 0.0
        self._learned_at = 0

    def local(self) -> int:
        return self._local()

    def now(self) -> int:
        return self._local() + self.offset_ms

    def translate(self, local_ms: int) -> int:
        """A moment by the node's clock, as the brain's clock would have shown it."""
        return local_ms + self.offset_ms

    def learn(self, brain_now: int, sent_at: int, received_at: int) -> None:
        """`brain_now` was read between two moments of the local clock (RFC 5905's offset and its error bound).

        The sample with the smaller error wins; one that contradicts what is known means that a clock was set.
        """
        round_trip = received_at - sent_at
        if not 0 <= round_trip <= MAX_ROUND_TRIP_MS:
            return
        offset, error = brain_now - (sent_at + received_at) // 2, round_trip / 2
        known = self._uncertainty_ms + _AGEING * abs(received_at - self._learned_at)
        # One more ms each: both clocks tell whole ones.
        contradicts = abs(offset - self.offset_ms) > error + known + 2
        if not self.known or error <= known or contradicts:
            self.offset_ms, self._uncertainty_ms = offset, error
            self._learned_at, self.known = received_at, True
