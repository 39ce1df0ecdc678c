"""Records of calls, and what would happen to one."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from fastapi import Response

from tandem.api.work import Work, reply
from tandem.contracts.errors import TandemError
from tandem.contracts.objects import open_envelope
from tandem.contracts.v1.calls import ExplainRequest
from tandem.runtime import Param
from tandem.store.config import SQL, get
from tandem.store.config_tables import TABLES
from tandem.store.flow_facts import SQL as FLOW_SQL

_TABLE: Final = TABLES["calls"]


async def list_calls(work: Work, asked: Mapping[str, Any]) -> Response:
    """Newest first, in the order of (start_ts, call_id), which the account's index has."""
    given = {name: value for name, value in asked.items() if value is not None}
    limit, cursor = int(given.pop("limit")), given.pop("cursor", None)
    account_id = given.pop("account_id", None) or work.principal.account_id
    conditions, params = ["1"], list[Param]()
    if account_id is not None:
        await work.account(account_id)
        conditions, params = ["t.account_id = ?"], [account_id]
    for name, condition in (("from_ts", "t.start_ts >= ?"), ("to_ts", "t.start_ts < ?")):
        if name in given:
            conditions.append(condition)
            params.append(given.pop(name))
    for name, value in given.items():
        conditions.append(f"t.{name} = ?")
        params.append(value)
    if cursor is not None:
        start_ts, call_id = _read(cursor)
        conditions.append("(t.start_ts, t.call_id) < (?, ?)")
        params += [start_ts, call_id]
    statement = SQL["calls"].format(columns=_TABLE.select(), where=" AND ".join(conditions))
    rows = (await work.rows((statement, (*params, limit + 1))))[0]
    items = [_TABLE.item(row) for row in rows[:limit]]
    more = _write(items[-1]) if len(rows) > limit else None
    return reply(200, {"ok": True, "items": items, "next_cursor": more})


async def trace(work: Work, call_id: str, limit: int, cursor: str | None) -> Response:
    """A page of what happened in a call, in order."""
    (found,) = await work.rows(get(_TABLE, call_id, work.principal.reach))
    if not found:
        raise TandemError("not_found", f"There is no call {call_id[:64]}.")
    after = (-1, "", -1) if cursor is None else _read_step(cursor)
    (rows,) = await work.rows((FLOW_SQL["trace"], (found[0]["account_id"], call_id, *after, limit + 1)))
    items = [{**row, "data": json.loads(row["data"])} for row in rows[:limit]]
    more = _cursor(f"trace {items[-1]['at']} {items[-1]['source']} {items[-1]['seq']}") if len(rows) > limit else None
    return reply(200, {"ok": True, "items": items, "next_cursor": more})


def _write(item: Mapping[str, Any]) -> str:
    return _cursor(f"calls {item['start_ts']} {item['id']}")


def _read(cursor: str) -> tuple[int, str]:
    start_ts, call_id = _words(cursor, "calls", 2)
    return _integer(start_ts), call_id


def _read_step(cursor: str) -> tuple[int, str, int]:
    at, source, seq = _words(cursor, "trace", 3)
    return _integer(at), source, _integer(seq)


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _words(cursor: str, of: str, count: int) -> list[str]:
    try:
        name, *words = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
    except (binascii.Error, ValueError):
        raise _not_given() from None
    if name != of or len(words) != count:
        raise _not_given()
    return words


def _integer(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) <= 15):
        raise _not_given()
    return int(word)


def _not_given() -> TandemError:
    return TandemError("invalid_request", "Field cursor: is not one that this list gave.", "cursor")


async def explain(work: Work, asked: ExplainRequest) -> Response:
    """What `/route` would answer, decided by the account's own object and not remembered by it."""
    account_id = work.named_account(asked.account_id)
    await work.account(account_id)
    text = asked.model_dump_json(by_alias=True, exclude_none=True, exclude={"account_id"})
    status, said = open_envelope(await work.env.presence.call(account_id, "explain", account_id, text))
    content = json.loads(said)
    if status != 200:
        error = content["error"]
        raise TandemError(error["code"], error["message"], error.get("field"))
    return reply(200, {"ok": True, **content})
