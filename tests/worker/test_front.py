"""The deployed brain over HTTP: what decisions cost, what bad input gets, configuration that changes, many at once."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_node.local.settings import LOOPBACK
from edge_node.local.waiting import wait_until
from tests.support import node, seeds
from tests.worker.brain import Brain
from tests.worker.caller import OPERATOR, VARIABLES, Caller, Fields, now_ms

LIVE_SEC = 2.0
SWEEP_SEC = 30.0
HEAL_SEC = SWEEP_SEC + 10
# What the brain takes of a body that is too long, so that its sender gets to read the refusal.
TAKEN = 16 * 1024 * 1024
PIECE = 64 * 1024


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with Brain(tmp_path_factory.mktemp("front"), VARIABLES) as brain:
        caller = Caller(brain)
        caller.enroll()
        yield caller


def test_decisions_cost_one_hop_and_challenges_none(caller: Caller) -> None:
    tenant = caller.tenant()
    first = caller.call(tenant)
    caller.send(caller.dialog(tenant, first, "end", 1, hungUpBy="caller"))
    caller.recorded_end(tenant, first["call_id"])
    # Nothing of the account waits to be shipped any more, and the next shipping is 2 s after its next call.
    before = caller.counters()
    for _ in range(5):
        caller.post("/auth", json.loads(node.register_body(tenant, "1001")))
    assert _since(caller, before) == (0, 0)
    before = caller.counters()
    for _ in range(5):
        assert caller.register(tenant, "1001")[1]["ok"] is True
    assert _since(caller, before) == (0, 5)
    before = caller.counters()
    for _ in range(5):
        assert caller.call(tenant)["action"] == "proxy"
    assert _since(caller, before) == (0, 5)


def _since(caller: Caller, before: tuple[int, int]) -> tuple[int, int]:
    d1, hops = caller.counters()
    return d1 - before[0], hops - before[1]


def test_configuration_is_live_after_a_poke(caller: Caller) -> None:
    tenant = caller.tenant()
    _limit(caller, tenant, 1)
    status, reply = caller.post("/config/poke", {"accountId": tenant.account_id}, OPERATOR)
    assert (status, reply["ok"]) == (200, True)
    wait_until(lambda: _max(caller, tenant) == 1, LIVE_SEC, "the new limit")
    assert caller.call(tenant)["action"] == "proxy"
    assert caller.call(tenant)["action"] == "reject"


def test_configuration_heals_without_a_poke(caller: Caller) -> None:
    tenant = caller.tenant()
    _limit(caller, tenant, 7)
    wait_until(lambda: _max(caller, tenant) == 7, HEAL_SEC, "the sweep")


def test_a_poke_that_failed_is_tried_again_by_the_queue(caller: Caller) -> None:
    tenant = caller.tenant()
    began = time.monotonic()
    failures = _failed_pulls(caller)
    _limit(caller, tenant, 3)
    # A change that no replica can take: the pull fails as a whole until it is gone.
    where = "account_id = ? AND table_name = 'nothing'"
    caller.brain.d1("INSERT INTO config_change VALUES (?, 'nothing', 'x', 1000000)", tenant.account_id)
    try:
        assert caller.post("/config/poke", {"accountId": tenant.account_id}, OPERATOR)[0] == 202
        wait_until(lambda: _failed_pulls(caller) >= failures + 2, SWEEP_SEC / 2, "the queue's first try to fail too")
    finally:
        caller.brain.d1(f"DELETE FROM config_change WHERE {where}", tenant.account_id)
    wait_until(lambda: _max(caller, tenant) == 3, SWEEP_SEC / 2, "the queue's next try")
    assert time.monotonic() - began < SWEEP_SEC


def _failed_pulls(caller: Caller) -> int:
    lines = caller.brain.log.read_text().splitlines()
    return sum("decision_failed" in line and "nothing" in line for line in lines)


def _limit(caller: Caller, tenant: seeds.Tenant, calls: int) -> None:
    user = tenant.people["1001"].user_id
    caller.brain.d1("UPDATE sip_user SET max_simultaneous = ? WHERE id = ?", calls, user)


def _max(caller: Caller, tenant: seeds.Tenant) -> int | None:
    """The caller's limit as the account's object knows it, seen by a call that is let go of at once."""
    routed = caller.call(tenant)
    uses: list[Fields] = caller.cac(tenant)["dimensions"]
    caller.send(caller.dialog(tenant, routed, "end", 1, hungUpBy="caller"))
    return next((one.get("max") for one in uses if one["subject"] == tenant.people["1001"].user_id), None)


def test_fifty_calls_at_once_admit_exactly_the_limit(caller: Caller) -> None:
    tenant, other = caller.tenant(), caller.tenant()
    _limit(caller, tenant, 2)
    caller.post("/config/poke", {"accountId": tenant.account_id}, OPERATOR)
    limited = [caller.question(tenant, "1001", "1002") for _ in range(50)]
    free = [caller.question(other, "1001", "1002") for _ in range(10)]
    mixed = [
        question for five, one in zip(range(10), free, strict=True) for question in (*limited[five * 5 :][:5], one)
    ]
    with ThreadPoolExecutor(16) as pool:
        routed = list(pool.map(caller.route, mixed))
    admitted = [one["account_id"] for one in routed if one["action"] == "proxy"]
    assert admitted.count(tenant.account_id) == 2
    assert admitted.count(other.account_id) == 10
    assert len({one["call_id"] for one in routed if one["action"] == "proxy"}) == 12
    assert (caller.live_calls(tenant), caller.live_calls(other)) == (2, 10)


def _broken(body: str) -> str:
    return body[:-1]


def _wrong_type(body: str) -> str:
    return json.dumps(json.loads(body) | {"sipCallId": {"a": 1}, "sourcePort": "x"})


def _no_object(body: str) -> str:
    return json.dumps([body])


def _huge(body: str) -> str:
    return json.dumps(json.loads(body) | {"userAgent": "x" * 1_000_000})


def _deep(body: str) -> str:
    return "[" * 100_000 + "]" * 100_000


def _foreign(body: str) -> str:
    return json.dumps(json.loads(body) | {"fromDomain": "nobody.tandem.test", "realm": "nobody.tandem.test"})


@pytest.mark.parametrize("path", ["/auth", "/route"])
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_broken, (400, "invalid_request")),
        (_wrong_type, (400, "invalid_request")),
        (_no_object, (400, "invalid_request")),
        (_deep, (400, "invalid_request")),
        (_huge, (413, "too_large")),
        (_foreign, (404, "unknown_domain")),
    ],
)
def test_a_bad_body_changes_nothing(
    caller: Caller, path: str, spoil: Callable[[str], str], code: tuple[int, str]
) -> None:
    tenant = caller.tenant()
    question = json.dumps(caller.question(tenant, "1001", "1002") | {"method": "INVITE", "realm": tenant.domain})
    refused(caller.post_text(path, spoil(question)), code)
    assert caller.live_calls(tenant) == 0


def test_a_body_without_a_length_is_read_no_further_than_it_may_be_long(caller: Caller) -> None:
    before = caller.heap()
    for path in ("/auth", "/v1/users"):
        refused(_send_pieces(caller, path, [b" " * PIECE] * (TAKEN // PIECE)), (413, "too_large"))
        # Of more than that, the refusal may be lost on the way.
        with contextlib.suppress(OSError, http.client.HTTPException):
            refused(_send_pieces(caller, path, [b" " * PIECE] * (4 * TAKEN // PIECE)), (413, "too_large"))
    assert caller.heap() - before < TAKEN // 2


def test_a_body_without_a_length_is_a_body(caller: Caller) -> None:
    tenant = caller.tenant()
    question = json.loads(node.register_body(tenant, "1001"))
    body = json.dumps(question | {"userAgent": "Zoë 😀"}, ensure_ascii=False)
    signed = node.signed("POST", "/auth", body, now_ms())
    # One byte a piece: characters of several bytes come apart.
    status, reply = _send_pieces(caller, "/auth", [bytes([byte]) for byte in body.encode()], signed)
    assert (status, "challenge" in reply) == (200, True), reply


def _send_pieces(
    caller: Caller, path: str, pieces: list[bytes], headers: Mapping[str, str] | None = None
) -> tuple[int, Fields]:
    """`POST` with `Transfer-Encoding: chunked`, a chunk a piece."""
    connection = http.client.HTTPConnection(LOOPBACK, caller.brain.port, timeout=20)
    try:
        connection.request("POST", path, iter(pieces), dict(headers or {}), encode_chunked=True)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def test_bad_signatures_and_replays_change_nothing(caller: Caller) -> None:
    tenant = caller.tenant()
    question = caller.question(tenant, "1001", "1002")
    body = json.dumps(question)
    signed = node.signed("POST", "/route", body, now_ms())
    wrong = [
        ({}, "unsigned_request"),
        (signed | {"x-tandem-signature": "0" * 64}, "bad_signature"),
        (signed | {"x-tandem-signature": "ü"}, "bad_signature"),
        (signed | {"x-tandem-node": "node_unknown"}, "unknown_node"),
        (node.signed("POST", "/auth", body, now_ms()), "bad_signature"),
        (node.signed("POST", "/route", body + " ", now_ms()), "bad_signature"),
        (node.signed("POST", "/route", body, now_ms() - 31_000), "stale_request"),
        (node.signed("POST", "/route", body, now_ms() + 31_000), "stale_request"),
    ]
    for headers, code in wrong:
        refused(caller.post("/route", question, headers), (401, code))
    assert caller.live_calls(tenant) == 0
    assert caller.post("/route", question, signed)[0] == 200
    refused(caller.post("/route", question, signed), (409, "replayed_request"))
    assert caller.live_calls(tenant) == 1


def test_operators_paths_refuse_strangers(caller: Caller) -> None:
    tenant = caller.tenant()
    for path in ("/cac/reset", "/config/poke"):
        refused(caller.post(path, {"accountId": tenant.account_id}, {}), (401, "unsigned_request"))
        refused(caller.post(path, {"accountId": tenant.account_id}, {"x-api-key": "sk_x"}), (401, "unsigned_request"))
        refused(caller.post(path, {"accountId": "acc_nobody"}, OPERATOR), (404, "unknown_account"))
        refused(caller.post(path, {}, OPERATOR), (400, "invalid_request"))


def refused(answer: tuple[int, Fields], code: tuple[int, str]) -> None:
    """The error shape, and nothing of the program's inside."""
    status, reply = answer
    assert (status, reply["ok"], reply["error"]["code"]) == (code[0], False, code[1]), reply
    assert reply["error"]["message"]
    assert "Traceback" not in json.dumps(reply)
    assert ".py" not in json.dumps(reply)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/auth", "/route", "/presence/event", "/fleet/hello", "/cac/reset"])
def test_other_methods_are_not_taken(caller: Caller, method: str, path: str) -> None:
    status, text = _ask(caller, method, path)
    assert status == 405
    if method != "HEAD":
        refused((status, json.loads(text)), (405, "method_not_allowed"))


@pytest.mark.parametrize("path", ["/", "/nothing", "//", "/%00", "/route/", "/cac%2freset", "/?a=%ff&&=&b"])
def test_other_paths_are_not_there(caller: Caller, path: str) -> None:
    status, text = _ask(caller, "GET", path)
    refused((status, json.loads(text)), (404, "not_found"))


def _ask(caller: Caller, method: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(LOOPBACK, caller.brain.port, timeout=20)
    connection.request(method, path)
    reply = connection.getresponse()
    status, text = reply.status, reply.read().decode()
    connection.close()
    return status, text


def test_the_log_names_no_secret(caller: Caller) -> None:
    """Runs last: the log of all that this module did."""
    tenant = caller.tenant()
    caller.register(tenant, "1001")
    said = caller.brain.log.read_text(errors="replace")
    assert "Traceback" not in said
    people = tenant.people.values()
    rows = caller.brain.d1("SELECT ha1, ha1b, ha1_sha256, ha1b_sha256 FROM sip_device")
    hashes = [str(value) for row in rows for value in row.values()]
    secrets = [seeds.MASTER_KEY, seeds.OPERATOR_KEY, seeds.credential(), *(one.password for one in people), *hashes]
    assert [secret for secret in secrets if secret in said] == []
