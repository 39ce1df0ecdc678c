"""The digits that a caller has pressed and that nothing has taken yet: they count for what comes next."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from edge_node.agent.flow.gather import Gathering

MOST: Final = 64


class Keys:
    """Times in ms, of one clock."""

    def __init__(self) -> None:
        self._pressed: deque[tuple[str, int]] = deque()
        self._closing = ""
        self._closing_until = 0
        # Set while there are any.
        self.any = asyncio.Event()

    def __bool__(self) -> bool:
        return bool(self._pressed)

    def press(self, key: str, now: int) -> None:
        """What is beyond `MOST` is lost."""
        if len(self._pressed) < MOST and not self._closes(key, now):
            self._pressed.append((key, now))
            self.any.set()

    def take(self) -> tuple[str, int]:
        """The oldest, and when it was pressed. There must be one."""
        taken = self._pressed.popleft()
        if not self._pressed:
            self.any.clear()
        return taken

    def forget(self) -> None:
        self._pressed.clear()
        self._closing = ""
        self.any.clear()

    def closed(self, state: Gathering, now: int) -> None:
        """A number that ended by its length: who ends it by a terminator as well, out of habit, means no more by it."""
        if state.rules.max_digits == 1 or state.terminator is not None or not state.is_full:
            return
        if self._pressed and self._pressed[0][0] in state.rules.terminators:
            self.take()
            return
        if not self._pressed:
            self._closing, self._closing_until = state.rules.terminators, now + state.rules.inter_digit_timeout_ms

    def _closes(self, key: str, now: int) -> bool:
        closes = key in self._closing and now <= self._closing_until
        self._closing = ""
        return closes
