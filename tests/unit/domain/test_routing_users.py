"""Users, extensions, numbers, and what follows an outcome."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tandem.domain.account import Account
from tandem.domain.cac import Dimension, Leg, admit
from tandem.domain.callerid import Caller, Diversion
from tandem.domain.calls import Direction, Disposition
from tandem.domain.hours import Schedule
from tandem.domain.routing import (
    Attached,
    Branch,
    Decision,
    Device,
    Did,
    Extension,
    Forward,
    Frame,
    Limit,
    Media,
    Plan,
    Reject,
    Ring,
    Target,
    User,
    after,
    dial,
)
from tandem.domain.routing.decisions import hangup, needs_media
from tandem.domain.routing.plan import decode, dumps, encode
from tandem.domain.routing.users import seat
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


@pytest.mark.parametrize("kind", ["flow", "queue", "voicemail", "conference"])
def test_what_needs_the_media_engine(kind: str) -> None:
    at = exchange()
    at.extensions["*97"] = extension("*97", kind, "x_1")
    decision = dialled(at, "*97")
    assert decision == needs_media(kind)
    assert kind.capitalize() in needs_media(kind).reason
    at.own = Account("acc_1", "Acme", media_engine="embedded")
    assert dialled(at, "*97") == Media(Plan(CALLER), Target(kind, "x_1"))


@pytest.mark.parametrize(
    ("bob", "reachable"),
    [
        (replace(BOB, dnd=True, voicemail_id="vm_1"), True),
        (replace(BOB, voicemail_id="vm_1"), False),
    ],
)
def test_voicemail_is_the_fallback(bob: User, reachable: bool) -> None:
    at = exchange(bob)
    at.own = Account("acc_1", "Acme", media_engine="embedded")
    if not reachable:
        del at.devices["us_b"]
    decision = dialled(at, "1002")
    assert isinstance(decision, Media)
    assert decision.target == Target("voicemail", "vm_1")


@pytest.mark.parametrize(
    ("dest", "answer", "disposition"),
    [
        ("", 603, Disposition.REJECTED),
        ("486", 486, Disposition.BUSY),
        ("600", 600, Disposition.BUSY),
        ("404", 404, Disposition.REJECTED),
        ("499", 499, Disposition.REJECTED),
        ("200", 603, Disposition.REJECTED),
        ("700", 603, Disposition.REJECTED),
        ("4040", 603, Disposition.REJECTED),
        ("busy", 603, Disposition.REJECTED),
    ],
)
def test_hangup(dest: str, answer: int, disposition: Disposition) -> None:
    at = exchange()
    at.extensions["99"] = extension("99", "hangup", dest)
    assert dialled(at, "99") == hangup(dest)
    assert (hangup(dest).code, hangup(dest).disposition) == (answer, disposition)


def test_an_own_number_dialled_inside_is_an_internal_call() -> None:
    at = exchange()
    context = at.context()
    decision = dial(context, CALLER, ALICE, "sip:+12025550100@acme.example")
    assert rung(decision) == ["dev_b1", "dev_b2"]
    assert context.direction is Direction.INTERNAL
    at.dids[NUMBER] = replace(at.dids[NUMBER], status="disabled")
    assert code(dialled(at, "+12025550100")) == 404
    at.dids[NUMBER] = Did("did_1", NUMBER, Attached(None))
    assert code(dialled(at, "+12025550100")) == 404
    at.own = replace(at.own, did_default=TO_CARL)
    assert rung(dialled(at, "+12025550100")) == ["dev_c1"]


def test_a_forward_dials_a_number_with_a_diversion() -> None:
    at = exchange()
    at.forwards = {"fwd_1": Forward("fwd_1", NUMBER), "fwd_2": Forward("fwd_2", "442071838750")}
    at.extensions |= {
        "61": extension("61", "forward", "fwd_1"),
        "62": extension("62", "forward", "fwd_2"),
        "63": extension("63", "forward", "fwd_gone"),
    }
    plan = plan_of(dialled(at, "61"))
    assert plan.diversions == (Diversion("61", "unconditional"),)
    context = at.context()
    assert code(dial(context, CALLER, ALICE, f"sip:62@{DOMAIN}")) == 503
    assert context.direction is Direction.OUTBOUND
    assert code(dialled(at, "63")) == 480


def test_forwards_to_own_numbers_in_a_circle_end() -> None:
    at = exchange()
    at.forwards = {"fwd_1": Forward("fwd_1", NUMBER)}
    at.dids[NUMBER] = Did("did_1", NUMBER, Attached(Target("forward", "fwd_1")))
    assert code(dialled(at, "+12025550100")) == 482


@pytest.mark.parametrize(
    ("bob", "reachable", "expected"),
    [
        (BOB, True, ["dev_b1"]),
        (replace(BOB, fwd_always=TO_CARL), True, ["dev_b1"]),
        (replace(BOB, dnd=True), True, 486),
        (replace(BOB, active=False), True, 480),
        (replace(BOB, max_simultaneous=0), True, 486),
        (BOB, False, 480),
    ],
)
def test_a_device_can_be_dialled_by_its_id(bob: User, reachable: bool, expected: int | list[str]) -> None:
    at = exchange(bob)
    at.devices["us_b"] = [DESK if reachable else replace(DESK, node_id="node_unknown"), SOFT]
    decision = dialled(at, "dev_b1")
    if isinstance(expected, int):
        assert code(decision) == expected
    else:
        assert rung(decision) == expected
        assert code(after(at.context(), plan_of(decision), "no_answer")) == 480


@pytest.mark.parametrize("digits", ["911", "112"])
def test_an_emergency_is_never_limited_and_never_an_extension(digits: str) -> None:
    at = exchange()
    at.extensions[digits] = extension(digits, "user", "us_b")
    context = at.context()
    caller = replace(ALICE, max_simultaneous=0)
    at.own = replace(at.own, max_out=0)
    assert code(dial(context, CALLER, caller, f"sip:{digits}@{DOMAIN}")) == 503
    assert context.direction is Direction.OUTBOUND
    assert {row[2] for row in at.ledger.rows["call_1"]} == {Dimension.ACCOUNT_OUT, Dimension.USER_SIMULTANEOUS}


def test_windows_count_internal_calls_and_name_the_limit() -> None:
    at = exchange()
    at.windows = [("any us_a - 1002", Limit("lim_1", "account", 60, 1, hard=True))]
    assert rung(dialled(at, "1002", call_id="call_0"))
    decision = dialled(at, "1002")
    assert isinstance(decision, Reject)
    assert (decision.code, decision.dimension, decision.retry_after_sec) == (503, Dimension.CALL_LIMIT, 60)
    assert rung(dialled(at, "1003"))
    at.windows = [("", Limit("lim_1", "account", 60, 1, hard=False))]
    context = at.context("call_2")
    assert rung(dial(context, CALLER, ALICE, f"sip:1002@{DOMAIN}"))
    assert context.warnings == ("lim_1",)


def test_variables_of_the_way_add_up() -> None:
    at = exchange(replace(BOB, fwd_always=Target("user", "us_c", (("b", "2"), ("a", "3")))))
    at.extensions["1002"] = Extension("ext_1", "1002", Attached(Target("user", "us_b", (("a", "1"), ("c", "4")))))
    assert dict(plan_of(dialled(at, "1002")).vars) == {"a": "3", "b": "2", "c": "4"}


def test_a_closed_extension_goes_elsewhere() -> None:
    at = exchange()
    at.schedules["sch_1"] = CLOSED
    at.extensions["1002"] = extension("1002", "user", "us_b", schedule_id="sch_1")
    assert code(dialled(at, "1002")) == 480
    at.extensions["1002"] = extension("1002", "user", "us_b", schedule_id="sch_1", closed=TO_CARL)
    assert rung(dialled(at, "1002")) == ["dev_c1"]


def test_a_plan_survives_being_written_down() -> None:
    plan = Plan(
        Caller("1001", "Alice", DOMAIN, "us_a", anonymous=True, is_webrtc=True),
        3,
        Frame("ring_group", "rg_1", ("rgm_1", "rgm_2")),
        (Diversion("1002", "user-busy"),),
        (("a", "1"),),
    )
    assert decode(encode(plan)) == plan
    assert decode(encode(Plan(CALLER))) == Plan(CALLER)
    assert " " not in dumps(encode(Plan(CALLER)))


def test_a_decision_can_be_traced() -> None:
    at = exchange(replace(BOB, fwd_always=TO_CARL))
    at.trace = []
    dialled(at, "1002")
    assert [step["step"] for step in at.trace] == ["extension", "forward_always", "ring_user"]


def test_a_seat_is_taken_once_per_call() -> None:
    at = exchange()
    want = seat(replace(BOB, max_simultaneous=1))
    for _ in range(2):
        admit(at.ledger, "call_1", [want], now=0)
    assert at.ledger.used("us_b") == 1
