"""The replica equals D1 after any writes, lost pokes, pulls at once, outages and evictions."""

from __future__ import annotations

import asyncio
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

ACCOUNTS = ("acc_a", "acc_b")
KEYS = st.integers(0, 5)
WRITES = (
    "INSERT INTO sip_user (id, account_id, username) VALUES ('us_' || :key, :account, :value)",
    "INSERT INTO sip_device (id, account_id, user_id, auth_username, realm, ha1, ha1b, ha1_sha256, ha1b_sha256)"
    " VALUES ('dev_' || :key, :account, 'us_' || :value, :key, 'r', '', '', '', '')",
    "INSERT INTO extension (id, account_id, digits, dest_kind, dest_id)"
    " VALUES ('ext_' || :key, :account, :value, 'user', 'us_1')",
    "INSERT INTO sip_domain (id, account_id, domain) VALUES ('dom_' || :key, :account, :key || '.test')",
    "UPDATE account SET status = CASE status WHEN 'active' THEN 'suspended' ELSE 'active' END WHERE id = :account",
    "UPDATE sip_user SET display_name = :value, max_simultaneous = :value WHERE id = 'us_' || :key",
    "UPDATE sip_user SET dnd = 1 - dnd WHERE account_id = :account",
    "UPDATE sip_device SET status = 'disabled', ring_order = :value WHERE id = 'dev_' || :key",
    "UPDATE extension SET dest_id = 'us_' || :value WHERE id = 'ext_' || :key",
    "UPDATE sip_domain SET is_primary = 1 - is_primary WHERE id = 'dom_' || :key",
    *(f"UPDATE {table} SET account_id = :account WHERE id LIKE '%' || :key" for table in TABLES[1:]),
    *(f"DELETE FROM {table} WHERE id LIKE '%' || :key" for table in TABLES[1:]),
    *(f"DELETE FROM {table} WHERE account_id = :account" for table in TABLES[1:]),
    "DELETE FROM account WHERE id = :account",
    "INSERT INTO account (id, name, created_at) VALUES (:account, 'again', 0)",
)
ACCOUNT = st.sampled_from(ACCOUNTS)


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
        self.storage = {account: sqlite3.connect(":memory:") for account in ACCOUNTS}
        self.books = {account: self._wake(account) for account in ACCOUNTS}
        self.gated = Gated(self.control)
        self.pulls: list[Pull] = []
        for account in ACCOUNTS:
            self._write(WRITES[-1], account, 0, 0)
        for key in range(6):
            for statement in WRITES[:4]:
                self._write(statement, ACCOUNTS[key % 2], key, key)

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
        try:
            self.control.connection.execute(statement, {"account": account, "key": key, "value": value})
        except sqlite3.IntegrityError:
            return

    @rule(writes=st.lists(st.tuples(st.sampled_from(WRITES), ACCOUNT, KEYS, KEYS), min_size=1, max_size=12))
    def write(self, writes: list[tuple[str, str, int, int]]) -> None:
        for statement, account, key, value in writes:
            self._write(statement, account, key, value)

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
        for account in ACCOUNTS:
            for (owner,) in self.storage[account].execute("SELECT id FROM account"):
                assert owner == account

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
        for table in TABLES:
            names = [row[1] for row in self.storage[account].execute(f"PRAGMA table_info({table})")]
            owner = "id" if table == "account" else "account_id"
            chosen = f"SELECT {', '.join(names)} FROM {table}"
            truth = self.control.connection.execute(f"{chosen} WHERE {owner} = ? ORDER BY id", (account,)).fetchall()
            held = self.storage[account].execute(f"{chosen} ORDER BY id").fetchall()
            assert [tuple(row) for row in truth] == held, table


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
