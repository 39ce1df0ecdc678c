"""The one interface of all media engines (design section 4).

A *channel* is one leg of a call at the engine, named by a text of the engine's. A caller's channel appears by itself
when Kamailio has sent the call (`Sink.arrived`); `originate` makes the other. The engine decides nothing: digits are
reported as they come, and what they mean is for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class EngineError(Exception):
    """The engine could not do it: it is gone, or does not know the channel, or refused. `code` is a word."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LegFailedError(Exception):
    """A leg was not answered. `outcome`: `no_answer`, `busy` or `failed`; `code`: the final SIP code, 0 without one."""

    def __init__(self, outcome: str, code: int) -> None:
        super().__init__(f"{outcome} ({code})")
        self.outcome = outcome
        self.code = code


class Release(StrEnum):
    """What became of an attempt to take the engine out of the audio path."""

    RELEASED = "released"
    KEPT = "kept"  # a party refused (488), or did not answer: the engine stays in the path


@dataclass(frozen=True, slots=True)
class Limits:
    """How many callers the engine takes at once, each with room for the leg that he may be connected to; None: as many
    as the machine bears. `rate`: the sample rate, in Hz, of the sound files that it plays."""

    callers: int | None
    rate: int


@dataclass(frozen=True, slots=True)
class Order:
    """A leg to be placed: INVITE `uri` by way of the local Kamailio, with `headers` on it.

    `early`: what the far end sends before its answer, and ringing, is to be heard at the near channel.
    """

    uri: str
    headers: tuple[tuple[str, str], ...]
    timeout_sec: int
    early: bool = True


class Sink(Protocol):
    """What an engine tells. Never waits, never raises."""

    def arrived(self, channel: str, headers: dict[str, str]) -> None:
        """A call from Kamailio is here, not answered yet. `headers`: its X-Tandem-… ones, by lower-case name."""
        ...

    def digit(self, channel: str, digit: str) -> None:
        """One of `0-9*#A-D`. None comes while the audio does not pass the engine."""
        ...

    def ended(self, channel: str, cause: str) -> None:
        """The channel is over, whoever ended it; said once. `cause`: a SIP code, `normal`, or `engine_lost`."""
        ...

    def in_path(self, channel: str, in_path: bool) -> None:
        """The audio of an answered channel has begun, or ceased, to pass the engine."""
        ...


class MediaEngine(Protocol):
    """Used as an asynchronous context manager. Every method but `seat` raises `EngineError`.

    A method that waits for something ends early, with `EngineError` `gone`, when its channel ends.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def up(self) -> bool:
        """The engine takes calls."""
        ...

    @property
    def channels(self) -> int:
        """How many are live."""
        ...

    def seat(self) -> str | None:
        """Where Kamailio is to send the next call, as `host:port`; None when there is no room. A seat that nobody takes
        is free again after some seconds."""
        ...

    async def answer(self, channel: str) -> None:
        """200 OK. Also starts the channel's audio."""
        ...

    async def play(self, channel: str, files: Sequence[Path], loop: int = 1) -> None:
        """Plays the WAV files one after the other, `loop` times over; returns when they are over or were stopped."""
        ...

    async def stop(self, channel: str) -> None:
        """Stops what plays, and hold music."""
        ...

    async def hold_music(self, channel: str, file: Path) -> None:
        """Plays the file over and over until `stop`, `play`, or a bridge; returns at once."""
        ...

    async def ringback(self, channel: str) -> None:
        """Ringing, as above; for a caller who waits for a leg and hears nothing of it yet."""
        ...

    async def originate(self, near: str, order: Order) -> str:
        """Places a leg that `near` may be bridged with, and waits for its answer: the new channel. Raises
        `LegFailedError`. Cancelling the task cancels the leg."""
        ...

    async def bridge(self, near: str, far: str) -> None:
        """Connects two answered channels. When one ends, the other stays, unconnected."""
        ...

    async def release(self, near: str, far: str) -> Release:
        """Sends the audio of a bridge past the engine: each party is re-INVITEd to where the other's relay is.

        A 491 is tried once more (RFC 3261 section 14.1). A party's own re-INVITE (hold, a late offer) is served as one
        expects, and audio goes past the engine again when it is sent both ways again.
        """
        ...

    async def take_back(self, near: str, far: str) -> None:
        """The audio of a released bridge passes the engine again."""
        ...

    async def unbridge(self, near: str, far: str) -> None:
        """Separates two channels; both stay."""
        ...

    async def hang_up(self, channel: str, code: int = 0) -> None:
        """Ends a channel: before its answer with this final code (0: 603), after it by BYE, with the code as Reason
        (RFC 3326). One that is over already is no error."""
        ...

    async def __aenter__(self) -> MediaEngine: ...
    async def __aexit__(self, *_: object) -> None: ...
