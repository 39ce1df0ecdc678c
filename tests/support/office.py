"""An account with three users and their phones, over dicts; what most tests of routing dial in."""

from __future__ import annotations

from typing import Any

from tandem.domain.callerid import Caller
from tandem.domain.hours import Schedule
from tandem.domain.routing import (
    Attached,
    Decision,
    Device,
    Did,
    Extension,
    Plan,
    Reject,
    Ring,
    Target,
    User,
    dial,
)
from tests.support.exchange import DOMAIN, NODE, Exchange

ALICE = User("us_a", "1001", "Alice", None, 25, dnd=False, active=True)
BOB = User("us_b", "1002", "Bob", None, 20, dnd=False, active=True)
CARL = User("us_c", "1003", "Carl", None, 15, dnd=False, active=True)
DESK = Device("dev_b1", DOMAIN, is_webrtc=False, node_id=NODE)
SOFT = Device("dev_b2", DOMAIN, is_webrtc=True, node_id=NODE, ring_specific=True)
AWAY = Device("dev_b3", DOMAIN, is_webrtc=False, node_id="node_unknown")
CARLS = Device("dev_c1", DOMAIN, is_webrtc=False, node_id=NODE)
CALLER = Caller("1001", "Alice", DOMAIN, "us_a")
NUMBER = "12025550100"
TO_CARL = Target("user", "us_c")
CLOSED = Schedule("sch_1", None, ())


def extension(digits: str, kind: str, dest: str = "", **attached: Any) -> Extension:
    return Extension(f"ext_{digits}", digits, Attached(Target(kind, dest), **attached))


def exchange(bob: User = BOB, carl: User = CARL) -> Exchange:
    return Exchange(
        users={"us_a": ALICE, "us_b": bob, "us_c": carl},
        extensions={
            "1002": extension("1002", "user", "us_b"),
            "1003": extension("1003", "user", "us_c"),
            "1009": extension("1009", "user", "us_nobody"),
        },
        devices={"us_b": [DESK, SOFT], "us_c": [CARLS]},
        dids={NUMBER: Did("did_1", NUMBER, Attached(Target("user", "us_b")))},
    )


def dialled(at: Exchange, to: str, caller: User = ALICE, call_id: str = "call_1") -> Decision:
    return dial(at.context(call_id), CALLER, caller, f"sip:{to}@{DOMAIN}")


def code(decision: Decision) -> int:
    assert isinstance(decision, Reject), decision
    return decision.code


def rung(decision: Decision) -> list[str]:
    assert isinstance(decision, Ring), decision
    return [branch.device.device_id for branch in decision.branches]


def plan_of(decision: Decision) -> Plan:
    assert isinstance(decision, Ring), decision
    return decision.plan
