"""Tones: writing them as WAV files and finding them in recordings, in plain Python.

A tone is found with the Goertzel algorithm (G. Goertzel, "An Algorithm for the Evaluation of Finite Trigonometric
Series", 1958): the power of one frequency against all the power of a short block. Two parties that play different
tones prove a conversation: each must hear the other's tone and not its own.
"""

from __future__ import annotations

import array
import math
import struct
import sys
import wave
from dataclasses import dataclass
from pathlib import Path

RATE = 8_000
BLOCK_SECONDS = 0.1
# A block counts when the tone holds at least half of the block's power and is clearly above the noise of a codec.
PURITY_NEEDED = 0.5
LEVEL_NEEDED_DBFS = -40.0
SILENCE_DBFS = -120.0

_FULL_SCALE = 32_767
_PCM = 1
_HEADER = struct.Struct("<4sI4s")
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")


@dataclass(frozen=True)
class Recording:
    """16-bit mono samples and their rate in Hz."""

    samples: array.array[int]
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True)
class Heard:
    """How much of one tone is in a stretch of sound.

    `seconds` is the length of the stretch, `total` the time that the tone dominates in it, `longest` the longest such
    time without a gap; `level_dbfs` is the tone's mean level there (0 = a full-scale sine, -120 = never heard).
    """

    hz: float
    seconds: float
    total: float
    longest: float
    level_dbfs: float

    @property
    def confidence(self) -> float:
        """The share of the stretch in which the tone dominates, 0 to 1."""
        return self.total / self.seconds if self.seconds else 0.0

    def lasted(self, seconds: float) -> bool:
        """True when the tone was there for that long without a gap."""
        return self.longest >= seconds - 1e-9


def write_tone(path: Path, hz: float, *, seconds: float = 1.0, level_dbfs: float = -10.0, rate: int = RATE) -> None:
    """Write a sine as a 16-bit mono WAV. A whole number of `hz * seconds` lets a player loop it without a click."""
    peak = _FULL_SCALE * 10 ** (level_dbfs / 20)
    step = 2 * math.pi * hz / rate
    write_samples(
        path, array.array("h", (round(peak * math.sin(step * n)) for n in range(round(seconds * rate)))), rate
    )


def write_samples(path: Path, samples: array.array[int], rate: int = RATE) -> None:
    """Write 16-bit mono samples as a WAV file."""
    little = array.array("h", samples)
    if sys.byteorder == "big":
        little.byteswap()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(little.tobytes())


def read(path: Path) -> Recording:
    """Read a 16-bit mono WAV, also one that is still being written (its header does not know the length yet).

    Raises `ValueError` for anything else; a file that has no header yet is an empty recording.
    """
    content = path.read_bytes() if path.exists() else b""
    if len(content) < _HEADER.size:
        return Recording(array.array("h"), RATE)
    riff, _, kind = _HEADER.unpack_from(content)
    if (riff, kind) != (b"RIFF", b"WAVE"):
        raise ValueError(f"{path} is not a WAV file")
    rate, at = RATE, _HEADER.size
    while at + _CHUNK.size <= len(content):
        name, length = _CHUNK.unpack_from(content, at)
        at += _CHUNK.size
        if name == b"fmt ":
            encoding, channels, rate, _, _, bits = _FORMAT.unpack_from(content, at)
            if (encoding, channels, bits) != (_PCM, 1, 16):
                raise ValueError(f"{path} is not 16-bit mono PCM")
        elif name == b"data":
            return Recording(_samples(content[at:] if length == 0 else content[at : at + length]), rate)
        at += length + length % 2
    return Recording(array.array("h"), rate)


def heard(path: Path, hz: float, *, start: float = 0.0, end: float | None = None) -> Heard:
    """Look for a tone in a WAV file between two times in seconds (`end` None: to the end of the file)."""
    return heard_in(read(path), hz, start=start, end=end)


def loud(path: Path) -> float:
    """How many seconds of a WAV file are no silence: speech, music, anything."""
    recording = read(path)
    size = round(BLOCK_SECONDS * recording.rate)
    floor = size * (_FULL_SCALE * 10 ** (LEVEL_NEEDED_DBFS / 20)) ** 2
    blocks = (recording.samples[at : at + size] for at in range(0, len(recording.samples) - size + 1, size))
    return BLOCK_SECONDS * sum(sum(sample * sample for sample in block) >= floor for block in blocks)


def heard_in(recording: Recording, hz: float, *, start: float = 0.0, end: float | None = None) -> Heard:
    """Look for a tone in a recording between two times in seconds."""
    rate = recording.rate
    stop = len(recording.samples) if end is None else min(round(end * rate), len(recording.samples))
    size = round(BLOCK_SECONDS * rate)
    levels: list[float] = []
    run = longest = blocks = 0
    for at in range(round(start * rate), stop - size + 1, size):
        blocks += 1
        level, purity = tone_in_block(recording.samples[at : at + size], hz, rate)
        if level >= LEVEL_NEEDED_DBFS and purity >= PURITY_NEEDED:
            levels.append(level)
            run += 1
            longest = max(longest, run)
        else:
            run = 0
    return Heard(
        hz=hz,
        seconds=blocks * BLOCK_SECONDS,
        total=len(levels) * BLOCK_SECONDS,
        longest=longest * BLOCK_SECONDS,
        level_dbfs=sum(levels) / len(levels) if levels else SILENCE_DBFS,
    )


def tone_in_block(block: array.array[int], hz: float, rate: int) -> tuple[float, float]:
    """Level (dBFS of a sine) and purity (share of the block's power, 0 to 1) of one frequency."""
    coefficient = 2 * math.cos(2 * math.pi * hz / rate)
    before = last = energy = 0.0
    for sample in block:
        before, last = last, sample + coefficient * last - before
        energy += sample * sample
    if not energy:
        return SILENCE_DBFS, 0.0
    power = last * last + before * before - coefficient * last * before
    # A sine of amplitude A over n samples: power = (A n / 2)^2, energy = n A^2 / 2.
    amplitude = 2 * math.sqrt(max(power, 0.0)) / len(block)
    level = 20 * math.log10(amplitude / _FULL_SCALE) if amplitude > 0 else SILENCE_DBFS
    return max(level, SILENCE_DBFS), min(2 * power / (len(block) * energy), 1.0)


def _samples(data: bytes) -> array.array[int]:
    samples = array.array("h")
    samples.frombytes(data[: len(data) - len(data) % 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples
