"""Calls that the platform answers, on a whole node: Kamailio, rtpengine, the agent with its embedded engine, phones on
PJSIP. Only the brain is a list of commands."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from edge_node.agent.app import Agent
from edge_node.agent.config import load
from edge_node.agent.log import Log
from edge_node.local import audio
from edge_node.local.phone import Phone
from tandem.contracts.flow import reply_of
from tandem.domain.flows import commands as cmd
from tests.edge.kamailio_node import Node
from tests.unit.agent.stubs import ACCOUNT, CREDENTIAL, StubBrain, directive, eventually, verdict

DOMAIN = "acme.tandem.test"
LEG = "leg_01hzzzzzzzzzzzzzzzzzzzzzz1"
TOKEN = f"{LEG}.2000000000.00112233445566778899aabbccddeeff"
ANSWER, HANG_UP, BRIDGE = cmd.Answer(), cmd.HangUp(), cmd.Bridge(leg_id=LEG)
DIAL = cmd.Dial(leg_id=LEG, uri=f"sip:{LEG}@{DOMAIN}", token=TOKEN, timeout_sec=10)
TONE_HZ = 700
READY_SEC = 30.0


class House:
    """The node, its brain of lists, and phones by extension."""

    def __init__(self, agent: Agent, brain: StubBrain, node: Node, stack: AsyncExitStack, folder: Path) -> None:
        self.agent, self.brain, self.node = agent, brain, node
        self._stack, self.folder = stack, folder
        self.commands: list[cmd.Command] = []
        brain.answer |= {"/auth": self._auth, "/route": self._route, "/flow": self._flow}

    async def phone(self, user: str) -> Phone:
        def start() -> Phone:
            phone = Phone(user, "none", DOMAIN, f"127.0.0.1:{self.node.sip}", log=self.folder / f"{user}.log")
            phone.register()
            return phone

        phone = await asyncio.to_thread(start)
        self._stack.push_async_callback(asyncio.to_thread, phone.close)
        # A device has ten contacts at most, and the node lives on.
        self._stack.push_async_callback(asyncio.to_thread, phone.unregister)
        return phone

    def file(self, hz: int, seconds: float) -> cmd.Media:
        key = f"acc_1/tone-{hz}-{seconds:g}.wav"
        path = self.folder / f"{hz}.wav"
        audio.write_tone(path, hz, seconds=seconds)
        self.brain.files[f"/media/{key}"] = (path.read_bytes(), '"e1"')
        return cmd.Media(key=key, etag="e1")

    @property
    def outcomes(self) -> list[tuple[str, Any]]:
        return [(body["outcome"], body["data"]) for body in self.brain.bodies("/flow") if "outcome" in body]

    def _auth(self, body: dict[str, Any]) -> dict[str, Any]:
        found = re.search(r"sip:([0-9]+)@", body.get("contact", ""))
        return verdict(device=f"dev_{found[1] if found else 'none'}")

    def _route(self, body: dict[str, Any]) -> dict[str, Any]:
        if "outcome" in body:
            code = {"busy": 486, "no_answer": 480}.get(body["outcome"], 480)
            return directive(call=body["callId"], action="reject", routes=[], code=code, reason="Over")
        if "leg" in body:
            assert (body["leg"], body["accountId"]) == (TOKEN, ACCOUNT)
            found = directive(call=LEG)
            found["rtjson"]["routes"] = [{"uri": f"sip:dev_1002@{DOMAIN}", "fr_timer": 5000, "fr_inv_timer": 20000}]
            return found
        call = f"call_{body['sipCallId']}"
        extra = f"X-Tandem-Call: {call}\r\nX-Tandem-Account: {ACCOUNT}\r\n"
        found = directive(call=call, action="flow", routing="serial")
        route = {"uri": f"sip:{call}@{DOMAIN}", "fr_timer": 2000, "fr_inv_timer": 20000, "headers": {"extra": extra}}
        found["rtjson"]["routes"] = [route]
        return found

    def _flow(self, body: dict[str, Any]) -> dict[str, Any]:
        position = body["seq"] if "outcome" in body else 0
        command = self.commands[position] if position < len(self.commands) else cmd.Noop()
        reply: dict[str, Any] = json.loads(reply_of(command, position + 1).wire())
        return reply


@pytest.fixture
async def house(node: Node, tmp_path: Path) -> AsyncIterator[House]:
    brain = StubBrain()
    await brain.start()
    credential = tmp_path / "credential"
    credential.write_text(CREDENTIAL)
    config = load(node.settings.node_state / "etc/agent.json")
    changes = {"brain_url": f"http://127.0.0.1:{brain.port}", "credential_file": credential, "data": tmp_path / "data"}
    lines = (tmp_path / "agent.log").open("w")
    async with AsyncExitStack() as stack:
        stack.callback(lines.close)
        stack.push_async_callback(brain.stop)
        log = Log(lambda line: print(line, file=lines, flush=True), "debug")
        agent = await stack.enter_async_context(Agent(config.model_copy(update=changes), log))
        await eventually(lambda: agent.health().ok and agent.calls.seat() is not None, READY_SEC, "a ready node")
        yield House(agent, brain, node, stack, tmp_path)


async def heard(path: Path, hz: int, seconds: float, deadline: float = 10.0) -> None:
    await eventually(lambda: audio.heard(path, hz).lasted(seconds), deadline, f"{hz} Hz in {path.name}")


async def of(phone: Phone, name: str, seconds: float = 10.0) -> Any:
    return await asyncio.to_thread(phone.wait_for, name, seconds)


async def test_greeting_menu_and_a_person_past_the_engine(house: House) -> None:
    alice, bob = await house.phone("1001"), await house.phone("1002")
    for phone, hz in ((alice, 440), (bob, 1000)):
        await asyncio.to_thread(phone.play_tone, hz)
    menu = cmd.Gather(
        sounds=(house.file(TONE_HZ, 8.0),),
        min_digits=1,
        max_digits=1,
        terminators="#",
        timeout_ms=5_000,
        inter_digit_timeout_ms=3_000,
        barge_in=True,
    )
    house.commands = [ANSWER, menu, DIAL, BRIDGE, HANG_UP]
    ear = house.folder / "alice.wav"
    await asyncio.to_thread(alice.record, ear)
    await asyncio.to_thread(alice.call, "600")
    await of(alice, "answered")
    await heard(ear, TONE_HZ, 0.5)
    await asyncio.to_thread(alice.send_dtmf, "2")
    incoming = await of(bob, "incoming")
    await asyncio.to_thread(bob.answer, incoming.call)
    await eventually(lambda: [e["state"] for e in house.brain.events("media")] == ["held", "released"], 10, "release")
    ear, other = house.folder / "alice-2.wav", house.folder / "bob.wav"
    await asyncio.to_thread(alice.record, ear)
    await asyncio.to_thread(bob.record, other)
    await heard(ear, 1000, 1.0)
    await heard(other, 440, 1.0)
    assert not audio.heard(ear, TONE_HZ).total
    await asyncio.to_thread(bob.hang_up)
    await of(alice, "ended")
    await eventually(lambda: len(house.outcomes) == 5)
    assert [word for word, _ in house.outcomes] == ["answered", "digits", "answered", "ended", "ended"]
    assert house.outcomes[1][1] == {"digits": "2"}

    def ends() -> dict[str, Any]:
        """By what ended: an end may be told twice."""
        over = (event for event in house.brain.events("dialog") if event["state"] == "end")
        return {event["callId"].partition("_")[0]: event for event in over}

    await eventually(lambda: set(ends()) == {"leg", "call"})
    assert (ends()["leg"]["hungUpBy"], ends()["call"]["hungUpBy"]) == ("callee", "platform")
    await eventually(lambda: [e["state"] for e in house.brain.events("media")][-1] == "ended")
    _, released, ended = house.brain.events("media")
    assert ended["mediaAppMs"] - released["mediaAppMs"] < 1_000, "what went past the engine is not counted"


async def test_a_caller_who_hangs_up_while_it_rings(house: House) -> None:
    alice, bob = await house.phone("1001"), await house.phone("1002")
    house.commands = [ANSWER, DIAL, BRIDGE]
    await asyncio.to_thread(alice.call, "600")
    await of(bob, "incoming")
    await asyncio.to_thread(alice.hang_up)
    await of(bob, "ended")
    await eventually(lambda: [word for word, _ in house.outcomes] == ["answered", "hangup"])
    await eventually(lambda: house.agent.calls.callers == 0)


async def test_a_leg_that_is_busy_and_speech_on_the_node(house: House) -> None:
    alice, bob = await house.phone("1001"), await house.phone("1002")
    await asyncio.to_thread(bob.auto_answer, code=486, ring=False)
    text = "All lines are busy. Goodbye."
    sorry = cmd.Speech(text=text, language="en-US", voice="female", hash="0123456789abcdef", shared=True)
    house.commands = [ANSWER, DIAL, cmd.Play(sounds=(sorry,)), cmd.HangUp(cause="486")]
    await asyncio.to_thread(alice.call, "600")
    ended = await of(alice, "ended", 20)
    assert [word for word, _ in house.outcomes][:3] == ["answered", "busy", "done"], ended
    assert house.outcomes[1][1] == {"cause": "486"}
    await eventually(lambda: house.brain.put, what="the spoken text at the brain")
    await eventually(lambda: [e for e in house.brain.events("dialog") if e["state"] == "end"])
    [end] = [e for e in house.brain.events("dialog") if e["state"] == "end"]
    assert (end["cause"], end["hungUpBy"]) == ("486", "platform")


async def test_a_flow_that_does_not_answer(house: House) -> None:
    alice = await house.phone("1001")
    house.commands = [cmd.HangUp(cause="404")]
    await asyncio.to_thread(alice.call, "600")
    ended = await of(alice, "ended")
    assert ended.code == 404
    assert len(house.brain.bodies("/route")) == 1, "the flow's word is the last"


async def test_an_engine_that_dies_ends_the_call_cleanly(house: House) -> None:
    alice = await house.phone("1001")
    house.commands = [ANSWER, cmd.Play(sounds=(house.file(TONE_HZ, 60.0),))]
    await asyncio.to_thread(alice.call, "600")
    await of(alice, "answered")
    await eventually(lambda: house.outcomes)
    engine = house.agent.calls.engine
    assert engine is not None
    began = time.monotonic()
    for process in engine.processes:  # type: ignore[attr-defined]  # of the embedded one
        os.kill(process.pid, signal.SIGKILL)
    await of(alice, "ended")
    assert time.monotonic() - began < 5
    await eventually(lambda: len(house.outcomes) == 2)
    assert house.outcomes[1] == ("hangup", {"cause": "engine_lost"})
    await eventually(lambda: [e for e in house.brain.events("dialog") if e["state"] == "end"])
    assert {e["cause"] for e in house.brain.events("dialog") if e["state"] == "end"} == {"engine_lost"}
    await eventually(lambda: house.agent.calls.seat() is not None, READY_SEC, "an engine that is back")
