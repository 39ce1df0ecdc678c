"""The rules that hold after every step: what is held, by whom, under which limit; and at the end, the records."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from tests.simulation.lanes import Fields
from tests.simulation.state import State, Subject, TrueCall
from tests.simulation.tenancy import RESELLER, RESELLER_MAX_IN
from tests.simulation.traffic import OUTCOMES
from tests.support import seeds

LEAK_MS: Final = 240_000  # a lease, its rechecks, and the silence of a node before it
DISPOSITIONS: Final = {"answered", "no_answer", "busy", "failed", "rejected", "abandoned"}
_CEILING: Final = ("account_in", RESELLER)


def touched(state: State) -> None:
    """What the call of the last step took: never above a limit, but for a readmission."""
    if state.touched is None:
        return
    tenant, subjects = state.touched
    connection = state.lane.connection(tenant.account_id)
    for one in subjects:
        _use(state, one, _held(connection, one), readmitted=state.may_readmit)
    _ceiling(state)


def everything(state: State) -> None:
    """Every rule about what is held and live now, for every account that wrote anything since the last time."""
    changed = [one for one in state.accounts if state.has_changed(one)]
    for tenant in state.tenants:
        if tenant.account_id not in changed:
            continue
        connection = state.lane.connection(tenant.account_id)
        _limits(state, tenant, connection)
        _owners(connection)
        _windows(state, connection)
        _live(state, tenant, connection)
    if changed:
        _ceiling(state)
        _children(state)
    state.may_readmit = False


def _held(connection: sqlite3.Connection, one: Subject) -> int:
    statement = "SELECT COUNT(*) FROM holding WHERE dimension = ? AND subject = ?"
    used: int = connection.execute(statement, one).fetchone()[0]
    return used


def _use(state: State, one: Subject, used: int, *, readmitted: bool) -> None:
    limit, before = state.limits[one], state.usage.get(one, 0)
    assert used >= 0
    assert limit is None or used <= limit or used <= before or readmitted, f"{one}: {used} of {limit}, was {before}"
    state.usage[one] = used


def _limits(state: State, tenant: seeds.Tenant, connection: sqlite3.Connection) -> None:
    found = connection.execute("SELECT dimension, subject, COUNT(*) FROM holding GROUP BY dimension, subject")
    held = {(dimension, subject): used for dimension, subject, used in found}
    own = {tenant.account_id, *(person.user_id for person in tenant.people.values())}
    for one in state.limits:
        if one[1] in own or tenant.account_id[4:] in one[1]:
            _use(state, one, held.pop(one, 0), readmitted=state.may_readmit)
    assert not held, f"somebody else's holdings in {tenant.account_id}: {held}"


def _owners(connection: sqlite3.Connection) -> None:
    orphans = connection.execute(
        "SELECT h.call_id FROM holding AS h LEFT JOIN call AS c USING (call_id)"
        " WHERE c.state IS NULL OR c.state = 'ended'"
    ).fetchall()
    assert not orphans, f"held by calls that are over: {orphans}"


def _windows(state: State, connection: sqlite3.Connection) -> None:
    full = connection.execute(
        "SELECT l.id, COUNT(*) FROM call_limit AS l JOIN window_entry AS e ON e.limit_id = l.id"
        " WHERE l.hard = 1 AND e.at > ? - l.period_sec * 1000 GROUP BY l.id HAVING COUNT(*) > l.max_count",
        (state.lane.now,),
    ).fetchall()
    assert not full, f"windows over their count: {full}"
    refused = connection.execute(
        "SELECT e.call_id FROM window_entry AS e JOIN call AS c USING (call_id) WHERE c.cac_refused_by IS NOT NULL"
    ).fetchall()
    assert not refused, f"windows count calls that were refused: {refused}"


def _live(state: State, tenant: seeds.Tenant, connection: sqlite3.Connection) -> None:
    columns = "call_id, state, parent_id, direction, did_id, trunk_id, user_id, ringing"
    rows: dict[str, set[tuple[str, str, str]]] = {}
    for call_id, *row in connection.execute("SELECT call_id, leg, dimension, subject FROM holding"):
        rows.setdefault(call_id, set()).add(tuple(row))
    for call_id, word, parent, *who in connection.execute(f"SELECT {columns} FROM call WHERE state <> 'ended'"):
        expected = _seats(who[-1]) if parent else _expected(tenant, *who)
        assert rows.get(call_id, set()) == expected, f"{call_id} holds {rows.get(call_id)}"
        call = state.calls[call_id]
        assert parent == call.parent
        assert word == "ringing" or call.answered
        assert not call.narrowed or who[-1] == call.taken_by, f"{call_id}: {who[-1]} rings, {call.taken_by} talks"
        age = 0 if call.gone_at is None else state.lane.now - call.gone_at
        assert age < LEAK_MS, f"{call_id} has been over for {age} ms and still holds its places"


def _seats(ringing: str) -> set[tuple[str, str, str]]:
    """What those who ring hold, and all that a leg of the media engine does."""
    return {("callee", "user_simultaneous", one) for one in ringing.split()}


def _expected(
    tenant: seeds.Tenant, direction: str, did: str | None, trunk: str | None, user: str | None, ringing: str
) -> set[tuple[str, str, str]]:
    """The table of spec 10, once more."""
    found = _seats(ringing)
    if direction == "inbound":
        found.add(("caller", "account_in", tenant.account_id))
        found.add(("caller", "did_channels", str(did)))
        if trunk is not None:
            found.add(("caller", "trunk_channels", trunk))
    else:
        found.add(("caller", "user_simultaneous", str(user)))
    return found


def _ceiling(state: State) -> None:
    used = _held(state.lane.connection(RESELLER), _CEILING)
    before = state.usage.get(_CEILING, 0)
    assert used <= RESELLER_MAX_IN or used <= before or state.lane.took(), (
        f"{used} under a ceiling of {RESELLER_MAX_IN}"
    )
    state.usage[_CEILING] = used


def _children(state: State) -> None:
    """Every live call of an account below counts above, and nothing else does for long."""
    above = state.lane.connection(RESELLER)
    counted = {call_id for (call_id,) in above.execute("SELECT call_id FROM holding")}
    leased = {call_id for (call_id,) in above.execute("SELECT call_id FROM child_call WHERE held = 1")}
    assert counted == leased
    for tenant in state.tenants:
        below = state.lane.connection(tenant.account_id)
        live: set[str] = {
            call_id
            for (call_id,) in below.execute(
                "SELECT call_id FROM call AS c WHERE state <> 'ended' AND direction = 'inbound' AND pending = 0"
                " AND NOT EXISTS (SELECT 1 FROM asked AS a WHERE a.call_id = c.call_id AND a.state = 'taking')"
            )
        }
        assert live <= counted, f"live, and not counted above: {live - counted}"
    for call_id in counted:
        gone_at = state.calls[call_id].gone_at if call_id in state.calls else None
        assert gone_at is None or state.lane.now - gone_at < LEAK_MS, f"{call_id} is over and still counts above"


def at_the_end(state: State) -> None:
    """Nothing is held, and every call that was ever asked for has one record that says what happened."""
    for account_id in state.accounts:
        connection = state.lane.connection(account_id)
        for leftover in ("holding", "call WHERE state <> 'ended'", "asked", "child_call WHERE held = 1"):
            assert connection.execute(f"SELECT COUNT(*) FROM {leftover}").fetchone()[0] == 0, (account_id, leftover)
    found = {row["call_id"]: dict(row) for row in state.lane.control.connection.execute("SELECT * FROM call_cdr")}
    own = {call_id for call_id, call in state.calls.items() if call.parent is None}
    assert found.keys() == own | state.rejected.keys()
    for call_id, row in found.items():
        _record(row)
        if call_id in state.rejected:
            tenant, code = state.rejected[call_id]
            assert (row["account_id"], row["hangup_cause"]) == (tenant.account_id, str(code))
        else:
            _true_record(state.calls[call_id], row)


def _record(row: Fields) -> None:
    assert row["disposition"] in DISPOSITIONS
    assert row["start_ts"] <= (row["answer_ts"] or row["start_ts"]) <= row["end_ts"]
    assert 0 <= row["billsec"] <= row["duration_sec"] + 1
    assert row["answered"] == (row["answer_ts"] is not None) == (row["disposition"] == "answered")
    assert (row["did_id"] is not None) == (row["direction"] == "inbound")


def _true_record(call: TrueCall, row: dict[str, Any]) -> None:
    assert row["account_id"] == call.tenant.account_id
    if call.told and call.outcome is not None:
        assert row["disposition"] in (OUTCOMES[call.outcome], "failed")
    elif call.told:
        assert row["disposition"] == ("answered" if call.answered else "abandoned"), (
            f"{call.call_id} {call.state} {call.gone_at} {row}"
        )
        assert row["hangup_by"] == "caller"
        assert row["end_ts"] == call.gone_at
        assert call.taken_by is None or row["callee_user_id"] == call.taken_by
    elif not call.answered:
        assert row["disposition"] != "answered"
    if call.engine:
        assert row["callee_user_id"] in (None, *call.connected)
