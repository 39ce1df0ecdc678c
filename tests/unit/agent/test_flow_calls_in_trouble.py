"""The flow of a call whose caller hangs up, whose brain is away, or whose engine or agent dies."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge_node.agent import app
from edge_node.agent.config import Address, Config, EmbeddedMedia, FreeSwitchMedia
from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import Release, Sink
from tandem.domain.flows import commands as cmd
from tests.unit.agent.conftest import StartAgent
from tests.unit.agent.engine_double import CALLER, SwitchDouble
from tests.unit.agent.flow_scene import (
    ANSWER,
    BRIDGE,
    DIAL,
    DIRECTED,
    HANG_UP,
    LEG,
    Scene,
    gather,
    media,
    play,
    terminated,
)
from tests.unit.agent.stubs import CALL, FakeKamailio, StubBrain, eventually, live_dialog

# --- the caller hangs up


AT: dict[str, tuple[list[cmd.Command], str]] = {
    "play": ([ANSWER, play("hello")], "play"),
    "prompt": ([ANSWER, gather("menu")], "play"),
    "digits": ([ANSWER, gather(timeout_ms=60_000)], "answer"),
    "dial": ([ANSWER, DIAL], "originate"),
    "music": ([ANSWER, DIRECTED], "originate"),
    "noop": ([ANSWER, cmd.Noop()], "answer"),
}


@pytest.mark.parametrize("where", AT)
async def test_the_caller_hangs_up(scene: Scene, where: str) -> None:
    commands, seen = AT[where]
    scene.run(*commands)
    await scene.told(seen)
    scene.engine.end(cause="normal")
    await scene.heard("answered", "hangup")
    assert scene.outcomes[1][1] == {"cause": "normal"}
    await scene.over()
    if seen == "originate":
        assert ("cancelled", CALLER) in scene.engine.told or scene.engine.dialled[CALLER].exception()


async def test_the_caller_hangs_up_during_a_whisper(scene: Scene) -> None:
    scene.run(ANSWER, DIAL.model_copy(update={"whisper": (media("psst"),)}))
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    await scene.told("play")
    scene.engine.end()
    await scene.heard("answered", "hangup")
    assert ("hang_up", leg, 0) in scene.engine.told
    await scene.over()


async def test_the_caller_hangs_up_on_the_one_he_talks_to(scene: Scene) -> None:
    scene.run(ANSWER, DIAL, BRIDGE)
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    await scene.told("release")
    scene.engine.end()
    await scene.heard("answered", "answered", "hangup")
    assert ("hang_up", leg, 0) in scene.engine.told
    await scene.over()


async def test_the_caller_hangs_up_while_the_brain_thinks(scene: Scene) -> None:
    """The command that comes is not carried out."""
    scene.run(ANSWER, DIAL)
    usual = scene.brain.answer["/flow"]
    thinking, done = asyncio.Event(), asyncio.Event()

    async def slow(body: dict[str, Any]) -> Any:
        if body.get("outcome") == "answered":
            thinking.set()
            await done.wait()
        return usual(body)

    scene.brain.answer["/flow"] = slow
    await thinking.wait()
    scene.engine.end()
    done.set()
    await scene.heard("answered", "hangup")
    assert not scene.engine.did("originate")
    await scene.over()


async def test_the_caller_hangs_up_before_the_brain_knows_him(scene: Scene) -> None:
    scene.commands = [ANSWER]
    scene.engine.arrive()
    scene.engine.end(cause="487")
    await scene.heard("hangup")
    assert not scene.engine.did("answer")


# --- the brain is away, or says no


async def test_a_brain_that_is_away_for_a_moment(scene: Scene) -> None:
    scene.run(ANSWER, play("hello"), HANG_UP)
    await scene.told("play")
    scene.fail_next = 1
    scene.engine.played()
    await scene.heard("answered", "done", "ended")
    asked = [body for body in scene.brain.bodies("/flow") if body.get("seq") == 2]
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert scene.engine.did("ringback") == [("ringback", CALLER)], "rather than silence"
    assert scene.engine.did("stop") == [("stop", CALLER)]


async def test_a_brain_that_stays_away(scene: Scene, kamailio: FakeKamailio) -> None:
    kamailio.dialogs = [live_dialog(CALL)]
    scene.run(ANSWER, play("hello"))
    await scene.told("play")
    scene.fail_next = 1_000
    scene.engine.played()
    await eventually(lambda: terminated(kamailio))
    assert terminated(kamailio) == [(11, 22, 'Reason: SIP;cause=200;text="brain_unavailable"\r\n')]
    scene.engine.end()
    await scene.over()


async def test_a_brain_that_is_away_at_the_start_of_an_unanswered_call(scene: Scene, kamailio: FakeKamailio) -> None:
    kamailio.dialogs = [live_dialog(CALL, state=2)]
    scene.fail_next = 1_000
    scene.run(ANSWER)
    await eventually(lambda: kamailio.hangups)
    assert kamailio.hangups[0]["cause"] == "brain_unavailable"
    assert not scene.engine.did("answer")


@pytest.mark.parametrize("refusal", [(404, "not_found"), (409, "conflict"), (403, "forbidden")])
async def test_a_brain_that_does_not_know_the_call(
    scene: Scene, kamailio: FakeKamailio, refusal: tuple[int, str]
) -> None:
    kamailio.dialogs = [live_dialog(CALL)]
    scene.run(ANSWER, play("hello"))
    await scene.told("play")
    scene.refuse = refusal
    scene.engine.played()
    await eventually(lambda: terminated(kamailio))
    assert terminated(kamailio)[0][2] == 'Reason: SIP;cause=200;text="flow_refused"\r\n'
    assert len(scene.brain.bodies("/flow")) == 3, "asked once, not again"


async def test_a_clock_that_was_set_is_no_refusal(scene: Scene) -> None:
    scene.refuse = (401, "stale_request")
    scene.run(ANSWER, HANG_UP)
    await eventually(lambda: len(scene.brain.bodies("/flow")) >= 1)
    scene.refuse = None
    await scene.heard("answered", "ended")


async def test_nonsense_from_the_brain_is_asked_again(scene: Scene) -> None:
    usual = scene.brain.answer["/flow"]
    scene.brain.answer["/flow"] = lambda body: usual(body) if len(scene.brain.bodies("/flow")) > 1 else {"cmd": 7}
    scene.run(ANSWER, HANG_UP)
    await scene.heard("answered", "ended")


# --- the engine is lost, the agent stops


async def test_an_engine_that_dies(scene: Scene, kamailio: FakeKamailio) -> None:
    """Kamailio is told to end both dialogs; the brain hears of it."""
    leg_dialog = live_dialog(LEG) | {"h_entry": 33, "h_id": 44}
    kamailio.dialogs = [live_dialog(CALL), leg_dialog]
    scene.run(ANSWER, DIAL, BRIDGE)
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    await scene.told("release")
    scene.engine.end(cause="engine_lost")
    if leg in scene.engine.live:
        scene.engine.end(leg, "engine_lost")
    await scene.heard("answered", "answered", "hangup")
    assert scene.outcomes[2][1] == {"cause": "engine_lost"}
    await eventually(lambda: len(terminated(kamailio)) >= 1)
    assert terminated(kamailio)[0] == (11, 22, 'Reason: SIP;cause=200;text="engine_lost"\r\n')


async def test_a_leg_whose_engine_died(scene: Scene, kamailio: FakeKamailio) -> None:
    kamailio.dialogs = [live_dialog(CALL), live_dialog(LEG) | {"h_entry": 33, "h_id": 44}]
    scene.run(ANSWER, DIAL, BRIDGE, HANG_UP)
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    await scene.told("bridge")
    scene.engine.end(leg, "engine_lost")
    await scene.heard("answered", "answered", "ended", "ended")
    await eventually(lambda: terminated(kamailio))
    assert terminated(kamailio) == [(33, 44, 'Reason: SIP;cause=200;text="engine_lost"\r\n')]


async def test_an_engine_that_dies_while_its_leg_rings(scene: Scene, kamailio: FakeKamailio) -> None:
    """Whoever is rung would be so to the end of the leg's time."""
    kamailio.dialogs = [live_dialog(CALL), live_dialog(LEG, state=2)]
    scene.run(ANSWER, DIAL)
    await scene.told("originate")
    scene.engine.end(cause="engine_lost")
    await scene.heard("answered", "hangup")
    await eventually(lambda: kamailio.hangups and terminated(kamailio))
    assert [one["cause"] for one in kamailio.hangups] == ["engine_lost"]
    assert terminated(kamailio) == [(11, 22, 'Reason: SIP;cause=200;text="engine_lost"\r\n')]


async def test_an_engine_that_dies_after_its_leg_failed(scene: Scene, kamailio: FakeKamailio) -> None:
    kamailio.dialogs = [live_dialog(CALL), live_dialog(LEG, state=2)]
    scene.run(ANSWER, DIAL, play("sorry"))
    await scene.told("originate")
    scene.engine.leg_fails(486)
    await scene.told("play")
    scene.engine.end(cause="engine_lost")
    await eventually(lambda: terminated(kamailio))
    assert kamailio.hangups == []


async def test_an_agent_that_stops_ends_its_calls(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    kamailio.dialogs = [live_dialog(CALL)]
    async with start_agent() as agent:
        scene = Scene(agent, brain, kamailio)
        scene.run(ANSWER, DIAL, BRIDGE)
        await scene.told("originate")
        leg = scene.engine.leg_answers()
        await scene.told("release")
    assert scene.outcomes[-1] == ("hangup", {"cause": "agent_stopped"})
    assert terminated(kamailio) == [(11, 22, 'Reason: SIP;cause=200;text="agent_stopped"\r\n')]
    assert ("hang_up", leg, 0) in scene.engine.told


async def test_who_is_connected_by_a_switch_talks_on_without_the_agent(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody hears that his call is over, nor that it costs nothing any more."""
    switches: list[SwitchDouble] = []

    def choose(config: Config, media: EmbeddedMedia | FreeSwitchMedia, sink: Sink, log: Log) -> SwitchDouble:
        switches.append(SwitchDouble(sink))
        return switches[-1]

    monkeypatch.setattr(app, "choose", choose)
    here = Address(port=1)
    configured = FreeSwitchMedia(engine="freeswitch", sip=here, esl=here, password_file=tmp_path, socket=here)
    kamailio.dialogs = [live_dialog(CALL), live_dialog(LEG)]
    async with start_agent(media=configured) as agent:
        await eventually(lambda: agent.calls.engine is not None)
        scene = Scene(agent, brain, kamailio, switches[-1])
        scene.engine.release_with = Release.KEPT
        scene.run(ANSWER, DIAL, BRIDGE)
        await scene.told("originate")
        scene.engine.leg_answers()
        await scene.told("release")
        await eventually(lambda: brain.events("media"))
        await eventually(lambda: agent.buffer.stored == 0, what="the event was not acknowledged")
    assert terminated(kamailio) == []
    assert scene.engine.did("hang_up") == []
    assert [event["state"] for event in brain.events("media")] == ["held"]
    assert agent.buffer.stored == 0


async def test_calls_of_an_agent_that_was_killed_are_ended_by_the_next(
    start_agent: StartAgent, kamailio: FakeKamailio
) -> None:
    def dialog(call: str, number: int, state: int, *sides: str, began: int = 1_000) -> dict[str, Any]:
        found = live_dialog(call, state=state) | {"h_entry": number, "init_ts": began}
        found["variables"] = [*found["variables"], *({side: "1"} for side in sides)]
        return found

    kamailio.dialogs = [
        dialog("call_a", 1, 4, "engine_b"),
        dialog("leg_a", 2, 4, "engine_a"),
        dialog("call_b", 3, 2, "engine_b"),
        dialog("call_c", 4, 4),
        dialog("call_d", 5, 4, "engine_b", began=4_000_000_000),
    ]
    async with start_agent():
        await eventually(lambda: len(terminated(kamailio)) >= 2)
        await eventually(lambda: kamailio.hangups)
    assert {params[0] for params in terminated(kamailio)} == {1, 2}
    assert {one["cause"] for one in kamailio.hangups} == {"engine_lost"}
