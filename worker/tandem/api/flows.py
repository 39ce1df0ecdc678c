"""What can be done with a call flow besides writing its draft."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from fastapi import Response

from tandem.api import objects, rules
from tandem.api.work import Change, Remember, Work, item_reply, reply
from tandem.contracts.errors import TandemError
from tandem.contracts.flow import reply_of
from tandem.contracts.v1.flows import MOST_VERSION, SimulateRequest
from tandem.domain.flows import (
    Data,
    Flow,
    Graph,
    Line,
    Problem,
    Reply,
    Script,
    check,
    read,
    references,
    simulate,
    unhandled,
)
from tandem.domain.flows.diff import diff
from tandem.runtime import Statement
from tandem.store import flow_facts
from tandem.store.config import Guard, unchanged
from tandem.store.config_references import named_by_graph, unreferenced
from tandem.store.config_tables import TABLES
from tandem.store.flow_facts import SQL, Caller

DRAFT: Final = "draft"
# Of all published graphs of an account.
MOST_PUBLISHED_BYTES: Final = 8 * 1024 * 1024
_TABLE: Final = TABLES["flows"]
Item = dict[str, Any]


async def validate(work: Work, flow_id: str) -> Response:
    _, found = await _checked(work, await objects.find(work, _TABLE, flow_id))
    content = {"ok": True, "valid": not found, "problems": _told(found)}
    return reply(200, content)


async def publish(work: Work, flow_id: str) -> Response:
    """The draft becomes what new calls take; nothing happens when it is that already. Raises `invalid_flow`."""

    async def do(remember: Remember) -> Response:
        for attempt in range(1, objects.RETRIES + 1):
            before = await objects.find(work, _TABLE, flow_id)
            objects.match(work, before)
            if not before["unpublished"]:
                return item_reply(200, before)
            try:
                return await _publish(work, before, remember)
            except TandemError as error:
                if error.code != "precondition_failed" or work.if_match or attempt == objects.RETRIES:
                    raise
        raise AssertionError("the last try returned or raised")

    return await work.once(do)


async def _publish(work: Work, before: Item, remember: Remember) -> Response:
    graph, found = await _checked(work, before)
    if graph is None or found:
        raise _invalid("published", found)
    after = {
        **before,
        "status": "published",
        "version": before["version"] + 1,
        "published_at": work.now,
        "unpublished": False,
    }
    account_id = before["account_id"]
    message = f"The published flows of the account would be larger than {MOST_PUBLISHED_BYTES} bytes together."
    guards = [
        unchanged(_TABLE, before["id"], before["revision"]),
        *named_by_graph(account_id, references(graph)),
        Guard(SQL["too_much"], (account_id, before["id"], MOST_PUBLISHED_BYTES), "too_large", message, "graph"),
    ]
    writes: list[Statement] = [
        (SQL["publish"], (after["version"], work.now, before["id"])),
        (SQL["keep_version"], (before["id"], work.principal.credential_id)),
    ]
    return await _save(work, "publish", before, after, guards, writes, remember)


async def archive(work: Work, flow_id: str) -> Response:
    """Takes a flow out of use. Raises `in_use` when something still leads there."""

    async def do(remember: Remember) -> Response:
        before = await objects.find(work, _TABLE, flow_id)
        objects.match(work, before)
        if before["status"] == "archived":
            return item_reply(200, before)
        after = {**before, "status": "archived", "unpublished": True}
        guards = [unchanged(_TABLE, before["id"], before["revision"]), *unreferenced(_TABLE, before)]
        return await _save(work, "archive", before, after, guards, [(SQL["archive"], (before["id"],))], remember)

    return await work.once(do)


async def _save(
    work: Work,
    action: str,
    before: Item,
    after: Item,
    guards: Sequence[Guard],
    writes: Sequence[Statement],
    remember: Remember,
) -> Response:
    after["revision"] = before["revision"] + 1
    content = {"ok": True, "item": after}
    audit = work.audit(_TABLE, action, [Change(before, after)])
    await work.write(guards, [*writes, *audit, *remember(200, content)])
    await rules.poke(work, _TABLE, after)
    return item_reply(200, after)


async def versions(work: Work, flow_id: str, limit: int, cursor: str | None) -> Response:
    """Newest first."""
    flow = await objects.find(work, _TABLE, flow_id)
    below = _version(objects.read_cursor(_TABLE, cursor)) if cursor else MOST_VERSION + 1
    (rows,) = await work.rows((SQL["versions"], (flow["account_id"], flow["id"], below, limit + 1)))
    more = objects.make_cursor(_TABLE, str(rows[limit - 1]["version"])) if len(rows) > limit else None
    return reply(200, {"ok": True, "items": rows[:limit], "next_cursor": more})


async def version(work: Work, flow_id: str, number: int) -> Response:
    flow = await objects.find(work, _TABLE, flow_id)
    return reply(200, {"ok": True, "item": await _kept(work, flow, number)})


async def compare(work: Work, flow_id: str, from_: str | None, to: str) -> Response:
    """From one version to another; `draft` may be either. By default from what was published last to the draft."""
    flow = await objects.find(work, _TABLE, flow_id)
    from_ = from_ or str(flow["version"])
    found = diff(await _side(work, flow, from_), await _side(work, flow, to))
    return reply(200, {"ok": True, "from": from_, "to": to, **asdict(found)})


async def try_out(work: Work, flow_id: str, asked: SimulateRequest) -> Response:
    """What would happen to a call whose commands come to what is given. Raises `invalid_flow` for a draft that cannot
    be read at all."""
    flow = await objects.find(work, _TABLE, flow_id)
    document = await _side(work, flow, DRAFT if asked.version is None else str(asked.version))
    graph = read(document)
    if not isinstance(graph, Graph):
        raise _invalid("tried out", graph)
    tried = Flow(flow["id"], flow["name"], asked.version or 0, graph)
    caller = Caller(asked.direction, asked.from_, asked.to, asked.vars)
    facts = await flow_facts.facts(work.env.control, flow["account_id"], tried, document, caller)
    done = simulate(facts, _script(asked, work.now))
    return reply(
        200,
        {
            "ok": True,
            "reason": done.reason,
            "commands": [reply_of(command, seq).model_dump() for seq, command in done.commands],
            "trace": [asdict(entry) for entry in done.trace],
        },
    )


def _script(asked: SimulateRequest, now: int) -> Script:
    return Script(
        now if asked.at is None else asked.at,
        [
            Line(one.outcome, Data(one.digits, one.terminator, one.cause, one.message), one.node_id, one.after_ms)
            for one in asked.outcomes
        ],
        [Reply(one.status, one.body, one.error, one.timed_out) for one in asked.replies],
    )


async def _checked(work: Work, flow: Item) -> tuple[Graph | None, list[Problem]]:
    control, account_id = work.env.control, flow["account_id"]
    known = await flow_facts.known(control, account_id, flow["id"], flow["graph"])
    graph, found = check(flow["graph"], replace(known, http_allow=work.env.http_allow))
    found += await flow_facts.silent_media(control, account_id, flow["graph"])
    if graph is not None:
        for name, caller in await flow_facts.callers(control, account_id, flow["id"]):
            found += unhandled(graph, flow["id"], name, caller)
    return graph, found


def _invalid(what: str, found: Sequence[Problem]) -> TandemError:
    first, count = found[0], f"{len(found)} problems" if len(found) > 1 else "a problem"
    where = f"Node {first.node_id}: " if first.node_id else ""
    message = f"The flow has {count} and cannot be {what}. {where}{first.message}"
    return TandemError("invalid_flow", message, "graph", problems=_told(found))


def _told(found: Sequence[Problem]) -> list[Item]:
    return [{name: value for name, value in asdict(one).items() if value is not None} for one in found]


async def _side(work: Work, flow: Item, side: str) -> Item:
    graph: Item = flow["graph"] if side == DRAFT else (await _kept(work, flow, _version(side)))["graph"]
    return graph


def _version(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= 10 else 0


async def _kept(work: Work, flow: Item, number: int) -> Item:
    """Raises `not_found`."""
    (rows,) = await work.rows((SQL["version"], (flow["account_id"], flow["id"], number)))
    if not rows:
        raise TandemError("not_found", f"The flow {flow['id']} has no version {number}.")
    return {**rows[0], "graph": json.loads(rows[0]["graph"])}
