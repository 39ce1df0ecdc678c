"""`POST /v1/login`: an e-mail address and a password for a token."""

from __future__ import annotations

from typing import Final

from fastapi import Response

from tandem.api import passwords, tokens
from tandem.api.work import reply
from tandem.contracts.errors import TandemError
from tandem.contracts.v1.calls import LoginRequest
from tandem.runtime import Database
from tandem.store.blocks import load
from tandem.store.config import read

_SQL: Final = load("config_access")
FAILURES: Final = 5
LOCK_MS: Final = 15 * 60_000


async def login(database: Database, signing_key: bytes, asked: LoginRequest, now: int) -> Response:
    """Whoever cannot log in learns nothing of why: an unknown address costs the same work and gives the same reply.

    A locked login is refused whatever the password. Raises `TandemError` `wrong_login`.
    """
    rows = (await read(database, (_SQL["login"], (asked.email,))))[0]
    person = rows[0] if rows else None
    right = passwords.matches(asked.password, passwords.NOBODY if person is None else person["password_hash"])
    locked = person is not None and (person["locked_until"] or 0) > now
    usable = person is not None and person["status"] == "active" and not locked
    # Writes happen in all cases, so that they do not tell an address that is known.
    person_id = "nobody" if person is None else person["id"]
    if not usable or not right or person is None:
        counted = "nobody" if locked or right else person_id
        await read(database, (_SQL["login_failed"], (counted, FAILURES, now + LOCK_MS)))
        raise TandemError("wrong_login", "The e-mail address or the password is wrong, or the login is locked.")
    await read(database, (_SQL["login_done"], (person_id,)))
    claims = tokens.Claims(person_id, tokens.fingerprint(person["password_hash"]))
    token, expires_at = tokens.make(signing_key, claims, now)
    content = {
        "ok": True,
        "token": token,
        "expires_at": expires_at,
        "account_id": person["account_id"],
        "role": person["role"],
        "scopes": str(person["scopes"]).split(),
    }
    return reply(200, content)
