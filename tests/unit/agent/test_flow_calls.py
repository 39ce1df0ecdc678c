"""The flow of a call in the engine: every command, its end, and what others see of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from edge_node.agent.app import Agent
from edge_node.agent.media_engine.base import EngineError, Release
from tandem.domain.flows import commands as cmd
from tests.unit.agent.engine_double import CALLER
from tests.unit.agent.flow_scene import (
    ANSWER,
    BRIDGE,
    DIAL,
    HANG_UP,
    LEG,
    TOKEN,
    Scene,
    gather,
    media,
    play,
    terminated,
)
from tests.unit.agent.stubs import ACCOUNT, CALL, FakeKamailio, StubBrain, eventually, live_dialog


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
