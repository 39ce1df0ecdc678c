"""The leg that a caller may be connected to: how it is placed and fails, what the caller hears of it, the bridge."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from edge_node.agent.media_engine.base import EngineError, LegFailedError, Order
from edge_node.local import audio
from edge_node.local.phone import Phone
from tests.edge.kamailio_phone import sdp
from tests.edge.sipp import free_port
from tests.engine.party import Party
from tests.engine.scene import DEADLINE, Scene, ends, until


async def test_a_leg_is_answered_and_both_talk(scene: Scene) -> None:
    _, bob, near, far = await scene.talk()
    assert scene.told.passes(near)
    assert scene.told.passes(far)
    invite = bob.wait_for("incoming", DEADLINE).text
    assert "X-Tandem-Leg: leg.1.token" in invite
    assert "X-Tandem-Account: acc_1" in invite
    assert scene.engine.channels == 2


async def test_a_leg_is_offered_the_callers_codec_alone(scene: Scene) -> None:
    _, bob, _, _ = await scene.talk()
    media = next(line for line in bob.wait_for("incoming", DEADLINE).text.splitlines() if line.startswith("m=audio"))
    assert media.split()[3] == "0", "µ-law is what the caller uses"
    assert len(media.split()) == 5, "and telephone-event, and nothing else"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(486, "busy"), (600, "busy"), (603, "busy"), (480, "no_answer"), (404, "failed"), (500, "failed")],
)
async def test_a_leg_that_is_refused(scene: Scene, code: int, outcome: str) -> None:
    _, near = await scene.caller()
    bob = await scene.phone("1002")
    await asyncio.to_thread(bob.auto_answer, code=code)
    with pytest.raises(LegFailedError) as caught:
        await ends(scene.engine.originate(near, scene.order(bob)))
    assert (caught.value.outcome, caught.value.code) == (outcome, code)
    assert near not in scene.told.ends
    assert scene.engine.channels == 1


async def test_a_leg_to_where_nobody_is(scene: Scene) -> None:
    _, near = await scene.caller()
    with pytest.raises(LegFailedError) as caught:
        await ends(scene.engine.originate(near, scene.order(free_port())))
    assert (caught.value.outcome, caught.value.code) == ("no_answer", 408)  # the relay's time-out


async def test_a_leg_that_nobody_answers_is_cancelled(scene: Scene) -> None:
    _, near = await scene.caller()
    bob = await scene.phone("1002")
    began = time.monotonic()
    with pytest.raises(LegFailedError) as caught:
        await ends(scene.engine.originate(near, scene.order(bob, timeout_sec=2)))
    assert 1.9 < time.monotonic() - began < 4.0
    assert (caught.value.outcome, caught.value.code) == ("no_answer", 487)
    assert (await asyncio.to_thread(bob.wait_for, "ended", DEADLINE)).code == 487


async def test_giving_up_the_task_cancels_the_leg(scene: Scene) -> None:
    alice, near = await scene.caller()
    bob = await scene.phone("1002")
    dialling = asyncio.create_task(scene.engine.originate(near, scene.order(bob)))
    await asyncio.to_thread(bob.wait_for, "incoming", DEADLINE)
    await _ringing(scene, alice)
    dialling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialling
    assert (await asyncio.to_thread(bob.wait_for, "ended", DEADLINE)).code == 487
    # the caller is still there, and hears what comes next
    await ends(scene.engine.play(near, [scene.tone(620)]))


async def test_a_caller_who_hangs_up_cancels_the_leg(scene: Scene) -> None:
    alice, near = await scene.caller()
    bob = await scene.phone("1002")
    dialling = asyncio.create_task(scene.engine.originate(near, scene.order(bob)))
    await asyncio.to_thread(bob.wait_for, "incoming", DEADLINE)
    await asyncio.to_thread(alice.hang_up)
    with pytest.raises(EngineError) as caught:
        await ends(dialling)
    assert caught.value.code == "gone"
    assert (await asyncio.to_thread(bob.wait_for, "ended", DEADLINE)).code == 487
    assert list(scene.told.ends) == [near]


async def test_the_caller_hears_early_media(scene: Scene) -> None:
    alice, near = await scene.caller()
    bob = await scene.phone("1002")
    dialling = asyncio.create_task(scene.engine.originate(near, scene.order(bob)))
    await asyncio.to_thread(bob.wait_for, "incoming", DEADLINE)
    await asyncio.to_thread(bob.reject, 183)
    await asyncio.to_thread(scene.phones.hears, alice, bob)
    await asyncio.to_thread(bob.answer)
    far = await ends(dialling)
    await scene.engine.bridge(near, far)
    await asyncio.to_thread(scene.phones.converse, alice, bob)


async def test_who_answers_need_not_be_who_rang(scene: Scene) -> None:
    """Kamailio forks: one rings, with early media, and another one answers (RFC 3261 section 13.2.2.4)."""
    async with Party("2000", scene.relay.sip) as caller, Party("3000", scene.relay.sip) as called:
        near = await scene.answered(caller)
        dialling = asyncio.create_task(scene.engine.originate(near, scene.order(called.port)))
        invite = await called.request("INVITE")
        called.answer(invite, 180, tag="first")
        called.answer(invite, 183, tag="first", body=sdp(9))
        # The relay's two workers would hand on two replies at once in either order.
        await asyncio.sleep(0.1)
        called.answer(invite, 180, tag="second")
        called.answer(invite, 200, tag="second", body=sdp(called.audio_port))
        far = await ends(dialling)
        assert ";tag=second" in (await called.request("ACK")).header("to")
        began = time.monotonic()
        await ends(scene.engine.play(far, [scene.tone(620)]))
        await called.hears(began)
        await scene.engine.hang_up(far)
        assert ";tag=second" in (await called.request("BYE")).header("to")


async def test_the_caller_hears_music_and_nothing_of_the_leg(scene: Scene) -> None:
    alice, near = await scene.caller()
    bob = await scene.phone("1002")
    await scene.engine.hold_music(near, scene.tone(1180))
    dialling = asyncio.create_task(scene.engine.originate(near, scene.order(bob, early=False)))
    await asyncio.to_thread(bob.wait_for, "incoming", DEADLINE)
    await asyncio.to_thread(bob.reject, 183)
    await asyncio.to_thread(scene.hears, alice, 1180)
    await asyncio.to_thread(scene.phones.hears_nobody, alice, after=0.5)
    await asyncio.to_thread(bob.answer)
    await scene.engine.bridge(near, await ends(dialling))
    await asyncio.to_thread(scene.phones.converse, alice, bob)


@pytest.mark.parametrize("waits_with", ["ringing", "early media", "music"])
async def test_the_caller_hears_no_silence_while_the_leg_hears_a_whisper(scene: Scene, waits_with: str) -> None:
    alice, near = await scene.caller()
    bob = await scene.phone("1002")
    if waits_with == "music":
        await scene.engine.hold_music(near, scene.tone(1180))
    dialling = asyncio.create_task(scene.engine.originate(near, scene.order(bob, early=waits_with != "music")))
    await asyncio.to_thread(bob.wait_for, "incoming", DEADLINE)
    if waits_with == "early media":
        await asyncio.to_thread(bob.reject, 183)
        await asyncio.to_thread(scene.phones.hears, alice, bob)
    await asyncio.to_thread(bob.answer)
    far = await ends(dialling)
    # longer than the silence in a ringing tone
    whisper = asyncio.create_task(scene.engine.play(far, [scene.tone(620, 6.0)]))
    # all along: what a phone does not take waits in its jitter buffer
    whispered = scene.recording()
    await asyncio.to_thread(bob.record, whispered)
    await until(lambda: audio.heard(whispered, 620).lasted(0.5), "the leg hears no whisper")
    path = await _ringing(scene, alice)
    assert not audio.heard(path, 620).total, "the whisper is not for him"
    assert waits_with != "music" or audio.heard(path, 1180).lasted(0.4)
    await ends(whisper)
    await asyncio.to_thread(bob.stop_recording)
    await scene.engine.bridge(near, far)
    await asyncio.to_thread(scene.phones.converse, alice, bob)


async def test_a_caller_not_answered_yet_hears_the_leg_ring(scene: Scene) -> None:
    alice = await scene.phone("1001")
    near = await scene.arrive(alice)
    bob = await scene.phone("1002")
    dialling = asyncio.create_task(scene.engine.originate(near, scene.order(bob)))
    await asyncio.to_thread(alice.wait_for, "ringing", DEADLINE)
    await asyncio.to_thread(bob.answer)
    far = await ends(dialling)
    with pytest.raises(EngineError) as caught:
        await scene.engine.bridge(near, far)
    assert caught.value.code == "refused"
    await scene.engine.answer(near)
    await scene.engine.bridge(near, far)
    await asyncio.to_thread(scene.phones.converse, alice, bob)


@pytest.mark.parametrize("who", ["caller", "called"])
async def test_when_one_hangs_up_the_other_stays(scene: Scene, who: str) -> None:
    alice, bob, near, far = await scene.talk()
    goes, stays, left = (alice, bob, far) if who == "caller" else (bob, alice, near)
    await asyncio.to_thread(goes.hang_up)
    gone = near if left == far else far
    await until(lambda: scene.told.ends == {gone: "normal"}, "the end is not told")
    hearing = asyncio.to_thread(scene.hears, stays, 1180)
    _, _ = await asyncio.gather(hearing, ends(scene.engine.play(left, [scene.tone(1180, 2.0)])))
    await scene.engine.hang_up(left)
    await asyncio.to_thread(stays.wait_for, "ended", DEADLINE)
    await until(lambda: scene.told.ends == {gone: "normal", left: "normal"}, "the end is not told")


async def test_two_are_separated_and_connected_again(scene: Scene) -> None:
    alice, bob, near, far = await scene.talk()
    await asyncio.to_thread(scene.phones.converse, alice, bob)
    await scene.engine.unbridge(near, far)
    await asyncio.to_thread(scene.phones.hears_nobody, alice, after=0.5)
    await asyncio.to_thread(scene.phones.hears_nobody, bob, after=0.5)
    await scene.engine.bridge(near, far)
    await asyncio.to_thread(scene.phones.converse, alice, bob)


async def test_one_leg_after_the_other(scene: Scene) -> None:
    """The place of a leg that was refused, or cancelled, is free for the next."""
    alice, near = await scene.caller()
    bob = await scene.phone("1002")
    for code in (486, 486, 486, 486):
        await asyncio.to_thread(bob.auto_answer, code=code)
        with pytest.raises(LegFailedError):
            await ends(scene.engine.originate(near, scene.order(bob)))
    await asyncio.to_thread(bob.auto_answer, code=0)
    for _ in range(3):
        with pytest.raises(LegFailedError):
            await ends(scene.engine.originate(near, scene.order(bob, timeout_sec=1)))
    await asyncio.to_thread(bob.auto_answer)
    await scene.engine.bridge(near, await ends(scene.engine.originate(near, scene.order(bob))))
    await asyncio.to_thread(scene.phones.converse, alice, bob)


async def test_digits_of_both_come_while_they_talk(scene: Scene) -> None:
    alice, bob, near, far = await scene.talk()
    await asyncio.to_thread(alice.send_dtmf, "12")
    await asyncio.to_thread(bob.send_dtmf, "98")
    await until(lambda: scene.told.typed(near) == "12" and scene.told.typed(far) == "98", "digits are missing")


async def test_a_header_cannot_bring_another(scene: Scene) -> None:
    _, near = await scene.caller()
    order = Order("sip:x@127.0.0.1", (("X-Tandem-Leg", "a\r\nX-Evil: b"),), 5)
    with pytest.raises(EngineError) as caught:
        await scene.engine.originate(near, order)
    assert caught.value.code == "refused"


async def _ringing(scene: Scene, phone: Phone) -> Path:
    """From now on he hears something; the recording."""
    path = scene.recording()
    await asyncio.to_thread(phone.record, path)
    await until(lambda: scene.loud(path) >= 0.5, "the caller hears no ringing")
    await asyncio.to_thread(phone.stop_recording)
    return path
