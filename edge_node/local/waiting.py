"""Waiting by condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable


class WaitError(Exception):
    """What was waited for did not come in time; the message names it."""


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Returns as soon as `condition` holds. Raises `WaitError` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise WaitError(f"waited {seconds:g} s for {what}")
        time.sleep(0.05)
