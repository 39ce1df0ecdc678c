"""The flow of a call in the engine: every command, every end, against a brain that is there, away, or refuses."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from edge_node.agent import app
from edge_node.agent.app import Agent
from edge_node.agent.config import Address, Config, EmbeddedMedia, FreeSwitchMedia
from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError, Release, Sink
from tandem.domain.flows import commands as cmd
from tests.unit.agent.conftest import StartAgent
from tests.unit.agent.engine_double import CALLER, SwitchDouble
from tests.unit.agent.flow_scene import ANSWER, BRIDGE, DIAL, DIRECTED, HANG_UP, LEG, TOKEN, Scene, gather, media, play
from tests.unit.agent.stubs import ACCOUNT, CALL, FakeKamailio, StubBrain, eventually, live_dialog


def terminated(kamailio: FakeKamailio) -> list[tuple[Any, ...]]:
    return [tuple(params) for method, params in kamailio.rpc_calls if method == "dlg.end_dlg"]


async def test_a_call_from_its_greeting_to_its_end(scene: Scene) -> None:
    scene.run(ANSWER, play("hello", loop=2), gather("menu"), HANG_UP)
    assert await scene.told("play") == ("play", CALLER, "hello", 2)
    scene.engine.played()
    assert await scene.told("play", 2) == ("play", CALLER, "menu", 1)
    scene.engine.press("3")
    await scene.heard("answered", "done", "digits", "ended")
    assert scene.outcomes[2] == ("digits", {"digits": "3"})
    assert scene.engine.did("hang_up") == [("hang_up", CALLER, 0)]
    await scene.over()
    first = scene.brain.bodies("/flow")[0]
    assert first == {"callId": CALL, "accountId": ACCOUNT, "data": {}, "vars": {}}


async def test_the_first_digit_stops_the_prompt(scene: Scene) -> None:
    scene.run(ANSWER, gather("menu", max_digits=4, min_digits=4), HANG_UP)
    await scene.told("play")
    scene.engine.press("1")
    await scene.told("stop")
    assert not scene.engine.playing
    scene.engine.press("234")
    await scene.heard("answered", "digits", "ended")
    assert scene.outcomes[1][1] == {"digits": "1234"}


async def test_a_prompt_that_nobody_may_interrupt(scene: Scene) -> None:
    scene.run(ANSWER, gather("law", barge_in=False, max_digits=2, min_digits=2), HANG_UP)
    await scene.told("play")
    scene.engine.press("12")
    await asyncio.sleep(0.05)
    assert CALLER in scene.engine.playing, "the digits wait"
    scene.engine.played()
    await scene.heard("answered", "digits", "ended")
    assert scene.outcomes[1][1] == {"digits": "12"}
    assert not scene.engine.did("stop")


async def test_who_types_ahead_hears_no_prompts(scene: Scene) -> None:
    scene.run(ANSWER, play("hello"), gather("one"), gather("two", max_digits=4, min_digits=4), gather("three"), HANG_UP)
    await scene.told("play")
    scene.engine.press("11234#7")
    scene.engine.played()
    await scene.heard("answered", "done", "digits", "digits", "digits", "ended")
    assert [data["digits"] for _, data in scene.outcomes[2:5]] == ["1", "1234", "7"]
    assert len(scene.engine.did("play")) == 1


async def test_silence_is_a_time_out(scene: Scene) -> None:
    scene.run(ANSWER, gather("menu", timeout_ms=60), HANG_UP)
    await scene.told("play")
    await asyncio.sleep(0.1)
    assert CALLER in scene.engine.playing, "time runs after the prompt"
    scene.engine.played()
    await scene.heard("answered", "timeout", "ended")
    assert scene.outcomes[1][1] == {"digits": ""}


async def test_too_few_digits_are_a_time_out(scene: Scene) -> None:
    scene.run(ANSWER, gather(max_digits=4, min_digits=3, inter_digit_timeout_ms=60), HANG_UP)
    await scene.told("answer")
    scene.engine.press("12")
    await scene.heard("answered", "timeout", "ended")
    assert scene.outcomes[1][1] == {"digits": "12"}


async def test_a_terminator_is_told(scene: Scene) -> None:
    scene.run(ANSWER, gather(max_digits=4), HANG_UP)
    scene.engine.press("12#")
    await scene.heard("answered", "digits", "ended")
    assert scene.outcomes[1][1] == {"digits": "12", "terminator": "#"}


async def test_digits_are_in_no_log(scene: Scene, log_lines: list[dict[str, Any]]) -> None:
    scene.run(ANSWER, gather(max_digits=8, min_digits=8, secret=True), HANG_UP)
    scene.engine.press("86420975")
    await scene.heard("answered", "digits", "ended")
    assert "86420975" not in str(log_lines)


@pytest.mark.parametrize("command", [play("gone", "hello"), gather("gone")])
async def test_a_missing_prompt_is_an_outcome(scene: Scene, command: cmd.Command) -> None:
    scene.sounds.missing.add("gone")
    scene.run(ANSWER, command, HANG_UP)
    await scene.heard("answered", "missing", "ended")
    assert scene.outcomes[1][1] == {"message": "gone: not found"}
    assert not scene.engine.did("play")


async def test_a_leg_is_placed_with_its_token(scene: Scene) -> None:
    scene.run(ANSWER, DIAL, BRIDGE)
    await scene.told("originate")
    [order] = scene.engine.orders
    assert (order.uri, order.timeout_sec, order.early) == ("sip:leg@acme.tandem.test", 20, True)
    assert dict(order.headers) == {"X-Tandem-Leg": TOKEN, "X-Tandem-Account": ACCOUNT}
    assert scene.engine.did("ringback") == [("ringback", CALLER)]
    leg = scene.engine.leg_answers()
    assert await scene.told("bridge") == ("bridge", CALLER, leg)
    assert await scene.told("release") == ("release", CALLER, leg)
    scene.engine.end(leg)
    await scene.heard("answered", "answered", "ended")
    assert scene.outcomes[2][1] == {"cause": "normal"}


@pytest.mark.parametrize(("code", "word"), [(486, "busy"), (603, "busy"), (487, "no_answer"), (404, "failed")])
async def test_a_leg_that_fails(scene: Scene, code: int, word: str) -> None:
    scene.run(ANSWER, DIAL, HANG_UP)
    await scene.told("originate")
    scene.engine.leg_fails(code)
    await scene.heard("answered", word, "ended")
    assert scene.outcomes[1][1] == {"cause": str(code)}
    assert await scene.told("stop") == ("stop", CALLER)


async def test_who_hangs_up_during_the_whisper_was_not_reached(scene: Scene) -> None:
    scene.run(ANSWER, DIAL.model_copy(update={"whisper": (media("psst"),)}), HANG_UP)
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    await scene.told("play")
    scene.engine.end(leg)
    await scene.heard("answered", "failed", "ended")
    assert not scene.engine.did("bridge")


async def test_a_leg_that_ends_before_it_is_bridged(scene: Scene) -> None:
    scene.run(ANSWER, DIAL, BRIDGE, HANG_UP)
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    # before anybody knows the leg by this name
    scene.engine.end(leg, "480")
    await eventually(lambda: len(scene.outcomes) >= 2)
    assert scene.outcomes[1] == ("failed", {"cause": "480"})


async def test_a_caller_whose_leg_ends_as_it_is_bridged_hears_no_more_ringing(scene: Scene) -> None:
    scene.engine.fail["bridge"] = EngineError("gone", "the channel is over")
    scene.run(ANSWER, DIAL, BRIDGE, HANG_UP)
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    await scene.heard("answered", "answered")
    scene.engine.end(leg)
    await scene.heard("answered", "answered", "ended", "ended")
    assert await scene.told("stop") == ("stop", CALLER)


async def test_a_bridge_that_cannot_be_released_stays_in_the_engine(scene: Scene) -> None:
    scene.engine.release_with = Release.KEPT
    scene.run(ANSWER, DIAL, BRIDGE, play("bye"))
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    await scene.told("release")
    scene.engine.press("55")
    scene.engine.end(leg)
    await scene.told("play")
    assert scene.outcomes[2][0] == "ended"


async def test_a_failed_release_is_no_failed_bridge(scene: Scene) -> None:
    scene.engine.release_with = EngineError("timeout", "no answer to the re-INVITE")
    scene.run(ANSWER, DIAL, BRIDGE, HANG_UP)
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    await scene.told("release")
    scene.engine.end(leg)
    await scene.heard("answered", "answered", "ended", "ended")


async def test_a_bridge_without_release(scene: Scene) -> None:
    scene.run(ANSWER, DIAL, BRIDGE.model_copy(update={"release": False}), HANG_UP)
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    await scene.told("bridge")
    scene.engine.end(leg)
    await scene.heard("answered", "answered", "ended", "ended")
    assert not scene.engine.did("release")


async def test_what_is_typed_while_people_talk_is_not_for_the_flow(scene: Scene) -> None:
    scene.run(ANSWER, DIAL, BRIDGE.model_copy(update={"release": False}), gather("menu"), HANG_UP)
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    await scene.told("bridge")
    scene.engine.press("9")
    scene.engine.end(leg)
    await scene.told("play")
    scene.engine.press("4")
    await scene.heard("answered", "answered", "ended", "digits", "ended")
    assert scene.outcomes[3][1] == {"digits": "4"}


async def test_a_bridge_to_a_leg_that_is_not_there(scene: Scene) -> None:
    scene.run(ANSWER, BRIDGE, HANG_UP)
    await scene.heard("answered", "error", "ended")
    assert scene.outcomes[1][1] == {"message": f"There is no leg {LEG}."}


async def test_an_engine_that_refuses_is_an_outcome(scene: Scene) -> None:
    scene.engine.fail["bridge"] = EngineError("refused", "no")
    scene.run(ANSWER, DIAL, BRIDGE, HANG_UP)
    await scene.told("originate")
    leg = scene.engine.leg_answers()
    await scene.heard("answered", "answered", "error", "ended")
    assert ("hang_up", leg, 0) in scene.engine.told, "a leg without a bridge is for nobody"
    await scene.over()


async def test_a_command_of_a_newer_brain(scene: Scene) -> None:
    scene.run(ANSWER, HANG_UP)
    usual = scene.brain.answer["/flow"]

    def newer(body: dict[str, Any]) -> Any:
        if body.get("seq") == 1:
            return {"cmd": "teleport", "seq": 2, "args": {}}
        return usual({**body, "seq": 1} if body.get("outcome") == "error" else body)

    scene.brain.answer["/flow"] = newer
    await eventually(lambda: len(scene.outcomes) >= 2)
    assert scene.outcomes[1] == ("error", {"message": "This node does not know teleport."})


async def test_the_session_may_be_over_while_the_caller_is_not(scene: Scene) -> None:
    """Nothing is wanted: then the caller's end is the outcome."""
    scene.run(ANSWER, cmd.Noop())
    await eventually(lambda: scene.outcomes)
    scene.engine.end()
    await scene.heard("answered", "hangup")


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


# --- what others see of it


async def test_a_flow_that_refuses_before_the_answer_has_the_last_word(
    scene: Scene, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    scene.run(cmd.HangUp(cause="404"))
    assert await scene.told("hang_up") == ("hang_up", CALLER, 404)
    answer = await kamailio.ask("1:1", "route", callid_ours=CALL, account_ours=ACCOUNT, outcome="unreachable")
    assert (answer["do"], answer["code"]) == ("reply", 404)
    assert not brain.bodies("/route")
    brain.answer["/route"] = lambda _: {"ok": False}
    assert (await kamailio.ask("1:2", "route", callid_ours=CALL, outcome="busy"))["code"] == 503
    assert brain.bodies("/route"), "told once"


async def test_a_plain_hang_up_before_the_answer_declines(scene: Scene, kamailio: FakeKamailio) -> None:
    scene.run(HANG_UP)
    assert await scene.told("hang_up") == ("hang_up", CALLER, 0)
    answer = await kamailio.ask("1:1", "route", callid_ours=CALL, outcome="declined")
    assert answer["code"] == 603


async def test_an_answered_call_is_hung_up_with_its_reason(scene: Scene) -> None:
    scene.run(ANSWER, cmd.HangUp(cause="486"))
    await scene.heard("answered", "ended")
    assert scene.engine.did("hang_up") == [("hang_up", CALLER, 486)]
    assert scene.agent.calls.refusal(CALL) is None


async def test_an_engine_that_does_not_hang_up(scene: Scene, kamailio: FakeKamailio) -> None:
    kamailio.dialogs = [live_dialog(CALL)]

    async def stuck(channel: str, code: int = 0) -> None:
        raise EngineError("timeout", "no reply")

    scene.engine.hang_up = stuck  # type: ignore[method-assign]  # this once
    scene.run(ANSWER, HANG_UP)
    await eventually(lambda: terminated(kamailio))
    assert terminated(kamailio)[0][2] == 'Reason: SIP;cause=200;text="engine_refused"\r\n'


async def test_what_the_engine_cost_is_told(scene: Scene, brain: StubBrain) -> None:
    started = time.monotonic()
    scene.run(ANSWER, DIAL, BRIDGE)
    await scene.told("originate")
    await asyncio.sleep(0.06)
    scene.engine.leg_answers()
    await scene.told("release")
    released = time.monotonic()
    await eventually(lambda: len(brain.events("media")) >= 2)
    await asyncio.sleep(0.1)
    scene.engine.end()
    await eventually(lambda: len(brain.events("media")) >= 3)
    held, gone, ended = brain.events("media")
    assert [event["state"] for event in (held, gone, ended)] == ["held", "released", "ended"]
    assert {(event["callId"], event["accountId"]) for event in (held, gone, ended)} == {(CALL, ACCOUNT)}
    assert held["mediaAppMs"] == 0
    assert 50 <= gone["mediaAppMs"] <= (released - started) * 1000 + 1
    assert ended["mediaAppMs"] == gone["mediaAppMs"], "what goes past the engine costs nothing"
    seconds = scene.agent.metrics.registry.get_sample_value("tandem_agent_media_app_seconds_total")
    assert seconds is not None
    assert round(seconds * 1000) == gone["mediaAppMs"]


async def test_a_call_that_was_never_answered_costs_nothing(scene: Scene, brain: StubBrain) -> None:
    scene.run(HANG_UP)
    await scene.over()
    await scene.heard("ended")
    assert not brain.events("media")


async def test_a_call_without_a_name_is_refused(scene: Scene, brain: StubBrain) -> None:
    scene.engine.live.add("ch-9")
    scene.agent.calls.arrived("ch-9", {"x-tandem-account": ACCOUNT})
    assert await scene.told("hang_up") == ("hang_up", "ch-9", 403)
    assert not brain.bodies("/flow")


async def test_load_health_and_metrics_tell_of_the_engine(scene: Scene, brain: StubBrain) -> None:
    scene.run(ANSWER, gather(timeout_ms=60_000))
    await scene.told("answer")
    await eventually(lambda: 1 in [body["load"]["mediaChannels"] for body in brain.bodies("/fleet/heartbeat")])
    assert scene.agent.health().parts["media_engine"] is None, "none is configured"
    sample = scene.agent.metrics.registry.get_sample_value
    assert sample("tandem_agent_media_callers") == 1
    assert sample("tandem_agent_flow_step_seconds_count") == 2
    assert sample("tandem_agent_flow_outcomes_total", {"cmd": "answer", "outcome": "answered"}) == 1


async def test_twenty_callers_are_independent(scene: Scene, brain: StubBrain) -> None:
    def stuck_or_quick(body: dict[str, Any]) -> Any:
        return (
            {"cmd": "answer", "seq": 1, "args": {}} if "outcome" not in body else {"cmd": "noop", "seq": 2, "args": {}}
        )

    brain.answer["/flow"] = stuck_or_quick
    for number in range(20):
        scene.engine.arrive(f"ch-{number}", call=f"call_{number}")
    await eventually(lambda: len(scene.engine.did("answer")) == 20)
    for number in range(20):
        scene.engine.end(f"ch-{number}")
    await scene.over()


async def test_agent_without_an_engine(agent: Agent) -> None:
    assert agent.calls.seat() is None
    assert agent.calls.channels == 0
