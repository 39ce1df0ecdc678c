"""The brain's clock as the node knows it, from the `now` of heartbeat replies."""

from __future__ import annotations

import time
from collections.abc import Callable

# Half of a longer round trip says too little about where in it the brain read its clock.
MAX_ROUND_TRIP_MS = 1_000


def system_ms() -> int:
    return time.time_ns() // 1_000_000


class Clock:
    """Epoch milliseconds by the brain's clock when known, else by the node's."""

    def __init__(self, local: Callable[[], int] = system_ms) -> None:
        self._local = local
        self.offset_ms = 0
        self.known = False

    def local(self) -> int:
        return self._local()

    def now(self) -> int:
        return self._local() + self.offset_ms

    def translate(self, local_ms: int) -> int:
        """A moment by the node's clock, as the brain's clock would have shown it."""
        return local_ms + self.offset_ms

    def learn(self, brain_now: int, sent_at: int, received_at: int) -> None:
        """`brain_now` was read between two moments of the local clock (RFC 5905's offset, without its filters)."""
        if 0 <= received_at - sent_at <= MAX_ROUND_TRIP_MS:
            self.offset_ms = brain_now - (sent_at + received_at) // 2
            self.known = True
