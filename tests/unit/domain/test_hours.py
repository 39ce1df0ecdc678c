"""Open, closed or holiday."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tandem.domain.hours import DAY, Hours, Rule, Schedule, evaluate, make_rule

OPEN, CLOSED, HOLIDAY = Hours.OPEN, Hours.CLOSED, Hours.HOLIDAY
BERLIN = "Europe/Berlin"
SUN, MON, FRI, SAT = 0, 1, 5, 6


def weekly(dow: int, start: str | None, end: str | None, closed: bool = False) -> Rule:
    return make_rule("weekly", dow, start, end, None, None, closed)


def dated(first: str, last: str | None, start: str | None, end: str | None, closed: bool = False) -> Rule:
    return make_rule("date" if last is None else "date_range", None, start, end, first, last, closed)


def at(text: str, zone: str = BERLIN, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def state(when: str, *rules: Rule, zone: str | None = BERLIN) -> Hours:
    return evaluate(Schedule("sch_1", zone, rules), "UTC", at(when, zone or "UTC"))


OFFICE = tuple(weekly(dow, "09:00", "17:00") for dow in range(1, 6))
NIGHT = weekly(FRI, "22:00", "02:00")


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2026-07-06T08:59:59.999", CLOSED),
        ("2026-07-06T09:00", OPEN),
        ("2026-07-06T16:59:59", OPEN),
        ("2026-07-06T17:00", CLOSED),
        ("2026-07-10T12:00", OPEN),
        ("2026-07-11T12:00", CLOSED),  # Saturday
        ("2026-07-12T12:00", CLOSED),  # Sunday
    ],
)
def test_weekly_hours(when: str, expected: Hours) -> None:
    assert state(when, *OFFICE) is expected


def test_without_rules_it_is_closed() -> None:
    assert state("2026-07-06T12:00") is CLOSED


def test_sunday_is_day_0_and_a_day_without_times_is_whole() -> None:
    rule = weekly(SUN, None, None)
    assert (rule.start, rule.end) == (0, DAY)
    assert state("2026-07-12T00:00", rule) is OPEN
    assert state("2026-07-12T23:59:59", rule) is OPEN
    assert state("2026-07-13T00:00", rule) is CLOSED
    assert state("2026-07-12T23:59", weekly(SUN, "10:00", "24:00")) is OPEN


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2026-07-10T21:59", CLOSED),
        ("2026-07-10T22:00", OPEN),
        ("2026-07-11T00:00", OPEN),
        ("2026-07-11T01:59", OPEN),
        ("2026-07-11T02:00", CLOSED),
        ("2026-07-10T01:00", CLOSED),  # Thursday's night is not Friday's
        ("2026-07-11T22:30", CLOSED),
    ],
)
def test_a_time_past_midnight_belongs_to_the_day_it_starts(when: str, expected: Hours) -> None:
    assert state(when, NIGHT) is expected


def test_equal_times_are_a_whole_day_from_then() -> None:
    rule = weekly(FRI, "09:00", "09:00")
    assert [state(f"2026-07-{day}", rule) for day in ("10T08:59", "10T09:00", "11T08:59", "11T09:00")] == [
        CLOSED,
        OPEN,
        OPEN,
        CLOSED,
    ]


@pytest.mark.parametrize(
    ("when", "rules", "expected"),
    [
        # A dated closing is a holiday, and beats every opening.
        ("2026-12-25T10:00", (*OFFICE, dated("2026-12-25", None, None, None, closed=True)), HOLIDAY),
        ("2026-12-24T10:00", (*OFFICE, dated("2026-12-25", None, None, None, closed=True)), OPEN),
        ("2026-12-28T10:00", (*OFFICE, dated("2026-12-24", "2026-12-31", None, None, closed=True)), HOLIDAY),
        ("2026-12-24T00:00", (*OFFICE, dated("2026-12-24", "2026-12-31", None, None, closed=True)), HOLIDAY),
        ("2026-12-31T23:59", (*OFFICE, dated("2026-12-24", "2026-12-31", None, None, closed=True)), HOLIDAY),
        ("2027-01-01T10:00", (*OFFICE, dated("2026-12-24", "2026-12-31", None, None, closed=True)), OPEN),
        (
            "2026-12-28T10:00",
            (dated("2026-12-24", "2026-12-31", None, None, closed=True), dated("2026-12-28", None, "09:00", "12:00")),
            HOLIDAY,
        ),
        # A dated closing of some hours leaves the others as they are.
        ("2026-12-24T10:00", (*OFFICE, dated("2026-12-24", None, "14:00", None, closed=True)), OPEN),
        ("2026-12-24T15:00", (*OFFICE, dated("2026-12-24", None, "14:00", None, closed=True)), HOLIDAY),
        # A dated opening stands for the whole day.
        ("2026-07-11T12:00", (*OFFICE, dated("2026-07-11", None, "10:00", "14:00")), OPEN),
        ("2026-07-10T12:00", (*OFFICE, dated("2026-07-10", None, "10:00", "11:00")), CLOSED),
        ("2026-07-10T10:30", (weekly(FRI, None, None, closed=True), dated("2026-07-10", None, None, None)), OPEN),
        # A weekly closing, such as lunch.
        ("2026-07-10T12:30", (*OFFICE, weekly(FRI, "12:00", "13:00", closed=True)), CLOSED),
        ("2026-07-10T13:00", (*OFFICE, weekly(FRI, "12:00", "13:00", closed=True)), OPEN),
        # The night before goes on into a day with hours of its own, not into one that is closed.
        ("2026-07-11T01:00", (NIGHT, dated("2026-07-11", None, "10:00", "14:00")), OPEN),
        ("2026-07-11T01:00", (NIGHT, dated("2026-07-11", None, None, None, closed=True)), HOLIDAY),
        # Nor does a night come out of a day whose own hours are others.
        ("2026-07-11T01:00", (NIGHT, dated("2026-07-10", None, "10:00", "14:00")), CLOSED),
        ("2026-07-10T23:00", (NIGHT, dated("2026-07-10", None, "10:00", "14:00")), CLOSED),
        # A dated night.
        ("2027-01-01T01:00", (dated("2026-12-31", None, "20:00", "03:00"),), OPEN),
        ("2026-12-31T01:00", (dated("2026-12-31", None, "20:00", "03:00"),), CLOSED),
        ("2027-01-02T01:00", (dated("2026-12-31", "2027-01-01", "20:00", "03:00"),), OPEN),
    ],
)
def test_dates_beat_weekdays_and_closed_beats_open(when: str, rules: tuple[Rule, ...], expected: Hours) -> None:
    assert state(when, *rules) is expected


def test_the_clock_goes_forward() -> None:
    """29 March 2026, Berlin: 02:00 to 03:00 does not happen."""
    morning = weekly(SUN, "02:30", "04:00")
    assert state("2026-03-29T01:59:59", morning) is CLOSED
    begins = evaluate(Schedule("s", BERLIN, (morning,)), "UTC", at("2026-03-29T01:59:59") + 1_000)
    assert begins is OPEN  # it is 03:00 at once
    assert state("2026-03-29T03:59", morning) is OPEN
    assert state("2026-03-29T04:00", morning) is CLOSED
    night = weekly(SAT, "22:00", "03:00")
    assert state("2026-03-29T01:59", night) is OPEN
    assert state("2026-03-29T03:00", night) is CLOSED


def test_the_clock_goes_back() -> None:
    """25 October 2026, Berlin: 02:00 to 03:00 happens twice."""
    schedule = Schedule("s", BERLIN, (weekly(SUN, "02:30", "03:00"),))
    seen = [evaluate(schedule, "UTC", at("2026-10-25T02:00") + minutes * 60_000) for minutes in range(0, 121, 15)]
    assert seen == [CLOSED, CLOSED, OPEN, OPEN, CLOSED, CLOSED, OPEN, OPEN, CLOSED]


def test_a_zone_west_of_utc_has_its_own_day() -> None:
    rule = weekly(MON, "18:00", "19:00")
    assert evaluate(Schedule("s", None, (rule,)), "America/Los_Angeles", at("2026-07-07T01:30", "UTC")) is OPEN
    assert evaluate(Schedule("s", "UTC", (rule,)), "America/Los_Angeles", at("2026-07-07T01:30", "UTC")) is CLOSED


@pytest.mark.parametrize("name", ["Not/AZone", "", "Europe", "../etc/passwd"])
def test_an_impossible_zone_is_utc(name: str) -> None:
    rule = weekly(MON, "12:00", "13:00")
    assert evaluate(Schedule("s", name, (rule,)), name, at("2026-07-06T12:30", "UTC")) is OPEN


def test_a_range_without_an_end_is_one_date() -> None:
    assert make_rule("date_range", None, None, None, "2026-07-06", None, False) == dated("2026-07-06", None, None, None)
    with pytest.raises(ValueError):
        make_rule("date", None, None, None, None, None, False)
