"""What a sound file is, told by its first bytes: the name that somebody gave it says nothing.

WAV: RIFF with a `fmt ` and a `data` chunk (Multimedia Programming Interface 1.0, chapter 3). MP3: frames of MPEG audio
layer III (ISO 11172-3, 2.4.1.3), perhaps behind an ID3 tag. Ogg: RFC 3533. FLAC: RFC 9639.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

# As many bytes as are needed to tell; a WAV may have other chunks in front of its data.
HEAD_BYTES: Final = 65_536
_TAGS: Final = {0x0001: "PCM", 0x0003: "float", 0x0006: "A-law", 0x0007: "µ-law", 0xFFFE: "extensible"}
_BITS: Final = (8, 16, 24, 32)
_UNKNOWN_SIZES: Final = (0, 0xFFFF_FFFF)
_MOST_CHANNELS: Final = 2


class UnreadableError(Exception):
    """Says what is wrong with the file."""


@dataclass(frozen=True, slots=True)
class Audio:
    """`duration_ms` None: only decoding would tell."""

    format: Literal["wav", "mp3", "ogg", "flac"]
    duration_ms: int | None = None


def identify(head: bytes, size: int) -> Audio:
    """The file of `size` bytes that begins with `head` (`HEAD_BYTES`, or all of it). Raises `UnreadableError`."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return Audio("wav", _wav_duration(head, size))
    if head[:4] == b"OggS":
        return Audio("ogg")
    if head[:4] == b"fLaC":
        return Audio("flac")
    if head[:3] == b"ID3" or _is_mpeg_frame(head):
        return Audio("mp3")
    raise UnreadableError("it is neither a WAV, an MP3, an Ogg nor a FLAC file")


def _is_mpeg_frame(head: bytes) -> bool:
    """The header of a frame of layer III with a bit rate and a sampling rate."""
    if len(head) < 4 or head[0] != 0xFF:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sampling = head[2] >> 4, head[2] >> 2 & 3
    return head[1] & 0xE0 == 0xE0 and version != 1 and layer == 1 and bit_rate not in (0, 15) and sampling != 3


def _wav_duration(head: bytes, size: int) -> int:
    bytes_per_sec = 0
    for name, start, length in _chunks(head):
        if name == b"fmt ":
            bytes_per_sec = _bytes_per_sec(head[start : start + length])
        elif name == b"data":
            if not bytes_per_sec:
                raise UnreadableError("its sound comes before the description of it")
            # A recorder that did not know the length beforehand leaves it open.
            there = size - start
            told = there if length in _UNKNOWN_SIZES else length
            if told > there:
                raise UnreadableError(f"it is cut off: {told - there} bytes are missing")
            if not told:
                raise UnreadableError("there is no sound in it")
            return told * 1000 // bytes_per_sec
    raise UnreadableError("there is no sound near its beginning")


def _chunks(head: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, where its content starts, length) of each; contents are padded to even lengths."""
    at = 12
    while at + 8 <= len(head):
        length = int.from_bytes(head[at + 4 : at + 8], "little")
        yield head[at : at + 4], at + 8, length
        at += 8 + length + (length & 1)


def _bytes_per_sec(fmt: bytes) -> int:
    if len(fmt) < 16:
        raise UnreadableError("the description of its sound is cut off")
    tag, channels, rate, bytes_per_sec, block, bits = struct.unpack("<HHIIHH", fmt[:16])
    if tag not in _TAGS:
        raise UnreadableError(f"its sound is packed in a way (0x{tag:04x}) that is not taken; save it as PCM")
    if not 1 <= channels <= _MOST_CHANNELS:
        raise UnreadableError(f"it has {channels} channels; one or two are taken")
    if bits not in _BITS or not rate or block != channels * bits // 8 or bytes_per_sec != rate * block:
        raise UnreadableError("the description of its sound contradicts itself")
    return int(bytes_per_sec)
