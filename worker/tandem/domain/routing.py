"""Where a call goes (spec 10, "POST /route"): who calls whom, is there room, which devices ring, or why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tandem.domain.cac import Dimension, Holdings, Leg, Refusal, Want, admit
from tandem.domain.calls import Disposition
from tandem.domain.numbers import parse_uri


@dataclass(frozen=True, slots=True)
class User:
    user_id: str
    username: str
    display_name: str
    max_simultaneous: int | None
    ring_timeout_sec: int
    dnd: bool
    active: bool


@dataclass(frozen=True, slots=True)
class Device:
    device_id: str
    realm: str
    is_webrtc: bool

    @property
    def aor(self) -> str:
        return f"sip:{self.device_id}@{self.realm}"


@dataclass(frozen=True, slots=True)
class Target:
    """A route target (spec 00): what an extension leads to."""

    dest_kind: str
    dest_id: str


class Directory(Protocol):
    """What routing asks of one account's configuration and reachability."""

    def canonical_domain(self, domain: str) -> str | None: ...
    def extension(self, digits: str) -> Target | None: ...
    def user(self, user_id: str) -> User | None: ...
    def reachable_devices(self, user_id: str, now: int) -> Sequence[Device]: ...


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring these devices at once, for the user's time-out."""

    callee: User
    devices: Sequence[Device]


@dataclass(frozen=True, slots=True)
class Reject:
    """A final SIP answer; `dimension` is the limit that was in the way."""

    code: int
    reason: str
    disposition: Disposition
    dimension: Dimension | None = None
    retry_after_sec: int | None = None


Decision = Ring | Reject

NOT_FOUND: Final = Reject(404, "Not Found", Disposition.REJECTED)
UNAVAILABLE: Final = Reject(480, "Temporarily Unavailable", Disposition.NO_ANSWER)
BUSY: Final = Reject(486, "Busy Here", Disposition.BUSY)
NO_SUCH_TARGET: Final = Reject(480, "Target Not Available On This System", Disposition.REJECTED)

_AFTER_OUTCOME: Final = {
    "no_answer": UNAVAILABLE,
    "unreachable": UNAVAILABLE,
    "busy": BUSY,
    "declined": Reject(603, "Decline", Disposition.BUSY),
    "redirected": BUSY,
    "carrier_failed": Reject(503, "Service Unavailable", Disposition.FAILED),
    "cancelled": Reject(487, "Request Terminated", Disposition.ABANDONED),
}


def decide(directory: Directory, holdings: Holdings, call_id: str, caller: User, ruri: str, now: int) -> Decision:
    """The first decision of an internal call by an authenticated user. May take rows of `holdings` and then reject:
    whoever ends the call releases them."""
    if not caller.active:
        return Reject(403, "Forbidden", Disposition.REJECTED)
    dialled = parse_uri(ruri)
    target = None
    if not dialled.domain or directory.canonical_domain(dialled.domain) is not None:
        target = directory.extension(dialled.user)
    if target is None:
        return NOT_FOUND
    refusal = admit(holdings, call_id, [_simultaneous(Leg.CALLER, caller)], now=now)
    if isinstance(refusal, Refusal):
        return _refused(refusal)
    if target.dest_kind != "user":
        return NO_SUCH_TARGET
    return _ring_user(directory, holdings, call_id, target.dest_id, now)


def after_outcome(outcome: str) -> Reject:
    """What follows when the devices of the last directive did not take the call. Unknown outcomes count as failed."""
    return _AFTER_OUTCOME.get(outcome.partition(":")[0], _AFTER_OUTCOME["carrier_failed"])


def _ring_user(directory: Directory, holdings: Holdings, call_id: str, user_id: str, now: int) -> Decision:
    callee = directory.user(user_id)
    if callee is None or not callee.active:
        return UNAVAILABLE
    if callee.dnd:
        return BUSY
    devices = directory.reachable_devices(callee.user_id, now)
    if not devices:
        return UNAVAILABLE
    if isinstance(admit(holdings, call_id, [_simultaneous(Leg.CALLEE, callee)], now=now), Refusal):
        return BUSY
    return Ring(callee, devices)


def _simultaneous(leg: Leg, user: User) -> Want:
    return Want(leg, Dimension.USER_SIMULTANEOUS, user.user_id, user.max_simultaneous)


def _refused(refusal: Refusal) -> Reject:
    reason = f"Busy Here (limit of {refusal.limit} calls at once)"
    return Reject(486, reason, Disposition.REJECTED, refusal.dimension, retry_after_sec=10)
