"""The OpenAPI document, the page made of it, and requests that schemathesis makes up from it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import re
import sqlite3
from typing import Any

import schemathesis
from hypothesis import HealthCheck, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tandem.api.app import make_app
from tandem.api.docs import describe
from tandem.api.front import Front
from tandem.api.media import is_upload
from tandem.api.rates import Buckets, Rate
from tandem.api.services import Services
from tandem.contracts.v1.media import MEDIA_TYPES
from tandem.contracts.v1.objects import BY_NAME, OBJECTS
from tandem.runtime import Env, Request
from tandem.runtime.cpython import MemoryBucket, MemoryContent, MemoryQueue, SqliteDatabase
from tests.support import seeds
from tests.support.sounds import wav
from tests.unit.api.support import Api, populate

EXAMPLES = 20
SEED = int(os.environ.get("TANDEM_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
TENANT_KEY = "sk_tests_tenant"
KNOWN: dict[str, str] = {}
DATABASE = sqlite3.connect(":memory:", check_same_thread=False)
# What was there at the beginning: a deletion is undone, or there would soon be nothing to ask about.
PRISTINE = sqlite3.connect(":memory:", check_same_thread=False)


def test_the_document_has_every_path() -> None:
    document = describe(make_app())
    assert document["openapi"] == "3.1.0"
    for one in OBJECTS:
        methods = {method for path in (one.path, f"{one.path}/{{object_id}}") for method in document["paths"][path]}
        assert ("post" in methods, "delete" in methods) == ("create" in one.verbs, "delete" in one.verbs)
        assert (f"{one.path}/import" in document["paths"]) == ("import" in one.verbs)
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])


def test_every_field_is_described() -> None:
    bare = [
        (one.name, name)
        for one in OBJECTS
        if one.create is not None
        for name, field in one.create.model_fields.items()
        if not field.description and not name.endswith(("_id", "_xform"))
    ]
    assert bare == []


async def test_the_page_needs_nothing_from_elsewhere(operator: Api) -> None:
    reply = await operator.as_("").raw("GET", "/v1/docs")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "<script" not in reply.text
    assert re.findall(r"(?:src|href)=['\"]?https?:", reply.text) == []
    for one in OBJECTS:
        assert one.path in reply.text


async def test_the_document_is_served(operator: Api) -> None:
    reply = await operator.as_("").raw("GET", "/v1/openapi.json")
    assert json.loads(reply.text)["info"]["title"] == "Tandem"


class Silent:
    """Accounts' objects that nobody asks: their storage belongs to one thread."""

    async def call(self, name: str, method: str, *texts: str) -> str:
        return '200 {"ok":true,"directive":{},"steps":[]}'


class Tenant(Api):
    """`Api` without a brain around it."""

    def __init__(self, front: Front) -> None:
        self.key = TENANT_KEY
        self.front = front


class Operator(Tenant):
    def __init__(self, front: Front) -> None:
        super().__init__(front)
        self.key = seeds.OPERATOR_KEY


def _application() -> Any:
    """The front as an ASGI application, over a database that any thread may use."""
    connection = DATABASE
    seeds.migrated().backup(connection)
    for statement, params in (*seeds.platform_rows(), *seeds.rows_of(seeds.tenant(1, "acme.example", ()))):
        connection.execute(statement, params)
    connection.execute("UPDATE api_key SET scopes = '*'")
    connection.execute(
        "INSERT INTO api_key (id, account_id, name, hash, scopes, created_at) VALUES (?, ?, 'tenant', ?, '*', 0)",
        (f"key_{seeds.suffix(2)}", f"acc_{seeds.suffix(1)}", hashlib.sha256(TENANT_KEY.encode()).hexdigest()),
    )
    objects = Silent()
    env = Env(
        SqliteDatabase(connection),
        objects,
        objects,
        MemoryQueue(),
        seeds.MASTER_KEY,
        "test",
        sessions=objects,
        media=MemoryBucket(),
    )
    front = Front(Services(env, Buckets(Rate(10**9, 1.0)), Buckets(Rate(10**9, 1.0))))
    made = asyncio.run(populate(Tenant(front)))
    KNOWN.update({name: str(item["id"]) for name, item in made.items()})
    operator = Operator(front)
    carrier = asyncio.run(operator.make("carriers", name="carrier"))["id"]
    rate = asyncio.run(operator.make("carrier-rates", carrier_id=carrier, prefix="49", per_min_micros=1))["id"]
    KNOWN.update({"carriers": carrier, "carrier-rates": rate, "nodes": seeds.NODE_ID})
    KNOWN["accounts"] = f"acc_{seeds.suffix(1)}"
    connection.backup(PRISTINE)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        path = scope["raw_path"].decode()
        query = scope["query_string"].decode()
        target = f"{path}?{query}"
        sound = MemoryContent(body) if is_upload(scope["method"], path) else None
        text = "" if sound else body.decode(errors="replace")
        request = Request(scope["method"], path, {}, target, lambda name: headers.get(name, ""), text, sound)
        reply = await front.handle(request)
        known = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": known})
        sent = reply.text.encode() if reply.content is None else await reply.content.read()
        await send({"type": "http.response.body", "body": sent})

    return application


@schemathesis.serializer("application/x-ndjson")
def _json_lines(context: Any, value: Any) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode(errors="replace")


@schemathesis.serializer(*MEDIA_TYPES)
def _sound(context: Any, value: Any) -> bytes:
    """Sometimes a file that can be taken, mostly none."""
    return wav() if isinstance(value, bytes) and len(value) % 2 else bytes(value or b"")


schema = schemathesis.openapi.from_asgi("/v1/openapi.json", _application())
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@schema.parametrize()
@seed(SEED)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_the_api_is_as_it_describes_itself(case: schemathesis.Case[Any]) -> None:
    """Whatever is sent, by a tenant about what is there and what is not: no fault of ours, replies as described."""
    name = case.path.split("/")[2]
    print(f"TANDEM_SEED={SEED}")  # shown when it fails
    if "object_id" in case.path_parameters and name in KNOWN:
        case.path_parameters["object_id"] = KNOWN[name]
    operators = name in BY_NAME and BY_NAME[name].operator_only
    key = seeds.OPERATOR_KEY if operators else TENANT_KEY
    case.call_and_validate(headers={"x-api-key": key}, checks=CHECKS)
    if case.method == "DELETE":
        PRISTINE.backup(DATABASE)
