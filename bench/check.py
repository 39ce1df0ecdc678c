"""Is the twin a twin? It must give the same replies to the same requests, by the same SQL statements."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterable
from typing import Any

from bench import flows
from bench.load import Connection, connect
from bench.servers import Server
from bench.statements import statements
from bench.world import Phones, end_event, event_body, make_tenants, plain_post, post, rows
from tandem.contracts.ids import new_id, ulid
from tandem.runtime import now_ms
from tandem.runtime.cpython import ObjectContext, clock
from tests.support.local_brain import LocalBrain
from tests.support.seeds import NODE_ID

_IDS = re.compile(rb"(call|ev)_[0-9a-z]{26}")
_NONCE = re.compile(rb'"nonce":"[^"]*"')
_NAMES = {text: name for name, text in statements().items()}


class CheckError(Exception):
    """Brain and twin differ; the message shows where."""


async def same_replies(brain_port: int, twin_port: int, phones: Phones) -> int:
    """Compares replies byte by byte, new ids and nonces masked; how many. Raises `CheckError`."""
    brain, twin = await connect(brain_port), await connect(twin_port)
    first = json.loads(phones.register_body(0))
    del first["credentials"]
    asked = [("/auth", json.dumps(first))]
    asked += [("/auth", phones.register_body(turn)) for turn in range(4)]
    asked += [("/route", phones.invite_body(turn)) for turn in range(4)]
    for path, body in asked:
        ours, theirs = await brain.ask(post(path, body)), await twin.ask(post(path, body))
        _same(path, ours, theirs)
        if path == "/route":
            _same("/presence/event", await _end(brain, ours[1]), await _end(twin, theirs[1]))
    brain.close()
    twin.close()
    return len(asked) + 4


async def same_commands(brain: Server, twin: Server, phones: Phones) -> int:
    """Compares the commands of a flow from its begin through the menu twice, and a repeat; how many."""
    asked = [*flows.FIRST, *(flows.step_fields(seq) for seq in range(3, 7)), flows.step_fields(6), {}]
    told: dict[str, list[tuple[int, bytes]]] = {}
    for server in (brain, twin):
        ((call_id, account_id),) = await flows.call_up(server, phones, 1)
        connection = await connect(server.port)
        requests = [flows.request(call_id, account_id, fields) for fields in asked[len(flows.FIRST) :]]
        told[server.name] = [await connection.ask(request) for request in requests]
        connection.close()
        await flows.hang_up(server, [(call_id, account_id)])
    for ours, theirs in zip(told["brain"], told["twin"], strict=True):
        _same("/flow", ours, theirs)
    return len(told["brain"])


async def same_statements(twin_port: int) -> dict[str, list[str]]:
    """The names of the statements of each decision, as both ran them. Raises `CheckError`."""
    try:
        ours = await _brain_statements()
    finally:
        clock.fixed = None
    theirs = await _twin_statements(twin_port)
    for method, names in ours.items():
        if theirs[method] != names:
            raise CheckError(f"{method}: the brain runs {names}, the twin {theirs[method]}")
    return ours


class _Recording(sqlite3.Connection):
    """A connection that remembers what it executed."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.ran: list[str] = []

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        self.ran.append(sql)
        return super().execute(sql, parameters)

    def names(self) -> list[str]:
        """Names of the statements since the last call, without the transaction around them (both have one)."""
        ran, self.ran = self.ran, []
        return [_NAMES.get(sql, sql) for sql in ran if sql not in ("BEGIN", "COMMIT")]


async def _brain_statements() -> dict[str, list[str]]:
    """On CPython: the shells are the same, and which statements they run does not depend on the platform."""
    tenants = make_tenants()
    brain = LocalBrain()
    brain.write(rows(tenants))
    phones = Phones(tenants, lambda: brain.now)
    account = tenants[0].account_id
    recording = _Recording(":memory:")
    brain.presence.contexts[account] = ObjectContext(connection=recording)
    # Turn 4 is the same tenant's second phone, whom the first one calls.
    await brain.post("/auth", phones.register_body(0))
    await brain.post("/auth", phones.register_body(4))
    found: dict[str, list[str]] = {}
    recording.names()
    await brain.post("/auth", phones.register_body(0))
    found["auth"] = recording.names()
    _, reply = await brain.post("/route", phones.invite_body(0))
    found["route"] = recording.names()
    end = end_event(account, reply["rtjson"]["call_id"], brain.now)
    await brain.post("/presence/event", event_body([end]))
    found["event"] = recording.names()
    brain.write(flows.flow_rows(tenants))
    await brain.presence.call(account, "poke", account)
    _, reply = await brain.post("/route", phones.invite_body(0, flows.DIGITS))
    call_id = reply["rtjson"]["call_id"]
    steps = _Recording(":memory:")
    brain.sessions.contexts[call_id] = ObjectContext(connection=steps)
    for fields in (*flows.FIRST, flows.step_fields(3)):
        steps.names()
        await brain.post("/flow", flows.body(call_id, account, fields))
    found["flow"] = steps.names()
    return found


async def _twin_statements(port: int) -> dict[str, list[str]]:
    phones = Phones(make_tenants())
    account = phones.tenants[0].account_id
    connection = await connect(port)

    async def traced(method: str, body: str) -> tuple[str, list[str]]:
        origin = f"{NODE_ID} local {ulid(now_ms(), os.urandom(10))}"
        asked = json.dumps({"account": account, "origin": origin, "body": body})
        _, text = await connection.ask(plain_post(f"/traced/{method}", asked))
        reply = json.loads(text)
        return reply["reply"], reply["statements"]

    _, auth = await traced("auth", phones.register_body(0))
    reply, route = await traced("route", phones.invite_body(0))
    call_id = json.loads(reply[4:])["rtjson"]["call_id"]
    _, event = await traced("event", event_body([end_event(account, call_id, now_ms())]))
    call_id = new_id("call", now_ms(), os.urandom(10))
    for fields in (*flows.FIRST, flows.step_fields(3)):
        _, flow = await traced("flow", flows.body(call_id, account, fields))
    connection.close()
    return {"auth": auth, "route": route, "event": event, "flow": flow}


async def _end(connection: Connection, reply: bytes) -> tuple[int, bytes]:
    document = json.loads(reply)["rtjson"]
    return await connection.ask(
        post("/presence/event", event_body([end_event(document["account_id"], document["call_id"], now_ms())]))
    )


def _same(path: str, ours: tuple[int, bytes], theirs: tuple[int, bytes]) -> None:
    if _masked(ours) != _masked(theirs):
        raise CheckError(f"{path}: the brain replies {ours}, the twin {theirs}")


def _masked(reply: tuple[int, bytes]) -> tuple[int, bytes]:
    return reply[0], _NONCE.sub(b"", _IDS.sub(b"", reply[1]))


def counted(names: Iterable[str]) -> str:
    """`see_request, canonical_domain x2, …`: a decision's statements on one line."""
    short = [name.partition(".")[2] for name in names]
    return ", ".join(f"{name} x{short.count(name)}" if short.count(name) > 1 else name for name in dict.fromkeys(short))
