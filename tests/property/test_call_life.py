"""A call under any order of any events."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.domain.calls import (
    Answered,
    Call,
    Disposition,
    Ended,
    Event,
    Listed,
    Lost,
    Progressed,
    Refused,
    State,
    recheck,
    renew,
    step,
)

T0 = 1_000_000
RINGING = Call("call_1", "s", "t", "1", "node_1", "local", "1001", "1002", T0, T0 + 90_000)
AT = st.integers(T0 - 5_000, T0 + 600_000)
SEQ = st.integers(0, 6)
CAUSE = st.sampled_from([None, "200", "486", "487", "408", "503", "media_timeout"])
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Progressed, AT, SEQ),
    st.builds(Answered, AT, SEQ),
    st.builds(Ended, AT, SEQ, CAUSE),
    st.builds(Refused, AT, st.sampled_from(Disposition), st.just("480")),
    st.builds(Listed, AT, st.booleans()),
    st.builds(Lost, AT, st.sampled_from(["node_lost", "not_on_node"])),
)


@settings(max_examples=1_500, deadline=None)
@given(st.lists(EVENTS, max_size=25))
def test_a_call_is_always_in_one_sane_state(events: list[Event]) -> None:
    call = RINGING
    for event in events:
        after = step(call, event)
        assert step(call, event) == after
        assert after.row_version - call.row_version in (0, 1)
        record = (after.state, after.answer_ts, after.end_ts, after.disposition, after.hangup_cause)
        if after.row_version == call.row_version:
            assert record == (call.state, call.answer_ts, call.end_ts, call.disposition, call.hangup_cause)
        if call.state is State.ENDED and not call.lost:
            assert after.state is State.ENDED, "a real end is final"
            assert after.end_ts == call.end_ts
        assert after.last_seq >= call.last_seq
        assert (after.state is State.ENDED) == (after.end_ts is not None) == (after.disposition is not None)
        assert after.state is State.ENDED or not after.lost
        assert (after.state is State.ANSWERED) <= (after.answer_ts is not None)
        assert (after.state is State.RINGING) <= (after.answer_ts is None)
        if after.end_ts is not None:
            assert after.billsec is not None
            assert after.duration_sec is not None
            assert after.billsec >= 0
            assert after.duration_sec >= 0
        assert call.answer_ts is None or after.answer_ts == call.answer_ts, "an answer is charged once, from then on"
        call = after


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, max_size=15), AT)
def test_leases_move_no_record(events: list[Event], now: int) -> None:
    call = RINGING
    for event in events:
        call = step(call, event)
    for leased in (renew(call, now), recheck(call, now)):
        assert replace(leased, lease_until=call.lease_until) == call
    assert renew(call, now).lease_until >= call.lease_until
