"""The public API on workerd: the same requests as on CPython, over HTTP and D1."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge_node.local.settings import LOOPBACK
from tandem.runtime import Reply
from tandem.runtime.cpython import MemoryContent
from tests.support import seeds
from tests.unit.api.support import Api, World, listed, populate
from tests.worker.brain import Brain

DELETED_IN_ORDER = (
    "console-users", "keys", "verified-numbers", "outbound-routes", "trunks", "limits", "numbers",
    "flows", "playlists", "ring-group-members", "ring-groups", "media", "forwards", "schedule-rules", "schedules",
    "extensions", "devices", "users",
)  # fmt: skip


class HttpApi(Api):
    """`Api` over the socket of a running brain."""

    def __init__(self, worker: Brain, key: str) -> None:
        self.worker = worker
        self.key = key

    def as_(self, key: str) -> HttpApi:
        return HttpApi(self.worker, key)

    async def raw(
        self, method: str, target: str, body: str | bytes = "", headers: Mapping[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection(LOOPBACK, self.worker.port, timeout=30)
        sent = body.encode() if isinstance(body, str) else body
        connection.request(method, target, sent or None, {**self.credential(), **(headers or {})})
        answer = connection.getresponse()
        content = answer.read()
        named = {name.lower(): value for name, value in answer.getheaders()}
        sound = MemoryContent(content) if named.get("content-type", "").startswith("audio/") else None
        reply = Reply(answer.status, "" if sound else content.decode(), named, content=sound)
        connection.close()
        return reply


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brain]:
    state: Path = tmp_path_factory.mktemp("api")
    with Brain(state, {"MASTER_KEY": seeds.MASTER_KEY}) as started:
        started.d1_batch(*seeds.platform_rows())
        started.d1("UPDATE api_key SET scopes = '*'")
        yield started


@pytest.fixture(scope="module")
def world(worker: Brain) -> World:
    return asyncio.run(World.make(HttpApi(worker, seeds.OPERATOR_KEY)))


async def test_every_object_on_d1(world: World, worker: Brain) -> None:
    """Made, seen by its own account alone, changed under If-Match, and deleted in an order that foreign keys allow."""
    made = await populate(world.acme)
    for name, item in made.items():
        single = f"/v1/{name}/{item['id']}"
        assert (await world.acme.get(single))["item"] == item
        assert listed(name, item) in (await world.acme.get(f"/v1/{name}"))["items"]
        for stranger in (world.globex, world.reseller):
            for method in ("GET", "DELETE"):
                await stranger.refused((404, "not_found"), method, single)
            await stranger.refused((404, "not_found"), "PATCH", single, {})
    error = await world.acme.refused((409, "in_use"), "DELETE", f"/v1/users/{made['users']['id']}")
    assert {one["object"] for one in error["referrers"]} == {"devices", "extensions", "console-users", "flows"}
    changed = await world.acme.patch("users", made["users"], fwd_busy_kind=None, fwd_busy_id=None, dnd=True)
    assert (changed["dnd"], changed["revision"]) == (True, made["users"]["revision"] + 1)
    stale = {"if-match": f'"{made["users"]["revision"]}"'}
    single = f"/v1/users/{made['users']['id']}"
    await world.acme.refused((412, "precondition_failed"), "PATCH", single, {"dnd": False}, headers=stale)
    assert len(worker.d1("SELECT * FROM trunk_address")) == 1
    for name in DELETED_IN_ORDER:
        status, reply = await world.acme.ask("DELETE", f"/v1/{name}/{made[name]['id']}")
        assert (status, reply) == (200, {"ok": True}), (name, reply)
    assert worker.d1("SELECT * FROM trunk_address") == []


async def test_refusals_on_d1(world: World) -> None:
    user = await world.globex.make("users", username="anna")
    body = {"username": "anna"}
    assert (await world.globex.refused((409, "conflict"), "POST", "/v1/users", body))["field"] == "username"
    missing = {"digits": "7", "dest_kind": "user", "dest_id": f"us_{'0' * 26}"}
    await world.globex.refused((422, "unknown_reference"), "POST", "/v1/extensions", missing)
    again = {"idempotency-key": "once"}
    first = await world.globex.ask("POST", "/v1/devices", {"user_id": user["id"]}, again)
    second = await world.globex.ask("POST", "/v1/devices", {"user_id": user["id"]}, again)
    assert (first[0], second[0], first[1]["item"]) == (201, 201, second[1]["item"])
    await world.globex.refused((409, "idempotency_conflict"), "POST", "/v1/users", body, headers=again)
    await world.globex.refused((404, "not_found"), "GET", "/v1/nothing")
    await world.globex.refused((405, "method_not_allowed"), "PUT", "/v1/users")
    reply = await world.globex.raw("POST", "/v1/users", "{")
    assert (reply.status, json.loads(reply.text)["error"]["code"]) == (400, "invalid_request")
    reply = await world.globex.raw("POST", "/v1/users", " " * 100_000)
    assert (reply.status, json.loads(reply.text)["error"]["code"]) == (413, "too_large")
    await world.globex.as_("").refused((401, "unauthenticated"), "GET", "/v1/users")


async def test_a_login_on_workerd(world: World) -> None:
    """scrypt comes from node:crypto there."""
    person = {"email": "anna@client.example", "password": "correct horse battery", "scopes": ["users"]}
    await world.client.make("console-users", **person)
    nobody = world.client.as_("")
    login = {name: person[name] for name in ("email", "password")}
    await nobody.refused((401, "wrong_login"), "POST", "/v1/login", login | {"password": "wrong"})
    status, reply = await nobody.ask("POST", "/v1/login", login)
    assert (status, reply["account_id"]) == (200, world.ids["client"])
    anna = nobody.as_(reply["token"])
    assert (await anna.get("/v1/users"))["items"] == []
    await anna.refused((403, "missing_scope"), "GET", "/v1/keys")


async def test_a_whole_import_or_none_on_d1(world: World, worker: Brain) -> None:
    lines = {"content-type": "application/x-ndjson"}
    rows = [json.dumps({"username": f"u{number}"}) for number in range(10_000)]
    broken = [*rows[:-1], json.dumps({"username": "u1"})]
    reply = await world.client.raw("POST", "/v1/users/import", "\n".join(broken), lines)
    assert (reply.status, json.loads(reply.text)["error"]["lines"][0]["line"]) == (422, 10_000)
    await world.client.make("users", username="u9998")
    reply = await world.client.raw("POST", "/v1/users/import", "\n".join(rows), lines)
    assert [line["line"] for line in json.loads(reply.text)["error"]["lines"]] == [9_999]
    assert _users(worker, world) == 1
    reply = await world.client.raw("POST", "/v1/users/import", "\n".join(rows[:9_998]), lines)
    assert (reply.status, json.loads(reply.text)) == (201, {"ok": True, "imported": 9_998})
    assert _users(worker, world) == 9_999
    assert worker_heap(await world.operator.raw("GET", "/ops/counters")) <= 96 * 1024 * 1024


def _users(worker: Brain, world: World) -> int:
    rows = worker.d1("SELECT COUNT(*) AS n FROM sip_user WHERE account_id = ?", world.ids["client"])
    return int(rows[0]["n"])


def worker_heap(reply: Reply) -> int:
    content: dict[str, Any] = json.loads(reply.text)
    return int(content["heap_bytes"])


async def test_the_description_on_workerd(world: World) -> None:
    document = await world.operator.as_("").raw("GET", "/v1/openapi.json")
    assert json.loads(document.text)["openapi"] == "3.1.0"
    page = await world.operator.as_("").raw("GET", "/v1/docs")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_the_log_has_no_traceback_and_no_secret(worker: Brain) -> None:
    """Runs last: the log of all that this module did."""
    said = worker.log.read_text(errors="replace")
    assert [word for word in ("Traceback", seeds.MASTER_KEY, seeds.OPERATOR_KEY, "correct horse") if word in said] == []
