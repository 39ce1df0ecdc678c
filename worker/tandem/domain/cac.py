"""Concurrency control: what a call takes, and whether there is room (spec 10, "Concurrency control").

Usage is never a counter. It is the number of rows that live calls hold, so it cannot go below zero, and what is
released twice is released once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Dimension(StrEnum):
    USER_SIMULTANEOUS = "user_simultaneous"


class Leg(StrEnum):
    """What a holding belongs to: it is released when that leg ends, the caller's with the call."""

    CALLER = "caller"
    CALLEE = "callee"


@dataclass(frozen=True, slots=True)
class Want:
    """One unit of `dimension` for `subject` (a user's id); `limit` None means no limit."""

    leg: Leg
    dimension: Dimension
    subject: str
    limit: int | None


@dataclass(frozen=True, slots=True)
class Refusal:
    dimension: Dimension
    subject: str
    used: int
    limit: int


class Holdings(Protocol):
    """The rows that live calls hold: (call, leg, dimension, subject), each at most once."""

    def used_beside(self, call_id: str, want: Want) -> int:
        """How much of the want's dimension and subject is held, not counting this very row."""
        ...

    def take(self, call_id: str, want: Want) -> None: ...
    def release(self, call_id: str, leg: Leg | None = None) -> None: ...


def admit(holdings: Holdings, call_id: str, wants: Sequence[Want]) -> Refusal | None:
    """Takes all of `wants` or nothing, and says what was in the way. What the call holds already is not taken twice.

    The wants of one admission name different subjects.
    """
    for want in wants:
        if want.limit is not None:
            used = holdings.used_beside(call_id, want)
            if used >= want.limit:
                return Refusal(want.dimension, want.subject, used, want.limit)
    for want in wants:
        holdings.take(call_id, want)
    return None


def readmit(holdings: Holdings, call_id: str, wants: Sequence[Want]) -> None:
    """Takes `wants` whatever the limits say: the call is up, and the truth counts (a node that returned)."""
    for want in wants:
        holdings.take(call_id, want)
