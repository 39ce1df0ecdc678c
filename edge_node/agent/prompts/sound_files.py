"""Sound files of any usual kind as the WAV that an engine plays: 16-bit, mono, at its rate (SoX, opus-tools)."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Final

from edge_node.agent.prompts.programs import run

_CONVERT_SEC: Final = 60.0
# No prompt and no piece of music is longer; a hostile file is cut there.
_LONGEST_SEC: Final = 3600
# SoX's names of what a file begins with; it would take a name's ending for the truth otherwise.
_KINDS: Final = ((b"RIFF", "wav"), (b"ID3", "mp3"), (b"OggS", "ogg"), (b"fLaC", "flac"))
# The first packet of an Ogg stream of Opus (RFC 7845, section 5.1), behind the page's header.
_OPUS: Final = b"OpusHead"
HEAD_BYTES: Final = 64


class BrokenSoundError(Exception):
    """Not a sound that can be played; the message says why."""


def kind_of(head: bytes) -> str:
    """By the first bytes of a file. Raises `BrokenSoundError`."""
    if head.startswith(b"OggS") and _OPUS in head:
        return "opus"
    for start, kind in _KINDS:
        if head.startswith(start):
            return kind
    # An MPEG frame: eleven bits of ones (ISO 11172-3, 2.4.2.3), layer III.
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:
        return "mp3"
    raise BrokenSoundError("not a WAV, MP3, Ogg or FLAC file")


async def convert(source: Path, target: Path, rate: int) -> None:
    """`target` is not complete before this returns. Raises `BrokenSoundError`, or `ProgramError`."""
    with source.open("rb") as file:
        kind = kind_of(file.read(HEAD_BYTES))
    if kind != "opus":
        await _convert(source, kind, target, rate)
        return
    decoded = target.with_suffix(".wav.part")
    try:
        await run(["opusdec", "--quiet", "--force-wav", "--rate", "48000", str(source), str(decoded)], _CONVERT_SEC)
        await _convert(decoded, "wav", target, rate)
    finally:
        decoded.unlink(missing_ok=True)


async def _convert(source: Path, kind: str, target: Path, rate: int) -> None:
    command = ["sox", "-V1", "--no-show-progress", "-G", "-t", kind, str(source)]
    wanted = ["-t", "wav", "-b", "16", "-e", "signed-integer", "-r", str(rate), "-c", "1", str(target)]
    await run([*command, *wanted, "trim", "0", str(_LONGEST_SEC)], _CONVERT_SEC)
    if frames(target) == 0:
        raise BrokenSoundError("there is no sound in it")


def frames(path: Path) -> int:
    """Of a WAV file. Raises `BrokenSoundError`."""
    try:
        with wave.open(str(path), "rb") as file:
            return file.getnframes()
    except (wave.Error, EOFError, OSError) as error:
        raise BrokenSoundError(f"not a WAV file: {error}") from error
