"""What the brain does not take: wrong signatures, replays, malformed or oversized bodies, strangers' keys."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tandem.contracts.signature import NODE, REQUEST_ID, SIGNATURE, TIMESTAMP, sign_headers
from tandem.sip.gateway import LARGEST_BODY
from tests.support import node, scene, seeds
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME, GLOBEX

PATHS = ("/auth", "/route", "/presence/event", "/fleet/hello", "/fleet/heartbeat")


def dump(brain: LocalBrain) -> list[str]:
    """All that is stored: D1 and every object."""
    contexts = [*brain.presence.contexts.values(), *brain.fleet.contexts.values()]
    connections = [brain.control.connection, *(context.connection for context in contexts)]
    return ["\n".join(connection.iterdump()) for connection in connections]


def is_clear(status: int, reply: dict[str, Any], http: int, code: str) -> bool:
    """The one error shape, with a sentence and without a trace."""
    error = reply["error"]
    assert (status, error["code"]) == (http, code), reply
    assert reply["ok"] is False
    assert set(reply) == {"ok", "error"}
    assert set(error) <= {"code", "message", "field", "request_id"}
    assert "Traceback" not in error["message"]
    return str(error["message"]).endswith(".")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({NODE: ""}, "unsigned_request"),
        ({SIGNATURE: ""}, "unsigned_request"),
        ({TIMESTAMP: ""}, "unsigned_request"),
        ({TIMESTAMP: "1e12"}, "unsigned_request"),
        ({TIMESTAMP: "٣"}, "unsigned_request"),
        ({TIMESTAMP: "9" * 16}, "unsigned_request"),
        ({REQUEST_ID: ""}, "unsigned_request"),
        ({REQUEST_ID: "short"}, "unsigned_request"),
        ({REQUEST_ID: "0" * 25 + "U"}, "unsigned_request"),
        ({REQUEST_ID: "0" * 26}, "bad_signature"),
        ({SIGNATURE: "0" * 64}, "bad_signature"),
        ({SIGNATURE: "ä"}, "bad_signature"),
        ({NODE: "node_00000000000000000000000009"}, "unknown_node"),
        ({NODE: "x" * 10_000}, "unknown_node"),
    ],
)
async def test_a_wrong_signature(brain: LocalBrain, path: str, change: dict[str, str], code: str) -> None:
    before = dump(brain)
    body = node.register_body(ACME, "1001")
    status, reply = await brain.post(path, body, node.signed("POST", path, body, brain.now) | change)
    assert is_clear(status, reply, 401, code)
    assert dump(brain) == before


@pytest.mark.parametrize(
    ("method", "path", "body", "key", "skew", "code"),
    [
        ("GET", "/auth", "{}", None, 0, "bad_signature"),
        ("POST", "/route", "{}", None, 0, "bad_signature"),
        ("POST", "/auth?x=1", "{}", None, 0, "bad_signature"),
        ("POST", "/auth", "{} ", None, 0, "bad_signature"),
        ("POST", "/auth", "{}", "00" * 32, 0, "bad_signature"),
        ("POST", "/auth", "{}", None, 30_001, "stale_request"),
        ("POST", "/auth", "{}", None, -30_001, "stale_request"),
    ],
)
async def test_a_signature_of_something_else(
    brain: LocalBrain, method: str, path: str, body: str, key: str | None, skew: int, code: str
) -> None:
    now = brain.now + skew
    headers = sign_headers(
        key or seeds.credential(), method, path, body.encode(), now, node.request_id(now), seeds.NODE_ID
    )
    status, reply = await brain.post("/auth", "{}", headers)
    assert is_clear(status, reply, 401, code)
    assert reply["error"]["request_id"] == headers[REQUEST_ID]


@pytest.mark.parametrize("skew", [30_000, -30_000])
async def test_a_clock_may_be_30_seconds_off(brain: LocalBrain, skew: int) -> None:
    body = node.register_body(ACME, "1001")
    status, _ = await brain.post("/auth", body, node.signed("POST", "/auth", body, brain.now + skew))
    assert status == 200


async def test_a_retired_node_is_unknown(brain: LocalBrain) -> None:
    brain.write([("UPDATE node SET status = 'retired'", ())])
    status, reply = await brain.post("/auth", node.register_body(ACME, "1001"))
    assert is_clear(status, reply, 401, "unknown_node")


async def test_a_revoked_credential_dies_within_a_minute(brain: LocalBrain) -> None:
    body = node.register_body(ACME, "1001")
    assert (await brain.post("/auth", body))[0] == 200
    brain.write([("UPDATE node SET credential_version = 2", ())])
    await brain.advance(60_000)
    status, reply = await brain.post("/auth", body)
    assert is_clear(status, reply, 401, "bad_signature")


@pytest.mark.parametrize("path", ["/auth", "/route", "/presence/event", "/fleet/hello", "/fleet/heartbeat"])
async def test_a_replayed_request_is_refused_and_writes_nothing(brain: LocalBrain, path: str) -> None:
    await brain.register(ACME, "1001")
    await brain.register(ACME, "1002")
    await scene.hello(brain)
    _, first = await brain.post("/auth", node.register_body(ACME, "1001"))
    register = node.respond_to(first["challenge"], ACME.people["1001"], "REGISTER", "sip:acme.tandem.test")
    invite = node.respond_to(first["challenge"], ACME.people["1001"], "INVITE", "sip:1002@Acme.tandem.test", nc=2)
    body = {
        "/auth": node.register_body(ACME, "1001", register),
        "/route": node.invite_body(ACME, "1001", "1002", invite),
        "/presence/event": json.dumps({"node": seeds.NODE_ID, "events": [scene.snapshot(brain, ACME, [], [])]}),
    }.get(path, json.dumps(scene.presence_fields()))
    headers = node.signed("POST", path, body, brain.now)
    status, _ = await brain.post(path, body, headers)
    assert status == 200
    before = dump(brain)
    for _ in range(2):
        status, reply = await brain.post(path, body, headers)
        assert is_clear(status, reply, 409, "replayed_request")
        assert dump(brain) == before
        brain.presence.evict(ACME.account_id)
        brain.fleet.evict("local")
    await brain.advance(30_000)
    assert (await brain.post(path, body, headers))[0] == 409


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "{",
        "[]",
        "[{}]",
        "1",
        "null",
        '"text"',
        "{}",
        "NaN",
        "[" * 200_000,
        '{"a":' * 100_000,
        '{"realm": "\\ud800", "fromDomain": "\\ud800", "credentials": {}}',
        '{"realm": "acme\\u0000", "fromDomain": "acme\\u0000", "credentials": {}}',
        '{"realm": 7, "fromDomain": ["a"], "credentials": {}}',
        '{"credentials": {}}',
    ],
    ids=lambda body: f"{body[:12]}x{len(body)}",
)
async def test_malformed_bodies(brain: LocalBrain, path: str, body: str) -> None:
    before = dump(brain)
    status, reply = await brain.post(path, body)
    assert 400 <= status < 500, reply
    assert is_clear(status, reply, status, reply["error"]["code"])
    after = dump(brain)
    assert after[: len(before)] == before


WRONG: list[tuple[str, Any]] = [
    ("method", 7),
    ("method", ""),
    ("method", "R" * 33),
    ("sourcePort", "5060"),
    ("sourcePort", 65_536),
    ("sourcePort", -1),
    ("sourcePort", 5060.5),
    ("sourcePort", True),
    ("transport", "carrier-pigeon"),
    ("transport", None),
    ("cseq", 1),
    ("sourceIp", ["192.0.2.7"]),
    ("expires", "600"),
    ("expires", -1),
    ("contact", {"uri": "x"}),
    ("userAgent", "u" * 1_025),
    ("credentials", "Digest x"),
    ("credentials", []),
    ("credentials", {"username": "1001"}),
]


@pytest.mark.parametrize(("field", "value"), WRONG, ids=lambda value: str(value)[:20])
async def test_wrong_types_are_refused_by_name(brain: LocalBrain, field: str, value: Any) -> None:
    status, reply = await brain.post("/auth", node.register_body(ACME, "1001", **{field: value}))
    assert is_clear(status, reply, 400, "invalid_request")
    assert reply["error"]["field"].startswith(field)
    credentials = {"credentials": {"username": "a", "realm": "b", "nonce": "c", "uri": "d", "response": "e"}}
    status, reply = await brain.post("/auth", node.register_body(ACME, "1001", **(credentials | {field: value})))
    assert is_clear(status, reply, 400, "invalid_request")
    assert scene.rows(brain, ACME, "contact") == [] if ACME.account_id in brain.presence.contexts else True


async def test_unknown_fields_are_ignored(brain: LocalBrain) -> None:
    status, _ = await brain.post("/auth", node.register_body(ACME, "1001", shoeSize=44, nested={"a": [1]}))
    assert status == 200


@pytest.mark.parametrize("path", ["/auth", "/cac/reset", "/nowhere"])
async def test_a_huge_body_is_refused_before_it_is_read(brain: LocalBrain, path: str) -> None:
    body = '{"a":"' + "x" * LARGEST_BODY + '"}'
    status, reply = await brain.post(path, body)
    assert is_clear(status, reply, 413, "too_large")


@pytest.mark.parametrize(
    "domain", ["nowhere.test", "", "x" * 300, "münchen.test", "\u212acme.test", "acme.tandem.test."]
)
@pytest.mark.parametrize("credentials", [True, False])
async def test_unknown_domains(brain: LocalBrain, domain: str, credentials: bool) -> None:
    given = {"username": "1001", "realm": domain, "nonce": "n", "uri": "u", "response": "r"} if credentials else None
    status, reply = await brain.post("/auth", node.register_body(ACME, "1001", given, realm=domain))
    assert is_clear(status, reply, 404, "unknown_domain")
    status, reply = await brain.post("/route", node.invite_body(ACME, "1001", "1002", given, fromDomain=domain))
    assert is_clear(status, reply, 404, "unknown_domain" if credentials else "not_found")
    assert not brain.presence.contexts


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/auth/", 404, "not_found"),
        ("GET", "/auth", 405, "method_not_allowed"),
        ("POST", "/cac", 405, "method_not_allowed"),
        ("DELETE", "/route", 405, "method_not_allowed"),
    ],
)
async def test_other_paths_and_methods(brain: LocalBrain, method: str, target: str, status: int, code: str) -> None:
    http, reply = await brain._ask(method, target, "", {})
    assert is_clear(http, reply, status, code)


def api_key(account_id: str | None, scopes: str, name: str) -> tuple[str, tuple[str | None, ...]]:
    return (
        "INSERT INTO api_key (id, account_id, name, hash, scopes, created_at) VALUES (?, ?, '', ?, ?, 0)",
        (f"key_{name}", account_id, hashlib.sha256(f"sk_{name}".encode()).hexdigest(), scopes),
    )


@pytest.fixture
def keys(brain: LocalBrain) -> LocalBrain:
    brain.write(
        [
            api_key(ACME.account_id, "nodes calls", "acme"),
            api_key(ACME.account_id, "calls", "narrow"),
            api_key(None, "*", "star"),
            api_key(None, "calls", "weak"),
            api_key(None, "nodes", "revoked"),
            ("UPDATE api_key SET revoked_at = 1 WHERE id = 'key_revoked'", ()),
        ]
    )
    return brain


@pytest.mark.parametrize(
    ("key", "own", "other", "reset"),
    [
        (None, 401, 401, 401),
        ("sk_made_up", 401, 401, 401),
        ("sk_revoked", 401, 401, 401),
        ("sk_narrow", 403, 403, 403),
        ("sk_weak", 403, 403, 403),
        ("sk_acme", 200, 403, 403),
        ("sk_star", 200, 200, 200),
        (seeds.OPERATOR_KEY, 200, 200, 200),
    ],
)
async def test_api_keys(keys: LocalBrain, key: str | None, own: int, other: int, reset: int) -> None:
    headers = {} if key is None else scene.operator(key)
    assert (await keys.get(f"/cac?accountId={ACME.account_id}", headers))[0] == own
    assert (await keys.get(f"/cac?accountId={GLOBEX.account_id}", headers))[0] == other
    body = json.dumps({"accountId": ACME.account_id})
    assert (await keys.post("/cac/reset", body, headers))[0] == reset
    assert (await keys.post("/config/poke", body, headers))[0] == reset
    assert (await keys.get("/ops/counters", headers))[0] == reset


async def test_a_node_s_credential_reads_counts_but_resets_nothing(brain: LocalBrain) -> None:
    assert (await brain.get(f"/cac?accountId={ACME.account_id}"))[0] == 200
    status, reply = await brain.post("/cac/reset", json.dumps({"accountId": ACME.account_id}))
    assert is_clear(status, reply, 401, "unsigned_request")


@pytest.mark.parametrize("account_id", ["", "acc_nope", "x" * 100, "%00", "acc_%F0%9F%98%80"])
async def test_unknown_accounts(brain: LocalBrain, account_id: str) -> None:
    status, reply = await brain.get(f"/cac?accountId={account_id}", scene.operator())
    assert is_clear(status, reply, 404, "unknown_account")
    status, reply = await brain.get("/cac", scene.operator())
    assert is_clear(status, reply, 404, "unknown_account")
    assert not brain.presence.contexts


async def test_healthz_needs_no_key_and_tells_the_version(brain: LocalBrain) -> None:
    assert await brain.get("/healthz", {}) == (200, {"ok": True, "version": "test"})
