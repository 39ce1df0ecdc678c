"""Rows and windows in SQL, against the plain sets of the domain's tests; tables of older versions."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.domain.cac import Dimension, Leg, Refusal, Want, Window, admit, readmit
from tandem.domain.calls import Direction, State
from tandem.runtime.cpython import SqliteSql
from tandem.sip.book import Book
from tandem.store.blocks import load
from tandem.store.holdings import SqlHoldings
from tandem.store.live import STEPS, migrate
from tandem.store.node_addresses import NodeAddress, NodeAddresses
from tandem.store.turns import Turns
from tests.support import seeds
from tests.support.ledger import Ledger

T0 = 1_800_000_000_000
USERS = ("us_1", "us_2")
LIMITS = {"us_1": 2, "us_2": 3}
WINDOWS = (Window("lim_1", "acc", 60, 3), Window("lim_2", "acc", 10, 2, hard=False), Window("lim_3", "did", 30, 1))
ACTS = st.one_of(
    st.tuples(st.just("admit"), st.integers(0, 6), st.sets(st.sampled_from(USERS)), st.sets(st.sampled_from(range(3)))),
    st.tuples(
        st.sampled_from(["readmit", "release", "lose", "undo", "wait", "prune"]),
        st.integers(0, 6),
        st.sets(st.sampled_from(USERS), min_size=1),
        st.just(set[int]()),
    ),
)


def fresh() -> SqliteSql:
    sql = SqliteSql(sqlite3.connect(":memory:"))
    migrate(sql)
    return sql


@settings(max_examples=400, deadline=None)
@given(st.lists(ACTS, max_size=40))
def test_the_rows_are_the_sets(acts: list[tuple[str, int, set[str], set[int]]]) -> None:
    sql, ledger, now = fresh(), Ledger(), T0
    rows = SqlHoldings(sql)
    for act, number, users, windows in acts:
        call = f"call_{number}"
        wants = [Want(Leg.CALLEE, Dimension.USER_SIMULTANEOUS, user, LIMITS[user]) for user in sorted(users)]
        if act == "admit":
            chosen = [WINDOWS[index] for index in sorted(windows)]
            assert admit(rows, call, wants, chosen, now=now) == admit(ledger, call, wants, chosen, now=now)
        elif act == "readmit":
            for one in (rows, ledger):
                readmit(one, call, wants)
        elif act == "release":
            for one in (rows, ledger):
                one.release(call)
        elif act == "lose":
            for one in (rows, ledger):
                one.release(call, Leg.CALLEE, keep=wants[0].subject)
        elif act == "undo":
            rows.leave_windows(call)
            for entries in ledger.windows.values():
                entries.pop(call, None)
        elif act == "wait":
            now += 7_000
        else:
            rows.forget_entries(now)
            for (limit_id, _), entries in ledger.windows.items():
                period = next(one.period_sec for one in WINDOWS if one.limit_id == limit_id) * 1000
                for gone in [name for name, at in entries.items() if at + period < now]:
                    del entries[gone]
        for user in USERS:
            want = Want(Leg.CALLER, Dimension.USER_SIMULTANEOUS, user)
            assert rows.used_beside("call_x", want) == ledger.used(user)
        for window in WINDOWS:
            assert rows.entries(call, window) == ledger.entries(call, window)


def test_a_window_of_many_calls_is_asked_by_index() -> None:
    sql = fresh()
    rows = SqlHoldings(sql)
    wide = Window("lim_1", "acc", 86_400, 5_000)
    for number in range(5_000):
        assert not isinstance(admit(rows, f"call_{number}", [], [wide], now=T0 + number), Refusal)
    found = admit(rows, "call_x", [], [wide], now=T0 + 6_000)
    assert found == Refusal(Dimension.CALL_LIMIT, "lim_1", 5_000, 5_000, 86_394)
    for block in ("entries", "enter"):
        plan = sql.connection.execute(
            f"EXPLAIN QUERY PLAN {load('live')[block]}", ("l", "s", "c", 1, 2)[: 4 + (block == "enter")]
        )
        assert "SCAN" not in "".join(row[3] for row in plan if "CONSTANT" not in row[3])


def test_turns_go_round() -> None:
    turns = Turns(fresh())
    assert [turns.next_turn("rg_1", 3) for _ in range(5)] == [0, 1, 2, 0, 1]
    assert turns.next_turn("rg_2", 2) == 0


def test_a_node_s_address_is_written_when_it_changes() -> None:
    sql = fresh()
    addresses = NodeAddresses(sql)
    assert addresses.get("node_1") is None
    addresses.remember("node_1", NodeAddress("192.0.2.1:5060", 1))
    before = sql.statements
    addresses.remember("node_1", NodeAddress("192.0.2.1:5060", 1))
    assert sql.statements == before
    addresses.remember("node_1", NodeAddress("192.0.2.1:5060", 2))
    assert NodeAddresses(sql).get("node_1") == addresses.get("node_1") == NodeAddress("192.0.2.1:5060", 2)


OLD_CALL = (
    "INSERT INTO call (call_id, sip_call_id, from_tag, cseq, node_id, region, from_num, to_num, start_ts, lease_until,"
    " user_id, callee_user_id, state, lost, last_seq, listed_at, row_version, reply)"
    " VALUES (?, ?, 't', '1', 'node_1', 'local', '1001', '1002', 5, 10, 'us_1', ?, 'ringing', 0, 2, 0, 3, 'the reply')"
)


def test_tables_of_before_there_were_versions_are_brought_forward() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(load("live")["meta"] + ";" + load("live")[STEPS[0]])
    connection.execute(OLD_CALL, ("call_1", "s1", "us_2"))
    connection.execute(OLD_CALL, ("call_2", "s2", None))
    connection.execute("INSERT INTO holding VALUES ('call_1', 'callee', 'user_simultaneous', 'us_2')")
    connection.commit()
    for _ in range(2):
        book = Book(SqliteSql(connection), seeds.MASTER_KEY)
        call = book.calls.by_id("call_1")
        assert call is not None
        assert (call.state, call.direction, call.ringing, call.row_version) == (
            State.RINGING,
            Direction.INTERNAL,
            ("us_2",),
            3,
        )
        assert (call.plan, call.did_id, call.limit_warnings, call.shared, call.pending) == (
            None,
            None,
            (),
            False,
            False,
        )
        assert [one.call_id for one in book.calls.live()] == ["call_1", "call_2"]
        assert book.calls.by_id("call_2") is not None
        known = book.calls.known("s1", "t", "1")
        assert known is not None
        assert (known.reply, known.pending) == ("the reply", False)
        assert connection.execute("SELECT subject FROM holding").fetchall() == [("us_2",)]
        assert connection.execute("SELECT value FROM meta WHERE key = 'live_version'").fetchall() == [(len(STEPS),)]


def test_a_step_that_fails_leaves_the_tables_as_they_were() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(load("live")["meta"] + ";" + load("live")[STEPS[0]])
    connection.execute("CREATE TABLE turn (something_else TEXT)")
    before = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="turn"):
            migrate(SqliteSql(connection))
        assert connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall() == before
