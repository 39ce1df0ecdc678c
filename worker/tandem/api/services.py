"""What the API needs for as long as its isolate lives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from fastapi import Request

from tandem.api.access import Principal, identify, used
from tandem.api.rates import LOGINS, REQUESTS, Buckets
from tandem.api.work import Work
from tandem.contracts.errors import TandemError
from tandem.contracts.signature import derive_key
from tandem.runtime import Env, now_ms
from tandem.runtime.log import log

SOURCE: Final = "cf-connecting-ip"
# That of the binding API_RATE (wrangler.toml).
PERIOD_SEC: Final = 60
LONGEST_HEADER: Final = 200


class Services:
    """One per isolate."""

    def __init__(
        self,
        env: Env,
        requests: Buckets | None = None,
        logins: Buckets | None = None,
        forget_trunks: Callable[[], None] = lambda: None,
    ) -> None:
        self.env = env
        self._forget_trunks = forget_trunks
        self.signing_key = derive_key(env.master_key, "console")
        self._requests = requests or Buckets(REQUESTS)
        self._logins = logins or Buckets(LOGINS)

    def now(self) -> int:
        return now_ms()

    async def open(self, request: Request, api_key: str, token: str) -> Work:
        """The request of an identified caller. Raises `TandemError` 401, 403 or 429."""
        now = now_ms()
        credential = api_key or token
        await self._count(hashlib.sha256(credential.encode()).hexdigest() if credential else _source(request), now)
        principal = await identify(self.env.control, self.signing_key, api_key, token, now)
        request.state.principal = principal
        body: bytes = await request.body()
        target = f"{request.method} {request.url.path}?{request.url.query}"
        return Work(
            self.env,
            principal,
            target,
            body.decode(),
            _header(request, "idempotency-key"),
            _header(request, "if-match"),
            self._forget_trunks,
            now,
        )

    async def _count(self, key: str, now: int) -> None:
        """Raises `TandemError` `rate_limited`: bursts are this isolate's to count, the rest the platform's."""
        self._requests.take(key, now)
        if self.env.api_rate is not None and not await self.env.api_rate.allows(key):
            message = f"Too many requests; try again in {PERIOD_SEC} s."
            raise TandemError("rate_limited", message, retry_after_sec=PERIOD_SEC)

    async def count_login(self, request: Request, email: str) -> None:
        """Raises `TandemError` `rate_limited`."""
        now = now_ms()
        await self._count(_source(request), now)
        self._logins.take(hashlib.sha256(f"{_source(request)} {email.lower()}".encode()).hexdigest(), now)

    async def note(self, principal: Principal) -> None:
        """Notes that a key was used; a failure to do so is nobody's concern."""
        try:
            await self.env.control.batch([used(principal, now_ms())])
        except Exception as error:
            log("warning", "key_use_not_noted", error=type(error).__name__)


def _header(request: Request, name: str) -> str:
    """Raises `TandemError` `invalid_request` when it is too long."""
    given = request.headers.get(name, "")
    if len(given) > LONGEST_HEADER:
        raise TandemError("invalid_request", f"The header {name} is longer than {LONGEST_HEADER} characters.", name)
    return given


def _source(request: Request) -> str:
    return request.headers.get(SOURCE, "") or "nowhere"
