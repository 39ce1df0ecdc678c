"""Legs that the media engine places for a call (spec 20, "Execution"): ordered by the call's session, let in by token.

A leg is a row of `call` with a parent. It holds what it rings, for as long as it is up and its call is; it has no
record, but the call's names who answered it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from tandem.contracts import legs as tokens
from tandem.contracts.errors import TandemError
from tandem.contracts.ids import is_id, new_id
from tandem.contracts.route import RouteReply, RouteRequest
from tandem.contracts.session import LegPlaced, PlaceLeg
from tandem.domain.callerid import Caller
from tandem.domain.calls import UNHEARD_LEASE_MS, Call, Disposition, State, renew
from tandem.domain.numbers import normalise
from tandem.domain.routing import Context, Fork, Plan, Reject, Target, after_fork, final, ring_targets
from tandem.domain.routing.directory import Directory
from tandem.domain.routing.legs import LONGEST_RING_SEC
from tandem.domain.routing.plan import decode, dumps, encode
from tandem.runtime import random_bytes
from tandem.sip import directives
from tandem.sip.authentication import check_account
from tandem.sip.book import Book
from tandem.sip.presence import spoken_of
from tandem.sip.steps import Last, callee, make_context, read_last, refused
from tandem.store.orders import Order

NOT_OWN: Final = "the callerId is no number that the account owns, so the caller's own is shown"


def place(book: Book, asked: PlaceLeg, now: int) -> LegPlaced:
    """Keeps what the leg is to ring. Idempotent: what was ordered first stays, with a token that is good from now on.

    Raises `TandemError` `not_found` when the call is not there, over, or another node's.
    """
    call = spoken_of(book, asked.call_id, asked.node_id, now)
    if call is None or not _is_in_engine(call) or not is_id("leg", asked.leg_id):
        raise TandemError("not_found", "There is no such call at this node.", "call_id")
    targets = [Target(one.dest_kind, one.dest_id) for one in asked.targets]
    timeout = None if asked.timeout_sec is None else min(max(asked.timeout_sec, 1), LONGEST_RING_SEC)
    order = Order(asked.leg_id, asked.call_id, asked.node_id, targets, timeout, asked.caller_id)
    book.orders.put(order, now + tokens.LIFE_SEC * 1000)
    domain = book.directory.primary_domain() or directives.NO_DOMAIN
    token = tokens.make(book.leg_key, book.account_id, asked.node_id, asked.leg_id, now)
    ignored = asked.caller_id is not None and _own_number(book.directory, asked.caller_id) is None
    return LegPlaced(uri=f"sip:{asked.leg_id}@{domain}", token=token, noted=NOT_OWN if ignored else None)


def first_step(book: Book, request: RouteRequest, token: str, node_id: str, region: str, now: int) -> str:
    """The engine's INVITE has come: rings what was ordered, once for each leg. A repeat gets the same answer."""
    known = book.calls.known(request.sip_call_id, request.from_tag, request.cseq)
    # A repeat may come when the token's time is over: then only its truth counts.
    leg_id = tokens.verify(book.leg_key, book.account_id, node_id, token, now if known is None else 0)
    if leg_id is None:
        return _forbidden(book, new_id("leg", now, random_bytes(10)), "Leg Not Ordered")
    if known is not None:
        return known.reply if known.call_id == leg_id else _forbidden(book, leg_id, "Another Call")
    check_account(book)
    order = book.orders.get(leg_id)
    if order is None or book.calls.by_id(leg_id) is not None:
        return _forbidden(book, leg_id, "Leg Not Ordered")
    call = spoken_of(book, order.call_id, node_id, now)
    if call is None or not _is_in_engine(call):
        return _forbidden(book, leg_id, "Call Is Over")
    book.orders.drop(leg_id)
    context = make_context(book, leg_id, node_id, now)
    plan = _plan(context, call, order)
    decision = ring_targets(context, plan, order.targets, order.timeout_sec)
    fork = decision if isinstance(decision, Fork) else None
    leg = Call(
        call_id=leg_id,
        sip_call_id=request.sip_call_id,
        from_tag=request.from_tag,
        cseq=request.cseq,
        node_id=node_id,
        region=region,
        from_num=plan.caller.user.removeprefix("+"),
        to_num=order.targets[0].dest_id,
        start_ts=now,
        lease_until=now + UNHEARD_LEASE_MS,
        callee_user_id=None if fork is None else callee(fork.ring),
        ringing=() if fork is None else fork.ring.users,
        plan=None if fork is None else _dumps(fork, now + (order.timeout_sec or LONGEST_RING_SEC) * 1000, None),
        parent_id=order.call_id,
    )
    if isinstance(decision, Reject):
        leg, document = refused(book, leg, decision, now)
    else:
        document = directives.ring(book, context, decision.ring, node_id)
    text = RouteReply(rtjson=document).wire()
    book.calls.add(leg, text)
    return text


def next_step(book: Book, request: RouteRequest, leg: Call, outcome: str, node_id: str, now: int) -> str:
    """What was rung did not take the leg. Idempotent, as for any call."""
    plans, deadline, last = _read(leg)
    if last is not None and last.is_repeated(request, leg.state):
        return last.reply
    if leg.state is not State.RINGING or not plans:
        after, document = refused(book, leg, final(outcome), now)
        if after is not leg:
            book.calls.put(after)
        return RouteReply(rtjson=document).wire()
    context = make_context(book, leg.call_id, node_id, now)
    decision = after_fork(context, plans, outcome, (deadline - now) // 1000)
    fork = decision if isinstance(decision, Fork) else None
    moved = replace(
        renew(leg, now),
        row_version=leg.row_version + 1,
        callee_user_id=leg.callee_user_id if fork is None else callee(fork.ring),
        ringing=() if fork is None else fork.ring.users,
    )
    if isinstance(decision, Reject):
        moved, document = refused(book, moved, decision, now)
    else:
        document = directives.ring(book, context, decision.ring, node_id)
    text = RouteReply(rtjson=document).wire()
    remembered = _dumps(fork, deadline, Last(request.question_id, outcome, text))
    book.calls.put(replace(moved, plan=remembered))
    return text


def _is_in_engine(call: Call) -> bool:
    return call.parent_id is None and call.media_app_ms is not None


def _plan(context: Context, call: Call, order: Order) -> Plan:
    """The leg shows the call's caller, or the number that the flow names if it is the account's; and who diverted."""
    plan = decode(json.loads(call.plan)[0]) if call.plan else Plan(Caller("", "", ""))
    caller = replace(plan.caller, is_webrtc=False)  # the engine speaks plain RTP
    number = None if order.caller_id is None else _own_number(context.directory, order.caller_id)
    if number is not None:
        caller = Caller(f"+{number}", "", context.directory.primary_domain(), caller.user_id)
    return Plan(caller, diversions=plan.diversions)


def _own_number(directory: Directory, dialled: str) -> str | None:
    """Its digits, if it is a number that the account owns."""
    account = directory.account()
    number = None if account is None else normalise(dialled, account.country)
    return number if number is not None and directory.owns_number(number) else None


def _dumps(fork: Fork | None, deadline: int, last: Last | None) -> str:
    plans = [] if fork is None else [encode(plan) for plan in fork.plans]
    return dumps([plans, deadline, None if last is None else [last.question_id, last.outcome, last.reply]])


def _read(leg: Call) -> tuple[list[Plan], int, Last | None]:
    if leg.plan is None:
        return [], 0, None
    plans, deadline, last = json.loads(leg.plan)
    found: list[list[Any]] = plans
    return [decode(plan) for plan in found], deadline, read_last(last)


def _forbidden(book: Book, leg_id: str, why: str) -> str:
    """Nothing is admitted, and nothing remembered."""
    reason = Reject(403, why, Disposition.REJECTED)
    return RouteReply(rtjson=directives.reject(book.account_id, leg_id, reason)).wire()
