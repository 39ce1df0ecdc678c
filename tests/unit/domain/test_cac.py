"""Admission: all or nothing, and nothing twice."""

from __future__ import annotations

import pytest

from tandem.domain.cac import Dimension, Leg, Refusal, Want, admit, readmit
from tests.support.ledger import Ledger

USER = Dimension.USER_SIMULTANEOUS


def want(subject: str, limit: int | None, leg: Leg = Leg.CALLER) -> Want:
    return Want(leg, USER, subject, limit)


def test_room_is_taken_up_to_the_limit() -> None:
    ledger = Ledger()
    assert admit(ledger, "call_1", [want("us_1", 2)]) is None
    assert admit(ledger, "call_2", [want("us_1", 2)]) is None
    assert admit(ledger, "call_3", [want("us_1", 2)]) == Refusal(USER, "us_1", 2, 2)
    assert ledger.used("us_1") == 2


def test_a_refusal_takes_nothing_at_all() -> None:
    ledger = Ledger()
    admit(ledger, "call_1", [want("us_2", 1)])
    assert admit(ledger, "call_2", [want("us_1", 5), want("us_2", 1, Leg.CALLEE)]) == Refusal(USER, "us_2", 1, 1)
    assert ledger.used("us_1") == 0


@pytest.mark.parametrize("limit", [None, 1, 0])
def test_what_a_call_holds_is_not_taken_twice(limit: int | None) -> None:
    ledger = Ledger()
    readmit(ledger, "call_1", [want("us_1", limit)])
    refused = admit(ledger, "call_1", [want("us_1", limit)])
    assert (refused is None) is (limit != 0)
    assert ledger.used("us_1") == 1


def test_both_legs_of_one_call_count_for_a_user_who_calls_himself() -> None:
    ledger = Ledger()
    assert admit(ledger, "call_1", [want("us_1", 1)]) is None
    assert admit(ledger, "call_1", [want("us_1", 1, Leg.CALLEE)]) == Refusal(USER, "us_1", 1, 1)
    assert admit(ledger, "call_1", [want("us_1", 2, Leg.CALLEE)]) is None
    ledger.release("call_1", Leg.CALLEE)
    assert ledger.used("us_1") == 1
    ledger.release("call_1")
    ledger.release("call_1")
    assert ledger.used("us_1") == 0


def test_no_limit_is_no_limit() -> None:
    ledger = Ledger()
    for number in range(100):
        assert admit(ledger, f"call_{number}", [want("us_1", None)]) is None


def test_readmission_goes_over_a_limit() -> None:
    ledger = Ledger()
    readmit(ledger, "call_1", [want("us_1", 1)])
    readmit(ledger, "call_2", [want("us_1", 1)])
    assert ledger.used("us_1") == 2
    assert admit(ledger, "call_3", [want("us_1", 1)]) == Refusal(USER, "us_1", 2, 1)
