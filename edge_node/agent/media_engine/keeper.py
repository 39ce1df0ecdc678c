"""Keeps the node's media engine running as long as the agent does; the node takes calls without it as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from edge_node.agent.clock import backoff_sec
from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError, MediaEngine

_LONGEST_PAUSE_SEC: Final = 30.0


class Keeper:
    """`make()` gives an engine that was not started; `attach` hands each to those who use it."""

    def __init__(self, make: Callable[[], MediaEngine], attach: Callable[[MediaEngine], None], log: Log) -> None:
        self._make = make
        self._attach = attach
        self._log = log

    async def run(self) -> None:
        """Until cancelled; then the engine has ended its calls."""
        attempt = 0
        while True:
            engine = self._make()
            try:
                async with engine:
                    self._attach(engine)
                    self._log.info("media engine started", engine=engine.name, version=engine.version)
                    await asyncio.Event().wait()
            except (EngineError, OSError) as error:
                attempt += 1
                self._log.error("media engine not started", engine=engine.name, error=str(error))
                await asyncio.sleep(backoff_sec(attempt, _LONGEST_PAUSE_SEC))
