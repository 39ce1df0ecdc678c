"""Audio past the engine: on the wire, in the ears, with every habit that phones have, and back again."""

from __future__ import annotations

import asyncio
import time

import pytest

from edge_node.agent.media_engine.base import EngineError, Release
from tests.engine.conftest import MUSIC_HZ
from tests.engine.scene import DEADLINE, Scene, ends, until
from tests.engine.wire import Wire

# The engine waits a while before it sends audio away again.
AGAIN_SEC = 10.0


async def test_audio_goes_past_the_engine_within_a_second(scene: Scene) -> None:
    alice, bob, near, far = await scene.talk()
    await asyncio.to_thread(scene.phones.converse, alice, bob)
    with Wire(scene.rtp, scene.folder) as wire:
        await until(lambda: len(wire.packets()) > 100, "audio does not pass the engine")
        assert await ends(scene.engine.release(near, far)) is Release.RELEASED
        released = time.monotonic()
        assert not scene.told.passes(near)
        assert not scene.told.passes(far)
        await asyncio.to_thread(scene.phones.talk, alice, bob, 3.0)
        # RTCP of the old streams would come within 5 s
        await until(lambda: time.monotonic() > released + 6, "", 10)
        late = wire.packets(after=released + 1)
        assert not late, f"{len(late)} packets, the last {late[-1].at - released:.1f} s after the release"
    assert scene.told.paths == {near: [True, False], far: [True, False]}


async def test_digits_go_from_party_to_party(scene: Scene) -> None:
    alice, bob, near, far = await scene.released()
    await asyncio.to_thread(bob.send_dtmf, "42")
    await asyncio.to_thread(alice.send_dtmf, "17")
    for phone, typed in ((alice, "42"), (bob, "17")):
        for digit in typed:
            assert (await asyncio.to_thread(phone.wait_for, "dtmf", DEADLINE)).digit == digit
    assert not scene.told.typed(near) + scene.told.typed(far)


async def test_audio_is_taken_back_and_sent_away_as_often_as_told(scene: Scene) -> None:
    alice, bob, near, far = await scene.released()
    for _ in range(3):
        await ends(scene.engine.take_back(near, far))
        assert scene.told.passes(near)
        assert scene.told.passes(far)
        await asyncio.to_thread(scene.phones.converse, alice, bob)
        await asyncio.to_thread(alice.send_dtmf, "5")
        typed = len(scene.told.digits)
        await until(lambda known=typed: len(scene.told.digits) > known, "no digit passes the engine")  # type: ignore[misc]
        assert await ends(scene.engine.release(near, far)) is Release.RELEASED
        await asyncio.to_thread(scene.phones.converse, alice, bob)
    with Wire(scene.rtp, scene.folder) as wire:
        await asyncio.to_thread(scene.phones.converse, alice, bob)
        assert not wire.packets()
    assert scene.told.paths[near] == [True, False] * 4


@pytest.mark.parametrize("who", ["caller", "called"])
async def test_one_holds_and_comes_back(scene: Scene, who: str) -> None:
    alice, bob, near, far = await scene.released()
    holder, other = (alice, bob) if who == "caller" else (bob, alice)
    for _ in range(2):
        await asyncio.to_thread(holder.hold)
        await asyncio.to_thread(holder.wait_for, "media_held", DEADLINE)
        await asyncio.to_thread(scene.hears, other, MUSIC_HZ)
        await asyncio.to_thread(scene.phones.hears_nobody, holder)
        assert scene.told.passes(near)
        assert scene.told.passes(far)
        await asyncio.to_thread(holder.unhold)
        await asyncio.to_thread(holder.wait_for, "media_active", DEADLINE)
        await asyncio.to_thread(scene.phones.converse, alice, bob)
        await _away(scene, near, far)
        await asyncio.to_thread(scene.phones.converse, alice, bob)


@pytest.mark.parametrize("who", ["caller", "called"])
async def test_a_late_offer_and_a_refresh(scene: Scene, who: str) -> None:
    alice, bob, near, far = await scene.released()
    phone = alice if who == "caller" else bob
    for late in (True, False):
        await asyncio.to_thread(phone.reinvite, late_offer=late)
        answer = await asyncio.to_thread(phone.wait_for, "transaction", DEADLINE, method="INVITE")
        assert answer.code == 200
        await asyncio.to_thread(scene.phones.converse, alice, bob)
        await _away(scene, near, far)
        await asyncio.to_thread(scene.phones.converse, alice, bob)
    await asyncio.to_thread(phone.update)
    assert (await asyncio.to_thread(phone.wait_for, "transaction", DEADLINE, method="UPDATE")).code == 200
    await _away(scene, near, far)
    await asyncio.to_thread(scene.phones.converse, alice, bob)


async def test_who_holds_when_it_is_to_be_released_is_released_later(scene: Scene) -> None:
    alice, bob, near, far = await scene.talk()
    await asyncio.to_thread(bob.hold)
    await asyncio.to_thread(bob.wait_for, "media_held", DEADLINE)
    await asyncio.to_thread(scene.hears, alice, MUSIC_HZ)
    assert await ends(scene.engine.release(near, far)) is Release.KEPT
    await asyncio.to_thread(bob.unhold)
    await asyncio.to_thread(bob.wait_for, "media_active", DEADLINE)
    await _away(scene, near, far)
    await asyncio.to_thread(scene.phones.converse, alice, bob)


@pytest.mark.parametrize(("caller", "called"), [("refuses1", "1002"), ("1001", "refuses2"), ("refuses1", "refuses2")])
async def test_who_refuses_keeps_the_engine_in_the_path(scene: Scene, caller: str, called: str) -> None:
    alice, bob, near, far = await scene.talk(caller, called)
    assert await ends(scene.engine.release(near, far)) is Release.KEPT
    await asyncio.to_thread(scene.phones.converse, alice, bob)
    assert scene.told.passes(near)
    assert scene.told.passes(far)
    await asyncio.to_thread(alice.send_dtmf, "1")
    await asyncio.to_thread(bob.send_dtmf, "2")
    await until(lambda: scene.told.typed(near) == "1" and scene.told.typed(far) == "2", "digits are missing")


@pytest.mark.parametrize(("caller", "called"), [("busy1", "1002"), ("1001", "busy2")])
async def test_who_is_busy_is_asked_once_more(scene: Scene, caller: str, called: str) -> None:
    alice, bob, near, far = await scene.talk(caller, called)
    began = time.monotonic()
    assert await ends(scene.engine.release(near, far)) is Release.RELEASED
    if called == "busy2":
        assert time.monotonic() - began > 2.1, "who made the Call-ID waits longer"
    await asyncio.to_thread(scene.phones.converse, alice, bob)


@pytest.mark.parametrize(("caller", "called"), [("silent1", "1002"), ("1001", "silent2")])
async def test_who_says_nothing_keeps_the_engine_in_the_path(scene: Scene, caller: str, called: str) -> None:
    alice, bob, near, far = await scene.talk(caller, called)
    assert await ends(scene.engine.release(near, far), 40) is Release.KEPT
    await asyncio.to_thread(scene.phones.converse, alice, bob)
    assert not scene.told.ends


async def test_who_loses_his_partner_gets_his_audio_back(scene: Scene) -> None:
    alice, bob, near, far = await scene.released()
    await asyncio.to_thread(bob.hang_up)
    await until(lambda: scene.told.ends == {far: "normal"}, "the end is not told")
    await until(lambda: scene.told.passes(near), "the audio is still away")
    await asyncio.to_thread(alice.send_dtmf, "3")
    await until(lambda: scene.told.typed(near) == "3", "the digit is missing")


async def test_a_prompt_at_once_after_the_partner_left_is_heard_whole(scene: Scene) -> None:
    alice, _, near, far = await scene.released()
    await scene.engine.hang_up(far)
    hearing = asyncio.to_thread(scene.hears, alice, 1180)
    _, _ = await asyncio.gather(hearing, ends(scene.engine.play(near, [scene.tone(1180, 2.0)])))


async def test_separating_takes_the_audio_back(scene: Scene) -> None:
    alice, bob, near, far = await scene.released()
    await ends(scene.engine.unbridge(near, far))
    assert scene.told.passes(near)
    assert scene.told.passes(far)
    await asyncio.to_thread(scene.phones.hears_nobody, alice, after=0.5)
    await asyncio.to_thread(scene.phones.hears_nobody, bob, after=0.5)
    with pytest.raises(EngineError) as caught:
        await scene.engine.release(near, far)
    assert caught.value.code == "refused"


async def test_a_prompt_for_one_of_two_who_talk(scene: Scene) -> None:
    """The audio comes back for it, and goes away again afterwards."""
    alice, bob, near, far = await scene.released()
    hearing = asyncio.to_thread(scene.hears, alice, 1180)
    _, _ = await asyncio.gather(hearing, ends(scene.engine.play(near, [scene.tone(1180, 2.0)])))
    await asyncio.to_thread(scene.phones.converse, alice, bob)
    await _away(scene, near, far)
    await asyncio.to_thread(scene.phones.converse, alice, bob)


async def test_an_end_during_the_release_is_no_deadlock(scene: Scene) -> None:
    _, bob, near, far = await scene.talk("1001", "busy2")
    releasing = asyncio.create_task(scene.engine.release(near, far))
    # he who is busy is asked again after two seconds
    done, _ = await asyncio.wait([releasing], timeout=1.0)
    assert not done
    await asyncio.to_thread(bob.hang_up)
    with pytest.raises(EngineError) as caught:
        await ends(releasing)
    assert caught.value.code == "gone"
    await until(lambda: scene.told.passes(near), "the audio is still away")


async def _away(scene: Scene, near: str, far: str) -> None:
    await until(
        lambda: not scene.told.passes(near) and not scene.told.passes(far), "the audio stays with the engine", AGAIN_SEC
    )
