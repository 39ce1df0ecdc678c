"""What routing decides: ring these, refuse so, or let the media engine answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tandem.domain.cac import RETRY_AFTER_SEC, Dimension
from tandem.domain.callerid import Diversion
from tandem.domain.calls import Disposition
from tandem.domain.routing.model import Device
from tandem.domain.routing.plan import Plan
from tandem.domain.target import Target


@dataclass(frozen=True, slots=True)
class Branch:
    """A device rings for `timeout_sec`, from `delay_sec` after the decision on."""

    device: Device
    timeout_sec: int
    delay_sec: int = 0


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring all branches at once (`serial`: one after the other). `users` are whose devices they are."""

    plan: Plan
    branches: Sequence[Branch]
    users: tuple[str, ...]
    serial: bool = False


@dataclass(frozen=True, slots=True)
class Reject:
    """A final SIP answer; `dimension` is the limit that was in the way."""

    code: int
    reason: str
    disposition: Disposition
    dimension: Dimension | None = None
    retry_after_sec: int | None = None
    header: str | None = None


@dataclass(frozen=True, slots=True)
class Media:
    """The media engine answers, as the application that `target` names, which is the plan's frame too."""

    plan: Plan
    target: Target


@dataclass(frozen=True, slots=True)
class Onward:
    """Not decided yet: the call goes on to `target`."""

    plan: Plan
    target: Target


def sent_on(plan: Plan, target: Target, by: str, reason: str) -> Onward:
    """`by` (digits or a name) sends the call on, for one of RFC 5806's reasons; only the outside world is told so."""
    if target.dest_kind == "forward":
        plan = replace(plan, diversions=(*plan.diversions, Diversion(by, reason)))
    return Onward(plan, target)


Decision = Ring | Reject | Media

FORBIDDEN: Final = Reject(403, "Forbidden", Disposition.REJECTED)
NOT_FOUND: Final = Reject(404, "Not Found", Disposition.REJECTED)
ANONYMITY_DISALLOWED: Final = Reject(433, "Anonymity Disallowed", Disposition.REJECTED)
UNAVAILABLE: Final = Reject(480, "Temporarily Unavailable", Disposition.NO_ANSWER)
CLOSED: Final = Reject(480, "Closed", Disposition.REJECTED)
NO_ENGINE: Final = Reject(503, "No Media Engine Free", Disposition.FAILED, retry_after_sec=RETRY_AFTER_SEC)
LOOP: Final = Reject(482, "Loop Detected", Disposition.FAILED)
BUSY: Final = Reject(486, "Busy Here", Disposition.BUSY)
CANCELLED: Final = Reject(487, "Request Terminated", Disposition.ABANDONED)
NO_TRUNK: Final = Reject(503, "No Outbound Trunk", Disposition.FAILED)
CARRIER_FAILED: Final = Reject(503, "Service Unavailable", Disposition.FAILED)
DECLINED: Final = Reject(603, "Decline", Disposition.BUSY)

_WORDS: Final = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    410: "Gone",
    480: "Temporarily Unavailable",
    486: "Busy Here",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    503: "Service Unavailable",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
}


def hangup(dest_id: str) -> Reject:
    """The refusal that a target `hangup` asks for: its code, 603 when it names none."""
    is_code = dest_id.isascii() and dest_id.isdecimal() and len(dest_id) == 3 and "400" <= dest_id <= "699"
    code = int(dest_id) if is_code else 603
    disposition = Disposition.BUSY if code in (486, 600) else Disposition.REJECTED
    return Reject(code, _WORDS.get(code, "Call Refused"), disposition)


def needs_media(kind: str) -> Reject:
    """No engine is there to answer the call."""
    return Reject(480, f"No Media Engine For {kind.capitalize()}", Disposition.REJECTED)
