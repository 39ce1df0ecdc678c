"""Calls that end, and an agent that is killed, between two steps of a flow: while the web is asked, during a whisper or
hold music, at the very moment of an answer. Nothing of the call stays anywhere, and the record says how it ended."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

import pytest

from edge_node.local.phone import Phone, PhoneError
from edge_node.local.waiting import wait_until
from tests.e2e import left_over
from tests.e2e.conftest import ANSWER_SEC, Dial, Open
from tests.e2e.flow_house import HANG_UP, LIVE_SEC, PROMPTS, Ear, Fields, House, Web

SETTLE_SEC = 15
# The far end of a call that the platform ends hears of it within these.
BYE_SEC = 15
# The call is over long before the web replies.
SLOW_SEC = 3.0
ASKING, ASKING_FIRST, PERSON, WHISPER, MUSIC = "6801", "6802", "6803", "6804", "6805"


@pytest.fixture(scope="module")
def flows(prepared: House) -> None:
    """Two that ask the web, one of them before the call is answered, and three that lead to extension 1002."""
    house = prepared
    hello = {"kind": "play", "audioId": house.upload("hello", PROMPTS["first"], 0.5)}
    ask = {"kind": "httpRequest", "url": f"http://127.0.0.1:{house.tandem.web_port}/slow", "timeoutMs": 10_000}
    target = {"kind": "user", "id": house.users["1002"]}
    attended = {"kind": "transfer", "target": target, "mode": "attended", "music": house.media["second"]}
    whisper = house.dial("1002", whisper=house.prompt("menu"))
    nodes: dict[str, Fields] = {"hello": hello, "ask": ask, "end": HANG_UP}
    asked = ("ask:success>end", "ask:error>end", "ask:timeout>end")
    dialled = ("bob:no_answer>end", "bob:busy>end", "bob:failed>end")
    published = {
        ASKING: house.publish(None, "entry>hello", "hello>ask", *asked, **nodes),
        ASKING_FIRST: house.publish(None, "entry>ask", *asked, **nodes),
        PERSON: house.publish(None, "entry>bob", *dialled, bob=house.dial("1002"), **nodes),
        WHISPER: house.publish(None, "entry>bob", *dialled, bob=whisper, **nodes),
        MUSIC: house.publish(None, "entry>bob", "bob:failed>end", bob=attended, **nodes),
    }
    for digits, flow_id in published.items():
        house.extension(digits, flow_id)


@pytest.fixture
def bob(flows: None, open_phone: Open) -> Phone:
    return open_phone("1002")


def settled(house: House, call_id: str) -> None:
    """No call, no place, no dialog, no relay; the session is over, and has told its trace."""
    house.tandem.wait_live(0, SETTLE_SEC)
    left_over.wait_nothing(house.tandem, SETTLE_SEC)
    wait_until(partial(_is_told, house, call_id), SETTLE_SEC, "the end of the trace")


def _is_told(house: House, call_id: str) -> bool:
    return any(entry["kind"] == "end" for entry in house.trace(call_id))


def hung_up(house: House, digits: str, *, answered: int = 1) -> None:
    settled(house, house.tandem.wait_ended(to_num=digits, answered=answered, hangup_by="caller")["call_id"])


def lost(house: House, digits: str) -> None:
    found = house.tandem.wait_ended(to_num=digits, answered=1)
    assert (found["hangup_by"], found["hangup_cause"]) == ("platform", "engine_lost")
    settled(house, found["call_id"])


def asked(web: Web) -> None:
    wait_until(lambda: bool(web.asked), ANSWER_SEC, "the flow to ask the web")


def test_the_caller_hangs_up_while_the_web_is_asked(
    flows: None, house: House, caller: Phone, dial: Dial, web: Web
) -> None:
    web.answer["/slow"] = (200, b"{}", SLOW_SEC)
    dial(ASKING)
    asked(web)
    caller.hang_up()
    hung_up(house, ASKING)


def test_the_caller_gives_up_while_the_web_is_asked_before_the_answer(
    flows: None, house: House, caller: Phone, web: Web
) -> None:
    web.answer["/slow"] = (200, b"{}", SLOW_SEC)
    deadline = time.monotonic() + LIVE_SEC
    while not web.asked:
        assert time.monotonic() < deadline, "the flow does not ask the web"
        caller.call(ASKING_FIRST)
        with suppress(PhoneError):  # a call that is too early for its flow ends at once
            caller.wait_for("ended", 1.0)
    caller.hang_up()
    assert caller.wait_for("ended", ANSWER_SEC).code == 487
    hung_up(house, ASKING_FIRST, answered=0)


def test_the_caller_hangs_up_during_a_whisper(house: House, caller: Phone, bob: Phone, dial: Dial) -> None:
    dial(WHISPER)
    whispered = Ear(bob, house.folder)
    bob.answer(bob.wait_for("incoming", ANSWER_SEC).call)
    whispered.hears("menu")
    caller.hang_up()
    bob.wait_for("ended", ANSWER_SEC)
    hung_up(house, WHISPER)


def test_the_caller_hangs_up_while_he_hears_music(house: House, caller: Phone, bob: Phone, dial: Dial) -> None:
    ear = dial(MUSIC)
    bob.wait_for("incoming", ANSWER_SEC)
    ear.hears("second")
    caller.hang_up()
    assert bob.wait_for("ended", ANSWER_SEC).code == 487
    hung_up(house, MUSIC)


def test_the_caller_hangs_up_as_the_audio_is_released(house: House, caller: Phone, bob: Phone, dial: Dial) -> None:
    dial(PERSON)
    bob.answer(bob.wait_for("incoming", ANSWER_SEC).call)
    bob.wait_for("answered", ANSWER_SEC)
    caller.hang_up()
    bob.wait_for("ended", ANSWER_SEC)
    hung_up(house, PERSON)


def test_the_agent_is_killed_while_the_web_is_asked(
    flows: None, house: House, caller: Phone, dial: Dial, web: Web
) -> None:
    web.answer["/slow"] = (200, b"{}", SLOW_SEC)
    dial(ASKING)
    asked(web)
    house.tandem.kill("agent")
    caller.wait_for("ended", BYE_SEC)
    lost(house, ASKING)


def test_the_agent_is_killed_as_the_leg_answers(house: House, caller: Phone, bob: Phone, dial: Dial) -> None:
    dial(PERSON)
    bob.answer(bob.wait_for("incoming", ANSWER_SEC).call)
    house.tandem.kill("agent")
    caller.wait_for("ended", BYE_SEC)
    bob.wait_for("ended", BYE_SEC)
    lost(house, PERSON)
