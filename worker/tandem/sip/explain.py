"""What would `/route` answer, and why: the very decision, taken with a trace in a transaction that is undone."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from enum import Enum
from typing import Any, Final

from tandem.contracts.errors import TandemError, parse
from tandem.contracts.explain import ExplainRequest
from tandem.contracts.ids import new_id
from tandem.domain.cac import asks_of
from tandem.domain.callerid import Caller
from tandem.domain.numbers import candidates
from tandem.domain.routing import Arrival, Context, Decision, Peer, Reject, User, arrive, dial, recognise
from tandem.domain.routing.decisions import FORBIDDEN
from tandem.runtime import random_bytes
from tandem.sip import directives
from tandem.sip.book import Book
from tandem.sip.steps import make_context

_NODE: Final = ""  # nobody's
_NOT_ASKED: Final = "not asked here; without room there a call gets 503"


class Explained(Exception):  # noqa: N818 - not an error: it undoes what the decision wrote
    """Carries the reply out of a transaction that must leave nothing behind."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class _Anywhere:
    """No node asks: every contact can be reached."""

    def __contains__(self, node_id: object) -> bool:
        return True


def answer(book: Book, text: str, now: int) -> str:
    """Raises `Explained` with the reply `{directive, steps}`; `TandemError` when nobody of the account calls so."""
    asked = parse(ExplainRequest, text)
    account = book.directory.account()
    if account is None:
        raise TandemError("unknown_account", "There is no such account.")
    context = make_context(book, new_id("call", now, random_bytes(10)), _NODE, now)
    context.nodes = _Anywhere()
    context.at = now if asked.at is None else asked.at
    steps: list[dict[str, object]] = []
    context.trace = steps
    if account.status == "active":
        decision = _decide(book, context, asked)
    else:
        context.note("account", status=account.status, result="registers nobody and routes nothing")
        decision = FORBIDDEN
    if isinstance(decision, Reject):
        document = directives.reject(book.account_id, context.call_id, decision)
    else:
        document = directives.onward(book, context, decision, None)
        _note_ceilings(context)
    steps.append({"step": "answer", "direction": context.direction, "action": document.action})
    directive = json.loads(document.wire())
    raise Explained(json.dumps({"directive": directive, "steps": [_plain(step) for step in steps]}))


def _note_ceilings(context: Context) -> None:
    """What only the accounts above can say, and is asked when a call is placed."""
    asks = asks_of(context.account.ancestors, context.call_id, context.wants)
    if asks:
        context.note("ceilings", above=sorted({str(ask.dimension) for ask in asks}), result=_NOT_ASKED)


def _decide(book: Book, context: Context, asked: ExplainRequest) -> Decision:
    """A user or his extension calls from his phone; anything else calls from outside."""
    user = None if asked.source_ip else _user(book, asked.from_)
    if user is not None:
        context.note("caller", user=user.username)
        domain = book.directory.primary_domain()
        caller = Caller(user.username, user.display_name, domain, user.user_id)
        return dial(context, caller, user, asked.to)
    arrival = Arrival(
        asked.source_ip or "",
        asked.source_port,
        asked.to,
        asked.to,
        asked.from_,
        headers={"p-called-party-id": asked.to},
    )
    peer = recognise(context, arrival) if asked.source_ip else _by_number(book, context, asked.to)
    if peer is None:
        raise TandemError("not_found", _WHY_NOT.format(who=asked.from_, to=asked.to))
    return arrive(context, arrival, peer)


_WHY_NOT: Final = (
    "{who} is no user or extension of this account, and no number or trunk of it takes a call to {to} from there."
)


def _user(book: Book, who: str) -> User | None:
    found = book.directory.user_by_username(who)
    if found is not None:
        return found
    extension = book.directory.extension(who)
    target = None if extension is None else extension.attached.target
    return None if target is None or target.dest_kind != "user" else book.directory.user(target.dest_id)


def _by_number(book: Book, context: Context, to: str) -> Peer | None:
    """As through a carrier that brings the number."""
    for digits in candidates(to, context.account.country):
        found = book.directory.did(digits)
        if found is not None:
            context.note("outside", to=found.e164)
            return Peer(None, found, to)
    return None


def _plain(value: Any) -> Any:
    """As JSON can hold it; a target as `kind:id`."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        fields = asdict(value)
        return f"{fields['dest_kind']}:{fields['dest_id']}" if "dest_kind" in fields else _plain(fields)
    return str(value) if isinstance(value, Enum) else value
