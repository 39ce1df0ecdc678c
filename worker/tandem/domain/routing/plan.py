"""What routing remembers of a call between two questions: who calls, where it has been, what is ringing."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from tandem.domain.callerid import Caller, Diversion
from tandem.domain.routing.model import User
from tandem.domain.target import Target, Vars

MAX_HOPS: Final = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """What rings: a `user`, a `device`, a `ring_group` or its `members`; or what the media engine answers as, by the
    target's kind. `rest`: members of the group whose turn is still to come."""

    kind: str
    dest_id: str
    rest: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """`hops` counts how often the call was sent on; `vars` are the variables set on the way."""

    caller: Caller
    hops: int = 0
    frame: Frame | None = None
    diversions: tuple[Diversion, ...] = ()
    vars: Vars = ()

    @property
    def in_loop(self) -> bool:
        return self.hops > MAX_HOPS

    def towards(self, target: Target) -> Plan:
        """The plan with the variables of the hop to `target`."""
        if not target.xform:
            return self
        return replace(self, vars=tuple((dict(self.vars) | dict(target.xform)).items()))

    def hopped(self) -> Plan:
        return replace(self, hops=self.hops + 1, frame=None)

    def diverted(self, user: User, reason: str) -> Plan:
        """The plan of a call that a user's forward sends on."""
        return replace(self.hopped(), diversions=(*self.diversions, Diversion(user.username, reason)))

    def ringing(self, frame: Frame) -> Plan:
        return Plan(self.caller, self.hops, frame, self.diversions, self.vars)


def encode(plan: Plan) -> list[Any]:
    """The plan as JSON can hold it."""
    caller, frame = plan.caller, plan.frame
    return [
        [caller.user, caller.display, caller.domain, caller.user_id, caller.anonymous, caller.is_webrtc],
        plan.hops,
        None if frame is None else [frame.kind, frame.dest_id, frame.rest],
        [[one.user, one.reason] for one in plan.diversions],
        plan.vars,
    ]


def decode(found: list[Any]) -> Plan:
    caller, hops, frame, diversions, variables = found
    return Plan(
        Caller(*caller),
        hops,
        None if frame is None else Frame(frame[0], frame[1], tuple(frame[2])),
        tuple(Diversion(user, reason) for user, reason in diversions),
        tuple((name, value) for name, value in variables),
    )


def dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
