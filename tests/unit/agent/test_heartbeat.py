"""Hello, heartbeat, snapshots, and what a restart of either side leads to."""

from __future__ import annotations

import asyncio

from edge_node.agent.app import Agent
from tests.unit.agent.conftest import StartAgent
from tests.unit.agent.stubs import (
    ACCOUNT,
    CALL,
    DEVICE,
    FakeKamailio,
    Json,
    StubBrain,
    eventually,
    live_dialog,
    refusal,
)


async def test_hello_tells_the_whole_state(start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    kamailio.dialogs = [live_dialog(CALL), live_dialog("call_over", state=5), {"state": 4, "variables": []}]
    async with start_agent() as agent:
        await eventually(lambda: len(brain.bodies("/fleet/heartbeat")) > 2)
    hello, *more = brain.bodies("/fleet/hello")
    assert not more
    assert hello["bootIds"]["kamailio"] == kamailio.boot
    assert hello["version"] == "0"
    assert hello["commandUrl"].startswith("http://127.0.0.1")
    assert hello["load"]["calls"] == 1
    assert hello["load"]["mediaChannels"] == 0
    assert hello["digests"][ACCOUNT] == agent.live.digests()[ACCOUNT].model_dump()
    heartbeat = brain.bodies("/fleet/heartbeat")[0]
    assert heartbeat["digests"] == hello["digests"]
    assert 0 <= heartbeat["load"]["cpuPercent"] <= 100


async def test_the_brain_may_ask_for_a_hello(agent: Agent, brain: StubBrain) -> None:
    brain.answer["/fleet/heartbeat"] = lambda _: (
        refusal(409, "hello_required")
        if len(brain.bodies("/fleet/hello")) < 2
        else {"ok": True, "now": brain.now(), "send": []}
    )
    await eventually(lambda: len(brain.bodies("/fleet/hello")) == 2 and len(brain.bodies("/fleet/heartbeat")) > 3)
    assert len(brain.bodies("/fleet/hello")) == 2


async def test_a_wanted_snapshot_is_sent_once_while_it_is_on_its_way(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    take = brain.answer["/presence/event"]
    brain.answer["/presence/event"] = lambda _: refusal(503, "unavailable")
    kamailio.register("r1")
    await kamailio.ask("1:1", "route")
    brain.answer["/fleet/heartbeat"] = lambda _: {"ok": True, "now": brain.now(), "send": [ACCOUNT]}
    beats = len(brain.bodies("/fleet/heartbeat"))
    await eventually(lambda: len(brain.bodies("/fleet/heartbeat")) >= beats + 4)
    assert agent.buffer.stored == 2, "the registration and one snapshot"
    brain.answer["/fleet/heartbeat"] = lambda _: {"ok": True, "now": brain.now(), "send": []}
    brain.answer["/presence/event"] = take
    await eventually(lambda: agent.buffer.stored == 0)
    registered, snapshot = brain.events()[-2:]
    assert registered["type"] == "register", "in the order in which it happened"
    assert [one["callId"] for one in snapshot["dialogs"]] == [CALL]
    assert [one["deviceId"] for one in snapshot["contacts"]] == [DEVICE]
    assert snapshot["digests"] == brain.bodies("/fleet/heartbeat")[-1]["digests"][ACCOUNT]
    assert abs(snapshot["asOf"] - brain.now()) < 5_000


async def test_heartbeats_go_on_while_questions_wait(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    gate = asyncio.Event()

    async def held(_: Json) -> Json:
        await gate.wait()
        return {}

    brain.answer["/route"] = held
    asked = [asyncio.create_task(kamailio.ask(f"1:{n}", "route")) for n in range(50)]
    await eventually(lambda: len(brain.bodies("/route")) == 50)
    beats = len(brain.bodies("/fleet/heartbeat"))
    await eventually(lambda: len(brain.bodies("/fleet/heartbeat")) >= beats + 5, 1.5)
    gate.set()
    await asyncio.gather(*asked)


async def test_a_restarted_kamailio_is_listed_again_and_greeted_for(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    await kamailio.ask("1:1", "route")
    assert agent.live.call(CALL) is not None
    await kamailio.stop()
    kamailio.boot = "boot-2"
    kamailio.dialogs = [live_dialog("call_survived")]
    await kamailio.start()
    await eventually(lambda: len(brain.bodies("/fleet/hello")) == 2)
    hello = brain.bodies("/fleet/hello")[-1]
    assert hello["bootIds"]["kamailio"] == kamailio.boot
    assert agent.live.call("call_survived") is not None
    assert agent.live.call(CALL) is None
    assert agent.health().ok


async def test_an_outage_of_the_brain_ends_with_a_heartbeat(agent: Agent, brain: StubBrain) -> None:
    await brain.stop()
    brain.heard.clear()
    await brain.start()
    await eventually(lambda: len(brain.bodies("/fleet/heartbeat")) > 1)
    assert not brain.bodies("/fleet/hello"), "the brain asks for it when it forgot the node"


async def test_nothing_is_said_before_the_node_knows_itself(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    kamailio.rpc_up = False
    async with start_agent(ready=False) as agent:
        await eventually(lambda: kamailio.connected)
        assert (await kamailio.ask("1:1"))["do"] == "save"
        assert not agent.health().ok
        assert not brain.bodies("/fleet/hello")
        kamailio.rpc_up = True
        await eventually(lambda: agent.health().ok)


async def test_without_json_rpc_events_are_what_there_is(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    async with start_agent(rpc_url=None) as agent:
        assert brain.bodies("/fleet/hello")[-1]["bootIds"]["kamailio"] == "boot-1"
        kamailio.dialog("e1", "answer", 2)
        await eventually(lambda: agent.live.calls == 1)
        assert not kamailio.rpc_calls
