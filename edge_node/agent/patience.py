"""Asking the brain again until it answers: what calls in progress need while it is away or published anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from edge_node.agent.brain import BrainError, Failure
from edge_node.agent.clock import backoff_sec

_LONGEST_PAUSE_SEC: Final = 2.0
# Of refusals, those that say nothing of the request: a clock that was set, a rush (the last also by its status, when
# it is not the brain itself who says so).
_PASSING: Final = ("stale_request", "not_mine", "replayed_request", "rate_limited")
_TOO_MANY: Final = 429
T = TypeVar("T")


def is_refusal(error: BrainError) -> bool:
    """The same request would be told the same again."""
    return error.failure is Failure.REFUSED and error.status != _TOO_MANY and error.code not in _PASSING


async def patiently(
    attempt: Callable[[float], Awaitable[T]], patience: float, failed: Callable[[int, BrainError], Awaitable[None]]
) -> T:
    """What `attempt` came to; it is given how many seconds are left, at least a little. After the `patience` (seconds)
    no other one is begun. `failed` is told which attempt (1, 2, …) failed of those that are not the last.

    Raises the `BrainError` of a refusal at once, else of the last attempt.
    """
    end, number = time.monotonic() + patience, 0
    while True:
        try:
            return await attempt(max(0.1, end - time.monotonic()))
        except BrainError as error:
            number += 1
            pause = backoff_sec(number, _LONGEST_PAUSE_SEC)
            if is_refusal(error) or time.monotonic() + pause >= end:
                raise
            await failed(number, error)
        await asyncio.sleep(pause)
