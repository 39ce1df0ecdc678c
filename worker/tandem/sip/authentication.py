"""Who sent this request? Digest verification with the replay rules of spec 10, "POST /auth"."""

from __future__ import annotations

from dataclasses import dataclass

from tandem.contracts.auth import Challenge, DigestCredentials
from tandem.contracts.errors import TandemError
from tandem.domain.digest import NOBODY, Credentials, matches, split_username, well_formed
from tandem.domain.nonces import NonceUse, Reuse, is_current, judge_reuse, make_nonce
from tandem.runtime import random_bytes
from tandem.sip.book import Book
from tandem.store.directory import Registrant


@dataclass(frozen=True, slots=True)
class Asked:
    """The request to authenticate; `realm` is the account's canonical domain.

    Not `repeatable` is what cannot be our own retry: then a repeated digest is stale however soon it comes.
    """

    method: str
    realm: str
    node_id: str
    source: str
    cseq: str
    user_agent: str | None
    credentials: DigestCredentials
    repeatable: bool = True


def challenge(nonce_key: bytes, realm: str, node_id: str, now: int, stale: bool = False) -> Challenge:
    nonce = make_nonce(nonce_key, now, realm, node_id, random_bytes(6).hex())
    return Challenge(realm=realm, nonce=nonce, stale=stale)


def canonical_domain(book: Book, domain: str) -> str:
    """The account's spelling of the domain. Raises `not_mine` when the Worker's look-up was stale."""
    found = book.directory.canonical_domain(domain)
    if found is None:
        raise TandemError("not_mine", f"The domain {domain} does not belong to this account.")
    return found


def check_account(book: Book) -> None:
    account = book.directory.account()
    if account is None:
        raise TandemError("unknown_account", "There is no such account.")
    if account.status != "active":
        raise TandemError("account_suspended", f"The account is {account.status}; reactivate it to register and call.")


def authenticate(book: Book, asked: Asked, now: int) -> Registrant | Challenge:
    """The device that sent the request, or the challenge that it must answer.

    An unknown user takes the same steps as a wrong password and ends in the same challenge.
    """
    wire = asked.credentials
    credentials = Credentials(
        wire.username,
        wire.realm,
        wire.nonce,
        wire.uri,
        wire.response,
        wire.algorithm or "MD5",
        wire.qop,
        wire.nc,
        wire.cnonce,
    )
    name, qualified = split_username(credentials.username)
    registrant = book.directory.registrant(name, asked.realm)
    secrets = NOBODY if registrant is None else registrant.secrets
    right = (
        credentials.realm == asked.realm
        and well_formed(credentials)
        and matches(credentials, asked.method, secrets, qualified)
    )
    if not right or registrant is None or not _may_use(registrant, asked.user_agent):
        return challenge(book.nonce_key, asked.realm, asked.node_id, now)
    if not is_current(book.nonce_key, credentials.nonce, now, asked.realm, asked.node_id):
        return challenge(book.nonce_key, asked.realm, asked.node_id, now, stale=True)
    # Without qop the digest covers neither: a stranger's cnonce must not make a used nonce look new.
    cnonce = credentials.cnonce or "" if credentials.qop is not None else ""
    nc = int(credentials.nc or "0", 16) if credentials.qop is not None else 0
    use = NonceUse(nc, credentials.response, asked.source, asked.cseq, now)
    reuse = judge_reuse(book.guards.last_use(credentials.nonce, cnonce), use)
    if reuse is Reuse.STALE or (reuse is Reuse.REPEAT and not asked.repeatable):
        return challenge(book.nonce_key, asked.realm, asked.node_id, now, stale=True)
    if reuse is Reuse.FRESH:
        book.guards.use(credentials.nonce, cnonce, use)
    return registrant


def _may_use(registrant: Registrant, user_agent: str | None) -> bool:
    if not (registrant.active and registrant.user.active):
        return False
    return registrant.user_agent_lock is None or registrant.user_agent_lock == user_agent
