"""Collecting digits, as a pure machine: what came of each digit and of time passing (rules: `contracts.flow.Gather`).

Whoever drives it plays the sounds, and holds digits back until they are over if nobody may interrupt them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from tandem.contracts.flow import Gather

Result = Literal["digits", "timeout"]


class Phase(StrEnum):
    SOUNDS = "sounds"  # playing, and no digit yet
    FIRST = "first"  # silence, and no digit yet
    MORE = "more"  # after a digit
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Gathering:
    """`deadline` is when `expired` is due; in ms of whatever clock `now` is of."""

    rules: Gather
    phase: Phase
    digits: str = ""
    terminator: str | None = None
    deadline: int | None = None

    @property
    def over(self) -> bool:
        return self.phase is Phase.OVER

    @property
    def result(self) -> Result:
        """Of one that is over."""
        return "digits" if len(self.digits) >= self.rules.min_digits else "timeout"

    @property
    def is_full(self) -> bool:
        return len(self.digits) >= self.rules.max_digits


def begin(rules: Gather, now: int, *, sounds: bool) -> Gathering:
    """`sounds`: there is something to be played first."""
    if sounds:
        return Gathering(rules, Phase.SOUNDS)
    return Gathering(rules, Phase.FIRST, deadline=now + rules.timeout_ms)


def sounds_over(state: Gathering, now: int) -> Gathering:
    if state.phase is not Phase.SOUNDS:
        return state
    return replace(state, phase=Phase.FIRST, deadline=now + state.rules.timeout_ms)


def digit(state: Gathering, key: str, now: int) -> Gathering:
    """One of `0-9*#A-D`, pressed at `now`; ignored when it is over."""
    if state.over:
        return state
    if key in state.rules.terminators:
        return replace(state, phase=Phase.OVER, terminator=key, deadline=None)
    more = replace(state, digits=state.digits + key)
    if more.is_full:
        return replace(more, phase=Phase.OVER, deadline=None)
    return replace(more, phase=Phase.MORE, deadline=now + state.rules.inter_digit_timeout_ms)


def expired(state: Gathering, now: int) -> Gathering:
    """The time is over, if it is."""
    if state.deadline is None or now < state.deadline:
        return state
    return replace(state, phase=Phase.OVER, deadline=None)
