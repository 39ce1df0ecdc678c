"""What is heard around a leg: music for the caller, a whisper for its party. Without them the call goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from edge_node.agent.flow import comfort
from edge_node.agent.flow.caller import Caller
from edge_node.agent.flow.comfort import Comfort
from edge_node.agent.flow.playing import Playing
from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError, MediaEngine
from edge_node.agent.prompts.sounds import MissingError, Sounds
from tandem.contracts.flow import Dial, Sound

# Music that consists of several files is played over and over; nobody waits so long for an answer.
_LOOPS: Final = 1000
_LONGEST_MESSAGE: Final = 1024


class Niceties:
    """Of one `command`. Use as an asynchronous context manager: the whisper is got from its beginning on, and what
    still goes on ends with it. `waiting` is what the caller hears between two pieces of music."""

    def __init__(
        self,
        engine: MediaEngine,
        sounds: Sounds,
        caller: Caller,
        command: Dial,
        waiting: Callable[[], Comfort],
        log: Log,
    ) -> None:
        self._engine = engine
        self._sounds = sounds
        self._caller = caller
        self._command = command
        self._waiting = waiting
        self._log = log
        self._missing: list[str] = []
        self._music: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Niceties:
        self._whisper = asyncio.create_task(self._files(self._command.whisper))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end_music()
        await _end(self._whisper)

    @property
    def missing(self) -> str | None:
        """What could not be had, and why."""
        return "; ".join(self._missing)[:_LONGEST_MESSAGE] or None

    async def begin_music(self) -> bool:
        """The music, or ringing without it; whether the caller is to hear the far end too. Raises `EngineError`."""
        music, channel = self._command.music, self._caller.channel
        found = await self._within("music", self._files(music[:1]))
        if not found:
            await self._engine.ringback(channel)
        elif len(music) == 1:
            await self._engine.hold_music(channel, found[0])
        else:
            self._music = asyncio.create_task(self._over_and_over(music))
        return not found

    async def end_music(self) -> None:
        """Of several pieces; whatever else sounds, the engine is to stop."""
        if self._music is not None:
            await _end(self._music)

    async def whisper(self) -> list[Path]:
        """Once the leg is answered: what its party is to hear first."""
        return await self._within("whisper", self._whisper)

    async def _over_and_over(self, music: Sequence[Sound]) -> None:
        channel = self._caller.channel
        try:
            try:
                await Playing(self._engine, self._sounds, channel, music, self._waiting, _LOOPS).task
            except MissingError as error:
                self._note("music", str(error))
                await self._engine.ringback(channel)
        except EngineError as error:
            self._log.info("music not heard", call_id=self._caller.call_id, error=str(error))

    async def _files(self, sounds: Sequence[Sound]) -> list[Path]:
        return [await self._sounds.file(sound) for sound in sounds]

    async def _within(self, what: str, files: Awaitable[list[Path]]) -> list[Path]:
        """Nobody is to wait for it in silence."""
        try:
            async with asyncio.timeout(comfort.SILENT_SEC):
                return await files
        except MissingError as error:
            self._note(what, str(error))
        except TimeoutError:
            self._note(what, f"not there within {comfort.SILENT_SEC:g} s")
        return []

    def _note(self, what: str, why: str) -> None:
        self._log.warning("prompt missing", call_id=self._caller.call_id, error=f"{what}: {why}")
        self._missing.append(f"{what}: {why}")


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
