"""Nodes that fall silent and return, a brain that was away, and `/cac/reset` asking a node, on the deployed brain."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from edge_node.local.settings import LOOPBACK
from edge_node.local.waiting import wait_until
from tandem.contracts.signature import verify
from tests.support import seeds
from tests.worker.brain import Brain
from tests.worker.caller import NOTHING, VARIABLES, Caller, Fields, fleet_fields, named, now_ms

LOST_SEC = 6.0
CHANGED = {"dialogs": "00000000000000aa", "contacts": "00000000000000bb"}


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with Brain(tmp_path_factory.mktemp("fleet"), VARIABLES) as brain:
        caller = Caller(brain)
        caller.enroll()
        yield caller


def _snapshot(caller: Caller, tenant: seeds.Tenant, *calls: Fields) -> Fields:
    contacts = [
        {"deviceId": one.device_id, "contact": f"sip:{digits}@192.0.2.7:5060", "expiresAt": now_ms() + 600_000}
        for digits, one in tenant.people.items()
    ]
    dialogs = [named(call) | {"state": "answered"} for call in calls]
    return caller.event(tenant, "snapshot", asOf=now_ms(), digests=CHANGED, dialogs=dialogs, contacts=contacts)


def _hello(caller: Caller, tenant: seeds.Tenant) -> Fields:
    digests = {tenant.account_id: CHANGED}
    status, reply = caller.post("/fleet/hello", fleet_fields(digests=digests))
    assert status == 200, reply
    return reply


def test_a_silent_node_is_lost_and_its_return_reopens_its_call(caller: Caller) -> None:
    tenant = caller.tenant()
    routed = caller.call(tenant)
    caller.send(caller.dialog(tenant, routed, "answer", 1))
    _hello(caller, tenant)
    assert caller.post("/fleet/heartbeat", fleet_fields(digests={tenant.account_id: CHANGED}))[0] == 200
    caller.send(_snapshot(caller, tenant, routed))
    silent = time.monotonic()
    assert caller.live_calls(tenant) == 1
    wait_until(lambda: caller.live_calls(tenant) == 0, 15, "the node to be lost")
    assert time.monotonic() - silent >= LOST_SEC - 1
    rejected = caller.call(tenant)
    assert (rejected["action"], rejected["code"]) == ("reject", 480)
    status, reply = caller.post("/fleet/heartbeat", fleet_fields())
    assert (status, reply["error"]["code"]) == (409, "hello_required")
    assert tenant.account_id in _hello(caller, tenant)["send"]
    caller.send(_snapshot(caller, tenant, routed))
    assert caller.live_calls(tenant) == 1
    assert caller.call(tenant)["action"] == "proxy"


def test_a_brain_that_was_away_settles_nothing_as_lost(caller: Caller) -> None:
    tenant = caller.tenant()
    routed = caller.call(tenant)
    caller.send(caller.dialog(tenant, routed, "answer", 1))
    _hello(caller, tenant)
    caller.send(_snapshot(caller, tenant, routed))
    caller.brain.kill9()
    back = time.monotonic() + LOST_SEC + 1
    wait_until(lambda: time.monotonic() > back, LOST_SEC + 2, "longer than it takes to lose a node")
    caller.brain.start()
    fields = fleet_fields(digests={tenant.account_id: CHANGED})
    checked = time.monotonic() + 4

    def heard() -> bool:
        assert caller.live_calls(tenant) == 1
        assert caller.post("/fleet/heartbeat", fields)[0] == 200
        return time.monotonic() > checked

    wait_until(heard, 10, "heartbeats after the return")
    assert caller.call(tenant)["action"] == "proxy"
    assert all(row["end_ts"] is None for row in caller.records(tenant))
    caller.send(caller.dialog(tenant, routed, "end", 2, hungUpBy="caller"))
    assert caller.recorded_end(tenant, routed["call_id"])["disposition"] == "answered"


def test_a_reset_rebuilds_from_what_the_node_says(caller: Caller) -> None:
    tenant = caller.tenant()
    kept, ghost = caller.call(tenant), caller.call(tenant)
    aged = time.monotonic() + 6
    caller.send(*(caller.dialog(tenant, one, "answer", 1) for one in (kept, ghost)))
    _hello(caller, tenant)
    caller.send(_snapshot(caller, tenant, kept, ghost))
    assert caller.live_calls(tenant) == 2
    # A call that began a moment ago may not be in a node's list yet.
    wait_until(lambda: time.monotonic() > aged, 10, "calls old enough to be missed")
    result = {"asOf": now_ms(), "digests": NOTHING, "dialogs": [named(kept) | {"state": "answered"}], "contacts": []}
    with _agent(result) as (url, commands):
        caller.brain.d1("UPDATE node SET command_url = ? WHERE id = ?", url, seeds.NODE_ID)
        caller.brain.restart()
        headers = {"x-api-key": seeds.OPERATOR_KEY}
        status, reply = caller.post("/cac/reset", {"accountId": tenant.account_id}, headers)
    assert (status, reply["nodes"]) == (200, {seeds.NODE_ID: "done"}), reply
    assert reply["live_calls"] == 1
    assert sorted(one["used"] for one in reply["dimensions"]) == [1, 1]
    ((path, head, body),) = commands
    verify(seeds.credential(), "POST", path, body, head, now_ms())
    command = json.loads(body)
    assert (path, command["op"], command["args"]) == ("/commands", "reconcile", {"account_id": tenant.account_id})


@contextmanager
def _agent(result: Fields) -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """A node-agent that answers every command with `result`; its address, and (path, headers, body) of what it got."""
    heard: list[tuple[str, dict[str, str], bytes]] = []

    class Agent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            reply = json.dumps({"id": json.loads(body)["id"], "status": "done", "result": result}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer((LOOPBACK, 0), Agent)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
