"""What a channel is made to hear: files in a row, hold music, ringing."""

from __future__ import annotations

import wave
from collections import deque
from pathlib import Path
from typing import Any, Final

import pjsua2 as pj

from edge_node.pjsip.endpoint import CLOCK_RATE

# North American ringing: two tones, in seconds on and off.
_RINGING_HZ: Final = (440, 480)
_RINGING_ON_OFF_MS: Final = (2_000, 4_000)


class SoundError(Exception):
    """A file that cannot be played."""


def length(path: str) -> int:
    """Samples of a WAV file that the engine can play: 16 bit PCM, mono. Raises `SoundError`."""
    name = Path(path).name
    try:
        with wave.open(path, "rb") as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise SoundError(f"{name} is not 16 bit mono")
            return file.getnframes()
    except OSError as error:
        raise SoundError(f"{name} cannot be read: {error.strerror}") from error
    except (wave.Error, EOFError) as error:
        raise SoundError(f"{name} is not a WAV file of ours: {error}") from error


class _Player(pj.AudioMediaPlayer):  # type: ignore[misc]  # PJSIP's classes have no types
    def __init__(self, path: str, over: deque[_Player] | None) -> None:
        """Repeats for ever without `over`, where it is put at its end."""
        super().__init__()
        self._over = over
        self.createPlayer(path, 0 if over is None else pj.PJMEDIA_FILE_NO_LOOP)

    def onEof2(self) -> None:  # noqa: N802 - PJSIP's name
        # in a thread of PJSIP's: nothing but this may be done here
        if self._over is not None:
            self._over.append(self)


class Source:
    """Something that sounds. `media` is what to connect; it changes when `advance` says so."""

    media: Any
    play: int = 0

    def advance(self) -> bool:
        """What sounded last is over; False when that was all."""
        return False


class Files(Source):
    """WAV files one after the other, `loop` times over. Raises `SoundError`; nothing sounds then."""

    def __init__(self, paths: list[str], loop: int, play: int, over: deque[Any]) -> None:
        self.play = play
        self._over = over
        self._left = deque([path for path in paths if length(path)] * loop)
        self.media: Any = None
        self.advance()

    def advance(self) -> bool:
        if not self._left:
            return False
        path = self._left.popleft()
        try:
            self.media = _Player(path, self._over)
        except pj.Error as error:
            raise SoundError(f"{Path(path).name} cannot be played: {error.reason}") from error
        return True


class Music(Source):
    """One WAV file over and over. Raises `SoundError`."""

    def __init__(self, path: str) -> None:
        if not length(path):
            raise SoundError(f"{Path(path).name} is empty")
        self.media = _Player(path, None)


class Ringing(Source):
    def __init__(self) -> None:
        self.media = pj.ToneGenerator()
        self.media.createToneGenerator(CLOCK_RATE, 1)
        tone = pj.ToneDesc()
        tone.freq1, tone.freq2 = _RINGING_HZ
        tone.on_msec, tone.off_msec = _RINGING_ON_OFF_MS
        tones = pj.ToneDescVector()
        tones.append(tone)
        self.media.play(tones, True)
