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
from tandem.store.config import SQL
from tandem.store.config_tables import TABLES

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


def _write(item: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(f"calls {item['start_ts']} {item['id']}".encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[int, str]:
    try:
        name, start_ts, call_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        if name == "calls" and len(start_ts) <= 15:
            return int(start_ts), call_id
    except (binascii.Error, ValueError):
        pass
    raise TandemError("invalid_request", "Field cursor: is not one that this list gave.", "cursor")


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
