"""The disk buffer of events: written before Kamailio lets go of them, sent in order, kept until acknowledged."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from edge_node.agent.brain import Brain, BrainError, Failure
from edge_node.agent.clock import backoff_sec
from edge_node.agent.log import Log
from edge_node.agent.metrics import Metrics
from edge_node.agent.store import Store
from tandem.contracts.events import MAX_BATCH, DialogEvent, EventAck, EventBase, MediaEvent, SnapshotEvent

PATH: Final = "/presence/event"
_TIMEOUT_SEC: Final = 10.0
_LONGEST_PAUSE_SEC: Final = 10.0
# A batch of many costs the brain little more than a batch of one, so events wait a moment for company.
_GATHER_SEC: Final = 0.05
_MAX_BATCH_CHARS: Final = 256 * 1024
# Not yet on disk: beyond this, events are left with Kamailio, which sends them again.
_MAX_UNWRITTEN: Final = 10_000
_INSERT: Final = "INSERT OR IGNORE INTO event (event_id, account_id, repairable, body) VALUES (?, ?, ?, ?)"
_SHED: Final = "DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE repairable >= ? ORDER BY seq LIMIT ?)"
_NEXT: Final = (
    "SELECT event_id, account_id, body FROM event WHERE account_id NOT IN (SELECT value FROM json_each(?))"
    " ORDER BY seq LIMIT ?"
)
_DELETE: Final = "DELETE FROM event WHERE event_id IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class _Unwritten:
    event: EventBase
    written: Callable[[], None] | None


@dataclass(frozen=True, slots=True)
class _Row:
    event_id: str
    account_id: str
    body: str


def _is_repairable(event: EventBase) -> bool:
    """What a later snapshot says again; the ends and answers of calls it does not, nor what is paid for."""
    if isinstance(event, MediaEvent):
        return False
    return not (isinstance(event, DialogEvent) and event.state in ("answer", "end", "failed"))


class EventBuffer:
    """`add` is synchronous and keeps the order; `run_writer` and `run_sender` do the work until cancelled."""

    def __init__(self, store: Store, brain: Brain, node: str, limit: int, metrics: Metrics, log: Log) -> None:
        self._store = store
        self._brain = brain
        self._node = node
        self._limit = limit
        self._metrics = metrics
        self._log = log
        self._unwritten: list[_Unwritten] = []
        self._to_write = asyncio.Event()
        self._to_send = asyncio.Event()
        self._held: dict[str, tuple[int, float]] = {}
        self._snapshots: dict[str, str] = {}
        self._batch = MAX_BATCH
        self.stored = 0

    def add(self, event: EventBase, written: Callable[[], None] | None = None) -> bool:
        """`written` is called when the event is on disk. False when there is no room: it was not taken."""
        if len(self._unwritten) >= _MAX_UNWRITTEN:
            self._metrics.events.labels("left_with_kamailio").inc()
            return False
        self._unwritten.append(_Unwritten(event, written))
        if isinstance(event, SnapshotEvent):
            self._snapshots[event.event_id] = event.account_id
        self._to_write.set()
        return True

    def has_snapshot(self, account_id: str) -> bool:
        """A snapshot of the account is on its way to the brain."""
        return account_id in self._snapshots.values()

    async def open(self) -> None:
        """Counts what an earlier run left behind."""
        self._counted(await self._store.run(_count))

    async def run_writer(self) -> None:
        attempt = 0
        while True:
            await self._to_write.wait()
            try:
                await self.flush()
                attempt = 0
            except sqlite3.Error as error:
                self._log.error("events cannot be written", error=str(error))
                attempt += 1
                await asyncio.sleep(backoff_sec(attempt, _LONGEST_PAUSE_SEC))

    async def flush(self) -> None:
        """Writes what waits, in one transaction. Raises `sqlite3.Error`; nothing is lost then."""
        self._to_write.clear()
        batch, self._unwritten = self._unwritten, []
        if not batch:
            return
        rows = [
            (one.event.event_id, one.event.account_id, _is_repairable(one.event), one.event.wire()) for one in batch
        ]
        try:
            total, shed = await self._store.run(lambda connection: _insert(connection, rows, self._limit))
        except BaseException:
            self._unwritten[:0] = batch
            self._to_write.set()
            raise
        self._counted(total)
        self._metrics.events.labels("stored").inc(len(rows))
        if shed:
            self._metrics.events.labels("shed").inc(shed)
            self._log.error("event buffer full: the oldest were dropped", count=shed)
            # Perhaps snapshots among them: the brain may have them anew.
            self._snapshots.clear()
        self._to_send.set()
        for one in batch:
            if one.written is not None:
                one.written()

    async def run_sender(self) -> None:
        self._to_send.set()
        attempt = 0
        while True:
            await self._wait_for_work()
            await asyncio.sleep(_GATHER_SEC)
            batch = await self._next_batch()
            if not batch:
                continue
            try:
                await self._send(batch)
                attempt = 0
            except BrainError as error:
                if error.failure is Failure.REFUSED and error.status in (400, 413, 422):
                    await self._split(batch, error)
                    continue
                if attempt == 0:
                    self._log.warning("events wait for the brain", error=str(error), buffered=self.stored)
                attempt += 1
                await asyncio.sleep(backoff_sec(attempt, _LONGEST_PAUSE_SEC))

    async def _wait_for_work(self) -> None:
        """New events, or the end of the shortest hold."""
        if self._to_send.is_set():
            return
        pause = min((until for _, until in self._held.values()), default=None)
        try:
            async with asyncio.timeout(None if pause is None else max(0.0, pause - time.monotonic())):
                await self._to_send.wait()
        except TimeoutError:
            self._to_send.set()

    async def _next_batch(self) -> list[_Row]:
        now = time.monotonic()
        held = json.dumps([account for account, (_, until) in self._held.items() if until > now])
        # Cleared before the look, so that what is written meanwhile sets it again.
        self._to_send.clear()
        rows = await self._store.run(
            lambda connection: [_Row(*row) for row in connection.execute(_NEXT, (held, self._batch))]
        )
        if rows:
            self._to_send.set()
        else:
            self._held = {account: hold for account, hold in self._held.items() if hold[1] > now}
        size = 0
        for index, row in enumerate(rows):
            size += len(row.body)
            if size > _MAX_BATCH_CHARS and index:
                return rows[:index]
        return rows

    async def _send(self, batch: list[_Row]) -> None:
        events = ",".join(row.body for row in batch)
        reply = await self._brain.post(PATH, f'{{"node":{json.dumps(self._node)},"events":[{events}]}}', _TIMEOUT_SEC)
        try:
            ack = EventAck.model_validate_json(reply)
        except ValidationError as error:
            raise BrainError(Failure.SERVER, 200, "unreadable", "an acknowledgement that cannot be read") from error
        for event_id, reason in ack.refused.items():
            self._metrics.events.labels("refused").inc()
            self._log.warning("event refused", event_id=event_id, reason=reason)
        done = {row.event_id for row in batch} & {*ack.acked, *ack.refused}
        await self._delete(done)
        self._metrics.events.labels("acknowledged").inc(len(done))
        self._batch = MAX_BATCH
        self._hold({row.account_id for row in batch if row.event_id not in done}, {row.account_id for row in batch})

    def _hold(self, stuck: set[str], seen: set[str]) -> None:
        """An account whose events were not taken waits by itself; the order of the others goes on."""
        for account_id in seen - stuck:
            self._held.pop(account_id, None)
        for account_id in stuck:
            attempt = self._held[account_id][0] + 1 if account_id in self._held else 0
            self._held[account_id] = (attempt, time.monotonic() + backoff_sec(attempt + 1, _LONGEST_PAUSE_SEC))

    async def _split(self, batch: list[_Row], error: BrainError) -> None:
        """The brain cannot read the batch: find the event at fault by halves, and let go of it."""
        if len(batch) > 1:
            self._batch = len(batch) // 2
            return
        self._metrics.events.labels("refused").inc()
        self._log.error("event given up: the brain cannot read it", event_id=batch[0].event_id, error=str(error))
        await self._delete({batch[0].event_id})
        self._batch = MAX_BATCH

    async def _delete(self, event_ids: set[str]) -> None:
        ids = json.dumps(sorted(event_ids))

        def work(connection: sqlite3.Connection) -> int:
            connection.execute(_DELETE, (ids,))
            return _count(connection)

        self._counted(await self._store.run(work))
        for event_id in event_ids:
            self._snapshots.pop(event_id, None)

    def _counted(self, total: int) -> None:
        self.stored = total
        self._metrics.buffered.set(total)


def _count(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM event").fetchone()[0]
    return count


def _insert(connection: sqlite3.Connection, rows: list[tuple[str, str, bool, str]], limit: int) -> tuple[int, int]:
    connection.executemany(_INSERT, rows)
    excess = over = max(0, _count(connection) - limit)
    for repairable in (1, 0):
        if over:
            over -= connection.execute(_SHED, (repairable, over)).rowcount
    return _count(connection), excess
