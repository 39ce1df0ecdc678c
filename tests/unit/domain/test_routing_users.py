"""Ringing a user, and what follows an outcome."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tandem.domain.cac import Dimension, Leg
from tandem.domain.callerid import Diversion
from tandem.domain.calls import Disposition
from tandem.domain.routing import (
    Branch,
    Frame,
    Plan,
    Reject,
    Ring,
    Target,
    User,
    after,
    dial,
)
from tandem.domain.routing.plan import decode, encode
from tests.support.office import (
    ALICE,
    AWAY,
    BOB,
    CALLER,
    CARL,
    DESK,
    NUMBER,
    SOFT,
    TO_CARL,
    code,
    dialled,
    exchange,
    extension,
    plan_of,
    rung,
)


def test_a_reachable_user_rings_on_all_devices() -> None:
    at = exchange()
    decision = dialled(at, "1002")
    assert decision == Ring(
        Plan(CALLER, frame=Frame("user", "us_b")), (Branch(DESK, 20), Branch(SOFT, 20)), ("us_b",), serial=False
    )
    assert {(row[1], row[3]) for row in at.ledger.rows["call_1"]} == {(Leg.CALLER, "us_a"), (Leg.CALLEE, "us_b")}


@pytest.mark.parametrize("ruri", ["sip:1002@ACME.example:5060", "tel:1002", "1002", "sip:1-002@acme.example"])
def test_forms_of_what_is_dialled(ruri: str) -> None:
    assert rung(dial(exchange().context(), CALLER, ALICE, ruri)) == ["dev_b1", "dev_b2"]


@pytest.mark.parametrize(
    ("ruri", "answer"),
    [
        ("sip:1002@globex.example", 404),
        ("sip:4711@acme.example", 404),
        ("sip:acme.example", 404),
        ("", 404),
        ("sip:dev_nobody@acme.example", 404),
        ("sip:1009@acme.example", 480),
        ("sip:+442071838750@acme.example", 503),
    ],
)
def test_addresses_that_lead_nowhere(ruri: str, answer: int) -> None:
    at = exchange()
    assert code(dial(at.context(), CALLER, ALICE, ruri)) == answer


def test_an_unknown_number_costs_the_caller_nothing() -> None:
    at = exchange()
    assert code(dialled(at, "4711", replace(ALICE, max_simultaneous=0))) == 404
    assert not at.ledger.rows


def test_a_disabled_caller_is_refused() -> None:
    assert code(dialled(exchange(), "1002", replace(ALICE, active=False))) == 403


def test_a_caller_at_his_limit_is_busy_himself() -> None:
    at = exchange()
    caller = replace(ALICE, max_simultaneous=1)
    assert rung(dialled(at, "1002", caller, "call_0"))
    decision = dialled(at, "1002", caller)
    assert isinstance(decision, Reject)
    assert (decision.code, decision.disposition, decision.dimension, decision.retry_after_sec) == (
        486,
        Disposition.REJECTED,
        Dimension.USER_SIMULTANEOUS,
        10,
    )
    assert decision.header == 'Reason: Q.850;cause=17;text="user_simultaneous"'


# What a user's row makes of a call: (changes of Bob's row, whether he is reachable) → devices or the final code.
FORWARDED = Target("user", "us_c")


@pytest.mark.parametrize(
    ("bob", "reachable", "expected"),
    [
        (replace(BOB, active=False), True, 480),
        (replace(BOB, fwd_always=FORWARDED), True, ["dev_c1"]),
        (replace(BOB, fwd_always=FORWARDED, dnd=True), False, ["dev_c1"]),
        (replace(BOB, dnd=True), True, 486),
        (replace(BOB, dnd=True, fwd_busy=FORWARDED), True, ["dev_c1"]),
        (replace(BOB, dnd=True, fwd_noanswer=FORWARDED), True, 486),
        (BOB, False, 480),
        (replace(BOB, fwd_noanswer=FORWARDED), False, ["dev_c1"]),
        (replace(BOB, fwd_busy=FORWARDED), False, 480),
        (replace(BOB, max_simultaneous=0), True, 486),
        (replace(BOB, max_simultaneous=0, fwd_busy=FORWARDED), True, ["dev_c1"]),
        (replace(BOB, fwd_busy=FORWARDED, fwd_noanswer=FORWARDED), True, ["dev_b1", "dev_b2"]),
        (replace(BOB, ring_strategy="specific"), True, ["dev_b2"]),
        (replace(BOB, ring_strategy="sequential"), True, ["dev_b1", "dev_b2"]),
    ],
)
def test_ringing_a_user(bob: User, reachable: bool, expected: int | list[str]) -> None:
    at = exchange(bob)
    if not reachable:
        at.devices["us_b"] = [AWAY]
    decision = dialled(at, "1002")
    if isinstance(expected, int):
        assert code(decision) == expected
        assert at.ledger.used("us_b") == 0
    else:
        assert rung(decision) == expected
        assert isinstance(decision, Ring)
        assert decision.serial is (bob.ring_strategy == "sequential")


def test_one_device_is_no_sequence() -> None:
    at = exchange(replace(BOB, ring_strategy="sequential"))
    at.devices["us_b"] = [DESK]
    decision = dialled(at, "1002")
    assert isinstance(decision, Ring)
    assert not decision.serial


@pytest.mark.parametrize(
    ("bob", "reachable", "reason"),
    [
        (replace(BOB, fwd_always=FORWARDED), True, "unconditional"),
        (replace(BOB, dnd=True, fwd_busy=FORWARDED), True, "do-not-disturb"),
        (replace(BOB, max_simultaneous=0, fwd_busy=FORWARDED), True, "user-busy"),
        (replace(BOB, fwd_noanswer=FORWARDED), False, "unavailable"),
    ],
)
def test_a_forward_leaves_a_diversion(bob: User, reachable: bool, reason: str) -> None:
    at = exchange(bob)
    if not reachable:
        del at.devices["us_b"]
    plan = plan_of(dialled(at, "1002"))
    assert (plan.diversions, plan.hops) == ((Diversion("1002", reason),), 1)


@pytest.mark.parametrize(
    ("outcome", "answer", "disposition"),
    [
        ("no_answer", 480, Disposition.NO_ANSWER),
        ("unreachable", 480, Disposition.NO_ANSWER),
        ("busy", 486, Disposition.BUSY),
        ("declined", 603, Disposition.BUSY),
        ("redirected:sip:1003@elsewhere.example", 486, Disposition.BUSY),
        ("carrier_failed:503", 503, Disposition.FAILED),
        ("cancelled", 487, Disposition.ABANDONED),
        ("something_new", 503, Disposition.FAILED),
        ("", 503, Disposition.FAILED),
    ],
)
def test_an_outcome_without_a_fallback(outcome: str, answer: int, disposition: Disposition) -> None:
    at = exchange()
    decision = after(at.context(), plan_of(dialled(at, "1002")), outcome)
    assert isinstance(decision, Reject)
    assert (decision.code, decision.disposition) == (answer, disposition)


@pytest.mark.parametrize(
    ("outcome", "bob", "reason"),
    [
        ("busy", replace(BOB, fwd_busy=TO_CARL), "user-busy"),
        ("declined", replace(BOB, fwd_busy=TO_CARL), "user-busy"),
        ("no_answer", replace(BOB, fwd_noanswer=TO_CARL), "no-answer"),
        ("unreachable", replace(BOB, fwd_noanswer=TO_CARL), "unavailable"),
        ("redirected:sip:1003@acme.example", BOB, "deflection"),
        ("redirected:sip:9@elsewhere.example", replace(BOB, fwd_busy=TO_CARL), "user-busy"),
    ],
)
def test_an_outcome_leads_on(outcome: str, bob: User, reason: str) -> None:
    at = exchange(bob)
    first = plan_of(dialled(at, "1002"))
    assert at.ledger.used("us_b") == 1
    decision = after(at.context(), decode(encode(first)), outcome)
    assert rung(decision) == ["dev_c1"]
    assert (plan_of(decision).diversions, plan_of(decision).frame) == (
        (Diversion("1002", reason),),
        Frame("user", "us_c"),
    )
    assert (at.ledger.used("us_a"), at.ledger.used("us_b"), at.ledger.used("us_c")) == (1, 0, 1)


@pytest.mark.parametrize(
    ("uri", "allowed", "expected"),
    [
        (f"sip:+{NUMBER}@acme.example", False, ["dev_b1", "dev_b2"]),
        (f"tel:+{NUMBER}", False, ["dev_b1", "dev_b2"]),
        ("sip:+442071838750@acme.example", False, 486),
        ("sip:+442071838750@acme.example", True, 503),
        ("sip:nobody@acme.example", True, 486),
        ("sip:acme.example", True, 486),
    ],
)
def test_a_redirect_goes_where_the_callee_may_send_it(uri: str, allowed: bool, expected: int | list[str]) -> None:
    at = exchange(carl=replace(CARL, allows_outside=allowed))
    decision = after(at.context(), plan_of(dialled(at, "1003")), f"redirected:{uri}")
    assert (code(decision) if isinstance(expected, int) else rung(decision)) == expected


def test_an_outcome_of_what_is_gone_is_final() -> None:
    at = exchange(replace(BOB, fwd_noanswer=TO_CARL))
    plan = plan_of(dialled(at, "1002"))
    del at.users["us_b"]
    assert code(after(at.context(), plan, "no_answer")) == 480
    assert code(after(at.context(), Plan(CALLER), "busy")) == 486


def test_a_b_a_b_ends_after_8_hops() -> None:
    at = exchange(replace(BOB, fwd_always=TO_CARL), replace(CARL, fwd_always=Target("user", "us_b")))
    assert code(dialled(at, "1002")) == 482


def test_8_forwards_are_no_loop() -> None:
    at = exchange()
    for number in range(8):
        at.users[f"us_{number}"] = User(
            f"us_{number}",
            f"20{number}",
            "",
            None,
            25,
            dnd=False,
            active=True,
            fwd_always=Target("user", f"us_{number + 1}" if number < 7 else "us_c"),
        )
    at.extensions["200"] = extension("200", "user", "us_0")
    decision = dialled(at, "200")
    assert rung(decision) == ["dev_c1"]
    assert plan_of(decision).hops == 8
    at.users["us_c"] = replace(CARL, fwd_always=Target("user", "us_b"))
    assert code(dialled(at, "200")) == 482


def test_ringing_in_a_circle_ends_too() -> None:
    at = exchange(replace(BOB, fwd_noanswer=TO_CARL), replace(CARL, fwd_noanswer=Target("user", "us_b")))
    decision = dialled(at, "1002")
    for _ in range(8):
        decision = after(at.context(), plan_of(decision), "no_answer")
    assert code(after(at.context(), plan_of(decision), "no_answer")) == 482


def test_extensions_of_extensions_are_hops() -> None:
    at = exchange()
    at.extensions |= {"10": extension("10", "extension", "ext_1003"), "11": extension("11", "extension", "ext_11")}
    assert rung(dialled(at, "10")) == ["dev_c1"]
    assert code(dialled(at, "11")) == 482
    at.extensions["12"] = extension("12", "extension", "ext_gone")
    assert code(dialled(at, "12")) == 480
