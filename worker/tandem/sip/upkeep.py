"""What a PresenceDO does by itself: ships records, checks leases, sweeps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from tandem.contracts.objects import NodeState, NodeStateQuery, open_envelope
from tandem.domain.calls import Call, State
from tandem.runtime import Env
from tandem.runtime.log import log
from tandem.sip.book import Book
from tandem.sip.presence import lapse
from tandem.store import records

SHIP_WITHIN_MS: Final = 2_000
SHIP_BATCH: Final = 50
SWEEP_EVERY_MS: Final = 30_000
KEEP_ENDED_MS: Final = 26 * 3_600_000
TELL_SEC: Final = 3.0


class Shipping:
    """Brings call records to D1 (at most 5 s after the change); with that of a call in the media engine that is over,
    its session learns that it is. Usually the node has told it; where the node died, nobody else would for minutes."""

    name = "shipping"

    def __init__(self, book: Book, env: Env, now: int) -> None:
        self._book = book
        self._env = env
        self._due = now if book.calls.has_unshipped() else None

    def dirty(self, now: int) -> int:
        """A call's record changed; when it will be shipped."""
        if self._due is None:
            self._due = now + SHIP_WITHIN_MS
        return self._due

    def next_due(self, now: int) -> int | None:
        return self._due

    async def run(self, now: int) -> None:
        while calls := self._book.calls.unshipped(SHIP_BATCH):
            await records.ship(self._env.control, self._book.account_id, calls)
            for call in calls:
                self._book.calls.shipped(call)
            await self._tell_sessions(calls)
        self._due = None

    async def _tell_sessions(self, calls: Sequence[Call]) -> None:
        """Once, as well as it goes: a session that hears nothing asks by itself in the end."""
        over = [call.call_id for call in calls if call.state is State.ENDED and call.media_app_ms is not None]
        told = await asyncio.gather(*(self._tell_session(call_id) for call_id in over), return_exceptions=True)
        for call_id, error in zip(over, told, strict=True):
            if isinstance(error, Exception):
                account_id = self._book.account_id
                log("warning", "session_not_told", call_id=call_id, account_id=account_id, error=type(error).__name__)

    async def _tell_session(self, call_id: str) -> None:
        async with asyncio.timeout(TELL_SEC):
            await self._env.sessions.call(call_id, "call_over")


class Leases:
    """Asks FLEET about the node of every call whose lease ran out, before it lets go of the call."""

    name = "leases"

    def __init__(self, book: Book, env: Env, shipping: Shipping) -> None:
        self._book = book
        self._env = env
        self._shipping = shipping

    def next_due(self, now: int) -> int | None:
        return self._book.calls.next_lapse()

    async def run(self, now: int) -> None:
        by_node: dict[tuple[str, str], list[Call]] = {}
        for call in self._book.calls.lapsed(now):
            by_node.setdefault((call.region, call.node_id), []).append(call)
        for (region, node_id), calls in by_node.items():
            state = await self._ask(region, node_id)
            dialogs = None if state.digests is None else state.digests.dialogs
            for call in calls:
                current = self._book.calls.by_id(call.call_id)
                if current is not None and current.lease_until <= now:
                    lapse(self._book, current, state.status, dialogs, now)
        self._shipping.dirty(now)

    async def _ask(self, region: str, node_id: str) -> NodeState:
        known = self._book.snapshots.get(node_id)
        dialogs = None if known is None else known.dialogs
        query = NodeStateQuery(node_id=node_id, account_id=self._book.account_id, dialogs=dialogs)
        try:
            status, text = open_envelope(await self._env.fleet.call(region, "node_state", query.wire()))
        except Exception as error:
            log("warning", "fleet_unreachable", account_id=self._book.account_id, error=type(error).__name__)
            return NodeState(status="unknown")
        return NodeState.model_validate_json(text) if status == 200 else NodeState(status="unknown")


class Sweep:
    """Every 30 s while there is need: prunes what may be forgotten, pulls configuration that no poke told of."""

    name = "sweep"

    def __init__(self, book: Book, env: Env, now: int) -> None:
        self._book = book
        self._env = env
        self.due = now + SWEEP_EVERY_MS

    def next_due(self, now: int) -> int | None:
        return self.due if self._book.needs_sweeping() else None

    async def run(self, now: int) -> None:
        self.due = now + SWEEP_EVERY_MS
        self._book.guards.prune(now)
        self._book.contacts.forget_expired(now)
        self._book.calls.forget_before(now - KEEP_ENDED_MS)
        self._book.holdings.forget_entries(now)
        self._book.orders.forget(now)
        await self._book.replica.pull(self._env.control, self._book.account_id)
