"""What a PresenceDO owes its ancestors' objects: units of calls that are over, and of calls that came back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from tandem.contracts.children import ChildChange, ChildChanges
from tandem.contracts.objects import open_envelope
from tandem.contracts.retry import backoff_ms
from tandem.runtime import Env, now_ms, random_bytes
from tandem.runtime.log import log
from tandem.sip.admission import undo
from tandem.sip.book import Book
from tandem.store.asked import Owed

BATCH: Final = 100
GATHER_MS: Final = 100


class Outbox:
    """Tells them, until they know; and undoes decisions whose question to them nobody waits for any more."""

    name = "outbox"

    def __init__(self, book: Book, env: Env) -> None:
        self._book = book
        self._env = env

    def owing(self, now: int) -> int | None:
        """When a decision put something into the outbox since this was last asked: when it will be sent."""
        if not self._book.asked.owing:
            return None
        self._book.asked.owing = False
        return now + GATHER_MS

    def next_due(self, now: int) -> int | None:
        return self._book.asked.next_due()

    async def run(self, now: int) -> None:
        for call_id in self._book.asked.abandoned(now):
            self._book.sql.transaction(partial(self._abandon, call_id, now))
        while owed := self._book.asked.owed(now, BATCH):
            by_ancestor: dict[str, list[Owed]] = {}
            for one in owed:
                by_ancestor.setdefault(one.ask.ancestor_id, []).append(one)
            for ancestor_id, own in by_ancestor.items():
                told = await self._tell(ancestor_id, own)
                self._book.sql.transaction(partial(self._note, own, told))

    def _abandon(self, call_id: str, now: int) -> None:
        undo(self._book, call_id, None, now)
        call = self._book.calls.by_id(call_id)
        self._book.asked.let_go(call_id, 1 if call is None else call.row_version)

    async def _tell(self, ancestor_id: str, own: Sequence[Owed]) -> bool:
        changes = [
            ChildChange(
                call_id=one.ask.call_id,
                dimension=one.ask.dimension.value,
                version=one.ask.version,
                take=one.take,
            )
            for one in own
        ]
        message = ChildChanges(child_id=self._book.account_id, changes=changes)
        try:
            status, _ = open_envelope(
                await self._env.presence.call(ancestor_id, "children_changed", ancestor_id, message.wire())
            )
        except Exception as error:
            log(
                "warning",
                "ancestor_unreachable",
                account_id=self._book.account_id,
                ancestor_id=ancestor_id,
                error=f"{type(error).__name__}: {error}",
            )
            return False
        return status == 200

    def _note(self, own: Sequence[Owed], told: bool) -> None:
        for one in own:
            if told:
                self._book.asked.told(one)
            else:
                wait = backoff_ms(one.attempts + 1, random_bytes(1)[0] / 256)
                self._book.asked.not_told(one, now_ms() + wait)
