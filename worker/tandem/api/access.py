"""Who asks: an API key or a console login, and which accounts that may see (spec 40, "Public API")."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tandem.api import tokens
from tandem.contracts.errors import TandemError
from tandem.runtime import Database, Row, Statement
from tandem.store.blocks import load
from tandem.store.config import Reach, read

_SQL: Final = load("config_access")
LONGEST_CREDENTIAL: Final = 2_048
USED_AFTER_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Principal:
    """`credential_id` is that of the key or of the console user; `account_id` None is a platform operator."""

    credential_id: str
    account_id: str | None
    scopes: frozenset[str]
    is_reseller: bool
    last_used_at: int | None = None

    @property
    def is_operator(self) -> bool:
        return self.account_id is None

    @property
    def reach(self) -> Reach:
        return Reach(self.account_id, self.is_reseller)

    def use_is_to_be_noted(self, now: int) -> bool:
        """Keys tell when they were used last, exact to a minute."""
        if not self.credential_id.startswith("key_"):
            return False
        return self.last_used_at is None or now - self.last_used_at >= USED_AFTER_MS

    def require_operator(self) -> None:
        if not self.is_operator:
            raise TandemError("forbidden", "Only a platform operator may do this.")

    def require(self, scope: str) -> None:
        """Raises `TandemError` `missing_scope` that names the scope."""
        if not self.scopes & {scope, "*"}:
            raise TandemError("missing_scope", f"This credential lacks the scope {scope}.")

    def may_govern(self, scopes: Iterable[str]) -> None:
        """Raises `TandemError` `forbidden` when someone who has these scopes may do what this credential may not: it
        could become him, or be rid of him."""
        beyond = sorted(set(scopes) - self.scopes)
        if beyond and "*" not in self.scopes:
            raise TandemError("forbidden", f"Field scopes: this credential lacks {beyond[0]}, which it has.", "scopes")

    def may_grant(self, scopes: Iterable[str]) -> None:
        """Raises `TandemError` `forbidden` when someone is to get a scope that this credential has not itself."""
        beyond = sorted(set(scopes) - self.scopes)
        if beyond and "*" not in self.scopes:
            raise TandemError("forbidden", f"Field scopes: this credential cannot grant {beyond[0]}.", "scopes")


async def identify(database: Database, signing_key: bytes, api_key: str, bearer: str, now: int) -> Principal:
    """Raises `TandemError` 401 when there is no valid credential, 403 when its account is suspended or closed."""
    if len(api_key) > LONGEST_CREDENTIAL or len(bearer) > LONGEST_CREDENTIAL:
        raise TandemError("unauthenticated", "This credential is too long to be one of Tandem's.")
    if api_key:
        return await _by_key(database, api_key)
    if bearer:
        return await _by_token(database, signing_key, bearer, now)
    raise TandemError("unauthenticated", "Send an API key as x-api-key, or a login's token as Authorization: Bearer.")


async def _by_key(database: Database, api_key: str) -> Principal:
    statement: Statement = (_SQL["key"], (hashlib.sha256(api_key.encode()).hexdigest(),))
    rows = (await read(database, statement))[0]
    if not rows:
        raise TandemError("unauthenticated", "This API key is not known, or it was revoked.")
    return _principal(rows[0], rows[0]["last_used_at"])


async def _by_token(database: Database, signing_key: bytes, bearer: str, now: int) -> Principal:
    claims = tokens.verify(signing_key, bearer, now)
    rows = (await read(database, (_SQL["console_user"], (claims.console_user_id,))))[0]
    if not rows or tokens.fingerprint(rows[0]["password_hash"]) != claims.fingerprint:
        raise TandemError("unauthenticated", "This login is not valid any more; log in again.")
    return _principal(rows[0], None)


def _principal(row: Row, last_used_at: int | None) -> Principal:
    if row["account_id"] is not None and row["suspended"]:
        raise TandemError("account_suspended", "The account is suspended or closed.")
    scopes = frozenset(str(row["scopes"]).split())
    return Principal(row["id"], row["account_id"], scopes, bool(row["is_reseller"]), last_used_at)


def used(principal: Principal, now: int) -> Statement:
    """The statement that notes the use of a key."""
    return _SQL["key_used"], (now, principal.credential_id, now - USED_AFTER_MS)
