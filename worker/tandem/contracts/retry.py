"""The one retry policy: exponential, from 250 ms to 30 s, with full jitter."""

from __future__ import annotations

FIRST_MS = 250
LONGEST_MS = 30_000


def backoff_ms(attempt: int, jitter: float, longest_ms: int = LONGEST_MS) -> int:
    """Milliseconds to wait before the try after `attempt` failures (1, 2, …); `jitter` is random in [0, 1).

    `longest_ms` is lower where a peer is near and waited for.
    """
    ceiling = min(longest_ms, FIRST_MS * 2 ** min(attempt - 1, 16))
    return int(ceiling / 2 + jitter * ceiling / 2)
