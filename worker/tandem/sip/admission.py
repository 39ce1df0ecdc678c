"""A call under the ceilings of ancestors: asked before it may go on, given back when it is over.

The decision writes what the call takes and the questions (`pending`) in one transaction; then the ancestors are asked;
then a second transaction confirms or undoes everything. Whatever dies in between is undone by `Outbox`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tandem.contracts.children import AdmitChild, ChildCallName, ChildrenHeld, ChildrenQuery, ChildVerdict
from tandem.contracts.objects import open_envelope
from tandem.contracts.route import Directive, RouteReply
from tandem.domain.cac import RETRY_AFTER_SEC, Ask, Dimension, Refusal, reason_header, sip_code
from tandem.domain.calls import Call, Disposition, Refused, State, step
from tandem.runtime import Env
from tandem.runtime.log import log
from tandem.sip.book import Book

ASK_TIMEOUT_SEC: Final = 1.0


async def ask_ancestors(env: Env, child_id: str, asks: Sequence[Ask]) -> Refusal | None:
    """The first refusal, None when all grant it. An ancestor that does not answer in time refuses."""
    by_ancestor: dict[str, list[Ask]] = {}
    for ask in asks:
        by_ancestor.setdefault(ask.ancestor_id, []).append(ask)
    verdicts = await asyncio.gather(*(_ask(env, child_id, own) for own in by_ancestor.values()))
    return next((verdict for verdict in verdicts if verdict is not None), None)


async def _ask(env: Env, child_id: str, asks: Sequence[Ask]) -> Refusal | None:
    first = asks[0]
    message = AdmitChild(
        child_id=child_id,
        call_id=first.call_id,
        version=first.version,
        dimensions=[ask.dimension.value for ask in asks],
    )
    try:
        async with asyncio.timeout(ASK_TIMEOUT_SEC):
            reply = await env.presence.call(first.ancestor_id, "admit_child", first.ancestor_id, message.wire())
        status, text = open_envelope(reply)
        if status != 200:
            raise ConnectionError(f"status {status}")
        verdict = ChildVerdict.model_validate_json(text)
    except Exception as error:
        log(
            "warning",
            "ancestor_unreachable",
            account_id=child_id,
            call_id=first.call_id,
            ancestor_id=first.ancestor_id,
            error=f"{type(error).__name__}: {error}",
        )
        return Refusal(first.dimension, first.ancestor_id, 0, 0)
    if verdict.granted:
        return None
    dimension = first.dimension if verdict.dimension is None else Dimension(verdict.dimension)
    return Refusal(dimension, first.ancestor_id, verdict.used or 0, verdict.limit or 0)


def settle(book: Book, call_id: str, text: str, refusal: Refusal | None, now: int) -> str:
    """The reply to give, now that the ancestors have answered: `text`, or a refusal that leaves nothing behind."""
    call = book.calls.by_id(call_id)
    if call is None or call.state is State.ENDED:
        # It ended while the ancestors were asked: the node gave up, or another repeat of the question was refused.
        refused_by = None if call is None or call.cac_refused_by is None else Dimension(call.cac_refused_by)
        return refusal_text(book.account_id, call_id, refused_by)
    if not call.pending:
        return text
    if refusal is None:
        book.asked.granted(call_id)
        book.calls.put(replace(call, pending=False))
        return text
    return undo(book, call_id, refusal.dimension, now)


def undo(book: Book, call_id: str, dimension: Dimension | None, now: int) -> str:
    """Ends a pending call as refused: it gives back all that it took, and never counted in a window. The refusal."""
    reply = refusal_text(book.account_id, call_id, dimension)
    call = book.calls.by_id(call_id)
    if call is not None and call.pending and call.state is not State.ENDED:
        disposition = Disposition.FAILED if dimension is None else Disposition.REJECTED
        word = None if dimension is None else str(dimension)
        after = step(call, Refused(now, disposition, "503", word))
        book.calls.put(replace(after, pending=False))
        book.calls.answer_anew(call_id, reply)
        book.holdings.leave_windows(call_id)
    return reply


def refusal_text(account_id: str, call_id: str, dimension: Dimension | None) -> str:
    directive = Directive(
        action="reject",
        routing="serial",
        account_id=account_id,
        call_id=call_id,
        code=503 if dimension is None else sip_code(dimension),
        reason="Service Unavailable",
        retry_after_sec=RETRY_AFTER_SEC,
        headers=None if dimension is None else [reason_header(dimension)],
    )
    return RouteReply(rtjson=directive).wire()


def warn(account_id: str, call: Call) -> None:
    """The structured line about a call that went over soft limits."""
    log("warning", "limit.warning", account_id=account_id, call_id=call.call_id, limits=" ".join(call.limit_warnings))


def still_held(book: Book, query: ChildrenQuery) -> ChildrenHeld:
    """Answers an ancestor whose leases ran out."""
    return ChildrenHeld(
        held=[
            ChildCallName(call_id=one.call_id, dimension=one.dimension)
            for one in query.calls
            if book.asked.wants(one.call_id, query.ancestor_id, Dimension(one.dimension))
        ]
    )
