"""The one retry policy: exponential back-off with full jitter between two bounds."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Policy:
    """Delays in seconds: uniform between `lowest` and the smaller of `first * 2 ** attempt` and `highest`."""

    first: float
    highest: float
    lowest: float = 0.0

    def delay(self, attempt: int, fraction: float | None = None) -> float:
        """The pause after failure number `attempt` (from 0); `fraction` in 0..1 replaces the random draw."""
        # The exponent is bounded so that a long outage does not overflow a float.
        ceiling = max(self.lowest, min(self.highest, self.first * 2.0 ** min(attempt, 30)))
        drawn = random.random() if fraction is None else fraction  # noqa: S311 - jitter is no secret
        return self.lowest + (ceiling - self.lowest) * drawn


# Kamailio is on loopback: quick, so that a restarted agent or proxy answers within a second.
RECONNECT: Final = Policy(first=0.05, highest=1.0, lowest=0.02)
# A connection of the pool died under a question: the second and last try comes at once.
DECISION: Final = Policy(first=0.02, highest=0.05)
# Events wait on disk: there is time, and a brain that comes back must not be stormed.
EVENTS: Final = Policy(first=0.2, highest=10.0, lowest=0.05)
# A node that has not said hello takes no calls.
HELLO: Final = Policy(first=0.2, highest=2.0, lowest=0.05)
