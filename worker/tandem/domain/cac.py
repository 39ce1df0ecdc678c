"""Concurrency control: what a call takes, and whether there is room (spec 10, "Concurrency control").

Usage is never a counter. It is the number of rows that live calls hold, so it cannot go below zero, and what is
released twice is released once. A sliding window counts the calls that were admitted in the last so many seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from tandem.domain.calls import Call, Direction

RETRY_AFTER_SEC: Final = 10


class Dimension(StrEnum):
    """What is limited; a record's `cac_refused_by` has these words."""

    ACCOUNT_IN = "account_in"
    ACCOUNT_OUT = "account_out"
    ACCOUNT_DIALER = "account_dialer"
    USER_SIMULTANEOUS = "user_simultaneous"
    DID_CHANNELS = "did_channels"
    TRUNK_CHANNELS = "trunk_channels"
    CALL_LIMIT = "call_limit"  # a sliding window's; no row is held for it


class Leg(StrEnum):
    """What a holding belongs to: it is released when that leg ends, the caller's with the call.

    CALLEE is a user who rings or talks, or the trunk of the attempt under way. CHILD is, in an ancestor's object, a
    call of an account below it.
    """

    CALLER = "caller"
    CALLEE = "callee"
    CHILD = "child"


@dataclass(frozen=True, slots=True)
class Want:
    """One unit of `dimension` for `subject` (the id of an account, user, DID or trunk); `limit` None means no limit."""

    leg: Leg
    dimension: Dimension
    subject: str
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """At most `max_count` calls of `subject` begin in any `period_sec` seconds; one that is not `hard` only warns."""

    limit_id: str
    subject: str
    period_sec: int
    max_count: int
    hard: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """`subject` is what the limit is about; a window's is its `limit_id`."""

    dimension: Dimension
    subject: str
    used: int
    limit: int
    retry_after_sec: int = RETRY_AFTER_SEC


@dataclass(frozen=True, slots=True)
class Admitted:
    """`warnings`: ids of the soft limits that the call went over."""

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entries:
    """Of one window: is this call in it already, and when (epoch ms) was the `max_count`-th newest call let in?"""

    inside: bool
    blocking_at: int | None


class Holdings(Protocol):
    """The rows that live calls hold: (call, leg, dimension, subject), each at most once; and the windows' entries."""

    def used_beside(self, call_id: str, want: Want) -> int:
        """How much of the want's dimension and subject is held, not counting this very row."""
        ...

    def take(self, call_id: str, want: Want) -> None: ...
    def release(self, call_id: str, leg: Leg | None = None, keep: str | None = None) -> None:
        """Lets go of all that the call holds, or of one leg's, but for the subject `keep`."""
        ...

    def entries(self, call_id: str, window: Window) -> Entries: ...
    def enter(self, call_id: str, window: Window, now: int) -> None:
        """Counts the call in the window, once."""
        ...


class Ceilings(Protocol):
    """An ancestor account's limits on all the calls below it; None means no limit."""

    @property
    def account_id(self) -> str: ...
    @property
    def max_in(self) -> int | None: ...
    @property
    def max_out(self) -> int | None: ...
    @property
    def max_dialer(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Ask:
    """One unit of an ancestor's `dimension`, to be asked of its object. `version` orders what is said of the call:
    an older message never undoes a newer one's effect."""

    call_id: str
    ancestor_id: str
    dimension: Dimension
    version: int


def admit(
    holdings: Holdings, call_id: str, wants: Sequence[Want], windows: Sequence[Window] = (), *, now: int
) -> Admitted | Refusal:
    """Takes all of `wants` and a place in all of `windows`, or nothing, and says what was in the way.

    What the call has already is not taken twice. The wants of one admission name different subjects.
    """
    for want in wants:
        if want.limit is not None:
            used = holdings.used_beside(call_id, want)
            if used >= want.limit:
                return Refusal(want.dimension, want.subject, used, want.limit)
    warnings: list[str] = []
    entering: list[Window] = []
    for window in windows:
        found = holdings.entries(call_id, window)
        if found.inside:
            continue
        wait = _wait_ms(window, found.blocking_at, now)
        if wait > 0 and window.hard:
            return Refusal(Dimension.CALL_LIMIT, window.limit_id, window.max_count, window.max_count, -(-wait // 1000))
        if wait > 0:
            warnings.append(window.limit_id)
        entering.append(window)
    for want in wants:
        holdings.take(call_id, want)
    for window in entering:
        holdings.enter(call_id, window, now)
    return Admitted(tuple(warnings))


def readmit(holdings: Holdings, call_id: str, wants: Sequence[Want]) -> None:
    """Takes `wants` whatever the limits say: the call is up, and the truth counts (a node that returned)."""
    for want in wants:
        holdings.take(call_id, want)


def _wait_ms(window: Window, blocking_at: int | None, now: int) -> int:
    """Milliseconds until the window has room; 0 when it has."""
    period = window.period_sec * 1000
    if window.max_count <= 0:
        return period
    return 0 if blocking_at is None else max(blocking_at + period - now, 0)


def wants_of(account_id: str, call: Call, *, counts_trunk: bool = False) -> list[Want]:
    """Everything that a live call holds, by its direction and by who is on it (the table in spec 10).

    `counts_trunk`: its trunk is the account's own; the channels of a platform carrier are nobody's.
    """
    wants: list[Want] = []
    if call.direction is Direction.INBOUND:
        wants.append(Want(Leg.CALLER, Dimension.ACCOUNT_IN, account_id))
        if call.did_id is not None:
            wants.append(Want(Leg.CALLER, Dimension.DID_CHANNELS, call.did_id))
    if call.direction is Direction.OUTBOUND:
        wants.append(Want(Leg.CALLER, Dimension.ACCOUNT_OUT, account_id))
    if call.direction is not Direction.INBOUND and call.user_id is not None:
        wants.append(Want(Leg.CALLER, Dimension.USER_SIMULTANEOUS, call.user_id))
    if counts_trunk and call.trunk_id is not None:
        leg = Leg.CALLEE if call.direction is Direction.OUTBOUND else Leg.CALLER
        wants.append(Want(leg, Dimension.TRUNK_CHANNELS, call.trunk_id))
    wants.extend(Want(Leg.CALLEE, Dimension.USER_SIMULTANEOUS, user_id) for user_id in call.ringing)
    return wants


def asks_of(ancestors: Sequence[Ceilings], call_id: str, wants: Sequence[Want], version: int = 1) -> tuple[Ask, ...]:
    """What has to be asked of the ancestors that have a ceiling over `wants`; nothing for most accounts."""
    return tuple(
        Ask(call_id, ancestor.account_id, want.dimension, version)
        for ancestor in ancestors
        for want in wants
        if ceiling(ancestor, want.dimension) is not None
    )


def ceiling(account: Ceilings, dimension: Dimension) -> int | None:
    """The account's limit in one of its own dimensions."""
    match dimension:
        case Dimension.ACCOUNT_IN:
            return account.max_in
        case Dimension.ACCOUNT_OUT:
            return account.max_out
        case Dimension.ACCOUNT_DIALER:
            return account.max_dialer
        case _:
            return None


def sip_code(dimension: Dimension) -> int:
    """The final answer to a call that `dimension` refused."""
    return 486 if dimension is Dimension.USER_SIMULTANEOUS else 503


def reason_header(dimension: Dimension) -> str:
    """The line that says why (RFC 3326; Q.850 causes 17 user busy, 42 switching equipment congestion)."""
    cause = 17 if dimension is Dimension.USER_SIMULTANEOUS else 42
    return f'Reason: Q.850;cause={cause};text="{dimension}"'
