"""The flow of the bench, and what a node says in it: a menu that is chosen from again and again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, Final

from bench.load import LoadError, connect
from bench.servers import Server
from bench.world import Phones, Sql, end_event, event_body, post
from tandem.contracts.ids import new_id
from tandem.runtime import now_ms
from tests.support import engine, flow_calls, rows
from tests.support.seeds import Tenant

DIGITS: Final = "600"
CALLER: Final = "1001"
# From the digit to the next prompt two nodes decide something; then the caller is back in the menu.
GRAPH: Final = flow_calls.graph(
    "entry>hello",
    "hello>menu",
    "menu:digit:1>who",
    "menu:timeout>menu",
    "menu:invalid>menu",
    "who:internal>where",
    "who:else>where",
    "where:near>told",
    "where:else>told",
    "told>menu",
    hello=flow_calls.say("Hello {{caller_number}}, you have reached the bench."),
    menu=flow_calls.menu("Press one for the first of many things that you may want to hear."),
    who={"kind": "switch", "variable": "direction", "cases": ["internal"]},
    where={
        "kind": "condition",
        "rules": [{"variable": "caller_number", "operator": "starts_with", "value": "10", "handle": "near"}],
    },
    told=flow_calls.say("You have chosen well, {{caller_number}}."),
)
# What a session of the twin begins with.
FACTS: Final[dict[str, Any]] = {
    "flow_id": "flow_twin",
    "from_num": CALLER,
    "to_num": DIGITS,
    "direction": "internal",
    "language": "en-US",
    "voice": "female",
    "graph": json.loads(GRAPH),
}
FIRST: Final[tuple[dict[str, Any], ...]] = ({}, {"seq": 1, "outcome": "answered"}, {"seq": 2, "outcome": "done"})


def flow_rows(tenants: list[Tenant]) -> list[Sql]:
    """An engine and the flow for each tenant."""
    found: list[Sql] = []
    for number, tenant in enumerate(tenants, 1):
        flow = rows.flow(tenant, number, GRAPH)
        found += [flow, *engine.with_engine(tenant, DIGITS, dest=str(flow[1][0]))]
    return found


def step_fields(seq: int) -> dict[str, Any]:
    """What the node says of command `seq`, which is the menu's (odd) or what follows on the digit."""
    if seq % 2:
        return {"seq": seq, "outcome": "digits", "data": {"digits": "1"}}
    return {"seq": seq, "outcome": "done"}


def request(call_id: str, account_id: str, fields: dict[str, Any]) -> bytes:
    return post("/flow", body(call_id, account_id, fields))


def body(call_id: str, account_id: str, fields: dict[str, Any]) -> str:
    return json.dumps({"callId": call_id, "accountId": account_id} | fields, separators=(",", ":"))


def steps(call: tuple[str, str], count: int) -> Iterator[bytes]:
    """The next requests about a call that waits in the menu."""
    return (request(*call, step_fields(seq)) for seq in range(len(FIRST), len(FIRST) + count))


async def call_up(server: Server, phones: Phones, count: int) -> list[tuple[str, str]]:
    """(call id, account id) of as many new calls whose callers are in the menu. The twin has no `/route` for them."""
    connection = await connect(server.port)
    calls: list[tuple[str, str]] = []
    for number in range(count):
        tenant = phones.tenants[number % len(phones.tenants)]
        call_id = new_id("call", now_ms(), os.urandom(10))
        if server.name == "brain":
            asked = json.loads(phones.invite_body(number % len(phones.tenants), DIGITS))
            call_id = json.loads((await connection.ask(post("/route", json.dumps(asked))))[1])["rtjson"]["call_id"]
        for fields in FIRST:
            status, reply = await connection.ask(request(call_id, tenant.account_id, fields))
            if status != 200:
                raise LoadError(f"/flow: {status} {reply[:300]!r}")
        calls.append((call_id, tenant.account_id))
    connection.close()
    return calls


async def hang_up(server: Server, calls: list[tuple[str, str]]) -> None:
    """Ends the calls, so that they hold nothing for the next run."""
    if server.name != "brain":
        return
    connection = await connect(server.port)
    for call_id, account_id in calls:
        await connection.ask(post("/presence/event", event_body([end_event(account_id, call_id, now_ms())])))
    connection.close()


def stepped(status: int, reply: bytes) -> None:
    if status != 200 or not reply.startswith(b'{"cmd":'):
        raise LoadError(f"/flow: {status} {reply[:300]!r}")
