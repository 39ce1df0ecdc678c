"""What is dialled: media targets, numbers, devices, emergencies, limits, hours; and the plan that a call carries."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tandem.domain.account import Account
from tandem.domain.cac import Dimension, Leg, admit
from tandem.domain.callerid import Caller, Diversion
from tandem.domain.calls import Direction, Disposition
from tandem.domain.routing import (
    Arrival,
    Attached,
    Decision,
    Did,
    Extension,
    Forward,
    Frame,
    Limit,
    Media,
    Member,
    Peer,
    Plan,
    Reject,
    RingGroup,
    Target,
    User,
    after,
    arrive,
    dial,
)
from tandem.domain.routing.decisions import NO_ENGINE, NO_TRUNK, hangup, needs_media
from tandem.domain.routing.plan import decode, dumps, encode
from tandem.domain.routing.users import seat
from tests.support.exchange import DOMAIN
from tests.support.office import (
    ALICE,
    BOB,
    CALLER,
    CLOSED,
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


@pytest.mark.parametrize("kind", ["flow", "queue", "voicemail", "conference"])
def test_what_needs_the_media_engine(kind: str) -> None:
    at = exchange()
    at.extensions["*97"] = extension("*97", kind, "x_1")
    decision = dialled(at, "*97")
    assert decision == needs_media(kind)
    assert kind.capitalize() in needs_media(kind).reason
    at.own = Account("acc_1", "Acme", media_engine="embedded")
    assert dialled(at, "*97") == Media(Plan(CALLER, frame=Frame(kind, "x_1")), Target(kind, "x_1"))


@pytest.mark.parametrize(
    ("outcome", "answer"), [("unreachable", 503), ("no_answer", 480), ("busy", 486), ("declined", 603)]
)
def test_an_engine_that_does_not_answer(outcome: str, answer: int) -> None:
    at = exchange()
    plan = Plan(CALLER, frame=Frame("flow", "flow_1"))
    decision = after(at.context(), plan, outcome)
    assert code(decision) == answer
    assert (decision == NO_ENGINE) == (answer == 503)
    assert NO_ENGINE.retry_after_sec


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


FWD = Target("forward", "fwd_1")


@pytest.mark.parametrize(
    ("attached", "reason"),
    [
        (Attached(FWD), "unconditional"),
        (Attached(TO_CARL, "sch_1", closed=FWD), "time-of-day"),
        (Attached(FWD, "sch_gone"), "unconditional"),
        (Attached(TO_CARL), None),
    ],
)
def test_whatever_sends_a_call_to_a_forward_is_named(attached: Attached, reason: str | None) -> None:
    """A number, an extension or a group, by its hours, or when nobody of it took the call."""
    at = exchange()
    at.schedules["sch_1"] = CLOSED
    at.forwards = {"fwd_1": Forward("fwd_1", "12025550177")}
    at.dids["12025550177"] = Did("did_7", "12025550177", Attached(TO_CARL))
    at.dids[NUMBER] = Did("did_1", NUMBER, attached)
    at.extensions["61"] = Extension("ext_61", "61", attached)
    uri = f"sip:+{NUMBER}@198.51.100.1"
    inbound = arrive(
        at.context("call_2"), Arrival("192.0.2.1", 5060, uri, uri, "sip:x@y"), Peer(None, at.dids[NUMBER], uri)
    )
    for by, decision in (("61", dialled(at, "61")), (f"+{NUMBER}", dialled(at, f"+{NUMBER}")), (f"+{NUMBER}", inbound)):
        assert plan_of(decision).diversions == (() if reason is None else (Diversion(by, reason),))


@pytest.mark.parametrize(
    ("outcome", "schedule", "reason"),
    [("no_answer", None, "no-answer"), ("busy", None, "user-busy"), ("", "sch_1", "time-of-day")],
)
def test_a_group_that_sends_a_call_to_a_forward_is_named(outcome: str, schedule: str | None, reason: str) -> None:
    at = exchange()
    at.schedules["sch_1"] = CLOSED
    at.forwards = {"fwd_1": Forward("fwd_1", NUMBER)}
    at.dids[NUMBER] = Did("did_1", NUMBER, Attached(TO_CARL))
    at.extensions["60"] = extension("60", "ring_group", "rg_1")
    group = RingGroup("rg_1", "Sales", "ring_all", 20, Attached(None, schedule, closed=FWD), FWD)
    at.groups["rg_1"] = (group, [Member("rgm_1", BOB, (DESK,))])
    decision = dialled(at, "60")
    if outcome:
        decision = after(at.context(), plan_of(decision), outcome)
    assert rung(decision) == ["dev_c1"]
    assert plan_of(decision).diversions == (Diversion("Sales", reason),)


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


@pytest.mark.parametrize(
    "ruri",
    [
        "sip:911@10.0.0.1",
        "sip:911@other.example",
        "sips:911@10.0.0.1:5061;user=phone",
        "tel:911",
        "911",
        "urn:service:sos",
        "<URN:service:SOS>",
        "urn:service:sos.police",
        "urn:service:sos.animal-control",
    ],
)
def test_an_emergency_is_seen_before_anything_could_refuse_it(ruri: str) -> None:
    at = exchange()
    context = at.context()
    decision = dial(context, CALLER, replace(ALICE, active=False), ruri)
    assert decision == NO_TRUNK
    assert context.direction is Direction.OUTBOUND
    assert at.ledger.rows["call_1"]


@pytest.mark.parametrize(
    "ruri",
    ["urn:service:counseling", "urn:service:sosx", "urn:service:sos.", "urn:nena:service:sos", "sip:sos@10.0.0.1"],
)
def test_what_only_looks_like_an_emergency(ruri: str) -> None:
    at = exchange()
    assert code(dial(at.context(), CALLER, ALICE, ruri)) == 404
    assert not at.ledger.rows


def test_windows_count_internal_calls_and_name_the_limit() -> None:
    at = exchange()
    at.windows = [("any us_a - ", Limit("lim_1", "account", 60, 1, hard=True))]
    assert rung(dialled(at, "1002", call_id="call_0"))
    decision = dialled(at, "1002")
    assert isinstance(decision, Reject)
    assert (decision.code, decision.dimension, decision.retry_after_sec) == (503, Dimension.CALL_LIMIT, 60)
    at.windows = [("", Limit("lim_1", "account", 60, 1, hard=False))]
    context = at.context("call_2")
    assert rung(dial(context, CALLER, ALICE, f"sip:1002@{DOMAIN}"))
    assert context.warnings == ("lim_1",)


OUTSIDE = "442071838750"


@pytest.mark.parametrize(
    ("max_out", "seats", "window", "dimension"),
    [
        (None, None, None, None),
        (1, 1, 1, None),
        (0, None, None, Dimension.ACCOUNT_OUT),
        (None, 0, None, Dimension.USER_SIMULTANEOUS),
        (None, None, 0, Dimension.CALL_LIMIT),
    ],
)
def test_a_call_to_the_outside_takes_its_room_before_a_trunk_is_looked_for(
    max_out: int | None, seats: int | None, window: int | None, dimension: Dimension | None
) -> None:
    at = exchange()
    at.own = replace(at.own, max_out=max_out, max_in=0)
    if window is not None:
        at.windows = [(f"out us_a - {OUTSIDE}", Limit("lim_1", "account", 60, window, hard=True))]
    context = at.context()
    decision = dial(context, CALLER, replace(ALICE, max_simultaneous=seats), f"sip:+{OUTSIDE}@{DOMAIN}")
    assert isinstance(decision, Reject)
    assert (decision.dimension, context.direction) == (dimension, Direction.OUTBOUND)
    held = {row[1:4] for row in at.ledger.rows.get("call_1", ())}
    if dimension is None:
        assert decision == NO_TRUNK
        assert held == {
            (Leg.CALLER, Dimension.ACCOUNT_OUT, "acc_1"),
            (Leg.CALLER, Dimension.USER_SIMULTANEOUS, "us_a"),
        }
    else:
        assert held == set()


@pytest.mark.parametrize("from_outside", [False, True])
def test_a_call_that_is_sent_on_to_the_outside_takes_room_there_too(from_outside: bool) -> None:
    at = exchange(replace(BOB, fwd_always=Target("forward", "fwd_1")))
    at.forwards = {"fwd_1": Forward("fwd_1", OUTSIDE)}

    def called(call_id: str) -> Decision:
        context = at.context(call_id)
        if not from_outside:
            return dial(context, CALLER, ALICE, f"sip:1002@{DOMAIN}")
        uri = f"sip:+{NUMBER}@198.51.100.1"
        return arrive(context, Arrival("192.0.2.1", 5060, uri, uri, "sip:x@y"), Peer(None, at.dids[NUMBER], uri))

    assert called("call_1") == NO_TRUNK
    own = Dimension.ACCOUNT_IN if from_outside else Dimension.USER_SIMULTANEOUS
    assert {row[1:3] for row in at.ledger.rows["call_1"]} >= {
        (Leg.CALLER, own),
        (Leg.CALLEE, Dimension.ACCOUNT_OUT),
    }
    at.own = replace(at.own, max_out=1)
    refused = called("call_2")
    assert isinstance(refused, Reject)
    assert refused.dimension is Dimension.ACCOUNT_OUT
    at.ledger.release("call_1", Leg.CALLEE)
    at.windows = [(f"out - - {OUTSIDE}", Limit("lim_1", "account", 60, 0, hard=True))]
    refused = called("call_3")
    assert isinstance(refused, Reject)
    assert refused.dimension is Dimension.CALL_LIMIT


@pytest.mark.parametrize(
    ("country", "called", "number"),
    [
        ("US", "1002", ""),
        ("US", "dev_b1", ""),
        ("US", "2025550100", NUMBER),
        ("DE", "0012025550100", NUMBER),
        ("DE", "030901820", "4930901820"),
    ],
)
def test_windows_of_numbers_see_e164_alone(country: str, called: str, number: str) -> None:
    """An extension is no number that begins so."""
    at = exchange()
    at.own = replace(at.own, country=country)
    at.dids["4930901820"] = Did("did_2", "4930901820", Attached(TO_CARL))
    at.windows = [(f"any us_a - {number}", Limit("lim_1", "10", 60, 0, hard=True))]
    decision = dialled(at, called)
    assert isinstance(decision, Reject)
    assert decision.dimension is Dimension.CALL_LIMIT


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
