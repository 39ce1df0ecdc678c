"""A routing decision as the document that the edge executes (spec 10, "POST /route")."""

from __future__ import annotations

from typing import Final

from tandem.contracts.deliver import HEADER, make
from tandem.contracts.legs import ACCOUNT_HEADER, CALL_HEADER
from tandem.contracts.route import Directive, HeaderUri, Later, MediaProfile, Route, RouteHeaders
from tandem.contracts.signature import node_credential
from tandem.domain.callerid import Caller, diversion_lines
from tandem.domain.routing import Branch, Context, Media, Reject, Ring
from tandem.sip.book import Book

NO_REPLY_MS: Final = 5_000  # a phone that says nothing at all for so long is not there
ENGINE_SILENT_MS: Final = 5_000  # it is on the same machine, but its process for this call may be just starting
ENGINE_ANSWERS_MS: Final = 20_000  # a flow may ask HTTP servers before it answers: one step's budget, and the rest
NO_DOMAIN: Final = "tandem.invalid"
_PHONE: Final = MediaProfile()
_BROWSER: Final = MediaProfile(profile="UDP/TLS/RTP/SAVPF", ice="force")


def onward(book: Book, context: Context, decision: Ring | Media, node_id: str | None) -> Directive:
    return ring(book, context, decision, node_id) if isinstance(decision, Ring) else media(book, context, decision)


def ring(book: Book, context: Context, decision: Ring, node_id: str | None) -> Directive:
    """`node_id` is the node that asks: what is registered elsewhere is sent there, by a token. None: nobody asks."""
    plan = decision.plan
    shown = HeaderUri(display=plan.caller.shown_name, uri=plan.caller.shown_uri)
    diverted = diversion_lines(plan.diversions, _domain(context, plan.caller))

    def route(branch: Branch) -> Route:
        device = branch.device
        elsewhere = None if node_id in (None, device.node_id) else book.addresses.get(device.node_id)
        extra, next_hop = diverted, None
        if elsewhere is not None:
            key = node_credential(book.master_key, device.node_id, elsewhere.credential_version)
            extra += f"{HEADER}: {make(key, context.call_id, device.aor, context.now)}\r\n"
            next_hop = f"sip:{elsewhere.sip_address};transport=udp"
        return Route(
            uri=device.aor,
            dst_uri=next_hop,
            headers=RouteHeaders(from_=shown, extra=extra or None),
            fr_timer=NO_REPLY_MS,
            fr_inv_timer=branch.timeout_sec * 1000,
            rtpengine=profile(device.is_webrtc),
        )

    delays = sorted({branch.delay_sec for branch in decision.branches} - {0})
    later = [
        Later(after_ms=delay * 1000, routes=[route(one) for one in decision.branches if one.delay_sec == delay])
        for delay in delays
    ]
    cdr = {
        "user_id": plan.caller.user_id,
        "callee_user_id": decision.users[0] if len(decision.users) == 1 else None,
        "did_id": context.did_id,
    }
    return Directive(
        action="proxy",
        routing="serial" if decision.serial else "parallel",
        account_id=book.account_id,
        call_id=context.call_id,
        routes=[route(one) for one in decision.branches if one.delay_sec == 0],
        later=later or None,
        vars=dict(plan.vars),
        rtpengine=profile(plan.caller.is_webrtc),
        cdr={name: value for name, value in cdr.items() if value is not None},
    )


def media(book: Book, context: Context, decision: Media) -> Directive:
    """To the media engine of the node that asks, which fills in its address; the engine names the call by `uri`, and
    the headers say whose it is."""
    plan = decision.plan
    lines = f"{CALL_HEADER}: {context.call_id}\r\n{ACCOUNT_HEADER}: {book.account_id}\r\n"
    shown = HeaderUri(display=plan.caller.shown_name, uri=plan.caller.shown_uri)
    route = Route(
        uri=f"sip:{context.call_id}@{context.directory.primary_domain() or NO_DOMAIN}",
        headers=RouteHeaders(
            from_=shown, extra=diversion_lines(plan.diversions, _domain(context, plan.caller)) + lines
        ),
        fr_timer=ENGINE_SILENT_MS,
        fr_inv_timer=ENGINE_ANSWERS_MS,
    )
    cdr = {"user_id": plan.caller.user_id, "did_id": context.did_id}
    return Directive(
        action="flow",
        routing="serial",
        account_id=book.account_id,
        call_id=context.call_id,
        routes=[route],
        vars=dict(plan.vars),
        rtpengine=profile(plan.caller.is_webrtc),
        cdr={name: value for name, value in cdr.items() if value is not None},
    )


def reject(account_id: str, call_id: str, reason: Reject) -> Directive:
    return Directive(
        action="reject",
        routing="serial",
        account_id=account_id,
        call_id=call_id,
        code=reason.code,
        reason=reason.reason,
        retry_after_sec=reason.retry_after_sec,
        headers=None if reason.header is None else [reason.header],
    )


def profile(is_webrtc: bool) -> MediaProfile:
    return _BROWSER if is_webrtc else _PHONE


def _domain(context: Context, caller: Caller) -> str:
    return caller.domain or context.directory.primary_domain()
