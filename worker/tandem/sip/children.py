"""An ancestor's side of its ceilings: units for calls of the accounts below it, leased and given back."""

from __future__ import annotations

from functools import partial
from typing import Final

from tandem.contracts.children import (
    AdmitChild,
    ChildCallName,
    ChildChange,
    ChildChanges,
    ChildrenHeld,
    ChildrenQuery,
    ChildVerdict,
)
from tandem.contracts.objects import open_envelope
from tandem.domain.cac import Dimension, Leg, Refusal, Want, admit, ceiling, readmit
from tandem.runtime import Env
from tandem.runtime.log import log
from tandem.sip.book import Book
from tandem.store.children import LEASE_MS, ChildCall

RECHECK_MS: Final = 10_000
LEASE_BATCH: Final = 100


def admit_child(book: Book, asked: AdmitChild, now: int) -> ChildVerdict:
    """Takes one unit of each dimension or nothing. A question about a call that was released since is too late."""
    dimensions = [Dimension(one) for one in asked.dimensions]
    known = [book.children.get(asked.call_id, dimension) for dimension in dimensions]
    if any(_overtaken(one, asked.version) for one in known):
        return ChildVerdict(granted=False)
    own = book.limits.ceilings(book.account_id)[0]
    wants = [Want(Leg.CHILD, one, book.account_id, ceiling(own, one)) for one in dimensions]
    missing = [want for want, one in zip(wants, known, strict=True) if one is None or not one.held]
    result = admit(book.holdings, asked.call_id, missing, now=now)
    if isinstance(result, Refusal):
        return ChildVerdict(
            granted=False,
            dimension=result.dimension.value,
            used=result.used,
            limit=result.limit,
        )
    for dimension in dimensions:
        book.children.put(ChildCall(asked.call_id, dimension, asked.child_id, asked.version, held=True), now)
    return ChildVerdict(granted=True)


def apply(book: Book, changes: ChildChanges, now: int) -> None:
    """What a child's outbox brings; lost, repeated and overtaken messages do no harm."""
    for change in changes.changes:
        _apply(book, change, changes.child_id, now)


def _apply(book: Book, change: ChildChange, child_id: str, now: int) -> None:
    dimension = Dimension(change.dimension)
    known = book.children.get(change.call_id, dimension)
    if _overtaken(known, change.version):
        return
    want = Want(Leg.CHILD, dimension, book.account_id)
    if change.take:
        readmit(book.holdings, change.call_id, [want])
    else:
        book.holdings.give_back(change.call_id, want)
    book.children.put(ChildCall(change.call_id, dimension, child_id, change.version, held=change.take), now)


def _overtaken(known: ChildCall | None, version: int) -> bool:
    return known is not None and (known.version > version or (known.version == version and not known.held))


def rebuild(book: Book, now: int) -> None:
    """Takes anew what is granted to children, and lets each of them be asked at once."""
    for one in book.children.held():
        readmit(book.holdings, one.call_id, [Want(Leg.CHILD, one.dimension, book.account_id)])
        book.children.lease(one, now)


class ChildLeases:
    """Asks the accounts below, when leases ran out, which of their calls still count."""

    name = "child_leases"

    def __init__(self, book: Book, env: Env) -> None:
        self._book = book
        self._env = env

    def next_due(self, now: int) -> int | None:
        return self._book.children.next_due()

    async def run(self, now: int) -> None:
        self._book.children.forget(now)
        by_child: dict[str, list[ChildCall]] = {}
        for one in self._book.children.due(now, LEASE_BATCH):
            by_child.setdefault(one.child_id, []).append(one)
        for child_id, calls in by_child.items():
            held = await self._ask(child_id, calls)
            self._book.sql.transaction(partial(self._settle, calls, held, now))

    async def _ask(self, child_id: str, calls: list[ChildCall]) -> set[tuple[str, str]] | None:
        """(call, dimension) of those that count; None when the account cannot say."""
        names = [ChildCallName(call_id=one.call_id, dimension=one.dimension.value) for one in calls]
        query = ChildrenQuery(ancestor_id=self._book.account_id, calls=names)
        try:
            status, text = open_envelope(
                await self._env.presence.call(child_id, "children_held", child_id, query.wire())
            )
            if status != 200:
                raise ConnectionError(f"status {status}")
        except Exception as error:
            log("warning", "child_unreachable", account_id=child_id, error=f"{type(error).__name__}: {error}")
            return None
        return {(one.call_id, one.dimension) for one in ChildrenHeld.model_validate_json(text).held}

    def _settle(self, calls: list[ChildCall], held: set[tuple[str, str]] | None, now: int) -> None:
        for one in calls:
            if held is None:
                self._book.children.lease(one, now + RECHECK_MS)
            elif (one.call_id, one.dimension.value) in held:
                self._book.children.lease(one, now + LEASE_MS)
            elif self._book.children.get(one.call_id, one.dimension) == one:
                gone = ChildChange(
                    call_id=one.call_id,
                    dimension=one.dimension.value,
                    version=one.version,
                    take=False,
                )
                _apply(self._book, gone, one.child_id, now)
