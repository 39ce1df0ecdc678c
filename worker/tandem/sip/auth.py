"""`POST /auth`, decided inside the PresenceDO: REGISTER, and what else a phone may ask outside a dialog."""

from __future__ import annotations

from tandem.contracts.auth import (
    DEFAULT_EXPIRES_SEC,
    EVERY_CONTACT,
    LONGEST_EXPIRES_SEC,
    AuthContext,
    AuthReply,
    AuthRequest,
    Challenge,
    ChallengeReply,
)
from tandem.contracts.errors import TandemError
from tandem.domain.digest import same_host
from tandem.domain.reachability import Contact, ContactChange
from tandem.sip.authentication import Asked, authenticate, canonical_domain, check_account
from tandem.sip.book import Book
from tandem.store.directory import Registrant


def answer(book: Book, request: AuthRequest, node_id: str, now: int) -> AuthReply | ChallengeReply:
    if request.credentials is None:
        raise TandemError("invalid_request", "There are no credentials to verify.", "credentials")
    if request.ruri is not None and not same_host(request.credentials.uri, request.ruri):
        raise TandemError("invalid_request", "The digest's uri is not the Request-URI's.", "credentials.uri")
    if request.contact == EVERY_CONTACT and request.expires != 0:
        raise TandemError("invalid_request", "Contact * only ends registrations (RFC 3261 section 10.2.2).", "expires")
    realm = canonical_domain(book, request.realm)
    check_account(book)
    asked = Asked(
        request.method,
        realm,
        node_id,
        request.source_ip,
        request.cseq,
        request.user_agent,
        request.credentials,
    )
    verdict = authenticate(book, asked, now)
    if isinstance(verdict, Challenge):
        return ChallengeReply(challenge=verdict)
    expires = _register(book, request, verdict, node_id, now) if request.method == "REGISTER" else None
    return AuthReply(
        account_id=book.account_id,
        user_id=verdict.user.user_id,
        device_id=verdict.device.device_id,
        context=AuthContext(aor=verdict.device.aor, domain=realm, expires=expires),
    )


def _register(book: Book, request: AuthRequest, registrant: Registrant, node_id: str, now: int) -> int:
    """Marks the device reachable in the same hop (its `register` event confirms later); the granted seconds."""
    asked = DEFAULT_EXPIRES_SEC if request.expires is None else request.expires
    expires = min(asked, LONGEST_EXPIRES_SEC)
    if request.contact is not None:
        change = ContactChange.ADDED if expires > 0 else ContactChange.REMOVED
        book.contacts.report(
            change,
            Contact(
                registrant.device.device_id,
                node_id,
                request.contact,
                now + expires * 1000,
                now,
                request.transport,
                request.user_agent,
            ),
            now,
        )
    return expires
