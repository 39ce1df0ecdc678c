"""Rules that decide by hour, by what happened before, or by how much is going on, seen on the wire."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from edge_node.local import demo_rows
from edge_node.local.waiting import wait_until
from tests.e2e.by_hand import (
    RINGS_SEC,
    carrier,
    changed,
    dial,
    from_carrier,
    hangs_up,
    is_cancelled,
    is_quiet,
    is_refused,
    refuses,
    rings,
)
from tests.e2e.conftest import Group, Registered
from tests.e2e.installation import Installation
from tests.edge.raw_sip import reply

Rule = Callable[..., None]


def number(tandem: Installation) -> str:
    """The demo account's, which rings 1001."""
    found: str = tandem.account()["dids"][0]["e164"]
    return found


@pytest.fixture
def did(tandem: Installation) -> Iterator[Callable[..., None]]:
    """`did(max_channels=1)` changes the demo number, until the end of the test."""
    seen: set[str] = set()

    def change(**columns: str | int | None) -> None:
        seen.update(columns)
        names = ", ".join(f"{name} = ?" for name in columns)
        tandem.sql(f"UPDATE did SET {names} WHERE e164 = ?", *columns.values(), number(tandem))

    yield change
    change(**{name: 1 if name == "allow_anonymous" else None for name in seen})


@pytest.fixture
def hours(tandem: Installation, did: Callable[..., None]) -> Iterator[Rule]:
    """`hours("weekly", dow=1)` adds a rule to the number's opening hours; closed it rings 1003, on a holiday it is
    busy."""
    account, schedule = tandem.account()["id"], demo_rows.fresh_id("sch")
    tandem.sql(
        "INSERT INTO time_schedule (id, account_id, name, timezone) VALUES (?, ?, 'now', 'UTC')", schedule, account
    )
    did(
        schedule_id=schedule,
        closed_dest_kind="user",
        closed_dest_id=tandem.user("1003")["id"],
        holiday_dest_kind="hangup",
        holiday_dest_id="486",
    )

    def rule(kind: str, **columns: str | int) -> None:
        names = ["id", "account_id", "schedule_id", "kind", *columns]
        marks = ", ".join("?" * len(names))
        values = (demo_rows.fresh_id("schr"), account, schedule, kind, *columns.values())
        tandem.sql(f"INSERT INTO time_schedule_rule ({', '.join(names)}) VALUES ({marks})", *values)

    yield rule
    tandem.sql("UPDATE did SET schedule_id = NULL WHERE schedule_id = ?", schedule)
    tandem.sql("DELETE FROM time_schedule_rule WHERE schedule_id = ?", schedule)
    tandem.sql("DELETE FROM time_schedule WHERE id = ?", schedule)


def test_a_number_rings_by_its_hours(tandem: Installation, registered: Registered, hours: Rule) -> None:
    """The day before and the day after are in every rule for now, so that midnight may come."""
    open_, closed = registered("1001"), registered("1003")
    now = datetime.now(UTC)
    around = [now + timedelta(days=days) for days in (-1, 0, 1)]
    with carrier(tandem) as caller:
        hours("weekly", dow=(now + timedelta(days=3)).isoweekday() % 7)
        invite = from_carrier(caller, number(tandem))
        hangs_up(caller, invite, (closed, rings(closed)))
        for day in around:
            hours("weekly", dow=day.isoweekday() % 7)
        invite = from_carrier(caller, number(tandem))
        hangs_up(caller, invite, (open_, rings(open_)))
        is_quiet(closed)
        dates = {"start_date": f"{around[0]:%Y-%m-%d}", "end_date": f"{around[2]:%Y-%m-%d}"}
        hours("date_range", is_closed=1, **dates)
        assert is_refused(caller, from_carrier(caller, number(tandem))).status == 486


def test_forwards_one_after_the_other_and_in_a_circle(tandem: Installation, registered: Registered) -> None:
    caller, last = registered("1001"), registered("2001")
    chain = {"1002": "1003", "1003": "2001"}
    try:
        for extension, to in chain.items():
            changed(tandem, extension, fwd_always_kind="user", fwd_always_id=tandem.user(to)["id"])
        invite = dial(caller, "1002")
        arrived = rings(last)
        assert [one.partition("@")[0] for one in arrived.all("Diversion")] == ["<sip:1003", "<sip:1002"]
        hangs_up(caller, invite, (last, arrived))
        changed(tandem, "1003", fwd_always_kind="user", fwd_always_id=tandem.user("1002")["id"])
        assert is_refused(caller, dial(caller, "1002")).status == 482
        is_quiet(last)
    finally:
        for extension in chain:
            changed(tandem, extension, fwd_always_kind=None, fwd_always_id=None)


def test_nobody_answers_and_the_deputy_rings(tandem: Installation, registered: Registered) -> None:
    caller, away, deputy = registered("1001"), registered("1002"), registered("1003")
    changed(tandem, "1002", ring_timeout_sec=2, fwd_noanswer_kind="user", fwd_noanswer_id=tandem.user("1003")["id"])
    try:
        began = time.monotonic()
        invite = dial(caller, "1002")
        is_cancelled(away, rings(away))
        assert time.monotonic() - began >= 1.8  # tm counts in ticks of its own, and may begin in the middle of one
        arrived = rings(deputy)
        assert "reason=no-answer" in arrived.get("Diversion")
        hangs_up(caller, invite, (deputy, arrived))
    finally:
        changed(tandem, "1002", ring_timeout_sec=25, fwd_noanswer_kind=None, fwd_noanswer_id=None)


def test_a_device_outside_of_the_fork_rings_when_it_is_dialled_itself(
    tandem: Installation, registered: Registered
) -> None:
    caller, plain, apart = registered("1001"), registered("1002"), registered("1002", "1002-apart")
    tandem.sql("UPDATE sip_device SET ring_on_fork = 0 WHERE auth_username = ?", apart.user)
    invite = dial(caller, "1002")
    arrived = rings(plain)
    is_quiet(apart)
    hangs_up(caller, invite, (plain, arrived))
    invite = dial(caller, tandem.device_id(apart.user))
    arrived = rings(apart)
    is_quiet(plain)
    hangs_up(caller, invite, (apart, arrived))


def test_members_ring_in_their_order(tandem: Installation, registered: Registered, group: Group) -> None:
    caller, first, second = registered("1001"), registered("1002"), registered("1003")
    group(("1002", 0, 2), ("1003", 0, None), strategy="sequential")
    for _ in range(2):
        invite = dial(caller, "650")
        early = rings(first)
        is_quiet(second)
        is_cancelled(first, early)
        late = rings(second)
        is_quiet(first)
        hangs_up(caller, invite, (second, late))


def test_members_take_turns_to_be_first(tandem: Installation, registered: Registered, group: Group) -> None:
    caller, phones = registered("1001"), [registered("1002"), registered("1003")]
    group(("1002", 0, None), ("1003", 0, None), strategy="round_robin")
    for turn in range(3):
        first, other = phones[turn % 2], phones[(turn + 1) % 2]
        invite = dial(caller, "650")
        refuses(first, rings(first))
        hangs_up(caller, invite, (other, rings(other)))


def test_who_hides_is_not_seen(tandem: Installation, registered: Registered, did: Callable[..., None]) -> None:
    caller, callee, owner = registered("1003"), registered("1002"), registered("1001")
    invite = caller.request("INVITE", f"sip:1002@{caller.domain}", body=caller.sdp(), extra=[("Privacy", "id")])
    invite = caller.authorised(invite, caller.final(invite))
    caller.send(invite)
    arrived = rings(callee)
    assert "<sip:anonymous@anonymous.invalid>" in arrived.get("From")
    assert "1003" not in arrived.get("From")
    hangs_up(caller, invite, (callee, arrived))
    did(allow_anonymous=0)
    with carrier(tandem) as outside:
        final = is_refused(outside, from_carrier(outside, number(tandem), Privacy="id"))
        assert (final.status, final.start.partition(" 433 ")[2]) == (433, "Anonymity Disallowed")
        invite = from_carrier(outside, number(tandem))
        hangs_up(outside, invite, (owner, rings(owner)))


def test_a_numbers_channels_are_full_and_free_again(
    tandem: Installation, registered: Registered, did: Callable[..., None]
) -> None:
    callee = registered("1001")
    did(max_channels=1)
    with carrier(tandem) as caller, carrier(tandem) as other:
        invite = from_carrier(caller, number(tandem))
        arrived = rings(callee)
        final = is_refused(other, from_carrier(other, number(tandem)))
        assert (final.status, final.get("Retry-After")) == (503, "10")
        assert 'text="did_channels"' in final.get("Reason")
        hangs_up(caller, invite, (callee, arrived))
        tandem.wait_live(0)
        again = from_carrier(other, number(tandem))
        hangs_up(other, again, (callee, rings(callee)))


def test_a_window_is_full_until_its_time_has_passed(tandem: Installation, registered: Registered) -> None:
    caller, callee = registered("1001"), registered("1002")
    limit, seconds = demo_rows.fresh_id("lim"), 4
    tandem.sql(
        "INSERT INTO call_limit (id, account_id, scope_kind, scope_id, direction, period_sec, max_count)"
        " VALUES (?, ?, 'user', ?, 'any', ?, 1)",
        limit,
        tandem.account()["id"],
        tandem.user("1001")["id"],
        seconds,
    )
    try:
        invite = dial(caller, "1002")
        began = time.monotonic()
        hangs_up(caller, invite, (callee, rings(callee)))
        final = is_refused(caller, dial(caller, "1002"))
        assert final.status == 503
        assert 'text="call_limit"' in final.get("Reason")
        assert 1 <= int(final.get("Retry-After")) <= seconds

        def let_in() -> bool:
            """Whether the callee rings; or else the caller is refused."""
            under_way = dial(caller, "1002")
            deadline = time.monotonic() + RINGS_SEC
            while time.monotonic() < deadline:
                arrived = callee.receive(0.1, lambda message: message.start.startswith("INVITE"))
                if arrived is not None:
                    callee.send(reply(arrived, 180, "Ringing", to_tag="callee"), callee.source)
                    hangs_up(caller, under_way, (callee, arrived))
                    return True
                final = caller.receive(0.1, lambda message: message.status >= 300)
                if final is not None:
                    assert final.status == 503
                    caller.send(caller.ack(under_way, final))
                    return False
            raise AssertionError("neither rings nor is refused")

        wait_until(let_in, seconds + 10, "the window's end")
        assert time.monotonic() - began >= seconds - 1
    finally:
        tandem.sql("DELETE FROM call_limit WHERE id = ?", limit)
