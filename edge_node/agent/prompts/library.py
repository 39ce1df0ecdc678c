"""Where a prompt comes from: the disk, the brain, or the node's own speech."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from edge_node.agent.brain import Brain, BrainError, Failure
from edge_node.agent.clock import backoff_sec
from edge_node.agent.log import Log
from edge_node.agent.metrics import Metrics
from edge_node.agent.prompts.cache import Cache, name_of
from edge_node.agent.prompts.programs import ProgramError
from edge_node.agent.prompts.sound_files import BrokenSoundError, convert
from edge_node.agent.prompts.sounds import MissingError
from edge_node.agent.prompts.speech import FALLBACK_LANGUAGE, Synthesiser
from tandem.contracts.flow import Media, Sound, Speech

LARGEST_FILE: Final = 64 * 1024 * 1024
_MEDIA_SEC: Final = 15.0
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
_KEY: Final = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]*(/[A-Za-z0-9_\-][A-Za-z0-9_.\-]*)*")
_HASH: Final = re.compile(r"[A-Za-z0-9_\-]{8,128}")


class Library:
    """`rate` is the engine's, in Hz. Without a synthesiser only what somebody has spoken before is heard."""

    def __init__(
        self, brain: Brain, cache: Cache, synthesiser: Synthesiser | None, rate: int, metrics: Metrics, log: Log
    ) -> None:
        self._brain = brain
        self._cache = cache
        self._synthesiser = synthesiser
        self._rate = rate
        self._metrics = metrics
        self._log = log
        self._making: dict[str, asyncio.Task[Path]] = {}
        self._uploads: dict[str, asyncio.Task[None]] = {}
        self._broken: dict[str, tuple[float, str]] = {}

    async def files(self, sounds: Sequence[Sound]) -> list[Path]:
        """In their order, each a WAV file of the engine's rate. Raises `MissingError`."""
        return list(await asyncio.gather(*(self._file(sound) for sound in sounds)))

    async def close(self) -> None:
        tasks = [*self._making.values(), *self._uploads.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _file(self, sound: Sound) -> Path:
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
        reply = await self._brain.get(f"/media/{media.key}", _MEDIA_SEC, LARGEST_FILE)
        etag = _plain(reply.etag)
        if etag and etag != _plain(media.etag):
            self._log.info("media file has changed", key_of=media.key, etag=etag)
            name = self._media_name(media.key, etag)
        self._metrics.prompts.labels("fetched").inc()
        return await self._converted(reply.content, name)

    async def _speak(self, speech: Speech, name: str) -> Path:
        path = f"/media/tts/{speech.hash}"
        if not speech.shared:
            return await self._synthesise(speech, name, path)
        try:
            reply = await self._brain.get(path, _SPOKEN_SEC, LARGEST_FILE)
            kept = await self._converted(reply.content, name)
            self._metrics.prompts.labels("fetched").inc()
            return kept
        except BrainError as error:
            if error.status != 404:
                self._log.warning("spoken text not fetched", error=str(error))
        except (BrokenSoundError, ProgramError) as error:
            self._log.warning("spoken text is broken in the store", hash=speech.hash, error=str(error))
        return await self._synthesise(speech, name, path)

    async def _synthesise(self, speech: Speech, name: str, path: str) -> Path:
        if self._synthesiser is None:
            raise ProgramError("nobody has spoken it yet, and this node has no speech of its own")
        language = speech.language
        if not await self._synthesiser.speaks(language):
            self._log.warning("language not spoken", by=self._synthesiser.name, language=language)
            language = FALLBACK_LANGUAGE
        raw, whole = self._cache.unfinished(), self._cache.unfinished()
        try:
            await self._synthesiser.speak(speech, language, raw)
            await convert(raw, whole, _SPEECH_RATE)
            content = await asyncio.to_thread(whole.read_bytes)
        finally:
            await asyncio.to_thread(self._drop, raw, whole)
        self._metrics.prompts.labels("spoken").inc()
        # In a makeshift language it is not what the hash names.
        if speech.shared and language == speech.language and speech.hash not in self._uploads:
            upload = self._uploads[speech.hash] = asyncio.create_task(self._upload(speech.hash, path, content))
            upload.add_done_callback(lambda _: self._uploads.pop(speech.hash, None))
        return await self._converted(content, name)

    async def _upload(self, hash_: str, path: str, content: bytes) -> None:
        """So that no other node need speak it; the first one wins, and to be late is no failure."""
        for attempt in range(1, _UPLOADS + 1):
            try:
                await self._brain.put(path, content, "audio/wav", _UPLOAD_SEC)
                return
            except BrainError as error:
                if error.failure is Failure.REFUSED and error.code != "stale_request":
                    self._log.info("spoken text not taken", hash=hash_, error=str(error))
                    return
                self._log.warning("spoken text not uploaded", hash=hash_, error=str(error), attempt=attempt)
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


def _plain(etag: str) -> str:
    """RFC 9110 section 8.8.3: without quotes and weakness."""
    return etag.removeprefix("W/").strip('"')
