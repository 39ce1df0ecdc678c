"""Admission: all or nothing, and nothing twice; what each kind of call holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tandem.domain.cac import (
    Admitted,
    Ask,
    Dimension,
    Leg,
    Refusal,
    Want,
    Window,
    admit,
    asks_of,
    ceiling,
    readmit,
    reason_header,
    sip_code,
    wants_of,
)
from tandem.domain.calls import Call, Direction
from tests.support.ledger import Ledger

USER = Dimension.USER_SIMULTANEOUS
T0 = 1_000_000
OK = Admitted()


def want(subject: str, limit: int | None, leg: Leg = Leg.CALLER) -> Want:
    return Want(leg, USER, subject, limit)


def window(max_count: int, *, limit_id: str = "lim_1", hard: bool = True, period_sec: int = 60) -> Window:
    return Window(limit_id, "acc_1", period_sec, max_count, hard)


def test_room_is_taken_up_to_the_limit() -> None:
    ledger = Ledger()
    assert admit(ledger, "call_1", [want("us_1", 2)], now=T0) == OK
    assert admit(ledger, "call_2", [want("us_1", 2)], now=T0) == OK
    assert admit(ledger, "call_3", [want("us_1", 2)], now=T0) == Refusal(USER, "us_1", 2, 2)
    assert ledger.used("us_1") == 2


def test_a_refusal_takes_nothing_at_all() -> None:
    ledger = Ledger()
    admit(ledger, "call_1", [want("us_2", 1)], now=T0)
    wants = [want("us_1", 5), want("us_2", 1, Leg.CALLEE)]
    assert admit(ledger, "call_2", wants, [window(5)], now=T0) == Refusal(USER, "us_2", 1, 1)
    assert ledger.used("us_1") == 0
    assert ledger.windows == {}


@pytest.mark.parametrize("limit", [None, 1, 0])
def test_what_a_call_holds_is_not_taken_twice(limit: int | None) -> None:
    ledger = Ledger()
    readmit(ledger, "call_1", [want("us_1", limit)])
    refused = admit(ledger, "call_1", [want("us_1", limit)], now=T0)
    assert (refused == OK) is (limit != 0)
    assert ledger.used("us_1") == 1


def test_both_legs_of_one_call_count_for_a_user_who_calls_himself() -> None:
    ledger = Ledger()
    assert admit(ledger, "call_1", [want("us_1", 1)], now=T0) == OK
    assert admit(ledger, "call_1", [want("us_1", 1, Leg.CALLEE)], now=T0) == Refusal(USER, "us_1", 1, 1)
    assert admit(ledger, "call_1", [want("us_1", 2, Leg.CALLEE)], now=T0) == OK
    ledger.release("call_1", Leg.CALLEE)
    assert ledger.used("us_1") == 1
    ledger.release("call_1")
    ledger.release("call_1")
    assert ledger.used("us_1") == 0


def test_the_losers_of_a_fork_are_released() -> None:
    ledger = Ledger()
    wants = [want("us_0", None), *(want(f"us_{number}", 1, Leg.CALLEE) for number in (1, 2, 3))]
    assert admit(ledger, "call_1", wants, now=T0) == OK
    ledger.release("call_1", Leg.CALLEE, keep="us_2")
    assert [ledger.used(f"us_{number}") for number in range(4)] == [1, 0, 1, 0]


def test_no_limit_is_no_limit() -> None:
    ledger = Ledger()
    for number in range(100):
        assert admit(ledger, f"call_{number}", [want("us_1", None)], now=T0) == OK


def test_readmission_goes_over_a_limit() -> None:
    ledger = Ledger()
    readmit(ledger, "call_1", [want("us_1", 1)])
    readmit(ledger, "call_2", [want("us_1", 1)])
    assert ledger.used("us_1") == 2
    assert admit(ledger, "call_3", [want("us_1", 1)], now=T0) == Refusal(USER, "us_1", 2, 1)


def test_a_window_has_room_again_when_its_oldest_leaves() -> None:
    ledger = Ledger()
    for number, at in enumerate((T0, T0 + 10_000)):
        assert admit(ledger, f"call_{number}", [], [window(2)], now=at) == OK
    full = Refusal(Dimension.CALL_LIMIT, "lim_1", 2, 2, 45)
    assert admit(ledger, "call_2", [want("us_1", None)], [window(2)], now=T0 + 15_000) == full
    assert admit(ledger, "call_2", [], [window(2)], now=T0 + 59_999) == replace(full, retry_after_sec=1)
    assert ledger.used("us_1") == 0
    assert admit(ledger, "call_2", [], [window(2)], now=T0 + 60_000) == OK
    assert admit(ledger, "call_3", [], [window(2)], now=T0 + 60_000) == replace(full, retry_after_sec=10)


def test_a_call_enters_a_window_once() -> None:
    ledger = Ledger()
    for at in (T0, T0 + 1, T0 + 90_000):
        assert admit(ledger, "call_1", [], [window(1)], now=at) == OK
    assert ledger.windows == {("lim_1", "acc_1"): {"call_1": T0}}


def test_a_window_for_nobody() -> None:
    assert admit(Ledger(), "call_1", [], [window(0)], now=T0) == Refusal(Dimension.CALL_LIMIT, "lim_1", 0, 0, 60)


def test_a_soft_window_only_warns_and_still_counts() -> None:
    ledger = Ledger()
    soft = [window(1, hard=False), window(9, limit_id="lim_2", hard=False)]
    assert admit(ledger, "call_1", [], soft, now=T0) == OK
    assert admit(ledger, "call_2", [], soft, now=T0 + 1) == Admitted(("lim_1",))
    assert admit(ledger, "call_2", [], soft, now=T0 + 2) == OK
    assert list(ledger.windows["lim_1", "acc_1"]) == ["call_1", "call_2"]


def test_a_soft_window_does_not_count_a_call_that_a_hard_one_refuses() -> None:
    ledger = Ledger()
    both = [window(0, hard=False), window(0, limit_id="lim_2")]
    assert isinstance(admit(ledger, "call_1", [], both, now=T0), Refusal)
    assert ledger.windows == {}


CALL = Call(
    "call_1", "s", "t", "1", "node_1", "local", "1001", "1002", T0, T0, user_id="us_1", ringing=("us_2", "us_3")
)
CALLEES = [
    (Leg.CALLEE, USER, "us_2"),
    (Leg.CALLEE, USER, "us_3"),
]


@pytest.mark.parametrize(
    ("call", "counts_trunk", "held"),
    [
        (CALL, False, [(Leg.CALLER, USER, "us_1"), *CALLEES]),
        (replace(CALL, user_id=None, ringing=()), False, []),
        (
            replace(CALL, direction=Direction.INBOUND, did_id="did_1", trunk_id="tr_1"),
            True,
            [
                (Leg.CALLER, Dimension.ACCOUNT_IN, "acc_1"),
                (Leg.CALLER, Dimension.DID_CHANNELS, "did_1"),
                (Leg.CALLER, Dimension.TRUNK_CHANNELS, "tr_1"),
                *CALLEES,
            ],
        ),
        (
            replace(CALL, direction=Direction.INBOUND, trunk_id="tr_1"),
            False,
            [(Leg.CALLER, Dimension.ACCOUNT_IN, "acc_1"), *CALLEES],
        ),
        (
            replace(CALL, direction=Direction.OUTBOUND, trunk_id="tr_1", ringing=()),
            True,
            [
                (Leg.CALLER, Dimension.ACCOUNT_OUT, "acc_1"),
                (Leg.CALLER, USER, "us_1"),
                (Leg.CALLEE, Dimension.TRUNK_CHANNELS, "tr_1"),
            ],
        ),
        (
            replace(CALL, direction=Direction.OUTBOUND, user_id=None, ringing=()),
            True,
            [(Leg.CALLER, Dimension.ACCOUNT_OUT, "acc_1")],
        ),
    ],
)
def test_what_a_live_call_holds(call: Call, counts_trunk: bool, held: list[tuple[Leg, Dimension, str]]) -> None:
    wants = wants_of("acc_1", call, counts_trunk=counts_trunk)
    assert wants == [Want(*one) for one in held]


@dataclass(frozen=True)
class Reseller:
    account_id: str
    max_in: int | None = None
    max_out: int | None = None
    max_dialer: int | None = None


def test_ancestors_with_a_ceiling_are_asked() -> None:
    ancestors = [Reseller("acc_a", max_in=3, max_dialer=9), Reseller("acc_b", max_out=0), Reseller("acc_c", max_in=5)]
    wants = wants_of("acc_1", replace(CALL, direction=Direction.INBOUND))
    assert asks_of(ancestors, "call_1", wants) == (
        Ask("call_1", "acc_a", Dimension.ACCOUNT_IN, 1),
        Ask("call_1", "acc_c", Dimension.ACCOUNT_IN, 1),
    )
    assert asks_of(ancestors, "call_1", wants_of("acc_1", CALL)) == ()


@pytest.mark.parametrize(
    ("dimension", "limit"),
    [
        (Dimension.ACCOUNT_IN, 1),
        (Dimension.ACCOUNT_OUT, 2),
        (Dimension.ACCOUNT_DIALER, 3),
        (Dimension.TRUNK_CHANNELS, None),
    ],
)
def test_ceilings(dimension: Dimension, limit: int | None) -> None:
    assert ceiling(Reseller("acc_a", 1, 2, 3), dimension) == limit


def test_what_the_caller_is_told() -> None:
    assert (sip_code(USER), reason_header(USER)) == (486, 'Reason: Q.850;cause=17;text="user_simultaneous"')
    other = Dimension.CALL_LIMIT
    assert (sip_code(other), reason_header(other)) == (503, 'Reason: Q.850;cause=42;text="call_limit"')
