"""What one channel is made to hear: files one after the other, or something without end."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError
from edge_node.agent.media_engine.freeswitch.session import STEP_SEC, Session

# A break that reaches the switch before what it is to break has begun is lost: it is sent again.
_AGAIN_SEC: Final = 0.2
# The ringing tone of most of Europe (ITU-T E.180), until it is broken off.
_RINGING: Final = "tone_stream://%(1000,4000,425);loops=-1"


class _Run:
    """`loop`: how often the files are played, for ever when it is None."""

    def __init__(self, files: Sequence[str], loop: int | None) -> None:
        self.files = files
        self.loop = loop
        self.stopped = False
        self.task: asyncio.Task[None] | None = None


class Sound:
    """One thing at a time: what is begun ends what went on."""

    def __init__(self, session: Session, log: Log) -> None:
        self._session = session
        self._log = log
        self._run: _Run | None = None

    async def play(self, files: Sequence[Path], loop: int) -> None:
        """Returns when they are over or were stopped. Raises `EngineError`, `media` for a file that is not there."""
        task = await self._begin(_Run([str(file) for file in files], loop))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            # What was begun at the switch goes on there until it is broken off.
            await self.stop()
            raise

    async def start(self, file: str) -> None:
        """Plays it over and over until `stop`; returns at once."""
        (await self._begin(_Run([file], None))).add_done_callback(self._ended)

    async def ring(self) -> None:
        """Ringing until `stop`; returns at once."""
        await self.start(_RINGING)

    async def stop(self) -> None:
        """Raises `EngineError` when the switch does not do it."""
        run, self._run = self._run, None
        if run is None or run.task is None:
            return
        run.stopped = True
        try:
            async with asyncio.timeout(STEP_SEC):
                while not run.task.done() and not self._session.gone:
                    await self._session.link.api(f"uuid_break {self._session.channel}")
                    await asyncio.wait({run.task}, timeout=_AGAIN_SEC)
        except TimeoutError:
            raise EngineError("timeout", "The switch goes on playing.") from None

    async def _begin(self, run: _Run) -> asyncio.Task[None]:
        await self.stop()
        run.task = asyncio.create_task(self._perform(run))
        self._run = run
        return run.task

    async def _perform(self, run: _Run) -> None:
        played = 0
        while run.loop is None or played < run.loop:
            for file in run.files:
                if run.stopped:
                    return
                await self._play_one(file)
            played += 1

    async def _play_one(self, file: str) -> None:
        if "$" in file:
            # The switch would put a variable's value there.
            raise EngineError("refused", "A file's name has a dollar sign in it.")
        answer = await self._session.play(file)
        self._session.check()
        if answer == "FILE NOT FOUND":
            raise EngineError("media", f"The switch says that {file} is missing.")
        # Anything else was heard, or taken away by a bridge.

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Of what nobody waits for."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, EngineError) and error.code == "gone":
            return
        if error is not None:
            self._log.warning("sound ended", channel=self._session.channel, error=str(error))


def check_files(files: Sequence[Path]) -> None:
    """Before the first is heard. Raises `EngineError` `media` for one that is missing, or is no sound."""
    for file in files:
        try:
            with wave.open(str(file), "rb"):
                pass
        except OSError:
            raise EngineError("media", f"{file} is missing.") from None
        except (wave.Error, EOFError):
            raise EngineError("media", f"{file} is no sound file.") from None
