"""Console logins as JSON Web Tokens (RFC 7519): signed with a key that is derived from the master key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import jwt

from tandem.contracts.errors import TandemError

LIFE_MS: Final = 12 * 3_600_000
_ALGORITHM: Final = "HS256"
_AUDIENCE: Final = "tandem:/v1"


@dataclass(frozen=True, slots=True)
class Claims:
    console_user_id: str
    fingerprint: str


def fingerprint(password_hash: str) -> str:
    """What ties a token to the password that it was got with: a changed password ends all logins."""
    return hashlib.sha256(password_hash.encode()).hexdigest()[:16]


def make(signing_key: bytes, claims: Claims, now: int) -> tuple[str, int]:
    """The token, and when it expires (epoch ms)."""
    expires_at = (now + LIFE_MS) // 1000 * 1000
    payload = {
        "sub": claims.console_user_id,
        "pw": claims.fingerprint,
        "aud": _AUDIENCE,
        "iat": now // 1000,
        "exp": expires_at // 1000,
    }
    return jwt.encode(payload, signing_key, _ALGORITHM), expires_at


def verify(signing_key: bytes, token: str, now: int) -> Claims:
    """Raises `TandemError` `unauthenticated`. The time is ours, since tests set it."""
    try:
        payload = jwt.decode(
            token,
            signing_key,
            [_ALGORITHM],
            audience=_AUDIENCE,
            options={"require": ["sub", "pw", "exp", "aud"], "verify_exp": False, "verify_iat": False},
        )
        claims = Claims(str(payload["sub"]), str(payload["pw"]))
        expired = int(payload["exp"]) * 1000 <= now
    except (jwt.InvalidTokenError, ValueError, TypeError):
        raise TandemError("unauthenticated", "This token is not one of Tandem's.") from None
    if expired:
        raise TandemError("unauthenticated", "This login has expired; log in again.")
    return claims
