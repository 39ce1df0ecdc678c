"""`POST /route`, decided inside the PresenceDO: the first question of a call, and what follows an outcome."""

from __future__ import annotations

from typing import Final

from tandem.contracts.auth import Challenge, ChallengeReply
from tandem.contracts.errors import TandemError
from tandem.contracts.ids import new_id
from tandem.contracts.route import Directive, HeaderUri, MediaProfile, Route, RouteHeaders, RouteReply, RouteRequest
from tandem.domain.cac import Ask
from tandem.domain.calls import UNHEARD_LEASE_MS, Call, Refused, step
from tandem.domain.numbers import parse_uri
from tandem.domain.routing import Decision, Device, Reject, Ring, User, after_outcome, decide
from tandem.runtime import random_bytes
from tandem.sip.authentication import Asked, authenticate, canonical_domain, check_account
from tandem.sip.book import Book

NO_REPLY_MS: Final = 5_000  # a phone that says nothing at all for so long is not there
_PHONE: Final = MediaProfile()
_BROWSER: Final = MediaProfile(profile="UDP/TLS/RTP/SAVPF", ice="force")


def answer(book: Book, request: RouteRequest, node_id: str, region: str, now: int) -> tuple[str, tuple[Ask, ...]]:
    """The reply's JSON text, and what ancestors must grant before it may be given (sip/admission.py).

    A repeated first question gets the same text again, once its credentials are checked: the callee knows the SIP
    identifiers of a call too.
    """
    if request.call_id is not None:
        return _next_step(book, request.call_id, request.outcome, now), ()
    known = book.calls.known(request.sip_call_id, request.from_tag, request.cseq)
    realm = canonical_domain(book, request.from_domain)
    check_account(book)
    if request.credentials is None:
        raise TandemError("invalid_request", "There are no credentials to verify.", "credentials")
    asked = Asked(
        "INVITE",
        realm,
        node_id,
        request.source_ip,
        request.cseq,
        request.user_agent,
        request.credentials,
        repeatable=known is not None,
    )
    verdict = authenticate(book, asked, now)
    if isinstance(verdict, Challenge):
        return ChallengeReply(challenge=verdict).wire(), ()
    if known is not None:
        return known.reply, book.asked.open_asks(known.call_id) if known.pending else ()
    return _first_step(book, request, verdict.user, verdict.device, node_id, region, now), ()


def _first_step(
    book: Book, request: RouteRequest, caller: User, device: Device, node_id: str, region: str, now: int
) -> str:
    call_id = new_id("call", now, random_bytes(10))
    decision = decide(book.directory, book.holdings, call_id, caller, request.ruri, now)
    call = Call(
        call_id=call_id,
        sip_call_id=request.sip_call_id,
        from_tag=request.from_tag,
        cseq=request.cseq,
        node_id=node_id,
        region=region,
        from_num=caller.username,
        to_num=parse_uri(request.ruri).user,
        start_ts=now,
        lease_until=now + UNHEARD_LEASE_MS,
        user_id=caller.user_id,
        callee_user_id=decision.callee.user_id if isinstance(decision, Ring) else None,
        ringing=(decision.callee.user_id,) if isinstance(decision, Ring) else (),
    )
    if isinstance(decision, Reject):
        call = step(call, _refusal(decision, now))
    text = RouteReply(rtjson=directive(book.account_id, call_id, decision, caller, device)).wire()
    book.calls.add(call, text)
    return text


def _next_step(book: Book, call_id: str, outcome: str | None, now: int) -> str:
    """Idempotent: an outcome that is reported twice finds an ended call and gets the same answer."""
    if outcome is None:
        raise TandemError("invalid_request", "A question about a known call needs its outcome.", "outcome")
    call = book.calls.by_id(call_id)
    if call is None:
        raise TandemError("not_found", f"There is no call {call_id} in this account.", "callId")
    decision = after_outcome(outcome)
    after = step(call, _refusal(decision, now))
    if after is not call:
        book.calls.put(after)
    return RouteReply(rtjson=_reject(book.account_id, call_id, decision)).wire()


def directive(account_id: str, call_id: str, decision: Decision, caller: User, device: Device) -> Directive:
    if isinstance(decision, Reject):
        return _reject(account_id, call_id, decision)
    shown = HeaderUri(display=caller.display_name, uri=f"sip:{caller.username}@{device.realm}")
    ring_ms = decision.callee.ring_timeout_sec * 1000
    return Directive(
        action="proxy",
        routing="parallel",
        account_id=account_id,
        call_id=call_id,
        routes=[
            Route(
                uri=one.aor,
                headers=RouteHeaders(from_=shown),
                fr_timer=NO_REPLY_MS,
                fr_inv_timer=ring_ms,
                rtpengine=_profile(one),
            )
            for one in decision.devices
        ],
        rtpengine=_profile(device),
        cdr={"user_id": caller.user_id, "callee_user_id": decision.callee.user_id},
    )


def _reject(account_id: str, call_id: str, reject: Reject) -> Directive:
    return Directive(
        action="reject",
        routing="serial",
        account_id=account_id,
        call_id=call_id,
        code=reject.code,
        reason=reject.reason,
        retry_after_sec=reject.retry_after_sec,
    )


def _refusal(reject: Reject, now: int) -> Refused:
    dimension = None if reject.dimension is None else str(reject.dimension)
    return Refused(now, reject.disposition, str(reject.code), dimension)


def _profile(device: Device) -> MediaProfile:
    return _BROWSER if device.is_webrtc else _PHONE
