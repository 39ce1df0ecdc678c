"""Sound files told by their first bytes."""

from __future__ import annotations

import struct

import pytest

from tandem.domain.audio import Audio, UnreadableError, identify


def fmt(tag: int = 1, channels: int = 1, rate: int = 8_000, bits: int = 16, **wrong: int) -> bytes:
    block = channels * bits // 8
    fields = {"block": block, "bytes_per_sec": rate * block} | wrong
    return struct.pack("<HHIIHH", tag, channels, rate, fields["bytes_per_sec"], fields["block"], bits)


def chunk(name: bytes, content: bytes, length: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if length is None else length) + content + b"\0" * (len(content) & 1)


def wav(*chunks: bytes) -> bytes:
    content = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


SECOND = b"\1\0" * 8_000


@pytest.mark.parametrize(
    ("file", "duration_ms"),
    [
        (wav(chunk(b"fmt ", fmt()), chunk(b"data", SECOND)), 1_000),
        (wav(chunk(b"fmt ", fmt(rate=16_000)), chunk(b"data", SECOND)), 500),
        (wav(chunk(b"fmt ", fmt(channels=2)), chunk(b"data", SECOND)), 500),
        (wav(chunk(b"fmt ", fmt(tag=7, bits=8)), chunk(b"data", SECOND)), 2_000),
        (wav(chunk(b"fmt ", fmt(tag=6, bits=8)), chunk(b"data", SECOND[:800])), 100),
        (wav(chunk(b"fmt ", fmt(tag=3, bits=32)), chunk(b"data", SECOND)), 500),
        (wav(chunk(b"fmt ", fmt(bits=24)), chunk(b"data", SECOND[:2_400])), 100),
        (wav(chunk(b"fmt ", fmt(tag=0xFFFE) + b"\x16\0" + b"\0" * 22), chunk(b"data", SECOND)), 1_000),
        (wav(chunk(b"LIST", b"odd"), chunk(b"fmt ", fmt()), chunk(b"fact", b"1234"), chunk(b"data", SECOND)), 1_000),
        (wav(chunk(b"fmt ", fmt()), chunk(b"data", SECOND), chunk(b"LIST", b"after")), 1_000),
        # Written by a recorder that did not know how long it would be.
        (wav(chunk(b"fmt ", fmt()), chunk(b"data", SECOND, 0xFFFF_FFFF)), 1_000),
        (wav(chunk(b"fmt ", fmt()), chunk(b"data", SECOND, 0)), 1_000),
    ],
)
def test_a_wav_file_tells_how_long_it_lasts(file: bytes, duration_ms: int) -> None:
    assert identify(file, len(file)) == Audio("wav", duration_ms)


def test_the_beginning_is_enough() -> None:
    head = wav(chunk(b"fmt ", fmt()), chunk(b"data", b"", 20 * 16_000))
    assert identify(head, len(head) + 20 * 16_000) == Audio("wav", 20_000)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (wav(chunk(b"fmt ", fmt()), chunk(b"data", SECOND, len(SECOND) + 5)), "5 bytes are missing"),
        (wav(chunk(b"fmt ", fmt()), chunk(b"data", b"")), "no sound in it"),
        (wav(chunk(b"fmt ", fmt())), "no sound near its beginning"),
        (wav(), "no sound near its beginning"),
        (wav(chunk(b"data", SECOND)), "before the description"),
        (wav(chunk(b"fmt ", fmt()[:15])), "cut off"),
        (wav(chunk(b"fmt ", fmt(tag=0x55))), "0x0055"),
        (wav(chunk(b"fmt ", fmt(channels=0))), "0 channels"),
        (wav(chunk(b"fmt ", fmt(channels=6))), "6 channels"),
        (wav(chunk(b"fmt ", fmt(bits=12))), "contradicts"),
        (wav(chunk(b"fmt ", fmt(rate=0))), "contradicts"),
        (wav(chunk(b"fmt ", fmt(block=4))), "contradicts"),
        (wav(chunk(b"fmt ", fmt(bytes_per_sec=8_000))), "contradicts"),
        (b"", "neither"),
        (b"\xff", "neither"),
        (b"RIFF\0\0\0\0AVI ", "neither"),
        (b"<html>", "neither"),
        (b"\xff\xd8\xff\xe0", "neither"),  # JPEG
        (b"\xff\xf9\x50\x80", "neither"),  # AAC
        (b"\xff\xeb\x50\x80", "neither"),  # a reserved version
        (b"\xff\xfb\x00\x80", "neither"),  # free bit rate
        (b"\xff\xfb\xf0\x80", "neither"),  # a bit rate that there is not
        (b"\xff\xfb\x9c\x80", "neither"),  # a sampling rate that there is not
    ],
)
def test_what_is_wrong_with_a_file_is_said(file: bytes, said: str) -> None:
    with pytest.raises(UnreadableError, match=said):
        identify(file, len(file))


@pytest.mark.parametrize(
    ("head", "format_"),
    [
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf3\x44\xc4", "mp3"),
        (b"ID3\x04\0\0", "mp3"),
        (b"OggS\0\2", "ogg"),
        (b"fLaC\0\0\0\x22", "flac"),
    ],
)
def test_other_formats_are_told_by_their_beginning(head: bytes, format_: str) -> None:
    found = identify(head, 10_000)
    assert (found.format, found.duration_ms) == (format_, None)
