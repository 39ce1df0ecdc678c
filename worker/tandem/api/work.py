"""One request under way: who asks, with what, and the writes that it ends in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Response

from tandem.api.access import Principal
from tandem.contracts.errors import TandemError
from tandem.contracts.ids import Prefix, new_id
from tandem.runtime import Env, Row, Statement, now_ms, random_bytes
from tandem.store.config import SQL, Guard, commit, insert, read
from tandem.store.config_tables import Table

REMEMBER_MS: Final = 24 * 3_600_000
SECRETS: Final = ("password", "key", "credential")


@dataclass(slots=True)
class Work:
    """`forget_trunks` makes this isolate ask D1 anew whose address is whose."""

    env: Env
    principal: Principal
    target: str
    body: str
    idempotency_key: str
    if_match: str
    forget_trunks: Callable[[], None]
    now: int

    def new_id(self, prefix: Prefix) -> str:
        return new_id(prefix, now_ms(), random_bytes(10))

    async def rows(self, *statements: Statement) -> list[list[Row]]:
        return await read(self.env.control, *statements)

    async def account(self, account_id: str) -> Row:
        """Country, reseller or not, and primary domain of an account within reach. Raises `unknown_account`."""
        where, params = self.principal.reach.clause("a.id")
        rows = (await self.rows((SQL["account"].format(where=where), (account_id, *params))))[0]
        if not rows:
            raise TandemError("unknown_account", f"There is no account {account_id}.", "account_id")
        return rows[0]

    def named_account(self, given: str | None) -> str:
        """The account that a new object is for. Raises `TandemError` when an operator names none."""
        account_id = given or self.principal.account_id
        if account_id is None:
            raise TandemError("invalid_request", "Field account_id: an operator must name the account.", "account_id")
        return account_id

    async def write(self, guards: Sequence[Guard], statements: Sequence[Statement]) -> None:
        try:
            await commit(self.env.control, guards, statements)
        except TandemError as error:
            error.lines = None
            raise

    def audit(self, table: Table, action: str, changes: Sequence[Change]) -> list[Statement]:
        """The entries of the audit log; items never have secrets."""
        return insert("audit", [self._entry(table, action, change) for change in changes])

    def _entry(self, table: Table, action: str, change: Change) -> dict[str, str | int | None]:
        known = change.after or change.before or {}
        account_id = known.get("id") if table.owner == "self" else known.get("account_id")
        return {
            "id": self.new_id("aud"),
            "account_id": account_id,
            "actor": self.principal.credential_id,
            "action": action,
            "object": table.object.name,
            "object_id": str(known["id"]),
            "before": None if change.before is None else json.dumps(table.told(change.before)),
            "after": None if change.after is None else json.dumps(table.told(change.after)),
            "at": self.now,
        }

    async def once(self, do: Callable[[Remember], Awaitable[Response]]) -> Response:
        """Does a POST, unless one with the same Idempotency-Key was done: then that one's reply, without secrets.

        `do` puts the statement that remembers its reply into the batch of its write. Raises `idempotency_conflict`.
        """
        if not self.idempotency_key:
            return await do(lambda status, reply: [])
        done = await self._remembered()
        if done is not None:
            return done
        try:
            return await do(self._remember)
        except TandemError as error:
            done = await self._remembered() if error.code == "idempotency_conflict" else None
            if done is None:
                raise
            return done

    async def _remembered(self) -> Response | None:
        key = (self.principal.credential_id, self.idempotency_key, self.now - REMEMBER_MS)
        rows = (await self.rows((SQL["remembered"], key)))[0]
        if not rows:
            return None
        if rows[0]["request_hash"] != self._hash():
            raise TandemError("idempotency_conflict", "This Idempotency-Key was used for another request.")
        return reply(rows[0]["status"], json.loads(rows[0]["reply"]), {"idempotency-replayed": "true"})

    def _remember(self, status: int, content: Mapping[str, Any]) -> list[Statement]:
        text = json.dumps({name: value for name, value in content.items() if name not in SECRETS})
        row = (self.principal.credential_id, self.idempotency_key, self._hash(), status, text, self.now)
        return [(SQL["forget"], (self.now - REMEMBER_MS,)), (SQL["remember"], row)]

    def _hash(self) -> str:
        return hashlib.sha256(f"{self.target}\n{self.body}".encode()).hexdigest()


Remember = Callable[[int, Mapping[str, Any]], list[Statement]]


@dataclass(frozen=True, slots=True)
class Change:
    """An item before and after; None where there is none."""

    before: dict[str, Any] | None
    after: dict[str, Any] | None


def reply(status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, dict(headers or {}), "application/json")


def item_reply(status: int, item: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A record that never changes has no revision, and needs no ETag."""
    etag = {"etag": f'"{item["revision"]}"'} if "revision" in item else {}
    return reply(status, {"ok": True, "item": item}, {**etag, **(headers or {})})
