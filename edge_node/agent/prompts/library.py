"""Where a prompt comes from: the disk, the brain, or the node's own speech."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from edge_node.agent.brain import TOO_LARGE, Brain, BrainError, Failure, Reply
from edge_node.agent.clock import backoff_sec
from edge_node.agent.log import Log
from edge_node.agent.metrics import Metrics
from edge_node.agent.patience import patiently
from edge_node.agent.prompts.cache import Cache, name_of
from edge_node.agent.prompts.programs import ProgramError
from edge_node.agent.prompts.sound_files import BrokenSoundError, convert
from edge_node.agent.prompts.sounds import MissingError
from edge_node.agent.prompts.speech import FALLBACK_LANGUAGE, Synthesiser
from tandem.contracts.flow import Media, Sound, Speech

LARGEST_FILE: Final = 64 * 1024 * 1024
# The largest upload, 20 MB, at less than 200 kB/s; and how long nothing of it may come.
_MEDIA_SEC: Final = 120.0
_STALLED_SEC: Final = 10.0
# Speaking a line takes less than this: the brain is not waited for when it is slow.
_SPOKEN_SEC: Final = 2.0
_UPLOAD_SEC: Final = 10.0
_UPLOADS: Final = 6
_LONGEST_PAUSE_SEC: Final = 10.0
# What was spoken is kept at the higher of the two rates of telephony.
_SPEECH_RATE: Final = 16_000
# A file that cannot be converted is not fetched again for each caller.
_BROKEN_SEC: Final = 30.0
_MOST_BROKEN: Final = 1000
# Each is held in memory, and converted by a program: more at once would take them from everybody's calls.
AT_ONCE: Final = 3
_KEY: Final = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]*(/[A-Za-z0-9_\-][A-Za-z0-9_.\-]*)*")
_HASH: Final = re.compile(r"[A-Za-z0-9_\-]{8,128}")


class Library:
    """`rate` is the engine's, in Hz. Without a synthesiser only what somebody has spoken before is heard. `patience` in
    seconds: how long a sound is waited for while the brain is away."""

    def __init__(
        self,
        brain: Brain,
        cache: Cache,
        synthesiser: Synthesiser | None,
        rate: int,
        patience: float,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._brain = brain
        self._cache = cache
        self._synthesiser = synthesiser
        self._rate = rate
        self._patience = patience
        self._metrics = metrics
        self._log = log
        self._making: dict[str, asyncio.Task[Path]] = {}
        self._uploads: dict[str, asyncio.Task[None]] = {}
        self._broken: dict[str, tuple[float, str]] = {}
        # Apart: a line that is short does not wait for files that are long.
        self._files_at_once = asyncio.Semaphore(AT_ONCE)
        self._lines_at_once = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        tasks = [*self._making.values(), *self._uploads.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def file(self, sound: Sound) -> Path:
        """A WAV file of the engine's rate. Raises `MissingError`."""
        if isinstance(sound, Media):
            if not _KEY.fullmatch(sound.key):
                raise MissingError("a media file without a usable key")
            name = self._media_name(sound.key, sound.etag)
            return await self._found(name, sound.key, lambda: self._fetch(sound, name))
        if not _HASH.fullmatch(sound.hash):
            raise MissingError("a text without a usable hash")
        name = name_of("say", sound.hash, str(self._rate))
        # The hash of a text that is nearly known tells the rest of it.
        what = sound.hash if sound.shared else "a text with variables"
        return await self._found(name, what, lambda: self._speak(sound, name))

    def _media_name(self, key: str, etag: str) -> str:
        return name_of("media", key, etag, str(self._rate))

    async def _found(self, name: str, what: str, make: Callable[[], Coroutine[Any, Any, Path]]) -> Path:
        """From the disk, or made once however many wait for it."""
        making = self._making.get(name)
        if making is None:
            known = await asyncio.to_thread(self._cache.find, name)
            if known is not None:
                self._metrics.prompts.labels("disk").inc()
                return known
            self._check_broken(name, what)
            # Another one may have begun while the disk was asked.
            making = self._making.get(name)
        if making is None:
            making = self._making[name] = asyncio.create_task(make())
            making.add_done_callback(lambda done: self._made(name, done))
        try:
            # One caller who hangs up does not undo what others wait for.
            return await asyncio.shield(making)
        except (BrainError, BrokenSoundError, ProgramError, OSError) as error:
            self._metrics.prompts.labels("missing").inc()
            raise MissingError(f"{what}: {error}") from error

    def _made(self, name: str, task: asyncio.Task[Path]) -> None:
        self._making.pop(name, None)
        if not task.cancelled() and isinstance(error := task.exception(), BrokenSoundError | ProgramError):
            if len(self._broken) >= _MOST_BROKEN:
                self._broken.clear()
            self._broken[name] = (time.monotonic() + _BROKEN_SEC, str(error))

    def _check_broken(self, name: str, what: str) -> None:
        until, why = self._broken.get(name, (0.0, ""))
        if time.monotonic() < until:
            raise MissingError(f"{what}: {why}")
        self._broken.pop(name, None)

    async def _fetch(self, media: Media, name: str) -> Path:
        """A file that has changed since the call began is heard as it is now, and kept as what it is."""

        async def attempt(left: float) -> Path:
            async with self._files_at_once:
                reply = await self._get(f"/media/{media.key}", _MEDIA_SEC, min(_STALLED_SEC, left))
                etag, kept_as = _plain(reply.etag), name
                if etag and etag != _plain(media.etag):
                    self._log.info("media file has changed", key_of=media.key, etag=etag)
                    kept_as = self._media_name(media.key, etag)
                return await self._converted(reply.content, kept_as)

        return await self._patiently(media.key, attempt, self._patience)

    async def _get(self, path: str, within: float, stalled: float | None = None) -> Reply:
        """Raises `BrainError`, or `BrokenSoundError` for what would be too large another time as well."""
        try:
            reply = await self._brain.get(path, within, LARGEST_FILE, stalled)
        except BrainError as error:
            if error.code == TOO_LARGE:
                raise BrokenSoundError(f"larger than {LARGEST_FILE} bytes") from error
            raise
        self._metrics.prompts.labels("fetched").inc()
        return reply

    async def _patiently(self, what: str, attempt: Callable[[float], Awaitable[Path]], patience: float) -> Path:
        """Raises `BrainError` when the brain refuses, or stays away, and what `attempt` raises besides."""

        async def failed(number: int, error: BrainError) -> None:
            if number == 1:
                self._log.warning("prompt waits for the brain", prompt=what, error=str(error))

        return await patiently(attempt, patience, failed)

    async def _speak(self, speech: Speech, name: str) -> Path:
        if not speech.shared:
            return await self._synthesise(speech, name)

        async def attempt(_: float) -> Path:
            async with self._lines_at_once:
                reply = await self._get(_path(speech), _SPOKEN_SEC)
                return await self._converted(reply.content, name)

        try:
            return await self._patiently(speech.hash, attempt, self._patience if self._synthesiser is None else 0.0)
        except BrainError as error:
            if error.status != 404 and self._synthesiser is None:
                raise
            if error.status != 404:
                self._log.warning("spoken text not fetched", error=str(error))
        except (BrokenSoundError, ProgramError) as error:
            self._log.warning("spoken text is broken in the store", hash=speech.hash, error=str(error))
        return await self._synthesise(speech, name)

    async def _synthesise(self, speech: Speech, name: str) -> Path:
        if self._synthesiser is None:
            raise ProgramError("nobody has spoken it yet, and this node has no speech of its own")
        language = speech.language
        if not await self._synthesiser.speaks(language):
            self._log.warning("language not spoken", by=self._synthesiser.name, language=language)
            language = FALLBACK_LANGUAGE
        async with self._lines_at_once:
            content = await self._spoken(self._synthesiser, speech, language)
            kept = await self._converted(content, name)
        self._metrics.prompts.labels("spoken").inc()
        # In a makeshift language it is not what the hash names.
        if speech.shared and language == speech.language and speech.hash not in self._uploads:
            upload = self._uploads[speech.hash] = asyncio.create_task(self._upload(speech, content))
            upload.add_done_callback(lambda _: self._uploads.pop(speech.hash, None))
        return kept

    async def _spoken(self, synthesiser: Synthesiser, speech: Speech, language: str) -> bytes:
        raw, whole = self._cache.unfinished(), self._cache.unfinished()
        try:
            await synthesiser.speak(speech, language, raw)
            await convert(raw, whole, _SPEECH_RATE)
            return await asyncio.to_thread(whole.read_bytes)
        finally:
            await asyncio.to_thread(self._drop, raw, whole)

    async def _upload(self, speech: Speech, content: bytes) -> None:
        """So that no other node need speak it; the first one wins, and to be late is no failure."""
        for attempt in range(1, _UPLOADS + 1):
            try:
                await self._brain.put(_path(speech), content, "audio/wav", _UPLOAD_SEC)
                return
            except BrainError as error:
                if error.failure is Failure.REFUSED and error.code != "stale_request":
                    self._log.info("spoken text not taken", hash=speech.hash, error=str(error))
                    return
                self._log.warning("spoken text not uploaded", hash=speech.hash, error=str(error), attempt=attempt)
            await asyncio.sleep(backoff_sec(attempt, _LONGEST_PAUSE_SEC))

    async def _converted(self, content: bytes, name: str) -> Path:
        source, target = self._cache.unfinished(), self._cache.unfinished()
        try:
            await asyncio.to_thread(source.write_bytes, content)
            await convert(source, target, self._rate)
            return await asyncio.to_thread(self._cache.keep, name, target)
        finally:
            await asyncio.to_thread(self._drop, source, target)

    def _drop(self, *unfinished: Path) -> None:
        for path in unfinished:
            self._cache.drop(path)


def _path(speech: Speech) -> str:
    return f"/media/tts/{speech.hash}"


def _plain(etag: str) -> str:
    """RFC 9110 section 8.8.3: without quotes and weakness."""
    return etag.removeprefix("W/").strip('"')
