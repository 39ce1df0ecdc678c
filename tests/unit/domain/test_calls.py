"""A call's life, state by state and event by event."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from tandem.domain.calls import (
    ANSWERED_LEASE_MS,
    RECHECK_MS,
    UNANSWERED_LEASE_MS,
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
    answered_by,
    connected_to,
    disposition_of,
    recheck,
    renew,
    step,
    told_of_media,
)

T0 = 1_000_000
RINGING = Call(
    call_id="call_1",
    sip_call_id="s",
    from_tag="t",
    cseq="1",
    node_id="node_1",
    region="local",
    from_num="1001",
    to_num="1002",
    start_ts=T0,
    lease_until=T0 + UNANSWERED_LEASE_MS,
)
ANSWERED = step(RINGING, Answered(T0 + 4_000, 1))
ENDED = step(ANSWERED, Ended(T0 + 10_001, 2, "200", "caller", 4.2))
ABANDONED = step(RINGING, Ended(T0 + 3_000, 1, "487"))
REJECTED = step(RINGING, Refused(T0, Disposition.REJECTED, "404"))
LOST_RINGING = step(RINGING, Lost(T0 + 9_000, "node_lost"))
LOST_ANSWERED = step(ANSWERED, Lost(T0 + 9_000, "node_lost"))
ALL = (RINGING, ANSWERED, ENDED, ABANDONED, REJECTED, LOST_RINGING, LOST_ANSWERED)


@pytest.mark.parametrize(
    ("call", "state", "disposition", "duration", "billsec", "lost"),
    [
        (RINGING, State.RINGING, None, None, None, False),
        (ANSWERED, State.ANSWERED, None, None, None, False),
        (ENDED, State.ENDED, Disposition.ANSWERED, 11, 7, False),
        (ABANDONED, State.ENDED, Disposition.ABANDONED, 3, 0, False),
        (REJECTED, State.ENDED, Disposition.REJECTED, 0, 0, False),
        (LOST_RINGING, State.ENDED, Disposition.FAILED, 9, 0, True),
        (LOST_ANSWERED, State.ENDED, Disposition.ANSWERED, 9, 5, True),
    ],
)
def test_where_each_way_leads(
    call: Call, state: State, disposition: Disposition | None, duration: int | None, billsec: int | None, lost: bool
) -> None:
    assert (call.state, call.disposition, call.lost) == (state, disposition, lost)
    assert (call.duration_sec, call.billsec) == (duration, billsec)


def test_an_end_keeps_what_was_reported() -> None:
    assert (ENDED.hangup_cause, ENDED.hangup_by, ENDED.mos, ENDED.last_seq) == ("200", "caller", 4.2, 2)


def test_a_refusal_names_its_dimension() -> None:
    call = step(RINGING, Refused(T0, Disposition.REJECTED, "486", "user_simultaneous"))
    assert (call.cac_refused_by, call.hangup_by, call.hangup_cause) == ("user_simultaneous", "platform", "486")


@pytest.mark.parametrize(
    ("call", "event"),
    [
        *((call, Progressed(T0, 9)) for call in ALL if call is not RINGING),
        (replace(RINGING, last_seq=3), Progressed(T0, 3)),
        *((call, Answered(T0 + 99_000, 9)) for call in (ANSWERED, ENDED, LOST_ANSWERED, REJECTED)),
        *((call, Ended(T0 + 99_000, 9)) for call in (ENDED, ABANDONED, REJECTED)),
        *((call, Refused(T0, Disposition.BUSY, "486")) for call in ALL if call is not RINGING),
        *((call, Lost(T0 + 99_000, "node_lost")) for call in ALL if call.state is State.ENDED),
        *((call, Listed(T0 + 99_000, True)) for call in (ENDED, ABANDONED, REJECTED)),
    ],
)
def test_events_that_come_too_late_change_nothing(call: Call, event: Event) -> None:
    assert step(call, event) is call


def test_progress_leaves_the_record_alone() -> None:
    call = step(RINGING, Progressed(T0 + 1_000, 0))
    assert replace(call, lease_until=RINGING.lease_until) == replace(RINGING, last_seq=0)
    assert call.lease_until >= RINGING.lease_until


def test_an_answer_renews_the_lease() -> None:
    assert ANSWERED.lease_until == T0 + 4_000 + ANSWERED_LEASE_MS
    assert ANSWERED.row_version == RINGING.row_version + 1


@pytest.mark.parametrize(("at", "answer_ts"), [(T0 + 2_000, T0 + 2_000), (T0 + 5_000, T0 + 3_000)])
def test_an_answer_that_was_overtaken_by_the_end_is_recorded(at: int, answer_ts: int) -> None:
    call = step(ABANDONED, Answered(at, 0))
    assert (call.state, call.disposition, call.answer_ts) == (State.ENDED, Disposition.ANSWERED, answer_ts)
    assert call.last_seq == 1


def test_a_late_answer_tolerates_an_end_without_a_time() -> None:
    call = step(replace(ABANDONED, end_ts=None), Answered(T0 + 2_000, 0))
    assert call.answer_ts == T0 + 2_000


@pytest.mark.parametrize("call", [LOST_RINGING, LOST_ANSWERED])
def test_a_report_corrects_a_suspected_end(call: Call) -> None:
    after = step(call, Ended(T0 + 20_000, 5, "200", "callee"))
    assert (after.lost, after.end_ts, after.hangup_cause) == (False, T0 + 20_000, "200")
    assert after.row_version == call.row_version + 1


def test_an_end_never_precedes_the_answer() -> None:
    assert step(ANSWERED, Ended(T0, 2)).end_ts == ANSWERED.answer_ts
    assert step(ANSWERED, Lost(T0, "node_lost")).end_ts == ANSWERED.answer_ts
    assert step(RINGING, Ended(T0 - 5, 2)).end_ts == T0


@pytest.mark.parametrize(
    ("call", "answered", "state", "answer_ts"),
    [
        (LOST_RINGING, False, State.RINGING, None),
        (LOST_RINGING, True, State.ANSWERED, T0 + 30_000),
        (LOST_ANSWERED, True, State.ANSWERED, ANSWERED.answer_ts),
        (LOST_ANSWERED, False, State.ANSWERED, ANSWERED.answer_ts),
    ],
)
def test_a_lost_call_that_is_listed_goes_on(call: Call, answered: bool, state: State, answer_ts: int | None) -> None:
    after = step(call, Listed(T0 + 30_000, answered))
    assert (after.state, after.answer_ts, after.lost) == (state, answer_ts, False)
    assert (after.end_ts, after.disposition, after.hangup_cause, after.hangup_by) == (None, None, None, None)
    assert after.lease_until == T0 + 30_000 + ANSWERED_LEASE_MS
    assert after.row_version == call.row_version + 1


@pytest.mark.parametrize(
    ("call", "answered", "lease", "version"),
    [
        (RINGING, False, UNANSWERED_LEASE_MS, 0),
        (RINGING, True, ANSWERED_LEASE_MS, 1),
        (ANSWERED, True, ANSWERED_LEASE_MS, 0),
    ],
)
def test_a_listed_call_gets_a_fresh_lease(call: Call, answered: bool, lease: int, version: int) -> None:
    after = step(call, Listed(T0 + 50_000, answered))
    assert after.lease_until == T0 + 50_000 + lease
    assert after.listed_at == T0 + 50_000
    assert after.row_version == call.row_version + version
    assert (after.state is State.ANSWERED) is (answered or call.state is State.ANSWERED)


def test_an_older_list_takes_nothing_back() -> None:
    call = step(RINGING, Listed(T0 + 50_000, False))
    assert step(call, Listed(T0 + 1_000, False)) == call


def test_leases() -> None:
    assert renew(RINGING, T0 - 1).lease_until == RINGING.lease_until
    assert renew(ANSWERED, T0 + 60_000).lease_until == T0 + 60_000 + ANSWERED_LEASE_MS
    assert recheck(ANSWERED, T0 + 60_000).lease_until == T0 + 60_000 + RECHECK_MS


@pytest.mark.parametrize(
    ("cause", "disposition"),
    [
        ("486", Disposition.BUSY),
        ("600", Disposition.BUSY),
        ("603", Disposition.BUSY),
        ("408", Disposition.NO_ANSWER),
        ("480", Disposition.NO_ANSWER),
        ("487", Disposition.ABANDONED),
        ("503", Disposition.FAILED),
        ("media_timeout", Disposition.FAILED),
        (None, Disposition.FAILED),
    ],
)
def test_disposition_of(cause: str | None, disposition: Disposition) -> None:
    assert disposition_of(cause) is disposition


REPORTS: tuple[Event, ...] = (
    Progressed(T0 + 500, 0),
    Progressed(T0 + 1_000, 1),
    Answered(T0 + 2_000, 2),
    Ended(T0 + 9_000, 3, "200", "callee"),
    Ended(T0 + 9_000, 3, "200", "callee"),
)


def test_every_order_of_one_call_s_reports_ends_in_the_same_record() -> None:
    records = set()
    for order in itertools.permutations(REPORTS):
        call = RINGING
        for event in order:
            after = step(call, event)
            assert after.row_version >= call.row_version
            call = after
        records.add((call.state, call.answer_ts, call.end_ts, call.disposition, call.hangup_cause, call.billsec))
    assert records == {(State.ENDED, T0 + 2_000, T0 + 9_000, Disposition.ANSWERED, "200", 7)}


def test_who_took_the_call_is_the_only_one_left() -> None:
    rung = replace(RINGING, ringing=("us_1", "us_2", "us_3"))
    taken = answered_by(rung, "us_2")
    assert (taken.callee_user_id, taken.ringing) == ("us_2", ("us_2",))
    assert taken.row_version == rung.row_version + 1


def test_who_answered_a_leg_of_the_call_is_in_its_record() -> None:
    connected = connected_to(RINGING, "us_2")
    assert (connected.callee_user_id, connected.ringing) == ("us_2", RINGING.ringing)
    assert connected.row_version == RINGING.row_version + 1
    assert connected_to(connected, "us_2") is connected


def test_the_engine_s_time_only_grows() -> None:
    none = told_of_media(RINGING, T0, 0, held=False)
    assert (none.media_app_ms, none.row_version) == (0, RINGING.row_version + 1)
    more = told_of_media(none, T0 + 5_000, 4_000, held=False)
    assert (more.media_app_ms, more.row_version) == (4_000, none.row_version + 1)
    for overtaken in (0, 3_999, 4_000):
        assert told_of_media(more, T0 + 5_000, overtaken, held=False) is more
    assert told_of_media(more, T0 + 1_000, 0, held=True) is more


def test_media_that_nobody_let_go_of_was_held_until_the_end() -> None:
    held = told_of_media(ANSWERED, T0 + 2_000, 0, held=True)
    assert (held.media_app_since, held.media_app_total_ms) == (T0 + 2_000, 0)
    assert told_of_media(held, T0 + 2_500, 0, held=True) is held
    for end in (Ended(T0 + 9_000, 3, "engine_lost"), Lost(T0 + 9_000, "node_lost")):
        assert step(held, end).media_app_total_ms == 7_000
    told = told_of_media(step(held, Ended(T0 + 9_000, 3, "200")), T0 + 9_001, 6_990, held=False)
    assert (told.media_app_total_ms, told.media_app_since) == (6_990, None), "the sum itself is better"


def test_media_that_was_let_go_of_costs_no_more() -> None:
    held = told_of_media(ANSWERED, T0 + 2_000, 0, held=True)
    released = told_of_media(held, T0 + 3_000, 1_000, held=False)
    assert step(released, Ended(T0 + 9_000, 3, "200")).media_app_total_ms == 1_000
    again = told_of_media(released, T0 + 5_000, 1_000, held=True)
    assert told_of_media(again, T0 + 3_000, 1_000, held=False) is again, "overtaken"
    assert step(again, Ended(T0 + 9_000, 3, "200")).media_app_total_ms == 5_000
    assert step(again, Ended(T0 + 4_000, 3, "200")).media_app_total_ms == 1_000


def test_a_call_that_returns_holds_its_media_on() -> None:
    held = told_of_media(ANSWERED, T0 + 2_000, 0, held=True)
    back = step(step(held, Lost(T0 + 9_000, "node_lost")), Listed(T0 + 20_000, answered=True))
    assert back.media_app_total_ms == 0
    assert step(back, Ended(T0 + 30_000, 3, "200")).media_app_total_ms == 28_000
