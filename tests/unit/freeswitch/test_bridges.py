"""Two channels: connected, apart, the audio past the switch and back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError, Release
from edge_node.agent.media_engine.freeswitch import FreeSwitchEngine, bridges, reinvites
from tests.unit.agent.stubs import eventually
from tests.unit.freeswitch.conftest import Scene, Told
from tests.unit.freeswitch.double import Double

_pause_sec = reinvites._pause_sec


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reinvites, "_ANSWER_SEC", 0.5)
    monkeypatch.setattr(reinvites, "_pause_sec", lambda _: 0.01)
    monkeypatch.setattr(reinvites, "_BACK_SEC", 0.01)
    monkeypatch.setattr(bridges, "_AGAIN_SEC", 0.05)


async def test_two_channels_are_connected_and_apart_again(scene: Scene) -> None:
    near, far = await scene.pair()
    assert (near.other, far.other) == (far.id, near.id)
    await scene.engine.unbridge(near.id, far.id)
    assert (near.other, far.other) == ("", "")
    await asyncio.gather(scene.engine.play(near.id, [scene.sound()]), scene.engine.play(far.id, [scene.sound()]))
    await scene.engine.bridge(far.id, near.id)
    assert far.partner is near


@pytest.mark.parametrize("who", ["near", "far"])
@pytest.mark.parametrize("released", [False, True])
async def test_who_stays_behind_is_there_for_the_flow(scene: Scene, who: str, released: bool) -> None:
    near, far = await scene.pair()
    if released:
        assert await scene.engine.release(near.id, far.id) is Release.RELEASED
    goes, stays = (near, far) if who == "near" else (far, near)
    assert stays.variables["park_after_bridge"] == "true"
    assert stays.variables["hangup_after_bridge"] == "false"
    goes.hang_up("NORMAL_CLEARING")
    await eventually(lambda: scene.told.of("ended", goes.id) == ["normal"])
    await scene.engine.play(stays.id, [scene.sound()])
    assert not stays.released, "its audio is back before something is played"
    assert scene.told.of("in_path", stays.id)[-1] is True
    assert not scene.told.of("ended", stays.id)
    with pytest.raises(EngineError):
        await scene.engine.unbridge(near.id, far.id)


async def test_what_is_heard_ends_with_the_connection(scene: Scene) -> None:
    near, far = await scene.pair(bridged=False)
    music = scene.sound("music", 3600)
    await scene.engine.hold_music(near.id, music)
    playing = asyncio.create_task(scene.engine.play(far.id, [music]))
    await eventually(lambda: far.heard)
    await scene.engine.bridge(near.id, far.id)
    await playing
    assert near.partner is far


async def test_a_prompt_for_one_of_two_who_talk_brings_the_audio_back_for_it(scene: Scene) -> None:
    near, far = await scene.pair()
    await scene.engine.release(near.id, far.id)
    await scene.engine.play(far.id, [scene.sound()])
    assert far.heard == [str(scene.folder / "a.wav")]
    assert far.heard[0] not in near.heard
    assert near.other == far.id
    back = [True, False, True, False]
    await eventually(lambda: scene.told.of("in_path", near.id) == back, what="the audio is not sent away again")
    assert near.released


async def test_a_prompt_leaves_the_audio_here_when_it_was_here(scene: Scene) -> None:
    near, far = await scene.pair()
    await scene.engine.play(far.id, [scene.sound()])
    await asyncio.sleep(0.1)
    assert scene.told.of("in_path", near.id) == [True]


async def test_music_and_ringing_are_for_those_who_wait(scene: Scene) -> None:
    near, far = await scene.pair()
    for work in (scene.engine.hold_music(near.id, scene.sound()), scene.engine.ringback(far.id)):
        with pytest.raises(EngineError) as caught:
            await work
        assert caught.value.code == "refused"
    third = await scene.caller()
    with pytest.raises(EngineError) as caught:
        await scene.engine.bridge(third.id, far.id)
    assert caught.value.code == "refused"
    with pytest.raises(EngineError) as caught:
        await scene.engine.unbridge(third.id, far.id)
    assert caught.value.code == "refused"


async def test_only_those_who_are_answered_are_connected(scene: Scene) -> None:
    near = await scene.caller(answered=False)
    far = await scene.far(near)
    with pytest.raises(EngineError) as caught:
        await scene.engine.bridge(near.id, far.id)
    assert caught.value.code == "refused"
    await scene.engine.answer(near.id)
    await scene.engine.bridge(near.id, far.id)


async def test_who_holds_is_released_once_he_comes_back(scene: Scene) -> None:
    near, far = await scene.pair()
    far.hold()
    session = scene.engine._channels[far.id].session
    await eventually(lambda: session.held)
    assert await scene.engine.release(near.id, far.id) is Release.KEPT
    await asyncio.sleep(0.1)
    assert scene.told.of("in_path", near.id) == [True]
    far.hold(False)
    await eventually(lambda: scene.told.of("in_path", near.id) == [True, False])


@pytest.mark.parametrize("who", ["near", "far"])
async def test_who_holds_while_the_audio_is_away_brings_it_back_and_the_other_hears_music(
    switch: Double, tmp_path: Path, who: str
) -> None:
    async with with_music(switch, tmp_path) as (scene, music):
        near, far = await scene.pair()
        holder, other = (near, far) if who == "near" else (far, near)
        await scene.engine.release(near.id, far.id)
        holder.hold()
        await eventually(lambda: other.heard.count(music) >= 2, what="no music")
        assert not near.released
        media = [job for job in switch.jobs if job.startswith("uuid_media ")]
        assert media[-1] == f"uuid_media {other.id}", "the holder takes no audio: the switch would wait for it"
        assert scene.told.of("in_path", near.id) == [True, False, True]
        # He says something else meanwhile, and still holds.
        holder.reinvite("inactive")
        heard = len(other.heard)
        await eventually(lambda: len(other.heard) >= heard + 3, what="the music ended")
        holder.reinvite("sendrecv")
        back = [True, False, True, False]
        await eventually(lambda: scene.told.of("in_path", near.id) == back, what="the audio is not sent away again")
        await eventually(lambda: near.released and other.idle)


async def test_in_a_bridge_a_channel_is_not_free_whatever_it_parked_for_on_its_way(scene: Scene) -> None:
    """Past the switch each parks, and is bridged anew: it waits for what to do only once it has left."""
    near, far = await scene.pair()
    sessions = [scene.engine._channels[channel.id].session for channel in (near, far)]
    await scene.engine.release(near.id, far.id)
    await eventually(lambda: not any(session.free.is_set() for session in sessions), what="parked, though bridged")
    await scene.engine.unbridge(near.id, far.id)
    assert all(session.free.is_set() for session in sessions)


async def test_a_holder_who_goes_leaves_no_music_behind(switch: Double, tmp_path: Path) -> None:
    async with with_music(switch, tmp_path) as (scene, music):
        near, far = await scene.pair()
        await scene.engine.release(near.id, far.id)
        far.hold()
        await eventually(lambda: music in near.heard)
        far.hang_up("NORMAL_CLEARING")
        await eventually(lambda: near.idle)
        await scene.engine.play(near.id, [scene.sound()])


async def test_who_only_seems_to_hold_is_let_be(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """He comes back before the audio could."""
    monkeypatch.setattr(reinvites, "_BACK_SEC", 0.1)
    near, far = await scene.pair()
    await scene.engine.release(near.id, far.id)
    far.hold()
    far.hold(False)
    await asyncio.sleep(0.3)
    assert near.released
    assert scene.told.of("in_path", near.id) == [True, False]


@contextlib.asynccontextmanager
async def with_music(switch: Double, folder: Path) -> AsyncIterator[tuple[Scene, str]]:
    music = folder / "music.wav"
    switch.files[str(music)] = 0.02
    told, log = Told(), list[str]()
    async with FreeSwitchEngine(replace(switch.settings, hold_music=music), told, Log(log.append)) as engine:
        await eventually(lambda: engine.up)
        yield Scene(switch, engine, told, folder, log), str(music)


async def test_digits_of_two_kinds_keep_the_audio_here(scene: Scene) -> None:
    """Past the switch nobody would turn one payload type into the other."""
    near, far = await scene.pair()
    near.variables["rtp_2833_send_payload"] = "120"
    far.variables["rtp_2833_send_payload"] = "101"
    assert await scene.engine.release(near.id, far.id) is Release.KEPT
    assert near.asked == far.asked == 0


async def test_one_who_goes_while_they_are_connected_is_told(scene: Scene) -> None:
    near, far = await scene.pair(bridged=False)
    far.cause = "NORMAL_CLEARING"
    scene.switch.channels.pop(far.id)
    with pytest.raises(EngineError) as caught:
        await scene.engine.bridge(near.id, far.id)
    assert caught.value.code == "gone"


async def test_the_audio_goes_past_the_switch_and_back_as_often_as_one_likes(scene: Scene) -> None:
    near, far = await scene.pair()
    for _ in range(2):
        assert await scene.engine.release(near.id, far.id) is Release.RELEASED
        assert await scene.engine.release(near.id, far.id) is Release.RELEASED
        assert near.released and far.released  # noqa: PT018
        await scene.engine.take_back(near.id, far.id)
        await scene.engine.take_back(near.id, far.id)
        assert not near.released
    assert scene.told.of("in_path", near.id) == scene.told.of("in_path", far.id) == [True, False, True, False, True]


async def test_a_release_is_taken_back_before_they_are_parted(scene: Scene) -> None:
    near, far = await scene.pair()
    await scene.engine.release(near.id, far.id)
    await scene.engine.unbridge(near.id, far.id)
    assert not near.released
    await scene.engine.play(near.id, [scene.sound()])


@pytest.mark.parametrize("who", ["near", "far"])
@pytest.mark.parametrize("answers", [[488], [491, 491], [0]])
async def test_who_refuses_keeps_the_switch_in_the_path_and_is_heard_all_along(
    scene: Scene, who: str, answers: list[int]
) -> None:
    near, far = await scene.pair()
    (near if who == "near" else far).reinvites = [*answers]
    assert await scene.engine.release(near.id, far.id) is Release.KEPT
    assert not any(job.startswith("uuid_media off") for job in scene.switch.jobs), "never silent, not for a moment"
    assert scene.told.of("in_path", near.id) == [True]
    assert near.partner is far


@pytest.mark.parametrize("who", ["near", "far"])
async def test_one_who_is_about_to_say_something_himself_is_asked_again(scene: Scene, who: str) -> None:
    """RFC 3261 section 14.1."""
    near, far = await scene.pair()
    (near if who == "near" else far).reinvites = [491]
    assert await scene.engine.release(near.id, far.id) is Release.RELEASED


async def test_who_made_the_call_id_waits_longer(scene: Scene) -> None:
    near, far = await scene.pair()
    inbound, outbound = (scene.engine._channels[channel.id].session for channel in (near, far))
    assert all(0 <= _pause_sec(inbound) <= 2.0 for _ in range(200))
    assert all(2.1 <= _pause_sec(outbound) <= 4.0 for _ in range(200))


@pytest.mark.parametrize("who", ["near", "far"])
async def test_who_accepts_when_asked_and_refuses_when_it_matters_gets_his_audio_back(scene: Scene, who: str) -> None:
    """The switch says that it went well, after ten seconds of its own."""
    near, far = await scene.pair()
    (near if who == "near" else far).reinvites = [200, 488]
    assert await scene.engine.release(near.id, far.id) is Release.KEPT
    assert not near.released
    assert scene.told.of("in_path", near.id)[-1] is True


async def test_one_who_goes_during_a_release_ends_it(scene: Scene) -> None:
    near, far = await scene.pair()
    far.reinvites = [200, 0]
    scene.switch.second = 0.1
    releasing = asyncio.create_task(scene.engine.release(near.id, far.id))
    await eventually(lambda: far.asked == 2)
    far.hang_up("NORMAL_CLEARING")
    with pytest.raises(EngineError) as caught:
        await releasing
    assert caught.value.code == "gone"
    await scene.engine.play(near.id, [scene.sound()])


async def test_what_the_others_phone_says_of_itself_stays_with_it(scene: Scene) -> None:
    near, far = await scene.pair()
    for channel in (near, far):
        assert channel.variables["sip_copy_custom_headers"] == "false"
        assert channel.variables["ignore_display_updates"] == "true"
