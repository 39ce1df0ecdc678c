"""What a flow asks of the prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tandem.contracts.flow import Sound


class MissingError(Exception):
    """A prompt cannot be had; the message says which, and why."""


class Sounds(Protocol):
    async def files(self, sounds: Sequence[Sound]) -> list[Path]:
        """In their order, as WAV files that the engine plays. Raises `MissingError`."""
        ...
