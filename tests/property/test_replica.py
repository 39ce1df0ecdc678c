"""The replica equals D1 after any writes, lost pokes, pulls at once, outages and evictions."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tandem.runtime.cpython import SqliteDatabase, SqliteSql
from tandem.sip.book import Book
from tandem.store import replica
from tandem.store.replica import TABLES
from tests.support import seeds

# Every account with its parent: a reseller's customer's customer, and one that has to do with none of them.
PARENTS = {"acc_top": None, "acc_mid": "acc_top", "acc_leaf": "acc_mid", "acc_other": None}
ACCOUNTS = tuple(PARENTS)
KEYS = st.integers(0, 3)
OWNED = [table for table in TABLES if table != "account"]
# Ids name the account, so that a row in a wrong replica is seen. D1 refuses what breaks a reference or a key.
INSERTS = (
    "sip_user (id, account_id, username) VALUES ('us_' || :account || :key, :account, :value)",
    "sip_device (id, account_id, user_id, auth_username, realm, ha1, ha1b, ha1_sha256, ha1b_sha256)"
    " VALUES ('dev_' || :account || :key, :account, 'us_' || :account || :value, :value, 'r', '', '', '', '')",
    "extension (id, account_id, digits, dest_kind, dest_id)"
    " VALUES ('ext_' || :account || :key, :account, :value, 'user', 'us_1')",
    "sip_domain (id, account_id, domain) VALUES ('dom_' || :account || :key, :account, :value || '.test')",
    "did (id, account_id, e164, dest_xform)"
    " VALUES ('did_' || :account || :key, :account, '1555' || :value, '{\"a\":1}')",
    "time_schedule (id, account_id, name) VALUES ('sch_' || :account || :key, :account, :value)",
    "time_schedule_rule (id, account_id, schedule_id, kind, dow)"
    " VALUES ('schr_' || :account || :key, :account, 'sch_' || :account || :value, 'weekly', :value)",
    "ring_group (id, account_id, name) VALUES ('rg_' || :account || :key, :account, :value)",
    "ring_group_member (id, account_id, ring_group_id, user_id, delay_sec) VALUES"
    " ('rgm_' || :account || :key, :account, 'rg_' || :account || :value, 'us_' || :account || :value, :value)",
    "forward (id, account_id, name, e164) VALUES ('fwd_' || :account || :key, :account, :value, '1')",
    "sip_trunk (id, account_id, name) VALUES ('tr_' || :account || :key, :account, :value)",
    "sip_trunk (id, account_id, name) VALUES ('tr_platform' || :key, NULL, :value)",
    "call_limit (id, account_id, scope_kind, period_sec, max_count)"
    " VALUES ('lim_' || :account || :key, :account, 'account', 60, :value)",
    "verified_number (id, account_id, e164) VALUES ('vn_' || :account || :key, :account, :value)",
    "flow (id, account_id, name, graph) VALUES ('flow_' || :account || :key, :account, :value, '{}')",
    "media_file (id, account_id, name, kind) VALUES ('media_' || :account || :key, :account, :value, 'prompt')",
    "media_playlist (id, account_id, name) VALUES ('pl_' || :account || :key, :account, :value)",
)
# Drafts are in no replica; a version once published is there until its flow is deleted.
PUBLISH = (
    "UPDATE flow SET status = 'published', version = version + 1, published_graph = graph WHERE id LIKE '%' || :key"
)
NEW_ACCOUNT = "INSERT INTO account (id, parent_id, name, created_at) VALUES (:account, :parent, 'name', 0)"
WRITES = (
    *(f"INSERT INTO {insert}" for insert in INSERTS),
    *(f"INSERT OR REPLACE INTO {insert}" for insert in INSERTS),
    *(f"INSERT OR IGNORE INTO {insert}" for insert in INSERTS[:6]),
    f"INSERT INTO {INSERTS[0]} ON CONFLICT (account_id, username) DO UPDATE SET dnd = 1 - dnd",
    f"INSERT INTO {INSERTS[4]} ON CONFLICT DO UPDATE SET label = 'again'",
    "INSERT OR REPLACE INTO sip_user (id, account_id, username) SELECT id, :account, 'taken' FROM sip_user"
    " WHERE id LIKE '%' || :key LIMIT 1",
    "INSERT OR REPLACE INTO account (id, parent_id, name, created_at) VALUES (:account, :parent, :value, 0)",
    # Refused, since the account is there below another; one that was removed may be made anew, but not elsewhere here.
    "INSERT OR REPLACE INTO account (id, parent_id, name, created_at)"
    " SELECT id, 'acc_other', :value, 0 FROM account WHERE id = :account",
    "UPDATE account SET status = CASE status WHEN 'active' THEN 'suspended' ELSE 'active' END WHERE id = :account",
    "UPDATE account SET name = :value, max_in = :value, timezone = 'UTC' WHERE id = :account",
    "UPDATE account SET parent_id = 'acc_other' WHERE id = :account",
    "UPDATE sip_user SET display_name = :value, max_simultaneous = :value WHERE id LIKE '%' || :key",
    "UPDATE sip_user SET dnd = 1 - dnd WHERE account_id = :account",
    "UPDATE OR REPLACE sip_user SET username = :value WHERE account_id = :account",
    "UPDATE OR REPLACE did SET e164 = '1555' || :value WHERE id LIKE '%' || :key",
    "UPDATE OR REPLACE sip_domain SET domain = :value || '.test' WHERE account_id = :account AND id LIKE '%' || :key",
    "UPDATE sip_device SET status = 'disabled', ring_order = :value WHERE id LIKE '%' || :key",
    "UPDATE extension SET dest_id = 'us_' || :value WHERE id LIKE '%' || :key",
    "UPDATE sip_domain SET is_primary = 1 - is_primary WHERE id LIKE '%' || :key",
    "UPDATE sip_trunk SET max_channels = :value, status = 'disabled' WHERE account_id IS NULL AND id LIKE '%' || :key",
    "UPDATE sip_trunk SET account_id = NULL WHERE account_id = :account",
    "UPDATE flow SET graph = '{\"start\":' || :value || '}' WHERE id LIKE '%' || :key",
    PUBLISH,
    "INSERT INTO flow_version (flow_id, account_id, version, graph, published_at, published_by)"
    " SELECT id, account_id, version, graph, 0, 'key_1' FROM flow WHERE id LIKE '%' || :key",
    "UPDATE flow SET status = 'archived', published_graph = NULL WHERE account_id = :account",
    "UPDATE flow_version SET graph = '' WHERE flow_id LIKE '%' || :key",
    "DELETE FROM flow_version WHERE flow_id LIKE '%' || :key",
    "UPDATE OR REPLACE flow SET name = :value WHERE account_id = :account",
    "UPDATE OR REPLACE media_file SET name = :value, etag = :value, size = :key WHERE account_id = :account",
    "UPDATE OR REPLACE media_playlist SET name = :value WHERE account_id = :account",
    "UPDATE media_playlist SET media_ids = json_array('media_' || :value) WHERE id LIKE '%' || :key",
    *(f"UPDATE {table} SET revision = revision + 1 WHERE id LIKE '%' || :key" for table in TABLES),
    *(f"UPDATE {table} SET account_id = :account WHERE id LIKE '%' || :key" for table in OWNED),
    *(f"UPDATE {table} SET id = id || 'x' WHERE id LIKE '%' || :key" for table in TABLES),
    *(f"DELETE FROM {table} WHERE id LIKE '%' || :key" for table in OWNED),
    *(f"DELETE FROM {table} WHERE account_id = :account" for table in OWNED),
    "DELETE FROM account WHERE id = :account",
    NEW_ACCOUNT,
)
ACCOUNT = st.sampled_from(ACCOUNTS)
CHILDREN_FIRST = ("ring_group_member", "sip_device", "time_schedule_rule", *OWNED)


class Gated:
    """D1 whose replies arrive when the machine lets them, so that pulls overlap in any way."""

    def __init__(self, control: SqliteDatabase) -> None:
        self.control = control
        self.waiting: list[asyncio.Event] = []

    async def batch(self, statements: Any) -> Any:
        found = await self.control.batch(statements)
        gate = asyncio.Event()
        self.waiting.append(gate)
        await gate.wait()
        return found


class Pull(NamedTuple):
    """`version` is that of the change log when the pull began: when it ends well, the replica has got there."""

    account: str
    book: Book
    task: asyncio.Task[bool]
    version: int


class ReplicaMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.control = SqliteDatabase(seeds.migrated())
        self.control.connection.execute("PRAGMA foreign_keys = ON")  # as D1 has it
        self.storage = {account: sqlite3.connect(":memory:") for account in ACCOUNTS}
        self.books = {account: self._wake(account) for account in ACCOUNTS}
        self.gated = Gated(self.control)
        self.pulls: list[Pull] = []
        for account in ACCOUNTS:
            self._write(NEW_ACCOUNT, account, 0, 0)
        for key in range(4):
            for insert in INSERTS:
                self._write(f"INSERT INTO {insert}", ACCOUNTS[key], key, key)

    def teardown(self) -> None:
        for pull in self.pulls:
            pull.task.cancel()

        async def wait() -> None:
            await asyncio.gather(*(pull.task for pull in self.pulls), return_exceptions=True)

        self.loop.run_until_complete(wait())
        self.loop.close()
        for connection in (self.control.connection, *self.storage.values()):
            connection.close()

    def _wake(self, account: str) -> Book:
        return Book(SqliteSql(self.storage[account]), seeds.MASTER_KEY)

    def _write(self, statement: str, account: str, key: int, value: int) -> None:
        """D1 refuses what breaks a constraint."""
        values = {"account": account, "key": key, "value": value, "parent": PARENTS[account]}
        try:
            self.control.connection.execute(statement, values)
        except sqlite3.IntegrityError:
            return

    @rule(writes=st.lists(st.tuples(st.sampled_from(WRITES), ACCOUNT, KEYS, KEYS), min_size=1, max_size=12))
    def write(self, writes: list[tuple[str, str, int, int]]) -> None:
        for statement, account, key, value in writes:
            self._write(statement, account, key, value)

    @rule(account=ACCOUNT)
    def remove_account(self, account: str) -> None:
        """With all that is its own, as the API would; those below it keep it alive."""
        if account not in {parent for (parent,) in self.control.connection.execute("SELECT parent_id FROM account")}:
            for table in CHILDREN_FIRST:
                self._write(f"DELETE FROM {table} WHERE account_id = :account", account, 0, 0)
            self._write("DELETE FROM account WHERE id = :account", account, 0, 0)

    @rule(account=ACCOUNT)
    def pull_while_d1_is_away(self, account: str) -> None:
        self.control.available = False
        self.begin_pull(account)
        self.control.available = True

    @rule(account=ACCOUNT)
    def evict(self, account: str) -> None:
        """What was under way in the object dies with it."""
        for pull in self.pulls:
            if pull.account == account:
                pull.task.cancel()
        self._turn()
        self.books[account] = self._wake(account)

    @rule(account=ACCOUNT)
    def begin_pull(self, account: str) -> None:
        book = self.books[account]
        task = self.loop.create_task(book.replica.pull(self.gated, account))
        newest = "SELECT COALESCE(MAX(version), 0) FROM config_change WHERE account_id = ?"
        (version,) = self.control.connection.execute(newest, (account,)).fetchone()
        self.pulls.append(Pull(account, book, task, version))
        self._turn()

    @precondition(lambda self: self.gated.waiting)
    @rule(data=st.data())
    def let_a_reply_arrive(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.gated.waiting) - 1))
        self.gated.waiting.pop(index).set()
        self._turn()

    @rule(account=ACCOUNT)
    def pull_to_the_end_and_compare(self, account: str) -> None:
        """Whatever happened before and whatever is still under way: one pull that succeeds makes them equal."""
        self.loop.run_until_complete(self.books[account].replica.pull(self.control, account))
        self._compare(account)

    @invariant()
    def nothing_of_another_account_is_ever_held(self) -> None:
        for account, storage in self.storage.items():
            assert {owner for (owner,) in storage.execute("SELECT id FROM account")} <= set(_chain(account))
            for table in OWNED:
                ids = [row_id for (row_id,) in storage.execute(f"SELECT id FROM {table}")]
                wrong = [row_id for row_id in ids if f"_{account}" not in row_id and "_platform" not in row_id]
                assert wrong == [], (account, table)

    @invariant()
    def a_pull_that_ended_well_has_all_that_was_there_when_it_began(self) -> None:
        for pull in [pull for pull in self.pulls if pull.task.done()]:
            self.pulls.remove(pull)
            if not pull.task.cancelled() and pull.task.exception() is None:
                assert pull.book.replica.version >= pull.version

    @invariant()
    def the_version_is_stored_with_the_rows(self) -> None:
        for account, book in self.books.items():
            found = self.storage[account].execute("SELECT value FROM meta WHERE key = 'config_version'").fetchone()
            assert found == (book.replica.version,)

    def _turn(self) -> None:
        async def settle() -> None:
            for _ in range(4):
                await asyncio.sleep(0)

        self.loop.run_until_complete(settle())

    def _compare(self, account: str) -> None:
        control = self.control.connection
        exists = control.execute("SELECT 1 FROM account WHERE id = ?", (account,)).fetchone() is not None
        chain = json.dumps(_chain(account) if exists else [])
        for table in TABLES:
            names = [row[1] for row in self.storage[account].execute(f"PRAGMA table_info({table})")]
            chosen = f"SELECT {', '.join(names)} FROM {table}"
            match table:
                case "account":
                    owned, params = "id IN (SELECT value FROM json_each(?))", (chain,)
                case "sip_trunk" if exists:
                    owned, params = "account_id = ? OR account_id IS NULL", (account,)
                case _:
                    owned, params = "account_id = ?", (account,)
            truth = control.execute(f"{chosen} WHERE {owned} ORDER BY id", params).fetchall()
            held = self.storage[account].execute(f"{chosen} ORDER BY id").fetchall()
            assert [tuple(row) for row in truth] == held, table


def _chain(account: str | None) -> list[str]:
    """The account and all above it."""
    return [] if account is None else [account, *_chain(PARENTS[account])]


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "PAGE", 3)


TestReplica = ReplicaMachine.TestCase
TestReplica.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
