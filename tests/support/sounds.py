"""Sound files for tests."""

from __future__ import annotations

import io
import struct
import wave


def wav(milliseconds: int = 100, rate: int = 8_000, level: int = 1) -> bytes:
    """Mono, 16 bits a sample."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(struct.pack("<h", level) * (rate * milliseconds // 1_000))
    return file.getvalue()


MP3 = b"\xff\xfb\x90\x64" + bytes(413)
OGG = b"OggS\0\2" + bytes(100)
FLAC = b"fLaC\0\0\0\x22" + bytes(100)
