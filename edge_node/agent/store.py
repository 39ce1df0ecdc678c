"""The agent's SQLite file, worked by one thread of its own so that no disk delays a decision."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_SCHEMA = Path(__file__).with_name("schema.sql")


class Store:
    """Transactions are run one after the other, in the order of the calls."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "store")
        self._connection: sqlite3.Connection | None = None

    async def __aenter__(self) -> Store:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def run(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """`work` in one transaction: when the future is done, its writes are on the disk. Errors roll back."""
        return asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work)

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, isolation_level=None)
        # FULL: what was acknowledged to Kamailio survives a power cut, not only a crash of the agent.
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;")
        connection.executescript(_SCHEMA.read_text())
        self._connection = connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        assert connection is not None, "used outside of its context"
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return result
