"""The five verbs that every object has: list, get, create, update, delete."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import Response
from pydantic import BaseModel

from tandem.api import drafts, rules
from tandem.api.drafts import Draft
from tandem.api.rules_sip import forget_addresses
from tandem.api.work import Change, Remember, Work, item_reply, reply
from tandem.contracts.errors import TandemError
from tandem.contracts.v1.base import Fields
from tandem.domain.numbers import candidates
from tandem.runtime import Param, Row, Statement
from tandem.store import config
from tandem.store.config import Guard
from tandem.store.config_references import distinct, named_by, unreferenced
from tandem.store.config_tables import Table

RETRIES: Final = 3
NEWEST_FIRST: Final = ("audit",)


async def list_(work: Work, table: Table, asked: Mapping[str, Any]) -> Response:
    """A page of items in the order of their ids; `next_cursor` is null on the last."""
    given = {name: value for name, value in asked.items() if value is not None}
    limit, cursor, account_id = given.pop("limit"), given.pop("cursor", None), given.pop("account_id", None)
    filters = {name: await _filter(work, table, name, value, account_id) for name, value in given.items()}
    reach = work.principal.reach
    if account_id is not None:
        await work.account(str(account_id))
        reach = config.Reach(str(account_id))
    elif table.owner != "self":
        # A reseller sees its own objects unless it names an account below.
        reach = config.Reach(work.principal.account_id)
    assert isinstance(limit, int)
    after = None if cursor is None else read_cursor(table, str(cursor))
    newest_first = table.object.name in NEWEST_FIRST
    statement = config.page(table, reach, filters, after, limit + 1, newest_first=newest_first)
    rows = (await work.rows(statement))[0]
    items = [table.item(row) for row in rows[:limit]]
    more = make_cursor(table, items[-1]["id"]) if len(rows) > limit else None
    return reply(200, {"ok": True, "items": items, "next_cursor": more})


async def _filter(work: Work, table: Table, name: str, value: Any, account_id: str | None) -> tuple[Param, ...]:
    """What the field may be. A number is asked for as it may be written in the account's country, or in full."""
    if name not in table.numbers:
        return (int(value) if isinstance(value, bool) else value,)
    named = account_id or work.principal.account_id
    country = "US" if named is None else str((await work.account(named))["country"])
    # A plus that was not escaped in the query has become a space.
    written = f"+{value[1:]}" if str(value).startswith(" ") else str(value)
    return candidates(written, country) or (re.sub(r"\D", "", written),)


def make_cursor(table: Table, after: str) -> str:
    return base64.urlsafe_b64encode(f"{table.object.name} {after}".encode()).decode().rstrip("=")


def read_cursor(table: Table, cursor: str) -> str:
    try:
        name, _, after = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(" ")
    except (binascii.Error, ValueError):
        name = after = ""
    if name != table.object.name or not after:
        raise TandemError("invalid_request", "Field cursor: is not one that this list gave.", "cursor")
    return after


async def find(work: Work, table: Table, object_id: str) -> dict[str, Any]:
    """The item. Raises `not_found` when there is none within reach, whoever else may have it."""
    rows = (await work.rows(config.get(table, object_id, work.principal.reach)))[0]
    if not rows:
        raise TandemError("not_found", f"There is no {table.object.singular} {object_id[:64]}.")
    return table.item(rows[0])


async def get(work: Work, table: Table, object_id: str) -> Response:
    return item_reply(200, await find(work, table, object_id))


async def create(work: Work, table: Table, body: Fields) -> Response:
    async def do(remember: Remember) -> Response:
        account = await owner(work, table, body)
        made = drafts.new(work, table, account, body)
        guards, statements = await finish(work, table, account, [made])
        content = {"ok": True, "item": made.fields, **made.shown}
        await work.write(guards, [*statements, *remember(201, content)])
        await rules.poke(work, table, made.fields)
        headers = {"location": f"{table.object.path}/{made.fields['id']}", "etag": f'"{made.fields["revision"]}"'}
        return reply(201, content, headers)

    return await work.once(do)


async def owner(work: Work, table: Table, body: Fields) -> Row | None:
    """The account that a new object belongs to; of a new account, the one above it. None: the platform's."""
    if table.owner == "platform":
        return None
    if table.owner == "self":
        return await _parent(work, getattr(body, "parent_id", None))
    given: str | None = getattr(body, "account_id", None)
    if table.owner == "either" and given is None and work.principal.is_operator:
        return None
    return await work.account(work.named_account(given))


async def _parent(work: Work, given: str | None) -> Row | None:
    parent_id = given or work.principal.account_id
    if parent_id is None:
        return None
    try:
        parent = await work.account(parent_id)
    except TandemError:
        message = f"Field parent_id: there is no account {parent_id}."
        raise TandemError("unknown_reference", message, "parent_id") from None
    if not parent["is_reseller"]:
        raise TandemError("forbidden", "Only a reseller has accounts below it.", "parent_id")
    return parent


async def finish(
    work: Work, table: Table, account: Row | None, made: Sequence[Draft]
) -> tuple[list[Guard], list[Statement]]:
    """Guards and writes that make new objects of one account, with their audit entries."""
    complete = rules.FINISH.get(table.object.name)
    if complete is not None:
        await complete(work, account, made)
    items = [draft.fields for draft in made]
    account_id = _home(table, account, items[0])
    guards = [*named_by(table, account_id, items), *distinct(table, account_id, items)]
    guards.extend(guard for draft in made for guard in draft.guards)
    rows = [table.columns(draft.fields) | draft.hidden for draft in made]
    further = [statement for draft in made for statement in draft.statements]
    audit = work.audit(table, "create", [Change(None, item) for item in items])
    return guards, [*config.insert(table.name, rows), *further, *audit]


async def update(work: Work, table: Table, object_id: str, patch: BaseModel) -> Response:
    """Without If-Match a change that others made meanwhile is taken as the new starting point."""
    for attempt in range(1, RETRIES + 1):
        before = await find(work, table, object_id)
        match(work, before)
        account = await account_of(work, table, before)
        draft = drafts.changed(table, account, before, patch)
        if table.encoded({**draft.fields, "revision": 0}) == table.encoded({**before, "revision": 0}):
            return item_reply(200, before)
        try:
            await save(work, table, account, draft, "update")
        except TandemError as error:
            if error.code != "precondition_failed" or work.if_match or attempt == RETRIES:
                raise
            continue
        return item_reply(200, draft.fields)
    raise AssertionError("the last try returned or raised")


async def save(work: Work, table: Table, account: Row | None, draft: Draft, action: str) -> None:
    """Writes a changed object if nobody else changed it since it was read."""
    before = draft.before
    assert before is not None
    complete = rules.FINISH.get(table.object.name)
    if complete is not None:
        await complete(work, account, [draft])
    kept, columns = table.columns(before), table.columns(draft.fields)
    columns = {name: value for name, value in columns.items() if value != kept[name] and name != "revision"}
    account_id = _home(table, account, before)
    guards = [
        config.unchanged(table, before["id"], before["revision"]),
        *named_by(table, account_id, [draft.fields]),
        *distinct(table, account_id, [draft.fields]),
        *draft.guards,
    ]
    write = config.update(table.name, before["id"], columns | draft.hidden)
    audit = work.audit(table, action, [Change(before, draft.fields)])
    await work.write(guards, [write, *draft.statements, *audit])
    await rules.poke(work, table, draft.fields)


def _home(table: Table, account: Row | None, item: Mapping[str, Any]) -> str | None:
    """The account in which everything that the item names must be."""
    if table.owner == "self":
        return str(item["id"])
    return None if account is None else str(account["id"])


async def account_of(work: Work, table: Table, item: Mapping[str, Any]) -> Row | None:
    account_id = item["id"] if table.owner == "self" else item.get("account_id")
    return None if account_id is None else await work.account(str(account_id))


async def delete(work: Work, table: Table, object_id: str) -> Response:
    before = await find(work, table, object_id)
    match(work, before)
    if table.owner == "self" and before["id"] == work.principal.account_id:
        raise TandemError("forbidden", "An account cannot delete itself.")
    guards = [config.unchanged(table, before["id"], before["revision"]), *unreferenced(table, before)]
    complete = rules.DELETE.get(table.object.name)
    if complete is not None:
        guards.extend(complete(work, before))
    concerned = {"id": before["id"], "account_id": before.get("account_id")}
    addresses = forget_addresses(before["id"]) if table.name == "sip_trunk" else []
    audit = work.audit(table, "delete", [Change(before, None)])
    await work.write(guards, [*addresses, config.delete(table.name, before["id"]), *audit])
    await rules.poke(work, table, concerned)
    return reply(200, {"ok": True})


def match(work: Work, item: Mapping[str, Any]) -> None:
    """Raises `precondition_failed` when If-Match names another revision."""
    if work.if_match in ("", "*"):
        return
    tags = {tag.strip().removeprefix("W/") for tag in work.if_match.split(",")}
    if f'"{item["revision"]}"' not in tags:
        message = f"It has revision {item['revision']} by now; get it and try again."
        raise TandemError("precondition_failed", message)
