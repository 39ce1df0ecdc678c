"""What every question about a call's way has in common: its context, its repeats, and its refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tandem.contracts.route import Directive, RouteRequest
from tandem.domain.account import Account
from tandem.domain.calls import Call, Refused, State, step
from tandem.domain.routing import Context, Reject, Ring
from tandem.sip import directives
from tandem.sip.book import Book


class _Nodes:
    """The nodes at which a contact can be reached: the one that asks, and those whose address is known."""

    def __init__(self, book: Book, node_id: str) -> None:
        self._book = book
        self._node_id = node_id

    def __contains__(self, node_id: object) -> bool:
        return node_id == self._node_id or self._book.addresses.get(str(node_id)) is not None


def make_context(book: Book, call_id: str, node_id: str, now: int) -> Context:
    account = book.directory.account() or Account(book.account_id, "")
    nodes = _Nodes(book, node_id)
    return Context(account, book.directory, book.holdings, book.turns, call_id, now, now, nodes)


@dataclass(frozen=True, slots=True)
class Last:
    """The last question about a call after the first, and its reply."""

    question_id: str | None
    outcome: str
    reply: str

    def is_repeated(self, request: RouteRequest, state: State) -> bool:
        """A question that a node asks again; without its id only the end of a call shows that it is one."""
        if request.question_id is not None:
            return self.question_id == request.question_id
        return state is State.ENDED and self.outcome == request.outcome


def read_last(found: list[Any] | None) -> Last | None:
    return None if found is None else Last(*found)


def refused(book: Book, call: Call, reason: Reject, now: int) -> tuple[Call, Directive]:
    """The call after a decision that leads nowhere, and the document for the node."""
    dimension = None if reason.dimension is None else str(reason.dimension)
    ended = step(call, Refused(now, reason.disposition, str(reason.code), dimension))
    return ended, directives.reject(book.account_id, call.call_id, reason)


def callee(ring: Ring | None) -> str | None:
    """Who is called, where that is one user."""
    return ring.users[0] if ring is not None and len(ring.users) == 1 else None
