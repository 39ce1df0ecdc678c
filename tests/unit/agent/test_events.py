"""The disk buffer: order, crashes, outages, poison, bounds."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edge_node.agent.config import Config
from tests.unit.agent.conftest import StartAgent
from tests.unit.agent.stubs import (
    ACCOUNT,
    CALL,
    DEVICE,
    NODE,
    FakeKamailio,
    Json,
    StubBrain,
    eventually,
    live_dialog,
    question,
    refusal,
    verdict,
)

ROOT = Path(__file__).resolve().parents[3]


def ids(events: list[Json]) -> list[str]:
    """The ids that Kamailio gave, in the order of arrival, repeats left out."""
    return list(dict.fromkeys(event["eventId"].removeprefix(f"{NODE}:") for event in events))


@asynccontextmanager
async def agent_process(config: Config) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real agent in a process of its own, to be killed."""
    path = config.data.parent / "agent.json"
    path.write_text(config.model_dump_json())
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "edge_node.agent", "--config", str(path)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "worker:."},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_call_is_told_as_it_went(start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    async with start_agent() as agent:
        kamailio.dialog("e1", "early", 1)
        await eventually(lambda: agent.live.calls == 1)
        kamailio.dialog("e2", "answer", 2, at="1800000000.250000")
        kamailio.dialog("e3", "end", 3, cause="BYE", by="caller", mos="4.2", jitter=3, loss="")
        await eventually(lambda: len(brain.events()) == 3 and len(kamailio.acked) == 3)
        early, answer, end = brain.events("dialog")
        assert agent.live.calls == 0
    assert [early["state"], answer["state"], end["state"]] == ["early", "answer", "end"]
    assert abs(answer["at"] - 1_800_000_000_250) < 500
    assert early["eventId"] == f"{NODE}:e1"
    assert (end["callId"], end["accountId"], end["sipCallId"], end["seq"]) == (CALL, ACCOUNT, f"sip-{CALL}", 3)
    assert (end["cause"], end["hungUpBy"], end["stats"]) == ("BYE", "caller", {"mos": 4.2, "jitter": 3.0})
    assert "cause" not in answer


async def test_registrations_are_told_and_known(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    async with start_agent() as agent:
        kamailio.register("r1")
        await eventually(lambda: agent.live.contacts == 1)
        # A contact that runs out is reported by a timer that knows no account.
        kamailio.register("r2", "expired", account="")
        await eventually(lambda: len(brain.events("register")) == 2)
        assert agent.live.contacts == 0
    added, expired = brain.events("register")
    assert (added["deviceId"], added["contact"], added["state"]) == (DEVICE, "sip:1001@127.0.0.1:5555", "added")
    assert added["sourcePort"] == 5555
    assert (expired["accountId"], expired["state"]) == (ACCOUNT, "expired")


async def test_events_wait_for_the_brain_in_order(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    async with start_agent() as agent:
        await brain.stop()
        for n in range(350):
            kamailio.dialog(f"e{n}", "early", n, call=f"call_{n}")
        await eventually(lambda: len(kamailio.acked) == 350, what="Kamailio is relieved at once")
        assert agent.buffer.stored == 350
        await brain.start()
        await eventually(lambda: agent.buffer.stored == 0)
    assert ids(brain.events()) == [f"e{n}" for n in range(350)]
    assert all(len(batch["events"]) <= 100 for batch in brain.bodies("/presence/event"))


async def test_killed_between_write_and_acknowledgement(
    config: Config, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    """SIGKILL while the brain holds a batch and Kamailio goes on: nothing is lost and the order is kept."""
    taken = brain.answer["/presence/event"]
    gate = asyncio.Event()

    async def never(_: Json) -> Json:
        await gate.wait()
        return {"ok": True, "acked": []}

    brain.answer["/presence/event"] = never
    async with agent_process(config) as process:
        await eventually(lambda: kamailio.connected and brain.bodies("/fleet/hello"), 10)
        for n in range(40):
            kamailio.dialog(f"e{n}", "early", n, call=f"call_{n}")
        await eventually(lambda: len(kamailio.acked) == 40 and brain.events())
        for n in range(40, 80):
            kamailio.dialog(f"e{n}", "early", n, call=f"call_{n}")
        process.send_signal(signal.SIGKILL)
        await process.wait()
    gate.set()
    await eventually(lambda: not kamailio.connected)
    brain.heard.clear()
    brain.answer["/presence/event"] = taken
    async with agent_process(config) as process:
        await eventually(lambda: not kamailio.unacknowledged and len(ids(brain.events())) == 80, 10)
        process.terminate()
        assert await process.wait() == 0
    assert ids(brain.events()) == [f"e{n}" for n in range(80)]


async def test_a_partial_acknowledgement_holds_back_that_account_alone(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    stuck = True

    def take(body: Json) -> Json:
        acked = [e["eventId"] for e in body["events"] if not (stuck and e["accountId"] == "acc_stuck")]
        return {"ok": True, "acked": acked}

    brain.answer["/presence/event"] = take
    async with start_agent() as agent:
        for n in range(120):
            kamailio.dialog(f"s{n}", "early", n, call=f"call_s{n}", account="acc_stuck")
        for n in range(30):
            kamailio.dialog(f"e{n}", "early", n, call=f"call_{n}")
        await eventually(lambda: agent.buffer.stored == 120)
        stuck = False
        await eventually(lambda: agent.buffer.stored == 0)
    order = [event for event in ids(brain.events()) if event.startswith("s")]
    assert order == [f"s{n}" for n in range(120)]


async def test_one_poisonous_event_is_found_and_let_go(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    def picky(body: Json) -> Json | tuple[int, Json]:
        if any(event["eventId"].endswith(":e13") for event in body["events"]):
            return refusal(400, "invalid_request")
        return {"ok": True, "acked": [event["eventId"] for event in body["events"]]}

    async with start_agent() as agent:
        await brain.stop()
        for n in range(30):
            kamailio.dialog(f"e{n}", "early", n, call=f"call_{n}")
        await eventually(lambda: agent.buffer.stored == 30)
        brain.answer["/presence/event"] = picky
        await brain.start()
        await eventually(lambda: agent.buffer.stored == 0)
        kamailio.dialog("e30", "early", 1, call="call_30")
        await eventually(lambda: "e30" in ids(brain.events()) and agent.buffer.stored == 0)
    assert agent.metrics.registry.get_sample_value("tandem_agent_events_total", {"outcome": "refused"}) == 1
    assert agent.metrics.registry.get_sample_value("tandem_agent_events_total", {"outcome": "acknowledged"}) == 30


async def test_events_that_the_brain_refuses_for_good_are_done_with(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    brain.answer["/presence/event"] = lambda body: {
        "ok": True,
        "acked": [],
        "refused": {event["eventId"]: "unknown_account" for event in body["events"]},
    }
    async with start_agent() as agent:
        kamailio.dialog("e1", "early", 1)
        await eventually(lambda: brain.events() and agent.buffer.stored == 0)


async def test_a_full_buffer_keeps_what_no_snapshot_repairs(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    async with start_agent(max_buffered_events=10) as agent:
        await brain.stop()
        kamailio.dialog("end1", "end", 3)
        for n in range(12):
            kamailio.register(f"r{n}", "refreshed")
        for n in range(5):
            kamailio.dialog(f"x{n}", "end", 3, call=f"call_{n}")
        await eventually(lambda: len(kamailio.acked) == 18)
        agent.reports.snapshot(ACCOUNT)
        kamailio.dialog("x5", "end", 3, call="call_5")
        await eventually(lambda: len(kamailio.acked) == 19)
        assert not agent.buffer.has_snapshot(ACCOUNT), "one that was dropped may come again"
        assert agent.buffer.stored == 10
        await brain.start()
        await eventually(lambda: agent.buffer.stored == 0)
    told = [event for event in brain.events() if event["type"] != "snapshot"]
    assert ids(told) == ["end1", "r10", "r11", *(f"x{n}" for n in range(5)), "x5"]


async def test_times_are_the_brains(start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    brain.clock_ahead_ms = 20_000
    async with start_agent() as agent:
        await eventually(lambda: agent.clock.known)
        kamailio.dialog("e1", "early", 1)
        await eventually(lambda: brain.events("dialog"))
        assert abs(brain.events("dialog")[0]["at"] - brain.now()) < 2_000
        kamailio.dialog("e2", "answer", 2, at=str(agent.clock.local() / 1000 - 60))
        await eventually(lambda: len(brain.events("dialog")) == 2)
        assert abs(brain.events("dialog")[1]["at"] - (brain.now() - 60_000)) < 2_000


async def test_devices_are_remembered_over_a_restart(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    brain.answer["/auth"] = lambda _: verdict("acc_globex", "dev_2")
    async with start_agent():
        await kamailio.ask("1:1")
    kamailio.contacts = [("dev_2", "sip:1001@127.0.0.1:7777", 300), ("dev_unknown", "sip:x@y", 300)]
    kamailio.dialogs = [live_dialog("call_live", "acc_globex")]
    async with start_agent() as agent:
        assert agent.live.contacts == 1
        kamailio.register("r1", "expired", device="dev_2", account="", contact="sip:1001@127.0.0.1:7777")
        await eventually(lambda: brain.events("register"))
        assert brain.events("register")[0]["accountId"] == "acc_globex"
        kamailio.dialog("e1", "end", 9, call="call_live", account="", callid="", ftag="")
        await eventually(lambda: brain.events("dialog"))
        assert brain.events("dialog")[0]["sipCallId"] == "sip-call_live"


async def test_a_stop_writes_what_was_under_way(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    async def never(_: Json) -> Json:
        await asyncio.Event().wait()
        return {}

    async with start_agent() as agent:
        await kamailio.ask("0:1")
        brain.answer["/route"] = never
        kamailio.send(question("1:1", "route"))
        await eventually(lambda: brain.bodies("/route"))
    assert agent.buffer.stored == 1
    async with start_agent():
        await eventually(lambda: brain.events("dialog"))
    assert brain.events("dialog")[0]["cause"] == "agent_stopped"
