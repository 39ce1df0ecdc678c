"""Ring groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tandem.domain.callerid import Caller
from tandem.domain.hours import Schedule
from tandem.domain.routing import (
    Attached,
    Branch,
    Context,
    Decision,
    Device,
    Extension,
    Frame,
    Member,
    Plan,
    Reject,
    Ring,
    RingGroup,
    Target,
    User,
    after,
    dial,
)
from tests.support.exchange import DOMAIN, NODE, Exchange

ALICE = User("us_a", "1001", "Alice", None, 25, dnd=False, active=True)
CALLER = Caller("1001", "Alice", DOMAIN, "us_a")
EXIT = Target("user", "us_x")


def user(name: str) -> User:
    return User(f"us_{name}", name, name, None, 25, dnd=False, active=True)


def device(name: str, **changes: Any) -> Device:
    return Device(f"dev_{name}", DOMAIN, is_webrtc=False, node_id=NODE, **changes)


def member(name: str, delay: int = 0, timeout: int | None = None, owner: User | None = None) -> Member:
    return Member(f"rgm_{name}", owner or user(name), (device(name),), delay, timeout)


def exchange(strategy: str, *members: Member, exit_to: Target | None = None, timeout: int = 30) -> Exchange:
    group = RingGroup("rg_1", "Sales", strategy, timeout, Attached(None), exit_to)
    return Exchange(
        users={one.user.user_id: one.user for one in members} | {"us_a": ALICE, "us_x": user("x")},
        extensions={"60": Extension("ext_60", "60", Attached(Target("ring_group", "rg_1")))},
        groups={"rg_1": (group, list(members))},
        devices={"us_x": [device("x")]},
    )


def call(at: Exchange, call_id: str = "call_1") -> Decision:
    return dial(at.context(call_id), CALLER, ALICE, f"sip:60@{DOMAIN}")


def rung(decision: Decision) -> list[tuple[str, int, int]]:
    """(device, delay, time-out) of each branch."""
    assert isinstance(decision, Ring), decision
    return [(one.device.device_id, one.delay_sec, one.timeout_sec) for one in decision.branches]


def names(decision: Decision) -> list[str]:
    return [name for name, _, _ in rung(decision)]


def then(at: Exchange, decision: Decision, outcome: str = "no_answer", context: Context | None = None) -> Decision:
    assert isinstance(decision, Ring)
    return after(context or at.context(), decision.plan, outcome)


def code(decision: Decision) -> int:
    assert isinstance(decision, Reject), decision
    return decision.code


def test_all_ring_at_once_each_for_his_own_time() -> None:
    at = exchange("ring_all", member("b"), member("c", timeout=10), member("d", timeout=99), member("e", delay=5))
    context = at.context()
    decision = dial(context, CALLER, ALICE, f"sip:60@{DOMAIN}")
    assert rung(decision) == [("dev_b", 0, 30), ("dev_c", 0, 10), ("dev_d", 0, 30), ("dev_e", 5, 25)]
    assert isinstance(decision, Ring)
    assert (decision.users, decision.serial) == (("us_b", "us_c", "us_d", "us_e"), False)
    assert context.ring_group_id == "rg_1"
    assert [at.ledger.used(f"us_{name}") for name in "bcde"] == [1, 1, 1, 1]


def test_who_would_join_after_the_end_does_not() -> None:
    assert names(call(exchange("ring_all", member("b"), member("c", delay=30)))) == ["dev_b"]


def test_the_first_delay_is_no_delay() -> None:
    gone = replace(member("b"), devices=())
    assert rung(call(exchange("ring_all", gone, member("c", delay=10), member("d", delay=15)))) == [
        ("dev_c", 0, 20),
        ("dev_d", 5, 15),
    ]


def test_a_device_that_is_in_twice_rings_from_its_earliest_begin() -> None:
    own = user("b")
    twice = (
        Member("rgm_1", own, (device("b"), device("b2")), 10),
        Member("rgm_2", own, (device("b"),), 0),
    )
    at = exchange("ring_all", *twice)
    assert rung(call(at)) == [("dev_b", 0, 30), ("dev_b2", 10, 20)]
    assert at.ledger.used("us_b") == 1


@pytest.mark.parametrize("strategy", ["ring_all", "sequential", "round_robin"])
@pytest.mark.parametrize(
    "unfit",
    [
        member("b", owner=replace(user("b"), dnd=True)),
        member("b", owner=replace(user("b"), active=False)),
        member("b", owner=replace(user("b"), max_simultaneous=0)),
        member("b", owner=replace(user("b"), ring_strategy="specific")),
        replace(member("b"), devices=()),
        replace(member("b"), devices=(replace(device("b"), node_id="node_unknown"),)),
    ],
)
def test_a_member_who_cannot_take_it_is_skipped(strategy: str, unfit: Member) -> None:
    at = exchange(strategy, unfit, member("c"))
    assert names(call(at)) == ["dev_c"]
    assert at.ledger.used("us_b") == 0


def test_a_member_s_own_forward_is_not_followed() -> None:
    own = replace(user("b"), fwd_always=EXIT, fwd_noanswer=EXIT)
    at = exchange("ring_all", member("b", owner=own))
    decision = call(at)
    assert names(decision) == ["dev_b"]
    assert code(then(at, decision)) == 480


@pytest.mark.parametrize("strategy", ["ring_all", "sequential", "round_robin"])
@pytest.mark.parametrize("members", [(), (replace(member("b"), devices=()),)])
def test_nobody_to_ring_is_the_exit(strategy: str, members: tuple[Member, ...]) -> None:
    assert code(call(exchange(strategy, *members))) == 480
    assert names(call(exchange(strategy, *members, exit_to=EXIT))) == ["dev_x"]


@pytest.mark.parametrize(
    ("outcome", "last"),
    [("no_answer", 480), ("unreachable", 480), ("busy", 486), ("declined", 603), ("redirected:sip:1@x", 486)],
)
def test_nobody_took_it(outcome: str, last: int) -> None:
    at = exchange("ring_all", member("b"), member("c"))
    assert code(then(at, call(at), outcome)) == last
    at = exchange("ring_all", member("b"), member("c"), exit_to=EXIT)
    decision = then(at, call(at), outcome)
    assert names(decision) == ["dev_x"]
    assert isinstance(decision, Ring)
    assert (decision.plan.hops, decision.plan.diversions, decision.plan.frame) == (1, (), Frame("user", "us_x"))
    assert [at.ledger.used(f"us_{name}") for name in "bcx"] == [0, 0, 1]


def test_a_caller_who_leaves_reaches_no_exit() -> None:
    at = exchange("ring_all", member("b"), exit_to=EXIT)
    assert code(then(at, call(at), "cancelled")) == 487


def test_one_after_the_other() -> None:
    at = exchange("sequential", member("b", timeout=7), member("c"), member("d"), exit_to=EXIT)
    first = call(at)
    assert rung(first) == [("dev_b", 0, 7)]
    assert [at.ledger.used(f"us_{name}") for name in "bcd"] == [1, 0, 0]
    second = then(at, first, "busy")
    assert rung(second) == [("dev_c", 0, 30)]
    assert [at.ledger.used(f"us_{name}") for name in "bcd"] == [0, 1, 0]
    third = then(at, second, "declined")
    assert names(third) == ["dev_d"]
    assert names(then(at, third)) == ["dev_x"]


def test_a_sequence_goes_on_with_those_who_are_still_members() -> None:
    at = exchange("sequential", member("b"), member("c"), member("d"))
    first = call(at)
    group, members = at.groups["rg_1"]
    at.groups["rg_1"] = (group, [members[0], members[2]])
    second = then(at, first)
    assert names(second) == ["dev_d"]
    at.groups.clear()
    assert code(then(at, second, "busy")) == 486


def test_turns_begin_one_further_each_time() -> None:
    at = exchange("round_robin", member("b"), member("c"), member("d"))
    starts = [call(at, f"call_{number}") for number in range(4)]
    assert [names(one) for one in starts] == [["dev_b"], ["dev_c"], ["dev_d"], ["dev_b"]]
    around = [starts[1]]
    for _ in range(2):
        around.append(then(at, around[-1], context=at.context("call_1")))
    assert [names(one) for one in around] == [["dev_c"], ["dev_d"], ["dev_b"]]
    assert code(then(at, around[-1], context=at.context("call_1"))) == 480


def test_a_user_s_devices_ring_together_in_his_turn() -> None:
    both = replace(member("b"), devices=(device("b"), device("b2")))
    decision = call(exchange("sequential", both, member("c")))
    assert isinstance(decision, Ring)
    assert names(decision) == ["dev_b", "dev_b2"]
    assert decision.users == ("us_b",)


def test_only_the_devices_of_choice_ring_for_a_member() -> None:
    own = replace(user("b"), ring_strategy="specific")
    chosen = Member("rgm_b", own, (device("b"), device("b2", ring_specific=True)))
    assert names(call(exchange("ring_all", chosen))) == ["dev_b2"]


def test_groups_that_exit_to_each_other_end() -> None:
    at = exchange("ring_all", exit_to=Target("ring_group", "rg_2"))
    other = RingGroup("rg_2", "Other", "sequential", 30, Attached(None), Target("ring_group", "rg_1"))
    at.groups["rg_2"] = (other, [])
    assert code(call(at)) == 482


def test_a_group_that_is_gone() -> None:
    at = exchange("ring_all")
    at.groups.clear()
    assert code(call(at)) == 480


def test_a_closed_group_does_not_ring() -> None:
    at = exchange("ring_all", member("b"))
    group, members = at.groups["rg_1"]
    at.schedules["sch_1"] = Schedule("sch_1", None, ())
    at.groups["rg_1"] = (replace(group, attached=Attached(None, "sch_1")), members)
    assert code(call(at)) == 480
    at.groups["rg_1"] = (replace(group, attached=Attached(None, "sch_1", EXIT)), members)
    assert names(call(at)) == ["dev_x"]
    at.groups["rg_1"] = (replace(group, attached=Attached(None, "sch_gone", EXIT)), members)
    assert names(call(at)) == ["dev_b"]


def test_a_plan_names_the_group_and_who_is_next() -> None:
    decision = call(exchange("sequential", member("b"), member("c")))
    assert isinstance(decision, Ring)
    assert decision.plan == Plan(CALLER, frame=Frame("ring_group", "rg_1", ("rgm_c",)))
    assert decision.branches == (Branch(device("b"), 30),)
