"""Canonical path 4, with phones: a caller dials a flow, hears prompts, presses keys, and is connected."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from edge_node.local import audio
from edge_node.local.phone import Phone
from edge_node.local.waiting import wait_until
from tests.e2e.conftest import ANSWER_SEC, Dial, Open
from tests.e2e.flow_house import ENDS, HANG_UP, PROMPTS, Ear, House, Web
from tests.e2e.installation import Installation
from tests.e2e.phones import Phones


def test_a_greeting_and_the_end(house: House, caller: Phone, dial: Dial, tandem: Installation) -> None:
    digits = house.flow("entry>bye", "bye>end", bye=house.play("bye"), end=HANG_UP)
    ear = dial(digits)
    ear.hears("bye", 1.5)
    caller.wait_for("ended", 10)
    found = tandem.wait_ended(to_num=digits)
    assert (found["answered"], found["hangup_by"], found["hangup_cause"]) == (1, "platform", "normal")
    assert 1_500 < found["media_app_ms"] < 10_000


def test_a_spoken_greeting(house: House, caller: Phone, dial: Dial) -> None:
    say = {"kind": "say", "text": "Welcome to {{caller}}'s house of tests."}
    ear = dial(house.flow("entry>hello", "hello>bye", "bye>end", hello=say, bye=house.play("bye"), end=HANG_UP))
    began = time.monotonic()
    ear.hears("bye")
    caller.wait_for("ended", 10)
    assert time.monotonic() - began > 1
    assert loudness(ear) > 1_000


def loudness(ear: Ear) -> int:
    """The highest sample, of 32 767."""
    return max((abs(sample) for sample in audio.read(ear.path).samples), default=0)


def menu_of(house: House, **changes: Any) -> str:
    edges = ("entry>menu", "menu:digit:1>first", "menu:digit:2>second", "menu:timeout>sorry", "menu:invalid>bye", *ENDS)
    return house.flow(*edges, **house.ends(menu=house.menu(**changes)))


def test_a_key_interrupts_the_prompt(house: House, caller: Phone, dial: Dial) -> None:
    ear = dial(menu_of(house))
    ear.hears("menu")
    caller.send_dtmf("1")
    ear.hears("first", 1.0)
    caller.wait_for("ended", 10)
    assert ear.heard("menu") < 6, "of eight seconds"


def test_a_prompt_that_may_not_be_interrupted(house: House, caller: Phone, dial: Dial) -> None:
    ear = dial(menu_of(house, bargeIn=False, prompt=house.prompt("again")))
    ear.hears("again", 0.3)
    caller.send_dtmf("2")
    ear.hears("second")
    assert ear.heard("again") >= 1.7


def test_a_wrong_key_and_then_the_right_one(house: House, caller: Phone, dial: Dial) -> None:
    ear = dial(menu_of(house))
    ear.hears("menu")
    caller.send_dtmf("7")
    ear.hears("wrong")
    caller.send_dtmf("2")
    ear.hears("second")


def test_wrong_keys_until_it_is_enough(house: House, caller: Phone, dial: Dial) -> None:
    ear = dial(menu_of(house, maxFailures=2))
    ear.hears("menu")
    caller.send_dtmf("7")
    ear.hears("wrong")
    caller.send_dtmf("8")
    ear.hears("bye")


def test_nobody_presses_anything(house: House, caller: Phone, dial: Dial) -> None:
    ear = dial(menu_of(house, maxTimeouts=2, prompt=house.prompt("first"), timeoutSec=1))
    ear.hears("first")
    ear.hears("again")
    ear.hears("sorry")
    caller.wait_for("ended", 10)


def collect_of(house: House, **changes: Any) -> str:
    edges = ("entry>number", "number:matched>which", "number:no_match>sorry", "number:timeout>bye", *ENDS)
    which = {
        "kind": "condition",
        "rules": [{"variable": "typed", "operator": "eq", "value": "4711", "handle": "it"}],
    }
    found = house.ends(number=house.collect(**changes), which=which)
    return house.flow(*edges, "which:it>first", "which:else>second", **found)


def test_a_number_ended_by_the_hash_key(house: House, caller: Phone, dial: Dial) -> None:
    ear = dial(collect_of(house, maxDigits=10))
    ear.hears("menu")
    caller.send_dtmf("4711#")
    ear.hears("first")


def test_a_number_ended_by_silence(house: House, caller: Phone, dial: Dial) -> None:
    ear = dial(collect_of(house, maxDigits=10, interDigitTimeoutSec=1))
    ear.hears("menu")
    caller.send_dtmf("4712")
    ear.hears("second")


def test_a_number_that_must_look_right(house: House, caller: Phone, dial: Dial) -> None:
    ear = dial(collect_of(house, minDigits=4, maxDigits=4, regex="47[0-9]{2}"))
    ear.hears("menu")
    caller.send_dtmf("1234")
    ear.hears("wrong")
    caller.send_dtmf("4711")
    ear.hears("first")


def test_keys_that_are_pressed_ahead(house: House, caller: Phone, dial: Dial) -> None:
    """Through a greeting, a menu and a number, before any of them was played."""
    edges = ("entry>hello", "hello>menu", "menu:digit:1>number", "menu:timeout>bye", "menu:invalid>bye", *ENDS)
    more = ("number:matched>first", "number:no_match>sorry", "number:timeout>second")
    number = house.collect(minDigits=4, maxDigits=4, regex="4711", prompt=house.prompt("again"))
    found = house.ends(hello=house.play("wrong"), menu=house.menu(), number=number)
    ear = dial(house.flow(*edges, *more, **found))
    ear.hears("wrong", 0.3)
    caller.send_dtmf("14711")
    ear.hears("first")
    assert ear.heard("menu") == ear.heard("again") == 0


@pytest.mark.parametrize(("is_open", "prompt"), [(True, "first"), (False, "second")])
def test_opening_hours(house: House, dial: Dial, is_open: bool, prompt: str) -> None:
    hours = {"kind": "timeCondition", "scheduleId": house.schedule(is_open=is_open)}
    edges = ("entry>hours", "hours:in_hours>first", "hours:out_of_hours>second", "hours:holiday>sorry", *ENDS)
    dial(house.flow(*edges, **house.ends(hours=hours))).hears(prompt)


def asking(house: House, url: str, **changes: Any) -> str:
    ask = {"kind": "httpRequest", "url": url, "save": [{"variable": "name", "path": "name"}]} | changes
    which = {"kind": "switch", "variable": "name", "cases": ["Ann"]}
    edges = ("entry>ask", "ask:success>which", "ask:error>sorry", "ask:timeout>bye", "which:Ann>first", *ENDS)
    return house.flow(*edges, "which:else>second", **house.ends(ask=ask, which=which))


def test_a_reply_from_the_web_decides(house: House, dial: Dial, web: Web) -> None:
    web.answer["/name"] = (200, b'{"name": "Ann"}', 0.0)
    dial(asking(house, f"{web.url}/name")).hears("first")
    assert web.asked == ["/name"]


@pytest.mark.parametrize(
    ("path", "answer", "prompt"),
    [
        ("/wrong", (500, b"{}", 0.0), "sorry"),
        ("/huge", (200, b'{"name": "' + b"x" * 2_000_000 + b'"}', 0.0), "sorry"),
        ("/garbage", (200, b"\xff\x00<html>", 0.0), "sorry"),
        ("/slow", (200, b'{"name": "Ann"}', 8.0), "bye"),
    ],
)
def test_a_bad_reply_is_an_outcome(
    house: House, dial: Dial, web: Web, path: str, answer: tuple[int, bytes, float], prompt: str
) -> None:
    web.answer[path] = answer
    dial(asking(house, f"{web.url}{path}", timeoutMs=1_000)).hears_only(prompt)


def test_a_server_that_is_down(house: House, dial: Dial, tandem: Installation) -> None:
    dial(asking(house, f"http://127.0.0.1:{tandem.web_port}/name")).hears("sorry")


def test_a_private_address_is_not_asked(house: House, dial: Dial, tandem: Installation) -> None:
    """A URL with a variable in it is not looked at before a call comes."""
    url = f"http://127.0.0.1:{tandem.settings.agent_port}/healthz"
    dial(asking(house, f"{url}{{{{unset}}}}")).hears("sorry")


def test_a_prompt_that_is_gone_is_no_silence(house: House, dial: Dial, tandem: Installation) -> None:
    """Its object is lost: the platform says goodbye in its own words, and hangs up."""
    lost = house.upload("lost", 555, 1.0)
    tandem.sql("UPDATE media_file SET object_key = 'acc_lost/none', etag = 'none' WHERE id = ?", lost)
    digits = house.flow("entry>gone", "gone>bye", "bye>end", gone={"kind": "play", "audioId": lost}, **house.ends())
    ear = dial(digits)
    ear.phone.wait_for("ended", 20)
    assert audio.loud(ear.path) > 1
    assert ear.heard("bye") == 0
    found = tandem.wait_ended(to_num=digits)
    assert found["answered"] == 1
    wait_until(lambda: "acc_lost/none" in str(house.trace(found["call_id"])), 10, "the trace to say why")


def reaching(house: House, extension: str, *more: str, **changes: Any) -> str:
    edges = ("entry>bob", "bob:no_answer>sorry", "bob:busy>second", "bob:failed>bye", *ENDS)
    return house.flow(*edges, *more, **house.ends(bob=house.dial(extension, **changes)))


def test_a_person_answers_and_the_media_goes_past_the_engine(
    house: House, caller: Phone, dial: Dial, open_phone: Open, phones: Phones, tandem: Installation
) -> None:
    bob = open_phone("1002")
    digits = reaching(house, "1002")
    before = tandem.engine_seconds()
    dial(digits)
    bob.answer(bob.wait_for("incoming", ANSWER_SEC).call)
    bob.wait_for("answered", ANSWER_SEC)
    phones.converse(caller, bob)
    tandem.wait_released(before)
    released = tandem.engine_seconds()
    phones.talk(caller, bob, 3)
    caller.hang_up()
    bob.wait_for("ended", ANSWER_SEC)
    found = tandem.wait_ended(to_num=digits)
    lasted = found["end_ts"] - found["answer_ts"]
    assert 0 < found["media_app_ms"] < lasted - 3_000, "not counted after the release"
    assert found["media_app_ms"] == round((released - before) * 1_000)
    assert tandem.engine_seconds() == released


def test_hold_and_keys_after_the_release(
    house: House, caller: Phone, dial: Dial, open_phone: Open, phones: Phones
) -> None:
    bob = open_phone("1002")
    dial(reaching(house, "1002"))
    bob.answer(bob.wait_for("incoming", ANSWER_SEC).call)
    bob.wait_for("answered", ANSWER_SEC)
    phones.converse(caller, bob)
    caller.send_dtmf("5")
    assert bob.wait_for("dtmf", 5).digit == "5"
    caller.hold()
    caller.wait_for("media_held", 10)
    phones.hears_nobody(caller)
    caller.unhold()
    caller.wait_for("media_active", 10)
    phones.converse(caller, bob)
    bob.reinvite(late_offer=True)
    bob.wait_for("transaction", 10)
    phones.converse(caller, bob)
    caller.hang_up()
    bob.wait_for("ended", ANSWER_SEC)


def test_a_person_who_is_busy(house: House, dial: Dial, open_phone: Open) -> None:
    open_phone("1002").auto_answer(code=486, ring=False)
    dial(reaching(house, "1002")).hears("second")


def test_a_person_who_does_not_answer(house: House, dial: Dial, open_phone: Open) -> None:
    bob = open_phone("1002")
    ear = dial(reaching(house, "1002", timeoutSec=5))
    bob.wait_for("incoming", ANSWER_SEC)
    ear.hears("sorry", deadline=20)
    bob.wait_for("ended", ANSWER_SEC)


def test_a_person_without_a_phone(house: House, dial: Dial) -> None:
    dial(reaching(house, "1003")).hears_only("sorry")


def test_a_number_that_nobody_has(house: House, dial: Dial) -> None:
    dial(reaching(house, "1003", targets=[{"number": "1999"}])).hears_only("bye")


def test_the_flow_goes_on_when_the_other_hangs_up(house: House, dial: Dial, open_phone: Open) -> None:
    bob = open_phone("1002")
    ear = dial(reaching(house, "1002", "bob:answered>first"))
    bob.answer(bob.wait_for("incoming", ANSWER_SEC).call)
    bob.wait_for("media_active", ANSWER_SEC)
    bob.hang_up()
    ear.hears("first")


@pytest.mark.parametrize("step", ["prompt", "digits", "ringing", "talking"])
def test_the_caller_hangs_up(
    house: House, caller: Phone, dial: Dial, open_phone: Open, tandem: Installation, step: str
) -> None:
    """Nothing is left of the call, and the record says who ended it."""
    if step in ("prompt", "digits"):
        digits = menu_of(house, timeoutSec=60, prompt=house.prompt("again" if step == "digits" else "menu"))
        ear = dial(digits)
        ear.hears("again" if step == "digits" else "menu", 0.3 if step == "prompt" else 1.7)
    else:
        bob = open_phone("1002")
        digits = reaching(house, "1002")
        dial(digits)
        incoming = bob.wait_for("incoming", ANSWER_SEC)
        if step == "talking":
            bob.answer(incoming.call)
            bob.wait_for("media_active", ANSWER_SEC)
    caller.hang_up()
    if step in ("ringing", "talking"):
        bob.wait_for("ended", ANSWER_SEC)
    found = tandem.wait_ended(to_num=digits)
    assert (found["answered"], found["hangup_by"]) == (1, "caller")
    tandem.wait_live(0)


def test_a_call_between_phones_costs_nothing_of_the_engine(
    open_phone: Open, phones: Phones, tandem: Installation
) -> None:
    alice, bob = open_phone("1001"), open_phone("1002")
    before = tandem.engine_seconds()
    phones.connect(alice, bob)
    phones.converse(alice, bob)
    alice.hang_up()
    bob.wait_for("ended", ANSWER_SEC)
    assert tandem.wait_ended(to_num="1002")["media_app_ms"] == 0
    assert tandem.engine_seconds() == before


def test_a_new_version_is_for_new_calls(house: House, caller: Phone, dial: Dial, open_phone: Open) -> None:
    edges = ("entry>menu", "menu:digit:1>first", "menu:timeout>sorry", "menu:invalid>bye", *ENDS)
    flow_id = house.publish(None, *edges, **house.ends(menu=house.menu(timeoutSec=30)))
    digits = "6600"
    house.extension(digits, flow_id)
    ear = dial(digits)
    ear.hears("menu")
    house.publish(flow_id, "entry>second", "second>end", second=house.play("second"), end=HANG_UP)
    other = open_phone("2001")
    late = Ear(other, house.folder)
    other.call(digits)
    late.hears("second")
    caller.send_dtmf("1")
    ear.hears("first")


def test_the_demo_systems_main_flow(house: House, open_phone: Open, phones: Phones) -> None:
    """600: a greeting; a key that leads nowhere; 2 leads to extension 1001."""
    bob, asker = open_phone("1001"), open_phone("1003")
    ear = Ear(asker, house.folder)
    asker.call("600")
    asker.wait_for("answered", ANSWER_SEC)
    wait_until(lambda: loudness(ear) > 1_000, ANSWER_SEC, "the greeting")
    asker.send_dtmf("72")
    bob.answer(bob.wait_for("incoming", ANSWER_SEC).call)
    bob.wait_for("answered", ANSWER_SEC)
    phones.converse(asker, bob)
    asker.hang_up()
    bob.wait_for("ended", ANSWER_SEC)


def test_every_prompt_has_a_tone_of_its_own() -> None:
    tones = sorted(PROMPTS.values())
    assert all(later - earlier >= 100 for earlier, later in itertools.pairwise(tones))
