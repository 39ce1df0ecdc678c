"""Call flows on workerd: killed between any two steps and in the middle of a request, they go on where they were."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from edge_node.local.settings import LOOPBACK
from edge_node.local.waiting import wait_until
from tests.support import engine, node, rows
from tests.support.flow_calls import HANG_UP, graph, menu, request, say
from tests.support.seeds import suffix
from tests.worker.brain import Brain
from tests.worker.caller import OPERATOR, VARIABLES, Caller, Fields, now_ms

_numbers = itertools.count(1)
WAIT_SEC = 20


@dataclass
class Server:
    """Somebody's HTTP server. `/held` answers when `release` is set."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def reset(self) -> None:
        self.asked.clear()
        self.came.clear()
        self.release.clear()

    def answer(self, path: str) -> tuple[int, bytes]:
        if path == "/held":
            self.release.wait(WAIT_SEC)
        bodies = {
            "/name": (200, b'{"name": "Ann"}'),
            "/held": (200, b'{"name": "Ann"}'),
            "/redirect": (302, b""),
            "/large": (200, b'{"name": "' + b"x" * 200_000 + b'"}'),
            "/latin": (200, b'{"name": "M\xfcller"'),
            "/wrong": (500, b"{}"),
        }
        return bodies[path]


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers["idempotency-key"]))
            server.came.set()
            status, body = server.answer(self.path)
            self.send_response(status)
            if status == 302:
                self.send_header("location", "/name")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with suppress(OSError):  # who asked may be gone
                self.wfile.write(body)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Nobody reads it."""

    return Handler


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = Server()
    with ThreadingHTTPServer((LOOPBACK, 0), _handler(found)) as listening:
        found.port = listening.server_address[1]
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield found
        found.release.set()
        listening.shutdown()


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Caller]:
    variables = VARIABLES | {"TANDEM_HTTP_ALLOW": f"{LOOPBACK}:{server.port}"}
    with Brain(tmp_path_factory.mktemp("flows"), variables) as brain:
        caller = Caller(brain)
        caller.enroll()
        yield caller


@pytest.fixture(autouse=True)
def _fresh(server: Server) -> None:
    server.reset()


class Call:
    """A call of a fresh account whose extension 600 runs `document`."""

    def __init__(self, caller: Caller, document: str) -> None:
        number = next(_numbers)
        self.caller = caller
        self.tenant = caller.tenant()
        flow = rows.flow(self.tenant, number, document)
        caller.brain.d1_batch(*engine.with_engine(self.tenant, dest=f"flow_{suffix(number)}"), flow)
        status, reply = caller.post("/config/poke", {"accountId": self.tenant.account_id}, OPERATOR)
        assert status == 200, reply
        self.routed = caller.call(self.tenant, "1001", "600")
        assert self.routed["action"] == "flow", self.routed

    def body(self, **fields: Any) -> Fields:
        return {"callId": self.routed["call_id"], "accountId": self.tenant.account_id} | fields

    def ask(self, **fields: Any) -> Fields:
        status, reply = self.caller.post("/flow", self.body(**fields))
        assert status == 200, reply
        return reply

    def trace(self) -> list[Fields]:
        found = self.caller.brain.d1("SELECT * FROM call_trace WHERE call_id = ? ORDER BY seq", self.routed["call_id"])
        return [{**row, "data": json.loads(row["data"])} for row in found]

    def ended_trace(self) -> list[Fields]:
        wait_until(lambda: bool(self.trace()), 10, "the trace in D1")
        return self.trace()


def front(caller_extension: str) -> str:
    return graph(
        "entry>hello", "hello>menu", "menu:digit:1>bob", "menu:timeout>bye", "menu:invalid>bye", "bob:no_answer>bye",
        "bob:busy>bye", "bob:failed>bye", "bye>end",
        hello=say("Hello"), menu=menu("Press one"), bob={"kind": "dial", "targets": [{"number": caller_extension}]},
        bye=say("Goodbye"), end=HANG_UP,
    )  # fmt: skip


def asks(url: str) -> str:
    return graph(
        "entry>hi", "hi>ask", "ask:success>found", "ask:error>error", "ask:timeout>late",
        hi=say("Hi"), ask=request(url, timeoutMs=8_000, save=[{"variable": "name", "path": "name"}]),
        found=say("Hello {{name}}"), error=say("Error"), late=say("Late"),
    )  # fmt: skip


def texts(command: Fields) -> list[str]:
    return [sound["text"] for sound in command["args"]["sounds"]]


STEPS: tuple[Fields, ...] = (
    {},
    {"seq": 1, "outcome": "answered"},
    {"seq": 2, "outcome": "done"},
    {"seq": 3, "outcome": "digits", "data": {"digits": "1"}},
    {"seq": 4, "outcome": "no_answer"},
    {"seq": 5, "outcome": "done"},
    {"seq": 6, "outcome": "ended"},
)
COMMANDS = ["answer", "play", "gather", "dial", "play", "hangup", "noop"]


@pytest.mark.timeout(300)
def test_a_flow_goes_on_after_kill_9_between_any_two_steps(caller: Caller) -> None:
    call = Call(caller, front("1002"))
    heard = []
    for fields in STEPS:
        command = call.ask(**fields)
        heard.append(command["cmd"])
        caller.brain.kill9()
        caller.brain.start()
        assert call.ask(**fields) == command
    assert heard == COMMANDS
    trace = call.ended_trace()
    assert [one["seq"] for one in trace] == list(range(len(trace)))
    assert [one["node_id"] for one in trace] == [None, "entry", "hello", "menu", "bob", "bye", "end", None]


def test_a_leg_that_was_ordered_outlives_kill_9(caller: Caller) -> None:
    call = Call(caller, front("1002"))
    for fields in STEPS[:3]:
        call.ask(**fields)
    dialled = call.ask(**STEPS[3])
    caller.brain.kill9()
    caller.brain.start()
    asked = engine.question(call.tenant, dialled["args"])
    leg = caller.route(asked)
    assert [one["uri"].partition("@")[0] for one in leg["routes"]] == [f"sip:{call.tenant.people['1002'].device_id}"]
    caller.brain.kill9()
    caller.brain.start()
    assert caller.route(asked) == leg
    assert caller.live_calls(call.tenant) == 1
    caller.send(caller.dialog(call.tenant, leg, "answer", 1))
    assert call.ask(seq=4, outcome="answered")["cmd"] == "bridge"
    caller.send(caller.dialog(call.tenant, call.routed, "end", 5, cause="200"))
    assert caller.cac(call.tenant)["dimensions"] == []
    record = caller.recorded_end(call.tenant, call.routed["call_id"])
    assert record["callee_user_id"] == call.tenant.people["1002"].user_id
    assert len(caller.records(call.tenant)) == 1


def test_a_request_under_way_is_made_again_after_kill_9(caller: Caller, server: Server) -> None:
    call = Call(caller, asks(f"http://{LOOPBACK}:{server.port}/held"))
    call.ask()
    assert texts(call.ask(seq=1, outcome="answered")) == ["Hi"]
    sent = _send(caller.brain, call.body(seq=2, outcome="done"))
    assert server.came.wait(WAIT_SEC)
    caller.brain.kill9()
    sent.close()
    server.release.set()
    caller.brain.start()
    assert texts(call.ask(seq=2, outcome="done")) == ["Hello Ann"]
    first, second = server.asked
    assert first == second


def test_a_node_that_gave_up_waiting_gets_the_same_command(caller: Caller, server: Server) -> None:
    """The request that began it is gone, and its HTTP request goes on."""
    call = Call(caller, asks(f"http://{LOOPBACK}:{server.port}/held"))
    call.ask()
    call.ask(seq=1, outcome="answered")
    sent = _send(caller.brain, call.body(seq=2, outcome="done"))
    assert server.came.wait(WAIT_SEC)
    sent.close()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(call.ask, seq=2, outcome="done") for _ in range(2)]
        server.release.set()
        first, second = (one.result(WAIT_SEC) for one in waiting)
    assert first == second
    assert texts(first) == ["Hello Ann"]
    assert len({key for _, key in server.asked}) == 1


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/name", "Hello Ann"),
        ("/redirect", "Error"),
        ("/large", "Error"),
        ("/latin", "Error"),
        ("/wrong", "Error"),
    ],
)
def test_replies_of_every_kind(caller: Caller, server: Server, path: str, said: str) -> None:
    call = Call(caller, asks(f"http://{LOOPBACK}:{server.port}{path}"))
    call.ask()
    call.ask(seq=1, outcome="answered")
    assert texts(call.ask(seq=2, outcome="done")) == [said]
    assert [one for one, _ in server.asked] == [path]


def test_a_server_that_is_slow(caller: Caller, server: Server) -> None:
    document = asks(f"http://{LOOPBACK}:{server.port}/held").replace('"timeoutMs": 8000', '"timeoutMs": 300')
    call = Call(caller, document)
    call.ask()
    call.ask(seq=1, outcome="answered")
    assert texts(call.ask(seq=2, outcome="done")) == ["Late"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "http://localhost/x", "http://169.254.169.254/latest/meta-data"]
)
def test_nothing_inside_is_asked(caller: Caller, server: Server, url: str) -> None:
    call = Call(caller, asks(url))
    call.ask()
    call.ask(seq=1, outcome="answered")
    assert texts(call.ask(seq=2, outcome="done")) == ["Error"]


def test_a_step_costs_one_hop_and_no_d1(caller: Caller) -> None:
    call = Call(caller, front("1002"))
    call.ask()
    before = caller.counters()
    call.ask(**STEPS[1])
    call.ask(**STEPS[2])
    after = caller.counters()
    # Each reading of the counters may look up the operator's key.
    assert after[1] - before[1] == 2
    assert after[0] - before[0] <= 1


def _send(brain: Brain, fields: Fields) -> socket.socket:
    """A signed `/flow` whose answer nobody reads."""
    body = json.dumps(fields)
    headers = node.signed("POST", "/flow", body, now_ms())
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(
        [
            "POST /flow HTTP/1.1",
            f"host: {LOOPBACK}",
            f"content-length: {len(body)}",
            "content-type: application/json",
            *lines,
        ]
    )
    sent = socket.create_connection((LOOPBACK, brain.port), timeout=WAIT_SEC)
    sent.sendall(f"{head}\r\n\r\n{body}".encode())
    return sent
