"""The sounds of a step, one after the other: each is got while the one before it is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Final

from edge_node.agent.flow.comfort import Comfort
from edge_node.agent.media_engine.base import MediaEngine
from edge_node.agent.prompts.sounds import Sounds
from tandem.contracts.flow import Sound

# A stop that came before the playing began is said again.
_STOP_AGAIN_SEC: Final = 0.1


class Playing:
    """Begins at once; `task` is done when the last sound is over, or raises `MissingError` or `EngineError`. Cancelled,
    it stops. `comfort` is what is heard while a sound is waited for.

    No more than two sounds are to be on the disk at once, however many there are.
    """

    def __init__(
        self,
        engine: MediaEngine,
        sounds: Sounds,
        channel: str,
        wanted: Sequence[Sound],
        comfort: Callable[[], Comfort],
        loop: int = 1,
    ) -> None:
        self._engine = engine
        self._sounds = sounds
        self._channel = channel
        self._comfort = comfort
        self._sounding = self._stopped = False
        # One alone is repeated by the engine, without a gap.
        alone = len(wanted) == 1
        order = wanted if alone else chain.from_iterable(repeat(wanted, loop))
        self.task = asyncio.create_task(self._run(iter(order), loop if alone else 1))

    async def stop(self) -> None:
        """When it returns, nothing is heard any more. Raises what `task` does."""
        self._stopped = True
        if not self._sounding:
            self.task.cancel()
        done = self.task.done()
        while not done:
            await self._engine.stop(self._channel)
            await asyncio.wait({self.task}, timeout=_STOP_AGAIN_SEC)
            done = self.task.done()
        if not self.task.cancelled():
            self.task.result()

    async def _run(self, order: Iterator[Sound], loop: int) -> None:
        coming = self._get(order)
        try:
            while coming is not None and not self._stopped:
                async with self._comfort():
                    file = await coming
                coming = self._get(order)
                await self._play(file, loop)
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    def _get(self, order: Iterator[Sound]) -> asyncio.Task[Path] | None:
        sound = next(order, None)
        return None if sound is None else asyncio.create_task(self._sounds.file(sound))

    async def _play(self, file: Path, loop: int) -> None:
        self._sounding = True
        try:
            await self._engine.play(self._channel, [file], loop)
        finally:
            self._sounding = False
