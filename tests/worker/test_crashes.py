"""The brain is killed between the steps of a call: nothing is lost, and nothing is counted twice."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator

import pytest

from edge_node.local.settings import LOOPBACK
from tests.support import node
from tests.worker.brain import Brain
from tests.worker.caller import VARIABLES, Caller, Fields, now_ms

# From "the request is hardly read" to "the reply was sent long ago".
MOMENTS_MS = (0.0, 6.0, 30.0)


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with Brain(tmp_path_factory.mktemp("crashes"), VARIABLES) as brain:
        caller = Caller(brain)
        caller.enroll()
        yield caller


def test_a_call_outlives_kill_9_and_its_end_releases_and_records_it(caller: Caller) -> None:
    tenant = caller.tenant()
    routed = caller.call(tenant)
    caller.send(caller.dialog(tenant, routed, "answer", 1))
    before = caller.cac(tenant)
    assert before["live_calls"] == 1
    caller.brain.kill9()
    caller.brain.start()
    assert caller.cac(tenant) == before
    caller.send(caller.dialog(tenant, routed, "end", 2, hungUpBy="callee"))
    after = caller.cac(tenant)
    assert (after["live_calls"], after["dimensions"]) == (0, [])
    record = caller.recorded_end(tenant, routed["call_id"])
    assert (record["disposition"], record["hangup_by"]) == ("answered", "callee")
    assert len(caller.records(tenant)) == 1


def test_an_unshipped_record_is_shipped_after_kill_9(caller: Caller) -> None:
    tenant = caller.tenant()
    routed = caller.call(tenant)
    caller.send(caller.dialog(tenant, routed, "end", 1, hungUpBy="caller"))
    caller.brain.kill9()
    caller.brain.start()
    caller.cac(tenant)
    caller.recorded_end(tenant, routed["call_id"])


@pytest.mark.parametrize("moment_ms", MOMENTS_MS)
def test_a_question_repeated_after_kill_9_is_admitted_once(caller: Caller, moment_ms: float) -> None:
    tenant = caller.tenant()
    question = caller.question(tenant, "1001", "1002")
    heard = _ask_and_kill(caller.brain, question, moment_ms + random.uniform(0, moment_ms / 2))
    caller.brain.start()
    written = caller.live_calls(tenant)
    assert written in (0, 1)
    again = caller.route(question)
    assert again["action"] == "proxy"
    assert caller.route(question)["call_id"] == again["call_id"]
    assert caller.live_calls(tenant) == 1
    assert sorted(one["used"] for one in caller.cac(tenant)["dimensions"]) == [1, 1]
    if heard is not None:
        assert written == 1
        assert again["call_id"] == heard
    caller.send(caller.dialog(tenant, again, "end", 1, hungUpBy="caller"))
    assert caller.live_calls(tenant) == 0
    caller.recorded_end(tenant, again["call_id"])
    assert [row["call_id"] for row in caller.records(tenant)] == [again["call_id"]]


def _ask_and_kill(brain: Brain, question: Fields, moment_ms: float) -> str | None:
    """Sends `/route` and kills workerd that much later; the call id, should the reply have come before."""
    body = json.dumps(question)
    headers = node.signed("POST", "/route", body, now_ms()) | {"host": "brain", "content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((LOOPBACK, brain.port)) as connection:
        connection.sendall(f"POST /route HTTP/1.1\r\n{head}\r\n{body}".encode())
        connection.settimeout(max(moment_ms, 0.1) / 1000)
        try:
            reply = connection.recv(65536).decode()
        except TimeoutError:
            reply = ""
        brain.kill9()
    _, _, text = reply.partition("\r\n\r\n")
    try:
        return str(json.loads(text)["rtjson"]["call_id"])
    except (ValueError, KeyError):
        return None
