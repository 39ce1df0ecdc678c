"""Who asks where a call may go: a phone by its digest, a peer by its address, or anybody to an open number."""

from __future__ import annotations

from dataclasses import dataclass

from tandem.contracts.auth import Challenge
from tandem.contracts.errors import TandemError
from tandem.contracts.route import RouteRequest
from tandem.domain.callerid import Caller, wants_privacy
from tandem.domain.routing import Arrival, Context, Decision, Device, Peer, User, arrive, dial, recognise
from tandem.sip.authentication import Asked, authenticate, canonical_domain, check_account
from tandem.sip.book import Book


@dataclass(frozen=True, slots=True)
class Phone:
    """A device of the account, whose user calls."""

    user: User
    device: Device

    def decide(self, context: Context, request: RouteRequest) -> Decision:
        return dial(context, phone_caller(self.user, self.device, request.privacy), self.user, request.ruri)


@dataclass(frozen=True, slots=True)
class Outside:
    """A peer of the account, or a stranger who calls a number that takes such calls."""

    arrival: Arrival
    peer: Peer

    def decide(self, context: Context, request: RouteRequest) -> Decision:
        return arrive(context, self.arrival, self.peer)


def phone_caller(user: User, device: Device, privacy: str | None) -> Caller:
    """Calls within the account show the user's name and number, unless he hides them."""
    return Caller(
        user.username, user.display_name, device.realm, user.user_id, wants_privacy(privacy), device.is_webrtc
    )


def by_digest(book: Book, request: RouteRequest, node_id: str, now: int, *, repeated: bool) -> Phone | Challenge:
    """`repeated`: the question was answered before, so the same digest may come again."""
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
        repeatable=repeated,
    )
    verdict = authenticate(book, asked, now)
    return verdict if isinstance(verdict, Challenge) else Phone(verdict.user, verdict.device)


def by_address(context: Context, request: RouteRequest) -> Outside:
    """Raises `TandemError` `not_mine` when neither source nor number has to do with the account."""
    arrival = arrival_of(request)
    peer = recognise(context, arrival)
    if peer is None:
        raise TandemError("not_mine", "Nobody here takes this call.")
    return Outside(arrival, peer)


def arrival_of(request: RouteRequest) -> Arrival:
    """A node says user part and domain of From apart."""
    caller = request.from_ if "@" in request.from_ else f"sip:{request.from_}@{request.from_domain}"
    return Arrival(
        request.source_ip,
        request.source_port,
        request.ruri,
        request.to,
        caller,
        request.pai,
        request.privacy,
        request.headers,
    )
