"""Whom a leg of the media engine rings, and what follows when they do not take it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tandem.domain.account import Account
from tandem.domain.callerid import Caller
from tandem.domain.hours import Schedule, make_rule
from tandem.domain.routing import (
    Attached,
    Branch,
    Context,
    Device,
    Fork,
    Member,
    Plan,
    Reject,
    RingGroup,
    Target,
    User,
    after_fork,
    media_exit,
    ring_targets,
)
from tests.support.exchange import DOMAIN, NODE, Exchange
from tests.support.office import BOB, CARL, CARLS, DESK, NUMBER, exchange, extension

CALLER = Caller("+15550100", "", DOMAIN)
PLAN = Plan(CALLER)
TO_BOB, TO_CARL = Target("user", "us_b"), Target("user", "us_c")


def office(bob: User = BOB, carl: User = CARL) -> Exchange:
    at = exchange(bob, carl)
    at.own = Account("acc_1", "Acme", media_engine="embedded")
    at.devices["us_b"] = [DESK]
    return at


def place(at: Exchange, *targets: Target, timeout: int | None = 60) -> Fork | Reject:
    return ring_targets(at.context("leg_1"), PLAN, targets, timeout)


def rings(found: Fork | Reject) -> list[str]:
    assert isinstance(found, Fork), found
    return [branch.device.device_id for branch in found.ring.branches]


def code(found: Fork | Reject) -> int:
    assert isinstance(found, Reject), found
    return found.code


def then(at: Exchange, found: Fork | Reject, outcome: str, timeout: int = 60) -> Fork | Reject:
    assert isinstance(found, Fork), found
    return after_fork(at.context("leg_1"), found.plans, outcome, timeout)


@pytest.mark.parametrize(
    ("target", "device"),
    [
        (TO_BOB, "dev_b1"),
        (Target("extension", "ext_1003"), "dev_c1"),
        (Target("number", "1003"), "dev_c1"),
        (Target("number", f"sip:1003@{DOMAIN}"), "dev_c1"),
        (Target("number", f"+{NUMBER}"), "dev_b1"),
    ],
)
def test_one_target(target: Target, device: str) -> None:
    assert rings(place(office(), target)) == [device]


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        (Target("number", "sip:1003@elsewhere.example"), 404),
        (Target("number", "nobody"), 404),
        (Target("number", "+4930123456"), 503),
        (Target("user", "us_gone"), 480),
        (Target("hangup", "486"), 486),
        (Target("flow", "flow_1"), 480),
        (Target("extension", "ext_600"), 480),
    ],
)
def test_a_target_that_nothing_rings_for(target: Target, answer: int) -> None:
    at = office()
    at.extensions["600"] = extension("600", "queue", "q_1")
    assert code(place(at, target)) == answer


def test_several_targets_ring_as_one_fork() -> None:
    at = office()
    found = place(at, TO_BOB, TO_CARL, Target("user", "us_gone"), Target("number", "1002"))
    assert rings(found) == ["dev_b1", "dev_c1"]
    assert isinstance(found, Fork)
    assert found.ring.users == ("us_b", "us_c")
    assert not found.ring.serial
    assert (at.ledger.used("us_b"), at.ledger.used("us_c")) == (1, 1)


def times(found: Fork | Reject) -> list[int]:
    assert isinstance(found, Fork), found
    return [branch.timeout_sec for branch in found.ring.branches]


@pytest.mark.parametrize(("timeout", "expected"), [(60, [60, 60]), (17, [17, 17]), (5, [5, 5]), (None, [20, 15])])
def test_users_ring_as_long_as_the_leg_or_for_their_own_times(timeout: int | None, expected: list[int]) -> None:
    assert times(place(office(), TO_BOB, TO_CARL, timeout=timeout)) == expected
    assert times(place(office(), TO_BOB, Target("number", "1003"), timeout=timeout)) == expected


@pytest.mark.parametrize(("timeout", "expected"), [(60, [20, 60]), (17, [17, 17]), (None, [20, 15])])
def test_who_has_a_forward_for_no_answer_rings_for_his_own_time(timeout: int | None, expected: list[int]) -> None:
    at = office(replace(BOB, fwd_noanswer=TO_CARL))
    assert times(place(at, TO_BOB, TO_CARL, timeout=timeout)) == expected
    assert times(then(at, place(at, TO_BOB, timeout=timeout), "no_answer", timeout=12)) == [12]


def test_phones_in_sequence_and_ring_groups_keep_their_times() -> None:
    at = office(replace(BOB, ring_strategy="sequential"))
    at.devices["us_b"] = [DESK, Device("dev_b9", DOMAIN, is_webrtc=False, node_id=NODE)]
    assert times(place(at, TO_BOB)) == [20, 20]
    at.groups["rg_1"] = (RingGroup("rg_1", "Sales", "ring_all", 30, Attached(None)), [Member("rgm_1", BOB, (DESK,))])
    assert times(place(at, Target("ring_group", "rg_1"))) == [30]


def test_members_who_would_ring_too_late_do_not() -> None:
    at = office()
    members = [Member("rgm_1", BOB, (DESK,)), Member("rgm_2", CARL, (CARLS,), 10)]
    at.groups["rg_1"] = (RingGroup("rg_1", "Sales", "ring_all", 30, Attached(None)), members)
    group = Target("ring_group", "rg_1")
    found = place(at, group, timeout=12)
    assert isinstance(found, Fork)
    assert list(found.ring.branches) == [Branch(DESK, 12), Branch(CARLS, 2, 10)]
    assert rings(place(at, group, timeout=10)) == ["dev_b1"]


OUT = Target("user", "us_c")


@pytest.mark.parametrize("strategy", ["ring_all", "sequential"])
@pytest.mark.parametrize("reached", [True, False])
def test_the_members_of_a_ring_group_ring_without_its_exit(strategy: str, reached: bool) -> None:
    at = office()
    members = [Member("rgm_1", BOB, (DESK,))] if reached else []
    at.groups["rg_1"] = (RingGroup("rg_1", "Sales", strategy, 20, Attached(None), OUT), members)
    ends = []
    for kind in ("ring_group", "members"):
        found = place(at, Target(kind, "rg_1"))
        ends.append(then(at, found, "busy") if reached else found)
    assert rings(ends[0]) == ["dev_c1"]
    assert code(ends[1]) == (486 if reached else 480)


@pytest.mark.parametrize("kind", ["ring_group", "members"])
def test_members_of_a_sequence_ring_one_after_the_other(kind: str) -> None:
    at = office()
    members = [Member("rgm_1", BOB, (DESK,)), Member("rgm_2", CARL, (CARLS,))]
    at.groups["rg_1"] = (RingGroup("rg_1", "Sales", "sequential", 20, Attached(None)), members)
    second = then(at, place(at, Target(kind, "rg_1")), "no_answer")
    assert rings(second) == ["dev_c1"]
    assert code(then(at, second, "no_answer")) == 480
    del at.groups["rg_1"]
    assert code(then(at, second, "no_answer")) == 480


FLOW = Target("flow", "flow_1")
CLOSED = Schedule("sch_1", None, (make_rule("weekly", 1, "00:00", "23:59", None, None, True),))


def group(exit_to: Target | None, **hours: Any) -> tuple[RingGroup, list[Member]]:
    return RingGroup("rg", "Sales", "ring_all", 20, Attached(None, **hours), exit_to), []


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({}, None),
        ({"rg_1": group(None)}, None),
        ({"rg_1": group(TO_BOB)}, None),
        ({"rg_1": group(FLOW)}, FLOW),
        ({"rg_1": group(Target("ring_group", "rg_2")), "rg_2": group(FLOW)}, FLOW),
        ({"rg_1": group(Target("ring_group", "rg_1"))}, None),
        ({"rg_1": group(Target("extension", "ext_600"))}, Target("queue", "q_1")),
        ({"rg_1": group(Target("extension", "ext_gone"))}, None),
        ({"rg_1": group(FLOW, schedule_id="sch_1")}, None),
        ({"rg_1": group(TO_BOB, schedule_id="sch_1", closed=FLOW)}, FLOW),
    ],
)
def test_the_media_application_that_a_ring_group_leads_to(
    groups: dict[str, tuple[RingGroup, list[Member]]], expected: Target | None
) -> None:
    at = office()
    at.groups |= groups
    at.schedules["sch_1"] = CLOSED
    at.extensions["600"] = extension("600", "queue", "q_1")
    assert media_exit(at.context(), "rg_1") == expected


def test_phones_ring_in_sequence_only_alone() -> None:
    at = office(replace(BOB, ring_strategy="sequential"))
    at.devices["us_b"] = [DESK, Device("dev_b9", DOMAIN, is_webrtc=False, node_id=NODE)]
    alone, together = place(at, TO_BOB), place(at, TO_BOB, TO_CARL)
    assert isinstance(alone, Fork)
    assert isinstance(together, Fork)
    assert (alone.ring.serial, together.ring.serial) == (True, False)


@pytest.mark.parametrize(
    ("bob", "answer"),
    [(replace(BOB, dnd=True, voicemail_id="vm_1"), 486), (replace(BOB, max_simultaneous=0, voicemail_id="vm_1"), 486)],
)
def test_no_leg_goes_to_voicemail(bob: User, answer: int) -> None:
    assert code(place(office(bob), TO_BOB)) == answer


def test_somebody_busy_is_said_before_somebody_away() -> None:
    at = office(replace(BOB, dnd=True))
    del at.devices["us_c"]
    assert code(place(at, TO_CARL, TO_BOB)) == 486


def test_a_forward_is_followed_at_once_and_after_an_outcome() -> None:
    at = office(replace(BOB, fwd_always=TO_CARL))
    assert rings(place(at, TO_BOB)) == ["dev_c1"]
    at = office(replace(BOB, fwd_busy=TO_CARL))
    found = then(at, place(at, TO_BOB), "busy")
    assert rings(found) == ["dev_c1"]
    assert (at.ledger.used("us_b"), at.ledger.used("us_c")) == (0, 1)
    assert isinstance(found, Fork)
    assert found.plans[0].diversions[0].user == "1002"
    assert code(then(at, found, "no_answer")) == 480


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        ("busy", 486),
        ("no_answer", 480),
        ("unreachable", 480),
        ("declined", 603),
        ("redirected:sip:1002@elsewhere.example", 486),
        ("carrier_failed:503", 503),
        ("cancelled", 487),
    ],
)
def test_the_last_refusal_tells_what_became_of_it(outcome: str, answer: int) -> None:
    at = office(replace(BOB, voicemail_id="vm_1", fwd_noanswer=Target("flow", "flow_1")))
    assert code(then(at, place(at, TO_BOB), outcome)) == answer


def test_after_a_fork_each_target_has_its_own_next() -> None:
    at = office(replace(BOB, fwd_noanswer=Target("extension", "ext_1003")))
    found = place(at, TO_BOB, TO_CARL)
    after = then(at, found, "no_answer")
    assert rings(after) == ["dev_c1"]
    assert (at.ledger.used("us_b"), at.ledger.used("us_c")) == (0, 1)
    assert isinstance(after, Fork)
    assert len(after.plans) == 1


def test_a_redirection_of_one_phone_of_many_is_busy() -> None:
    at = office()
    assert code(then(at, place(at, TO_BOB, TO_CARL), f"redirected:sip:1002@{DOMAIN}")) == 486
    assert rings(then(at, place(at, TO_BOB), f"redirected:sip:1003@{DOMAIN}")) == ["dev_c1"]


def test_nothing_follows_when_the_time_is_over() -> None:
    at = office(replace(BOB, fwd_noanswer=TO_CARL))
    found = place(at, TO_BOB)
    assert code(then(at, found, "no_answer", timeout=0)) == 480
    assert rings(then(at, found, "no_answer", timeout=1)) == ["dev_c1"]


def test_a_trace_tells_why() -> None:
    at = office()
    at.trace = []
    context: Context = at.context("leg_1")
    ring_targets(context, PLAN, [Target("voicemail", "vm_1")], 20)
    assert at.trace[-1] == {"step": "media", "kind": "voicemail", "result": "not for a leg of the media engine"}
