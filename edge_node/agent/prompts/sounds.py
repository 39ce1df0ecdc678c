"""What a flow asks of the prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tandem.contracts.flow import Sound


class MissingError(Exception):
    """A prompt cannot be had; the message says which, and why."""


class Sounds(Protocol):
    async def file(self, sound: Sound) -> Path:
        """As a WAV file that the engine plays. It may be gone again some time later: a cache has it. Raises
        `MissingError`."""
        ...
