"""A call under any order of any events."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

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
    told_of_media,
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


# How long the media engine had a call's media, and how long it did not before it took it again.
SPANS = st.lists(st.tuples(st.integers(1, 60_000), st.integers(1, 60_000)), min_size=1, max_size=5)


class Told(NamedTuple):
    at: int
    total: int
    held: bool


@settings(max_examples=500, deadline=None)
@given(SPANS, st.data())
def test_the_media_engine_s_time_is_what_it_had_the_media(spans: list[tuple[int, int]], data: st.DataObject) -> None:
    """Whatever the order of the reports, also twice, of which the last ones are lost with who would have told them;
    whether the call was taken for gone in between or not."""
    reports, at, total = [], T0, 0
    for held, away in spans:
        reports += [Told(at, total, True), Told(at + held, total + held, False)]
        at, total = at + held + away, total + held
    kept = reports[: data.draw(st.integers(1, len(reports)))]
    suspected = Lost(at, "node_lost")
    events: list[Told | Lost] = [*kept, *data.draw(st.lists(st.sampled_from(kept))), suspected]
    call = replace(RINGING, media_app_ms=0)
    for event in data.draw(st.permutations(events)):
        if isinstance(event, Told):
            call = told_of_media(call, event.at, event.total, held=event.held)
        else:
            call = step(step(call, event), Listed(at, True))
    last, end = kept[-1], Ended(at + 5_000, 3, "200")
    assert call.media_app_total_ms == last.total
    assert step(call, end).media_app_total_ms == last.total + (end.at - last.at if last.held else 0)
    assert told_of_media(step(call, end), at, total, held=False).media_app_total_ms == total, "nothing counts twice"
