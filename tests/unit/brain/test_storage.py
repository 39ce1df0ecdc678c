"""Records on their way to D1, configuration on its way to the object, and the schema of both."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from dataclasses import replace
from typing import Any

import pytest

from tandem.domain.calls import Answered, Call, Ended, step
from tandem.runtime.cpython import SqliteDatabase, SqliteSql
from tandem.sip.book import Book
from tandem.store import records
from tandem.store.calls import Known
from tandem.store.pokes import below, poke
from tandem.store.replica import TABLES
from tests.support import node, rows, scene, seeds
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME, GLOBEX

ALICE = ACME.people["1001"]
CALL = Call(
    call_id="call_1",
    sip_call_id="s",
    from_tag="t",
    cseq="1",
    node_id="node_1",
    region="local",
    from_num="1001",
    to_num="1002",
    start_ts=1_000,
    lease_until=91_000,
)


async def test_a_late_older_record_never_undoes_an_end() -> None:
    control = SqliteDatabase(seeds.migrated())
    answered = step(CALL, Answered(2_000, 1))
    ended = step(answered, Ended(9_000, 2, "200", "caller"))
    for order in ([CALL, answered, ended], [ended, answered, CALL], [answered, ended, CALL, ended], [ended, CALL]):
        control.connection.execute("DELETE FROM call_cdr")
        for call in order:
            await records.ship(control, "acc_1", [call])
        row = dict(control.connection.execute("SELECT * FROM call_cdr").fetchone())
        assert (row["row_version"], row["disposition"], row["billsec"]) == (3, "answered", 7)


async def test_records_wait_while_d1_is_away(brain: LocalBrain) -> None:
    for digits in ("1001", "1002"):
        await brain.register(ACME, digits)
    await scene.send(brain, scene.snapshot(brain, ACME, [], asOf=0))
    await brain.register(ACME, "1002", cseq="2")
    brain.control.available = False
    routed = await brain.invite(ACME, "1001", "1002")
    assert routed["action"] == "proxy"
    await scene.send(brain, scene.dialog(brain, ACME, routed, "end", 1, cause="487"))
    await brain.advance(120_000)
    assert brain.control.connection.execute("SELECT * FROM call_cdr").fetchall() == []
    brain.presence.evict(ACME.account_id)
    brain.control.available = True
    await brain.advance(60_000)
    assert scene.record(brain, routed["call_id"])["disposition"] == "abandoned"


async def test_what_only_d1_knows_is_unavailable_while_it_is_away(brain: LocalBrain) -> None:
    brain.control.available = False
    status, reply = await brain.post("/auth", '{"method":"REGISTER"}')
    assert (status, reply["error"]["code"]) == (503, "unavailable")
    brain.control.available = True
    assert (await brain.register(ACME, "1001"))[0] == 200


async def test_records_of_an_evicted_object_arrive(brain: LocalBrain) -> None:
    for digits in ("1001", "1002"):
        await brain.register(ACME, digits)
    routed = await brain.invite(ACME, "1001", "1002")
    brain.presence.evict(ACME.account_id)
    await brain.advance(5_000)
    assert scene.record(brain, routed["call_id"])["end_ts"] is None


async def test_ended_calls_are_forgotten_after_a_day_and_only_when_recorded(brain: LocalBrain) -> None:
    for digits in ("1001", "1002"):
        await brain.register(ACME, digits)
    routed = await brain.invite(ACME, "1001", "1002")
    await scene.send(brain, scene.dialog(brain, ACME, routed, "end", 1))
    brain.control.available = False
    await brain.advance(27 * 3_600_000)
    assert len(scene.rows(brain, ACME, "call")) == 1
    brain.control.available = True
    await brain.advance(120_000)
    assert scene.record(brain, routed["call_id"])["end_ts"] is not None
    await brain.register(ACME, "1001", cseq="9")
    await brain.advance(60_000)
    assert scene.rows(brain, ACME, "call") == []


async def test_guards_are_pruned(brain: LocalBrain) -> None:
    routed_from = brain.now
    for digits in ("1001", "1002"):
        await brain.register(ACME, digits, expires=3_600)
    await scene.send(brain, scene.snapshot(brain, ACME, [], asOf=routed_from - 1))
    assert len(scene.rows(brain, ACME, "nonce_use")) == 2
    await brain.advance(700_000)
    assert scene.rows(brain, ACME, "nonce_use") == []
    assert scene.rows(brain, ACME, "seen_request") == []
    assert len(scene.rows(brain, ACME, "seen_event")) == 1


async def test_failed_attempts_leave_nothing_behind_in_an_account_that_is_otherwise_quiet(brain: LocalBrain) -> None:
    wrong = {"username": "1001", "realm": ACME.domain, "nonce": "n", "uri": "u", "response": "r"}
    for number in range(50):
        await brain.post("/auth", node.register_body(ACME, "1001", wrong, cseq=str(number)))
        await brain.post("/route", node.invite_body(ACME, "1001", "1002", wrong))
    assert len(scene.rows(brain, ACME, "seen_request")) == 100
    await brain.advance(300_000)
    assert scene.rows(brain, ACME, "seen_request") == []


async def test_an_object_with_an_old_replica_serves_while_d1_is_away(brain: LocalBrain) -> None:
    for digits in ("1001", "1002"):
        await brain.register(ACME, digits)
    brain.presence.evict(ACME.account_id)
    brain.control.available = False
    assert (await brain.invite(ACME, "1001", "1002"))["action"] == "proxy"


async def test_an_object_that_never_read_its_configuration_says_so(brain: LocalBrain) -> None:
    await brain.get(f"/cac?accountId={GLOBEX.account_id}")
    _, asked = await brain.post("/auth", '{"method":"REGISTER"}')
    assert asked["ok"] is False
    await brain.register(GLOBEX, "1001")
    brain.presence.evict(GLOBEX.account_id)
    brain.presence.contexts.pop(GLOBEX.account_id)
    brain.control.available = False
    status, reply = await brain.get(f"/cac?accountId={GLOBEX.account_id}")
    assert (status, reply["error"]["code"]) == (503, "unavailable")
    brain.control.available = True
    assert (await brain.register(GLOBEX, "1001"))[0] == 200


async def test_a_change_shows_at_once_when_poked_and_in_30_s_when_the_poke_is_lost(brain: LocalBrain) -> None:
    for digits in ("1001", "1002"):
        await brain.register(ACME, digits)
    await scene.reconfigure(brain, ACME, "UPDATE sip_user SET dnd = 1 WHERE id = ?", ACME.people["1002"].user_id)
    assert (await brain.invite(ACME, "1001", "1002"))["code"] == 486
    brain.write([("UPDATE sip_user SET dnd = 0", ())])
    assert (await brain.invite(ACME, "1001", "1002"))["code"] == 486
    await brain.advance(30_000)
    assert (await brain.invite(ACME, "1001", "1002"))["action"] == "proxy"


async def test_a_poke_that_cannot_arrive_goes_through_the_queue(
    brain: LocalBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    await brain.register(ACME, "1001")
    account = brain.presence.get(ACME.account_id)
    poke = account.poke

    async def unreachable(*texts: str) -> str:
        raise ConnectionError("the object is overloaded")

    monkeypatch.setattr(account, "poke", unreachable)
    body = json.dumps({"accountId": ACME.account_id})
    assert (await brain.post("/config/poke", body, scene.operator()))[0] == 202
    assert brain.queue.texts == [ACME.account_id]
    with pytest.raises(ConnectionError):
        await brain.gateway.poke_again(ACME.account_id)
    monkeypatch.setattr(account, "poke", poke)
    brain.control.available = False
    with pytest.raises(ConnectionError):
        await brain.gateway.poke_again(ACME.account_id)
    brain.control.available = True
    await brain.gateway.poke_again(ACME.account_id)


async def test_two_pulls_at_once_lose_nothing() -> None:
    """The pull that read more is the one that ends later, and finds that the other has moved on meanwhile."""
    control = SqliteDatabase(seeds.migrated())
    for statement, params in seeds.rows_of(ACME):
        control.connection.execute(statement, params)
    book = Book(SqliteSql(sqlite3.connect(":memory:")), seeds.MASTER_KEY)
    first_may_end, second_may_end = asyncio.Event(), asyncio.Event()
    gates = iter((first_may_end, second_may_end))

    class Slow:
        async def batch(self, statements: Any) -> Any:
            found = await control.batch(statements)
            gate = next(gates, None)
            if gate is not None:
                await gate.wait()
            return found

    first = asyncio.create_task(book.replica.pull(Slow(), ACME.account_id))
    await asyncio.sleep(0)
    control.connection.execute("UPDATE account SET name = 'renamed'")
    second = asyncio.create_task(book.replica.pull(Slow(), ACME.account_id))
    await asyncio.sleep(0)
    first_may_end.set()
    await first
    second_may_end.set()
    await second
    account = book.directory.account()
    assert account is not None
    assert account.name == "renamed"


async def test_a_change_of_the_replica_s_schema_rebuilds_it(brain: LocalBrain) -> None:
    await brain.register(ACME, "1001")
    connection = brain.presence.contexts[ACME.account_id].connection
    connection.execute("UPDATE meta SET value = 'older' WHERE key = 'replica_schema'")
    connection.execute("DELETE FROM sip_user")
    brain.presence.evict(ACME.account_id)
    await brain.register(ACME, "1002")
    assert len(scene.rows(brain, ACME, "sip_user")) == 3


async def test_a_table_that_no_replica_has_stops_the_pull_and_not_the_account(brain: LocalBrain) -> None:
    await brain.register(ACME, "1001")
    brain.write([("INSERT INTO config_change VALUES (?, 'trunk', 'tr_1', 999)", (ACME.account_id,))])
    status, _ = await brain.post("/config/poke", json.dumps({"accountId": ACME.account_id}), scene.operator())
    assert status == 202
    assert (await brain.register(ACME, "1002"))[0] == 200


def columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def test_the_replica_has_columns_that_d1_has() -> None:
    control, object_ = seeds.migrated(), sqlite3.connect(":memory:")
    Book(SqliteSql(object_), seeds.MASTER_KEY)
    for table in TABLES:
        assert columns(object_, table)
        assert columns(object_, table) <= columns(control, table), table


def test_every_replicated_table_has_its_triggers_and_no_other_is_logged() -> None:
    control = seeds.migrated()
    found = {name for (name,) in control.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")}
    kinds = ("inserted", "updated", "deleted")
    assert {name for name in found if name.endswith(kinds)} == {f"{table}_{kind}" for table in TABLES for kind in kinds}
    # A row's owner is its account for good, or the change is logged for both.
    assert {name.rpartition("_")[0] for name in found if name.endswith(("moved", "stays"))} == set(TABLES)


def test_the_change_log_names_each_row_once_with_its_last_version() -> None:
    control = seeds.migrated()
    for statement, params in [*seeds.rows_of(ACME), *seeds.rows_of(GLOBEX)]:
        control.execute(statement, params)
    for _ in range(3):
        control.execute("UPDATE sip_user SET dnd = 1 - dnd WHERE id = ?", (ALICE.user_id,))
    control.execute("DELETE FROM extension WHERE account_id = ?", (ACME.account_id,))
    for tenant in (ACME, GLOBEX):
        log = control.execute(
            "SELECT table_name, row_id, version FROM config_change WHERE account_id = ?", (tenant.account_id,)
        ).fetchall()
        assert len(log) == 11
        versions = [version for _, _, version in log]
        assert len(set(versions)) == len(versions)
    assert max(versions) == 11
    highest = control.execute(
        "SELECT MAX(version), COUNT(*) FROM config_change WHERE account_id = ?", (ACME.account_id,)
    ).fetchone()
    assert highest == (11 + 3 + 3, 11)


def test_migrations_apply_in_order_to_a_seeded_database() -> None:
    """Each file by itself, with rows of every table that exists by then; nothing is lost on the way."""
    control = sqlite3.connect(":memory:")
    paths = sorted(seeds.MIGRATIONS.glob("*.sql"))
    assert [path.name[:4] for path in paths] == [f"{number:04d}" for number in range(1, len(paths) + 1)]
    pending = [*seeds.rows_of(ACME), *seeds.platform_rows()]
    for path in paths:
        control.executescript(path.read_text())
        left = []
        for statement, params in pending:
            try:
                control.execute(statement, params)
            except sqlite3.OperationalError:
                left.append((statement, params))
        pending = left
    assert pending == []
    assert control.execute("PRAGMA foreign_key_check").fetchall() == []
    assert control.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert control.execute("SELECT COUNT(*) FROM sip_device").fetchone() == (3,)


async def test_accounts_older_than_the_tree_get_it_with_what_they_inherit() -> None:
    """Rows of the first five files, then the others: every replica holds its account and all above it."""
    control = sqlite3.connect(":memory:")
    paths = sorted(seeds.MIGRATIONS.glob("*.sql"))
    for path in paths[:5]:
        control.executescript(path.read_text())
    for statement, params in [*seeds.rows_of(ACME), *seeds.rows_of(GLOBEX)]:
        control.execute(statement, params)
    children = ((f"acc_{seeds.suffix(7)}", ACME.account_id), (f"acc_{seeds.suffix(8)}", f"acc_{seeds.suffix(7)}"))
    for child, parent in children:
        control.execute(
            "INSERT INTO account (id, parent_id, name, created_at) VALUES (?, ?, 'child', 0)", (child, parent)
        )
    for path in paths[5:]:
        control.executescript(path.read_text())
    for statement, params in rows.trunk(None, 1, "203.0.113.0/24"):
        control.execute(statement, params)
    control.execute("UPDATE account SET status = 'suspended' WHERE id = ?", (ACME.account_id,))
    database = SqliteDatabase(control)
    chains = {ACME.account_id: 1, GLOBEX.account_id: 1, children[0][0]: 2, children[1][0]: 3}
    for account_id, length in chains.items():
        object_ = sqlite3.connect(":memory:")
        book = Book(SqliteSql(object_), seeds.MASTER_KEY)
        await book.replica.pull(database, account_id)
        held = object_.execute("SELECT id, status FROM account ORDER BY id").fetchall()
        assert len(held) == length, account_id
        assert (ACME.account_id, "suspended") in held or account_id == GLOBEX.account_id
        assert object_.execute("SELECT COUNT(*) FROM sip_trunk").fetchone() == (1,)
        found = object_.execute("SELECT COUNT(*) FROM sip_user").fetchone()
        assert found == (3 if account_id in (ACME.account_id, GLOBEX.account_id) else 0,)
    assert await below(database, ACME.account_id) == [ACME.account_id, *(child for child, _ in children)]


PUSHED_OUT = (
    ("sip_domain", "domain", rows.insert("sip_domain", id="new", account_id=ACME.account_id, domain=GLOBEX.domain)),
    ("sip_user", "username", rows.insert("sip_user", id="new", account_id=ACME.account_id, username="1001")),
    ("extension", "digits", rows.extension(ACME, 9, "1001", "user", "us_1")),
    ("sip_device", "auth_username", rows.device(ACME, 9, "1001", "1001", "secret")),
    ("did", "e164", rows.did(ACME, 9, "15550001")),
    ("ring_group", "name", rows.ring_group(ACME, 9, name="group 1")),
    ("forward", "name", rows.forward(ACME, 9, "1", name="forward 1")),
    ("time_schedule", "name", rows.schedule(ACME, 9, name="hours 1")),
    ("verified_number", "e164", rows.verified_number(ACME, 9, "15550001")),
    ("flow", "name", rows.flow(ACME, 9, name="flow 1")),
    ("media_file", "name", rows.media_file(ACME, 9, name="media 1")),
    ("media_playlist", "name", rows.media_playlist(ACME, 9, name="playlist 1")),
)


@pytest.mark.parametrize("by", ["insert", "update"])
@pytest.mark.parametrize(("table", "key", "new"), PUSHED_OUT, ids=lambda one: one if isinstance(one, str) else "")
def test_a_row_that_replace_pushes_out_is_in_the_log(table: str, key: str, new: rows.Row, by: str) -> None:
    control = seeds.migrated()
    more = [rows.did(ACME, 1, "15550001"), rows.verified_number(ACME, 1, "15550001"), rows.ring_group(ACME, 1)]
    more += [rows.forward(ACME, 1, "1"), rows.schedule(ACME, 1), rows.flow(ACME, 1), rows.media_file(ACME, 1)]
    more += [rows.media_playlist(ACME, 1)]
    for statement, params in [*seeds.rows_of(ACME), *seeds.rows_of(GLOBEX), *more]:
        control.execute(statement, params)
    statement, params = new
    taken = params[statement.partition("(")[2].partition(")")[0].split(", ").index(key)]
    if by == "insert":
        replace_, values = statement.replace("INSERT", "INSERT OR REPLACE"), params
    else:
        unlike = tuple("other" if value == taken else value for value in params)
        control.execute(statement, unlike)
        replace_, values = f"UPDATE OR REPLACE {table} SET {key} = ? WHERE id = ?", (taken, params[0])
    before = {row[:3]: row[3] for row in control.execute("SELECT * FROM config_change")}
    ids = {row_id for (row_id,) in control.execute(f"SELECT id FROM {table}")}
    control.execute(replace_, values)
    (gone,) = ids - {row_id for (row_id,) in control.execute(f"SELECT id FROM {table}")}
    after = {row[:3]: row[3] for row in control.execute("SELECT * FROM config_change WHERE row_id = ?", (gone,))}
    assert [version > before[name] for name, version in after.items()] == [True]


async def test_few_pokes_go_at_once_and_the_others_by_the_queue(
    brain: LocalBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    poked: list[str] = []

    async def call(name: str, method: str, *texts: str) -> str:
        poked.append(name)
        if name == "acc_3":
            raise ConnectionError("away")
        return '500 {"ok":false}' if name == "acc_5" else '200 {"ok":true}'

    monkeypatch.setattr(brain.presence, "call", call)
    await poke(brain.env, [f"acc_{number}" for number in range(50)])
    assert poked == [f"acc_{number}" for number in range(20)]
    assert brain.queue.texts == ["acc_3", "acc_5", *(f"acc_{number}" for number in range(20, 50))]


def test_every_tenant_table_carries_an_indexed_account_id() -> None:
    control = seeds.migrated()
    tables = [name for (name,) in control.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    platform = {"account", "node", "trunk_address", "carrier_rate", "idempotency_key"}
    for table in set(tables) - platform:
        assert "account_id" in columns(control, table), table
        plan = control.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE account_id = 'x'").fetchall()
        assert all(re.match(r"SEARCH", row[3]) for row in plan), (table, plan)


def test_calls_are_stored_as_they_are() -> None:
    book = Book(SqliteSql(sqlite3.connect(":memory:")), seeds.MASTER_KEY)
    call = replace(step(CALL, Answered(2_000, 1)), user_id="us_1", mos=4.2, lost=True, ringing=("us_2", "us_3"))
    book.calls.add(CALL, "reply")
    book.calls.put(call)
    assert book.calls.by_id("call_1") == call
    assert book.calls.by_sip("s", "t", "1") == call
    assert book.calls.known("s", "t", "1") == Known(call.call_id, "reply", pending=False)
    assert book.calls.live() == [call]
