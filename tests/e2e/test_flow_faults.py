"""kill -9 of what runs a call's flow: the brain, the agent, a process of the embedded engine.

Four calls are up at each kill, each at another step: a prompt plays (1001), a number is half typed (1003),
a leg rings (2001), two are connected past the engine (2002). Each goes on, or ends for the caller within seconds with a
record that says why; nothing of it stays anywhere, and the next call works.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest

from edge_node.agent.flow.comfort import SILENT_SEC
from edge_node.local import audio
from edge_node.local.waiting import wait_until
from tests.e2e import left_over
from tests.e2e.conftest import Open
from tests.e2e.flow_house import HANG_UP, LIVE_SEC, Ear, House
from tests.e2e.installation import PATIENCE_SEC, Installation
from tests.e2e.phones import Phones

ANSWER_SEC = 15
# Of a fault: until nobody hears silence any more, until everything is accounted for, until a part is back.
BYE_SEC = 15
SETTLE_SEC = 20
BACK_SEC = 20
MENU, NUMBER, PERSON, FRIEND = "6701", "6702", "6703", "6704"
STEPS = {"prompt": "1001", "digits": "1003", "ringing": "2001", "talking": "2002"}


@pytest.fixture(scope="module")
def flows(prepared: House) -> None:
    """Behind `MENU`, `NUMBER`, and `PERSON`, `FRIEND`: extensions 1001 and 1002, whose hanging up is not the end."""
    house = prepared
    ends = {"first": house.play("first"), "sorry": house.play("sorry"), "end": HANG_UP}
    menu, number = house.menu(timeoutSec=60), house.collect(minDigits=4, maxDigits=4, regex="4711", timeoutSec=60)
    number |= {"interDigitTimeoutSec": 30, "prompt": house.prompt("again")}
    ways = {
        MENU: (("step:digit:1>first", "step:timeout>sorry", "step:invalid>sorry"), menu),
        NUMBER: (("step:matched>first", "step:no_match>sorry", "step:timeout>sorry"), number),
        PERSON: (_outcomes_of_a_leg(), house.dial("1001", timeoutSec=60)),
        FRIEND: (_outcomes_of_a_leg(), house.dial("1002", timeoutSec=60)),
    }
    for digits, (edges, step) in ways.items():
        house.extension(digits, house.publish(None, "entry>step", *edges, "first>end", "sorry>end", step=step, **ends))


def _outcomes_of_a_leg() -> tuple[str, ...]:
    return ("step:answered>first", "step:busy>sorry", "step:no_answer>sorry", "step:failed>sorry")


class Scene:
    """The four calls; `callers` by step, `bob` (1002) talks, and 1001 also has the leg that rings."""

    def __init__(self, house: House, open_phone: Open, phones: Phones) -> None:
        self.house, self.tandem, self.phones = house, house.tandem, phones
        self.bob = open_phone("1002")
        self.callers = {step: open_phone(extension) for step, extension in STEPS.items()}
        self.calls: dict[str, int] = {}
        self.ears: dict[str, Ear] = {}
        self.rung = 0

    def begin(self) -> None:
        self.dial("talking", FRIEND)
        self.bob.answer(self.bob.wait_for("incoming", ANSWER_SEC).call)
        self.bob.wait_for("media_active", ANSWER_SEC)
        self.dial("digits", NUMBER).hears("again")
        self.callers["digits"].send_dtmf("47")
        self.dial("ringing", PERSON)
        self.rung = self.callers["prompt"].wait_for("incoming", ANSWER_SEC).call
        self.phones.converse(self.callers["talking"], self.bob)
        self.dial("prompt", MENU).hears("menu")
        self.tandem.wait_live(4)

    def dial(self, step: str, digits: str) -> Ear:
        """A flow that was just published is live within seconds."""
        phone, deadline = self.callers[step], time.monotonic() + LIVE_SEC
        while True:
            ear = self.ears[step] = Ear(phone, self.house.folder)
            self.calls[step] = phone.call(digits)
            event = phone.wait_for(("answered", "ended"), ANSWER_SEC, call=self.calls[step])
            if event.name == "answered":
                return ear
            assert time.monotonic() < deadline, event

    def ended(self, steps: Iterable[str], cause: str) -> None:
        """The caller's line is free again within seconds, as is the other's; the record says why."""
        for step in steps:
            self.callers[step].wait_for("ended", BYE_SEC, call=self.calls[step])
            if step == "talking":
                self.bob.wait_for("ended", BYE_SEC)
            if step == "ringing":
                self.callers["prompt"].wait_for("ended", BYE_SEC, call=self.rung)
        self.recorded_as(steps, cause)

    def recorded_as(self, steps: Iterable[str], cause: str) -> None:
        for step in steps:
            record = self.recorded(step)
            assert (record["hangup_by"], record["hangup_cause"]) == ("platform", cause), (step, record)

    def go_on(self, steps: Iterable[str]) -> None:
        """Each at the step where it was, to its own end."""
        if "prompt" in steps:
            self.callers["prompt"].send_dtmf("1", self.calls["prompt"])
            self.ears["prompt"].hears("first", deadline=2 * PATIENCE_SEC)
            self.callers["prompt"].wait_for("ended", ANSWER_SEC, call=self.calls["prompt"])
        if "digits" in steps:
            self.callers["digits"].send_dtmf("11")
            self.ears["digits"].hears("first")
        if "ringing" in steps:
            self.callers["prompt"].answer(self.rung)
            self.callers["prompt"].wait_for("media_active", ANSWER_SEC, call=self.rung)
            self.phones.converse(self.callers["ringing"], self.callers["prompt"])
            self.callers["prompt"].hang_up(self.rung)
            self.listen("ringing").hears("first")
        if "talking" in steps:
            self.phones.converse(self.callers["talking"], self.bob)
            self.bob.hang_up()
            self.listen("talking").hears("first")
        self.recorded_as(steps, "normal")

    def listen(self, step: str) -> Ear:
        self.ears[step] = Ear(self.callers[step], self.house.folder)
        return self.ears[step]

    def recorded(self, step: str) -> dict[str, Any]:
        """The record of the call that was answered: one before that may have been too early for its flow."""
        return self.tandem.wait_ended(answered=1, from_num=STEPS[step])

    def settled(self) -> None:
        """No call, no place, no dialog, no relay; every session is over, its cost known, and its trace told."""
        self.tandem.wait_live(0, SETTLE_SEC)
        left_over.wait_nothing(self.tandem, SETTLE_SEC)
        for step in self.calls:
            record = self.recorded(step)
            lasted = record["end_ts"] - record["start_ts"]
            assert 0 < record["media_app_ms"] <= lasted, f"{step}: the engine had the media, no matter who told of it"
            wait_until(partial(self._is_told, record["call_id"]), SETTLE_SEC, f"the trace of the call at {step}")

    def _is_told(self, call_id: str) -> bool:
        return any(entry["kind"] == "end" for entry in self.house.trace(call_id))

    def next_call(self) -> None:
        """Also where there is no engine yet: a caller tries again."""
        wait_until(self._can_call, BACK_SEC, "a call that is answered")
        self.ears["prompt"].hears("menu")
        self.callers["prompt"].hang_up(self.calls["prompt"])

    def _can_call(self) -> bool:
        phone = self.callers["prompt"]
        self.ears["prompt"] = Ear(phone, self.house.folder)
        self.calls["prompt"] = phone.call(MENU)
        return phone.wait_for(("answered", "ended"), ANSWER_SEC, call=self.calls["prompt"]).name == "answered"


@pytest.fixture
def quiet(flows: None, house: House, open_phone: Open, phones: Phones) -> Scene:
    """No call yet."""
    return Scene(house, open_phone, phones)


@pytest.fixture
def scene(quiet: Scene) -> Scene:
    quiet.begin()
    return quiet


def test_the_brain_is_killed(scene: Scene, tandem: Installation) -> None:
    """A key that is pressed while it is gone counts, as does what was typed before."""
    tandem.kill("brain")
    scene.go_on(["prompt"])
    tandem.wait_ready()
    scene.go_on(["digits", "ringing", "talking"])
    scene.settled()
    scene.next_call()


def test_the_agent_is_killed_with_its_engine(scene: Scene, tandem: Installation) -> None:
    tandem.kill("agent")
    scene.ended(STEPS, "engine_lost")
    scene.settled()
    scene.next_call()


def test_the_agent_alone_is_killed(scene: Scene, tandem: Installation) -> None:
    """Its engine ends with it, and says why."""
    os.kill(tandem.pid("agent"), signal.SIGKILL)
    scene.ended(STEPS, "agent_lost")
    scene.settled()
    scene.next_call()


def test_the_agent_is_stopped(scene: Scene, tandem: Installation) -> None:
    with tandem.without("agent"):
        for step, phone in scene.callers.items():
            phone.wait_for("ended", BYE_SEC, call=scene.calls[step])
    scene.recorded_as(STEPS, "agent_stopped")
    scene.settled()
    scene.next_call()


def test_a_process_of_the_engine_is_killed(scene: Scene, tandem: Installation) -> None:
    """The calls of another one do not notice."""
    pids = {step: left_over.engine_pid(tandem, extension) for step, extension in STEPS.items()}
    last = pids["talking"]
    assert set(pids.values()) != {last}, "four calls in one process"
    for pid in set(pids.values()) - {last}:
        os.kill(pid, signal.SIGKILL)
    scene.ended([step for step in STEPS if pids[step] != last], "engine_lost")
    scene.phones.converse(scene.callers["talking"], scene.bob)
    os.kill(last, signal.SIGKILL)
    scene.ended([step for step in STEPS if pids[step] == last], "engine_lost")
    scene.settled()
    scene.next_call()


def test_the_brain_is_away_in_a_menu(quiet: Scene, tandem: Installation) -> None:
    """Who pressed a key hears ringing, not silence; the call of one who waits too long ends, the other's flow goes on
    where it was."""
    unlucky, lucky = quiet.callers["digits"], quiet.callers["prompt"]
    quiet.dial("digits", NUMBER).hears("again")
    quiet.dial("prompt", MENU).hears("menu")
    with tandem.without("brain"):
        began = time.monotonic()
        unlucky.send_dtmf("4711")
        _rings(quiet.listen("digits"))
        unlucky.wait_for("ended", PATIENCE_SEC + BYE_SEC, call=quiet.calls["digits"])
        assert time.monotonic() - began > PATIENCE_SEC / 2
        lucky.send_dtmf("1")
        ear = quiet.listen("prompt")
        _rings(ear)
    ear.hears("first")
    lucky.wait_for("ended", ANSWER_SEC, call=quiet.calls["prompt"])
    quiet.recorded_as(["prompt"], "normal")
    quiet.recorded_as(["digits"], "brain_unavailable")
    quiet.settled()


def _rings(ear: Ear) -> None:
    wait_until(lambda: audio.loud(ear.path) > 0.5, SILENT_SEC + BACK_SEC, "ringing")
