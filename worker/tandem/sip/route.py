"""`POST /route`, decided inside the PresenceDO: the first question of a call, and what follows an outcome."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from tandem.contracts.auth import Challenge, ChallengeReply
from tandem.contracts.errors import TandemError
from tandem.contracts.ids import new_id
from tandem.contracts.route import RouteReply, RouteRequest
from tandem.domain.cac import Ask, asks_of
from tandem.domain.callerid import ANONYMOUS_NAME, Caller
from tandem.domain.calls import UNHEARD_LEASE_MS, Call, State, renew
from tandem.domain.numbers import parse_uri
from tandem.domain.routing import Context, Decision, Media, Plan, Reject, Ring, after, final
from tandem.domain.routing.plan import decode, dumps, encode
from tandem.runtime import random_bytes
from tandem.sip import directives, legs
from tandem.sip.asker import Outside, Phone, by_address, by_digest
from tandem.sip.authentication import check_account
from tandem.sip.book import Book
from tandem.sip.steps import Last, callee, make_context, read_last, refused

Answer = tuple[str, tuple[Ask, ...]]
NO_ASKS: Final[tuple[Ask, ...]] = ()


def answer(book: Book, request: RouteRequest, node_id: str, region: str, now: int) -> Answer:
    """The reply's JSON text, and what ancestors must grant before it may be given (sip/admission.py).

    A repeated first question gets the same text again, once its credentials are checked: the callee knows the SIP
    identifiers of a call too.
    """
    if request.call_id is not None:
        return _next_step(book, request, request.call_id, node_id, now), NO_ASKS
    if request.leg is not None:
        return legs.first_step(book, request, request.leg, node_id, region, now), NO_ASKS
    known = book.calls.known(request.sip_call_id, request.from_tag, request.cseq)
    asker: Phone | Outside | Challenge
    context = make_context(book, new_id("call", now, random_bytes(10)), node_id, now)
    if request.credentials is None:
        check_account(book)
        asker = by_address(context, request)
    else:
        asker = by_digest(book, request, node_id, now, repeated=known is not None)
    if isinstance(asker, Challenge):
        return ChallengeReply(challenge=asker).wire(), NO_ASKS
    if known is not None:
        return known.reply, book.asked.open_asks(known.call_id) if known.pending else NO_ASKS
    return _first_step(book, context, request, asker, node_id, region)


def _first_step(
    book: Book, context: Context, request: RouteRequest, asker: Phone | Outside, node_id: str, region: str
) -> Answer:
    decision = asker.decide(context, request)
    now = context.now
    ring = decision if isinstance(decision, Ring) else None
    plan = None if isinstance(decision, Reject) else decision.plan
    # Written in one go: a copy of a call costs as much as a look-up.
    call = Call(
        call_id=context.call_id,
        sip_call_id=request.sip_call_id,
        from_tag=request.from_tag,
        cseq=request.cseq,
        node_id=node_id,
        region=region,
        from_num=_from_num(asker, decision),
        to_num=_to_num(asker, request),
        start_ts=now,
        lease_until=now + UNHEARD_LEASE_MS,
        user_id=asker.user.user_id if isinstance(asker, Phone) else None,
        callee_user_id=callee(ring),
        direction=context.direction,
        did_id=context.did_id,
        trunk_id=context.trunk_id,
        ring_group_id=context.ring_group_id,
        ringing=() if ring is None else ring.users,
        limit_warnings=context.warnings,
        plan=None if plan is None else dumps([encode(plan), None]),
        media_app_ms=0 if isinstance(decision, Media) else None,
    )
    asks = NO_ASKS
    if isinstance(decision, Reject):
        call, document = refused(book, call, decision, now)
    else:
        document = directives.onward(book, context, decision, node_id)
        asks = asks_of(context.account.ancestors, call.call_id, context.wants, call.row_version)
        call = book.asked.ask(call, asks, now)
    text = RouteReply(rtjson=document).wire()
    book.calls.add(call, text)
    return text, asks


def _next_step(book: Book, request: RouteRequest, call_id: str, node_id: str, now: int) -> str:
    """Idempotent: a question that is asked twice gets the same answer."""
    outcome = request.outcome
    if outcome is None:
        raise TandemError("invalid_request", "A question about a known call needs its outcome.", "outcome")
    call = book.calls.by_id(call_id)
    if call is None:
        raise TandemError("not_found", f"There is no call {call_id} in this account.", "callId")
    if call.parent_id is not None:
        return legs.next_step(book, request, call, outcome, node_id, now)
    plan, last = _read(call)
    if last is not None and last.is_repeated(request, call.state):
        return last.reply
    if call.state is not State.RINGING or plan is None:
        return _ended(book, call, final(outcome), now)
    context = make_context(book, call_id, node_id, now)
    context.direction, context.did_id, context.trunk_id = call.direction, call.did_id, call.trunk_id
    decision = after(context, plan, outcome)
    ring = decision if isinstance(decision, Ring) else None
    moved = replace(
        renew(call, now),
        row_version=call.row_version + 1,
        callee_user_id=call.callee_user_id if ring is None else callee(ring),
        direction=context.direction,
        ring_group_id=context.ring_group_id or call.ring_group_id,
        ringing=() if ring is None else ring.users,
        limit_warnings=tuple(dict.fromkeys((*call.limit_warnings, *context.warnings))),
        media_app_ms=call.media_app_ms or 0 if isinstance(decision, Media) else call.media_app_ms,
    )
    if isinstance(decision, Reject):
        moved, document = refused(book, moved, decision, now)
    else:
        plan, document = decision.plan, directives.onward(book, context, decision, node_id)
    text = RouteReply(rtjson=document).wire()
    book.calls.put(replace(moved, plan=dumps([encode(plan), [request.question_id, outcome, text]])))
    return text


def _ended(book: Book, call: Call, reason: Reject, now: int) -> str:
    """There is nothing more to try, or the call is over or answered, which no outcome undoes."""
    after_it, document = refused(book, call, reason, now)
    if after_it is not call:
        book.calls.put(after_it)
    return RouteReply(rtjson=document).wire()


def _read(call: Call) -> tuple[Plan | None, Last | None]:
    if call.plan is None:
        return None, None
    found: list[Any] = json.loads(call.plan)
    return decode(found[0]), read_last(found[1])


def _from_num(asker: Phone | Outside, decision: Decision) -> str:
    """The caller in the record: an extension, digits, or a name; who hides is nobody."""
    if isinstance(asker, Phone):
        return asker.user.username
    caller: Caller | None = None if isinstance(decision, Reject) else decision.plan.caller
    if caller is None:
        return parse_uri(asker.arrival.from_uri).user.removeprefix("+")
    return ANONYMOUS_NAME.lower() if caller.anonymous else caller.user.removeprefix("+")


def _to_num(asker: Phone | Outside, request: RouteRequest) -> str:
    if isinstance(asker, Outside) and asker.peer.did is not None:
        return asker.peer.did.e164
    return parse_uri(request.ruri).user
