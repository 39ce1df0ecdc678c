"""The way to `/v1`. Every POST carries an Idempotency-Key, so trying again after a broken connection is safe."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx

from cli.errors import CliError, UnreachableError, refusal
from cli.settings import Access
from tandem.contracts.retry import backoff_ms

TIMEOUT_SEC: Final = 30.0
TRIES: Final = 4
LONGEST_WAIT_SEC: Final = 30
PAGE: Final = 200


class Client:
    """Raises `CliError` for whatever is not a success."""

    def __init__(self, access: Access, transport: httpx.BaseTransport | None = None) -> None:
        self._account = access.account
        scheme = (
            {"x-api-key": access.key} if access.key.startswith("sk_") else {"authorization": f"Bearer {access.key}"}
        )
        self._http = httpx.Client(
            base_url=access.url, headers=scheme if access.key else {}, timeout=TIMEOUT_SEC, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        return self._ask("GET", path, params=self._narrowed(query or {}))

    def pages(self, path: str, query: Mapping[str, str], limit: int) -> Iterator[dict[str, Any]]:
        """The first `limit` items of a list, page by page."""
        cursor, left = "", limit
        while left > 0:
            asked = {**query, "limit": str(min(left, PAGE)), **({"cursor": cursor} if cursor else {})}
            reply = self.get(path, asked)
            yield from reply["items"][:left]
            left -= len(reply["items"])
            cursor = reply.get("next_cursor") or ""
            if not cursor:
                return

    def named(self, path: str, singular: str, field: str, value: str) -> str:
        """The id of the one object whose `field` has this value."""
        found = list(self.pages(path, {field: value}, 2))
        if not found:
            raise CliError(f"There is no {singular} with {field} {value}.")
        if len(found) > 1:
            raise CliError(f"More than one {singular} has {field} {value}: narrow it with --account, or give the id.")
        return str(found[0]["id"])

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """For the account that this client acts for."""
        return self.post(path, {**({"account_id": self._account} if self._account else {}), **body})

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("POST", path, json=dict(body), headers={"idempotency-key": secrets.token_hex(16)})

    def upload(self, path: str, content: bytes, content_type: str) -> dict[str, Any]:
        headers = {"idempotency-key": secrets.token_hex(16), "content-type": content_type}
        return self._ask("POST", path, content=content, headers=headers, params=self._narrowed({}))

    def put(self, path: str, content: bytes, content_type: str) -> dict[str, Any]:
        return self._ask("PUT", path, content=content, headers={"content-type": content_type})

    def content(self, path: str) -> bytes:
        """What is no JSON."""
        reply = self._answer("GET", path)
        if not reply.is_success:
            _read(reply)
        return reply.content

    def patch(self, path: str, body: Mapping[str, Any], etag: str | None = None) -> dict[str, Any]:
        return self._ask("PATCH", path, json=dict(body), headers={"if-match": etag} if etag else {})

    def delete(self, path: str) -> dict[str, Any]:
        return self._ask("DELETE", path)

    def _narrowed(self, query: Mapping[str, str]) -> dict[str, str]:
        return {**({"account_id": self._account} if self._account else {}), **query}

    def _ask(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        return _read(self._answer(method, path, **how))

    def _answer(self, method: str, path: str, **how: Any) -> httpx.Response:
        for attempt in range(1, TRIES + 1):
            try:
                reply = self._http.request(method, path, **how)
            except httpx.TransportError as error:
                if attempt == TRIES or method in ("PATCH", "DELETE"):
                    what = str(error) or type(error).__name__
                    raise UnreachableError(f"No answer from {self._http.base_url}: {what}") from error
                time.sleep(backoff_ms(attempt, 0.5) / 1000)
                continue
            if reply.status_code not in (429, 503) or attempt == TRIES:
                return reply
            time.sleep(_wait(reply, attempt))
        raise AssertionError("the last try returned or raised")


def _wait(reply: httpx.Response, attempt: int) -> float:
    after = reply.headers.get("retry-after", "")
    return min(int(after), LONGEST_WAIT_SEC) if after.isdecimal() else backoff_ms(attempt, 0.5) / 1000


def _read(reply: httpx.Response) -> dict[str, Any]:
    try:
        content = reply.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        content = {}
    if reply.is_success and content.get("ok") is True:
        return content
    raise refusal(reply.status_code, content)
