"""What a decision costs once everything is warm: no D1 at all, one hop into one object (design section 3)."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tandem.runtime import counters
from tests.support import node, scene
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME

ALICE = ACME.people["1001"]


@dataclass
class Cost:
    d1: int = 0
    hops: int = 0


class Meter:
    def __enter__(self) -> Cost:
        self._d1, self._hops = counters.d1_queries, counters.object_hops
        self._cost = Cost()
        return self._cost

    def __exit__(self, *_: object) -> None:
        self._cost.d1 = counters.d1_queries - self._d1
        self._cost.hops = counters.object_hops - self._hops


@pytest.fixture
async def warm(brain: LocalBrain) -> LocalBrain:
    for digits in ("1001", "1002"):
        await brain.register(ACME, digits)
    routed = await brain.invite(ACME, "1001", "1002")
    await scene.send(brain, scene.dialog(brain, ACME, routed, "end", 1))
    return brain


async def test_challenges_cost_no_hop(warm: LocalBrain) -> None:
    with Meter() as cost:
        for _ in range(10):
            await warm.post("/auth", node.register_body(ACME, "1001"))
            await warm.post("/route", node.invite_body(ACME, "1001", "1002"))
    assert cost == Cost(d1=0, hops=0)


@pytest.mark.parametrize("password", [ALICE.password, "wrong"])
async def test_an_auth_costs_one_hop(warm: LocalBrain, password: str) -> None:
    _, asked = await warm.post("/auth", node.register_body(ACME, "1001"))
    for nc in range(1, 11):
        credentials = node.respond_to(
            asked["challenge"], ALICE, "REGISTER", f"sip:{ACME.domain}", nc=nc, password=password
        )
        body = node.register_body(ACME, "1001", credentials, cseq=str(nc))
        with Meter() as cost:
            _, reply = await warm.post("/auth", body)
        assert reply["ok"] is (password == ALICE.password)
        assert cost == Cost(d1=0, hops=1)


async def test_a_route_with_its_outcome_costs_one_hop_each(warm: LocalBrain) -> None:
    _, asked = await warm.post("/route", node.invite_body(ACME, "1001", "1002"))
    for nc in range(1, 11):
        body = json.loads(node.invite_body(ACME, "1001", "1002", cseq=str(nc)))
        body["credentials"] = node.respond_to(asked["challenge"], ALICE, "INVITE", body["ruri"], nc=nc)
        with Meter() as cost:
            _, reply = await warm.post("/route", json.dumps(body))
        assert reply["rtjson"]["action"] == "proxy"
        assert cost == Cost(d1=0, hops=1)
        with Meter() as cost:
            body |= {"callId": reply["rtjson"]["call_id"], "outcome": "busy"}
            await warm.post("/route", json.dumps(body))
        assert cost == Cost(d1=0, hops=1)


async def test_a_batch_of_events_costs_one_hop_an_account(warm: LocalBrain) -> None:
    routed = await warm.invite(ACME, "1001", "1002")
    events = [scene.dialog(warm, ACME, routed, "early", seq) for seq in range(50)]
    with Meter() as cost:
        await scene.send(warm, *events)
    assert cost == Cost(d1=0, hops=1)


async def test_a_heartbeat_costs_one_hop(warm: LocalBrain) -> None:
    await scene.hello(warm)
    with Meter() as cost:
        await scene.heartbeat(warm)
    assert cost == Cost(d1=0, hops=1)


async def test_records_of_many_calls_are_one_write(warm: LocalBrain) -> None:
    await warm.advance(5_000)
    for _ in range(20):
        routed = await warm.invite(ACME, "1001", "1002")
        await scene.send(warm, scene.dialog(warm, ACME, routed, "end", 1))
    with Meter() as cost:
        await warm.advance(3_000)
    assert cost == Cost(d1=1, hops=0)


async def test_an_idle_account_sleeps(brain: LocalBrain) -> None:
    await brain.register(ACME, "1001", expires=60)
    await brain.advance(900_000)
    with Meter() as cost:
        await brain.advance(86_400_000)
    assert cost == Cost()


async def test_the_operator_reads_the_counters(warm: LocalBrain) -> None:
    _, before = await warm.get("/ops/counters", scene.operator())
    await warm.post("/auth", node.register_body(ACME, "1001"))
    _, after = await warm.get("/ops/counters", scene.operator())
    assert after["requests"] - before["requests"] == 2
    assert after["object_hops"] == before["object_hops"]
