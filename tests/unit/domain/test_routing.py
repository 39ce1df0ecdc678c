"""Where an internal call goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from tandem.domain.cac import Dimension, Leg, Want, admit
from tandem.domain.calls import Disposition
from tandem.domain.routing import (
    BUSY,
    NO_SUCH_TARGET,
    NOT_FOUND,
    UNAVAILABLE,
    Decision,
    Device,
    Reject,
    Ring,
    Target,
    User,
    after_outcome,
    decide,
)
from tests.support.ledger import Ledger

NOW = 1_000_000
ALICE = User("us_a", "1001", "Alice", None, 25, dnd=False, active=True)
BOB = User("us_b", "1002", "Bob", None, 25, dnd=False, active=True)
DESK = Device("dev_b1", "acme.example", is_webrtc=False)
HEADSET = Device("dev_b2", "acme.example", is_webrtc=True)


@dataclass
class Plan:
    """A `Directory` of dicts."""

    users: dict[str, User] = field(default_factory=lambda: {"us_a": ALICE, "us_b": BOB})
    extensions: dict[str, Target] = field(
        default_factory=lambda: {
            "1002": Target("user", "us_b"),
            "1009": Target("user", "us_nobody"),
            "600": Target("flow", "flow_1"),
        }
    )
    devices: dict[str, list[Device]] = field(default_factory=lambda: {"us_b": [DESK, HEADSET]})

    def canonical_domain(self, domain: str) -> str | None:
        return "Acme.example" if domain == "acme.example" else None

    def extension(self, digits: str) -> Target | None:
        return self.extensions.get(digits)

    def user(self, user_id: str) -> User | None:
        return self.users.get(user_id)

    def reachable_devices(self, user_id: str, now: int) -> Sequence[Device]:
        assert now == NOW
        return self.devices.get(user_id, [])


def routed(ruri: str, caller: User = ALICE, callee: User = BOB, ledger: Ledger | None = None) -> Decision:
    plan = Plan()
    plan.users["us_b"] = callee
    return decide(plan, ledger or Ledger(), "call_1", caller, ruri, NOW)


@pytest.mark.parametrize("ruri", ["sip:1002@acme.example", "sip:1002@ACME.example:5060", "tel:1002", "1002"])
def test_a_reachable_user_rings_on_all_devices(ruri: str) -> None:
    assert routed(ruri) == Ring(BOB, [DESK, HEADSET])


@pytest.mark.parametrize(
    ("ruri", "decision"),
    [
        ("sip:1002@globex.example", NOT_FOUND),
        ("sip:4711@acme.example", NOT_FOUND),
        ("sip:acme.example", NOT_FOUND),
        ("", NOT_FOUND),
        ("sip:1009@acme.example", UNAVAILABLE),
        ("sip:600@acme.example", NO_SUCH_TARGET),
    ],
)
def test_addresses_that_lead_nowhere(ruri: str, decision: Decision) -> None:
    assert routed(ruri) == decision


@pytest.mark.parametrize(
    ("callee", "decision"),
    [
        (replace(BOB, active=False), UNAVAILABLE),
        (replace(BOB, dnd=True), BUSY),
        (replace(BOB, user_id="us_without_phone"), UNAVAILABLE),
    ],
)
def test_callees_that_cannot_ring(callee: User, decision: Decision) -> None:
    assert routed("sip:1002@acme.example", callee=callee) == decision


def test_a_disabled_caller_is_refused_and_holds_nothing() -> None:
    ledger = Ledger()
    decision = routed("sip:1002@acme.example", caller=replace(ALICE, active=False), ledger=ledger)
    assert decision == Reject(403, "Forbidden", Disposition.REJECTED)
    assert not ledger.rows


def test_a_caller_at_his_limit_is_refused_with_the_dimension() -> None:
    ledger = Ledger()
    caller = replace(ALICE, max_simultaneous=1)
    admit(ledger, "call_0", [Want(Leg.CALLER, Dimension.USER_SIMULTANEOUS, "us_a")], now=NOW)
    decision = routed("sip:1002@acme.example", caller=caller, ledger=ledger)
    assert isinstance(decision, Reject)
    assert (decision.code, decision.disposition) == (486, Disposition.REJECTED)
    assert (decision.dimension, decision.retry_after_sec) == (Dimension.USER_SIMULTANEOUS, 10)
    assert ledger.used("us_a") == 1


def test_a_callee_at_his_limit_is_busy() -> None:
    ledger = Ledger()
    callee = replace(BOB, max_simultaneous=1)
    admit(ledger, "call_0", [Want(Leg.CALLEE, Dimension.USER_SIMULTANEOUS, "us_b")], now=NOW)
    assert routed("sip:1002@acme.example", callee=callee, ledger=ledger) == BUSY
    assert ledger.used("us_b") == 1


def test_a_ringing_call_holds_caller_and_callee() -> None:
    ledger = Ledger()
    routed("sip:1002@acme.example", ledger=ledger)
    assert {(row[1], row[3]) for row in ledger.rows["call_1"]} == {(Leg.CALLER, "us_a"), (Leg.CALLEE, "us_b")}


def test_an_unknown_number_costs_the_caller_nothing() -> None:
    ledger = Ledger()
    routed("sip:4711@acme.example", caller=replace(ALICE, max_simultaneous=0), ledger=ledger)
    assert not ledger.rows


@pytest.mark.parametrize(
    ("outcome", "code", "disposition"),
    [
        ("no_answer", 480, Disposition.NO_ANSWER),
        ("unreachable", 480, Disposition.NO_ANSWER),
        ("busy", 486, Disposition.BUSY),
        ("declined", 603, Disposition.BUSY),
        ("redirected:sip:1003@acme.example", 486, Disposition.BUSY),
        ("carrier_failed:503", 503, Disposition.FAILED),
        ("cancelled", 487, Disposition.ABANDONED),
        ("something_new", 503, Disposition.FAILED),
        ("", 503, Disposition.FAILED),
    ],
)
def test_after_outcome(outcome: str, code: int, disposition: Disposition) -> None:
    decision = after_outcome(outcome)
    assert (decision.code, decision.disposition) == (code, disposition)


def test_a_device_is_addressed_by_its_own_id() -> None:
    assert DESK.aor == "sip:dev_b1@acme.example"
