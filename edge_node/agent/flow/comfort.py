"""No silence on the line: a caller who waits for the brain, or for a sound, hears ringing after a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

# A caller who has heard nothing for so long hears something.
SILENT_SEC: Final = 4.0


class Comfort:
    """Use as an asynchronous context manager around what is waited for: `begin` is called once when that takes longer
    than `SILENT_SEC`, and then `end` when it is over."""

    def __init__(self, begin: Callable[[], Awaitable[None]], end: Callable[[], Awaitable[None]]) -> None:
        self._begin = begin
        self._end = end
        self._given = False

    async def __aenter__(self) -> Comfort:
        self._later = asyncio.create_task(self._after(SILENT_SEC))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._later.cancel()
        # What was begun must have begun before anybody ends it.
        await asyncio.gather(self._later, return_exceptions=True)
        if self._given:
            await self._end()

    async def now(self) -> None:
        """It is known already that it takes long."""
        if not self._given:
            self._given = True
            await self._begin()

    async def _after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.now()
