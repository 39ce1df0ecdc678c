"""What accounts' objects say to each other, on a bad network: lost, late, twice, in any order; objects die over it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final

METHODS: Final = frozenset({"admit_child", "children_changed", "children_held"})
Call = Callable[..., Awaitable[str]]


class DiedError(BaseException):
    """The object that asked is gone, with all that it had not written."""


class Peers:
    """`Objects` over `call`. Only what objects say to each other fails, and only while `faulty`.

    `took` is set when an ancestor was told of a call that came back, which may go over its ceiling.
    """

    def __init__(self, call: Call, chance: random.Random) -> None:
        self._call = call
        self._random = chance
        self._late: list[tuple[str, str, tuple[str, ...]]] = []
        self.faulty = True
        self.took = False

    async def call(self, name: str, method: str, *texts: str) -> str:
        if method not in METHODS:
            return await self._call(name, method, *texts)
        fate = self._random.random() if self.faulty else 1.0
        if fate < 0.04:
            raise ConnectionError("lost")
        if fate < 0.08:
            self._late.append((name, method, texts))
            raise ConnectionError("late")
        if fate < 0.10:
            raise DiedError
        reply = await self._deliver(name, method, texts)
        if fate < 0.14:
            raise ConnectionError("the reply was lost")
        if fate < 0.16:
            raise DiedError
        if fate < 0.20:
            self._late.append((name, method, texts))
        return reply

    async def late(self) -> None:
        """One of the messages that were held up arrives; its reply reaches nobody."""
        if self._late:
            await self._deliver(*self._late.pop(self._random.randrange(len(self._late))))

    async def settle(self) -> None:
        """The network is good from now on, and has nothing left."""
        self.faulty = False
        while self._late:
            await self.late()

    async def _deliver(self, name: str, method: str, texts: tuple[str, ...]) -> str:
        self.took |= method == "children_changed" and '"take":true' in texts[1]
        return await self._call(name, method, *texts)
