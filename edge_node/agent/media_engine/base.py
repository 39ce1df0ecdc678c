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
from typing import Final, Literal, Protocol

LegOutcome = Literal["no_answer", "busy", "failed"]
# A person's own act: one who declines (603) has no time now.
_BUSY: Final = (486, 600, 603)
# 487: we gave up waiting (RFC 3261 section 9).
_NO_ANSWER: Final = (408, 480, 487)


class EngineError(Exception):
    """The engine could not do it. `code`: `gone` (the channel, or the engine), `media` (a file that cannot be played, a
    party whose audio is not to be had), `full` (no room for a leg), or `refused` (it makes no sense now)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LegFailedError(Exception):
    """A leg was not answered. `code`: the final SIP code; 487 when time was up, whatever the far end said to that."""

    def __init__(self, code: int) -> None:
        self.outcome: LegOutcome = "busy" if code in _BUSY else "no_answer" if code in _NO_ANSWER else "failed"
        self.code = code
        super().__init__(f"{self.outcome} ({code})")


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
    """What an engine tells. Never waits, never raises.

    Of a leg it may tell before `originate` has returned its name, or when its task was cancelled just then: a channel
    that one does not know is no fault.
    """

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
        """Plays the WAV files one after the other, `loop` times over; returns when they are over or were stopped.

        Takes the place of what sounds. A caller not answered yet hears it as early media; audio that goes past the
        engine comes back for it. A file that cannot be played: `EngineError` `media`, and none of them is heard.
        """
        ...

    async def stop(self, channel: str) -> None:
        """Stops what plays, hold music and ringing."""
        ...

    async def hold_music(self, channel: str, file: Path) -> None:
        """Plays the file over and over until `stop`, `play`, or a bridge; returns at once."""
        ...

    async def ringback(self, channel: str) -> None:
        """Ringing, as above; for a caller who waits for a leg and hears nothing of it yet. One not answered yet gets
        a 180."""
        ...

    async def originate(self, near: str, order: Order) -> str:
        """Places a leg that `near` may be bridged with, and waits for its answer: the new channel. Raises
        `LegFailedError`. Cancelling the task cancels the leg. What `near` hears of the leg (`early`) it goes on hearing
        until a bridge, or ringing while something is played to the leg; and no more when the leg fails."""
        ...

    async def bridge(self, near: str, far: str) -> None:
        """Connects two answered channels, and stops what they hear. When one ends, the other stays, unconnected, with
        its audio in the path."""
        ...

    async def release(self, near: str, far: str) -> Release:
        """Sends the audio of a bridge past the engine: each party is re-INVITEd to where the other's relay is.

        A 491 is tried once more (RFC 3261 section 14.1). A party's own re-INVITE (hold, a late offer) is served as one
        expects (who is held hears music), and audio goes past the engine again when it is sent both ways again. KEPT
        because one holds now is no refusal: it is released when he comes back.
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
