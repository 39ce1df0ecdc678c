"""An inbound call as concurrency control sees it, without the routing of one: what it takes, who rings, who is asked.

`answer` stands in for `tandem.sip.route.answer`; a question whose header `x-ring` names extensions is such a call.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tandem.contracts.ids import new_id
from tandem.contracts.objects import Origin, open_envelope
from tandem.contracts.route import Directive, Route, RouteReply, RouteRequest
from tandem.domain.cac import (
    Ask,
    Dimension,
    Leg,
    Refusal,
    Want,
    Window,
    admit,
    asks_of,
    ceiling,
    reason_header,
    sip_code,
)
from tandem.domain.calls import UNHEARD_LEASE_MS, Call, Direction, Disposition, Refused, step
from tandem.sip import route
from tandem.sip.book import Book
from tests.support import node, seeds
from tests.support.local_brain import LocalBrain

_numbers = itertools.count(1)
Answer = tuple[str, tuple[Ask, ...]]
_real = route.answer


def below(parent_id: str, tenant: seeds.Tenant) -> Iterator[tuple[str, tuple[str | int | None, ...]]]:
    """The rows of a tenant whose account is below another."""
    for statement, params in seeds.rows_of(tenant):
        if statement.startswith("INSERT INTO account "):
            yield (
                "INSERT INTO account (id, parent_id, name, created_at) VALUES (?, ?, ?, 0)",
                (tenant.account_id, parent_id, tenant.domain),
            )
        else:
            yield statement, params


def question(ring: str, node_id: str = seeds.NODE_ID, **headers: str) -> dict[str, Any]:
    """The body of a question about a call that rings the extensions of `ring`."""
    return {
        "sipCallId": f"in-{next(_numbers)}",
        "fromTag": "t",
        "cseq": "1",
        "from": "sip:15550100@carrier.test",
        "fromDomain": "carrier.test",
        "to": "sip:15550199@d.test",
        "ruri": "sip:15550199@d.test",
        "sourceIp": "192.0.2.9",
        "sourcePort": 5060,
        "transport": "udp",
        "node": node_id,
        "headers": {"x-ring": ring, **{f"x-{name}": value for name, value in headers.items()}},
    }


async def ask(brain: LocalBrain, tenant: seeds.Tenant, body: dict[str, Any]) -> dict[str, Any]:
    """The `rtjson` of the reply, with the question under `asked`."""
    origin = Origin(body["node"], "local", node.request_id(brain.now)).encode()
    reply = await brain.presence.call(tenant.account_id, "route", tenant.account_id, origin, json.dumps(body))
    status, text = open_envelope(reply)
    assert status == 200, text
    return {**json.loads(text)["rtjson"], "asked": body}


def answer(book: Book, request: RouteRequest, node_id: str, region: str, now: int) -> Answer:
    ring = request.headers.get("x-ring")
    if ring is None or request.call_id is not None:
        return _real(book, request, node_id, region, now)
    known = book.calls.known(request.sip_call_id, request.from_tag, request.cseq)
    if known is not None:
        return known.reply, book.asked.open_asks(known.call_id) if known.pending else ()
    call = Call(
        call_id=new_id("call", now, os.urandom(10)),
        sip_call_id=request.sip_call_id,
        from_tag=request.from_tag,
        cseq=request.cseq,
        node_id=node_id,
        region=region,
        from_num="15550100",
        to_num="15550199",
        start_ts=now,
        lease_until=now + UNHEARD_LEASE_MS,
        direction=Direction.INBOUND,
        did_id=request.headers.get("x-did"),
        trunk_id=request.headers.get("x-trunk"),
    )
    return _decide(book, call, ring.split(), now)


def _decide(book: Book, call: Call, ring: list[str], now: int) -> Answer:
    own, *ancestors = book.limits.ceilings(book.account_id)
    wants = [Want(Leg.CALLER, Dimension.ACCOUNT_IN, own.account_id, ceiling(own, Dimension.ACCOUNT_IN))]
    if call.did_id is not None:
        limit = book.sql.json("SELECT json_array(max_channels) AS j FROM did WHERE id = ?", call.did_id)[0]
        wants.append(Want(Leg.CALLER, Dimension.DID_CHANNELS, call.did_id, limit))
    if call.trunk_id is not None:
        limit = book.sql.json("SELECT json_array(max_channels) AS j FROM sip_trunk WHERE id = ?", call.trunk_id)[0]
        wants.append(Want(Leg.CALLER, Dimension.TRUNK_CHANNELS, call.trunk_id, limit))
    result = admit(book.holdings, call.call_id, wants, _windows(book), now=now)
    if isinstance(result, Refusal):
        return _reject(book, call, sip_code(result.dimension), now, result)
    people = []
    for digits in ring:
        target = book.sql.json("SELECT json_array(dest_id) AS j FROM extension WHERE digits = ?", digits)[0]
        (limit,) = book.sql.json("SELECT json_array(max_simultaneous) AS j FROM sip_user WHERE id = ?", target)
        want = Want(Leg.CALLEE, Dimension.USER_SIMULTANEOUS, target, limit)
        if not isinstance(admit(book.holdings, call.call_id, [want], now=now), Refusal):
            people.append(target)
    if not people:
        return _reject(book, call, 486, now, None)
    call = replace(call, ringing=tuple(people), limit_warnings=result.warnings)
    asks = asks_of(ancestors, call.call_id, wants)
    routes = [
        Route(uri=f"sip:{device_id}@{realm}", fr_timer=5_000, fr_inv_timer=25_000)
        for user_id in people
        for device_id, realm in book.sql.json(
            "SELECT json_group_array(json_array(id, realm)) AS j FROM sip_device WHERE user_id = ?", user_id
        )
    ]
    directive = Directive(action="proxy", account_id=book.account_id, call_id=call.call_id, routes=routes)
    text = RouteReply(rtjson=directive).wire()
    book.calls.add(book.asked.ask(call, asks, now), text)
    return text, asks


def _windows(book: Book) -> list[Window]:
    found = book.sql.json("SELECT json_group_array(json_array(id, period_sec, max_count, hard)) AS j FROM call_limit")
    return [Window(limit_id, book.account_id, period, most, bool(hard)) for limit_id, period, most, hard in found]


def _reject(book: Book, call: Call, code: int, now: int, refusal: Refusal | None) -> Answer:
    word = None if refusal is None else str(refusal.dimension)
    directive = Directive(
        action="reject",
        account_id=book.account_id,
        call_id=call.call_id,
        code=code,
        reason="No Room",
        retry_after_sec=None if refusal is None else refusal.retry_after_sec,
        headers=None if refusal is None else [reason_header(refusal.dimension)],
    )
    text = RouteReply(rtjson=directive).wire()
    book.calls.add(step(call, Refused(now, Disposition.REJECTED, str(code), word)), text)
    return text, ()
