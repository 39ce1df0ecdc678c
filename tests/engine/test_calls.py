"""One caller: arrival, answer, what he is made to hear, his digits, his end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_node.agent.media_engine.base import EngineError
from edge_node.local import audio
from edge_node.local.phone import Phone
from tests.engine.party import Party
from tests.engine.scene import DEADLINE, HEADER, Scene, ends, until


async def test_a_call_arrives_with_our_headers_and_is_answered(scene: Scene) -> None:
    phone, channel = await scene.caller()
    assert scene.told.arrivals[0][1][HEADER] == "call_of_the_test"
    assert all(name.startswith("x-tandem-") for name in scene.told.arrivals[0][1])
    assert scene.engine.channels == 1
    assert scene.told.paths == {channel: [True]}
    await asyncio.to_thread(phone.hang_up)
    await until(lambda: scene.told.ends == {channel: "normal"}, "the end is not told")
    assert scene.engine.channels == 0


async def test_a_caller_who_offers_late_hears_us(scene: Scene) -> None:
    phone, channel = await scene.caller(late_offer=True)
    async with _hearing(scene, phone) as path:
        await ends(scene.engine.play(channel, [scene.tone(620, 2.0)]))
    assert audio.heard(path, 620).total >= 1.5


@pytest.mark.parametrize(("code", "said"), [(0, 603), (486, 486)])
async def test_an_unanswered_call_is_refused_with_the_code(scene: Scene, code: int, said: int) -> None:
    phone = await scene.phone("1001")
    channel = await scene.arrive(phone)
    await scene.engine.hang_up(channel, code)
    assert (await asyncio.to_thread(phone.wait_for, "ended", DEADLINE)).code == said
    await until(lambda: scene.told.ends == {channel: str(said)}, "the end is not told")
    assert channel not in scene.told.paths


async def test_an_answered_call_is_ended_with_a_reason(scene: Scene) -> None:
    phone, channel = await scene.caller()
    await scene.engine.hang_up(channel, 503)
    bye = await asyncio.to_thread(phone.wait_for, "ended", DEADLINE)
    assert "Reason: SIP;cause=503" in bye.text
    await until(lambda: scene.told.ends == {channel: "normal"}, "the end is not told")
    await scene.engine.hang_up(channel)  # over already: no error


async def test_a_caller_who_gives_up_is_told(scene: Scene) -> None:
    phone = await scene.phone("1001")
    channel = await scene.arrive(phone)
    await scene.engine.ringback(channel)
    await asyncio.to_thread(phone.wait_for, "ringing", DEADLINE)
    await asyncio.to_thread(phone.hang_up)
    await until(lambda: scene.told.ends == {channel: "487"}, "the end is not told")


async def test_nobody_knows_a_channel_that_never_was(scene: Scene) -> None:
    for work in (
        scene.engine.answer("nobody"),
        scene.engine.play("nobody", [scene.tone(620)]),
        scene.engine.release("nobody", "nowhere"),
    ):
        with pytest.raises(EngineError) as caught:
            await work
        assert caught.value.code == "gone"
    await scene.engine.hang_up("nobody")


# --- what he hears


async def test_files_play_in_order_and_as_often_as_told_and_end_when_they_end(scene: Scene) -> None:
    phone, channel = await scene.caller()
    files = [scene.tone(620, 0.5), scene.tone(1460, 0.5)]
    async with _hearing(scene, phone) as path:
        began = time.monotonic()
        await ends(scene.engine.play(channel, files, loop=2))
        took = time.monotonic() - began
    # each end is noticed within two frames; the rest is a busy machine
    assert 1.95 < took < 3.0, took
    order = [hz for hz, _ in _tones(path, (620, 1460))]
    assert order == [620, 1460, 620, 1460]
    assert all(0.3 <= seconds <= 0.6 for _, seconds in _tones(path, (620, 1460)))


@pytest.mark.parametrize("place", [0, 1])
async def test_a_missing_file_is_an_error_and_nothing_is_heard(scene: Scene, place: int) -> None:
    phone, channel = await scene.caller()
    files = [scene.tone(620)]
    files.insert(place, scene.folder / "missing.wav")
    async with _hearing(scene, phone) as path:
        with pytest.raises(EngineError, match="missing") as caught:
            await ends(scene.engine.play(channel, files))
        assert caught.value.code == "media"
        # what plays next is all that is heard
        await ends(scene.engine.play(channel, [scene.tone(1460)]))
    assert {hz for hz, _ in _tones(path, (620, 1460))} == {1460}


async def test_what_is_no_sound_file_is_an_error(scene: Scene) -> None:
    _, channel = await scene.caller()
    broken = scene.folder / "broken.wav"
    broken.write_bytes(b"RIFF....WAVEgarbage")
    with pytest.raises(EngineError) as caught:
        await ends(scene.engine.play(channel, [broken]))
    assert caught.value.code == "media"
    with pytest.raises(EngineError):
        await ends(scene.engine.hold_music(channel, scene.folder / "missing.wav"))


async def test_a_play_is_stopped_and_returns(scene: Scene) -> None:
    _, channel = await scene.caller()
    playing = asyncio.create_task(scene.engine.play(channel, [scene.tone(620, 1.0)], loop=100))
    done, _ = await asyncio.wait([playing], timeout=0.5)
    assert not done
    await scene.engine.stop(channel)
    await ends(playing, 1.0)


async def test_a_play_takes_the_place_of_another(scene: Scene) -> None:
    phone, channel = await scene.caller()
    first = asyncio.create_task(scene.engine.play(channel, [scene.tone(620, 1.0)], loop=100))
    await asyncio.wait([first], timeout=0.3)
    async with _hearing(scene, phone) as path:
        await ends(scene.engine.play(channel, [scene.tone(1460, 1.0)]))
    await ends(first, 1.0)
    assert audio.heard(path, 1460).lasted(0.7)


async def test_who_hangs_up_ends_what_plays(scene: Scene) -> None:
    phone, channel = await scene.caller()
    playing = asyncio.create_task(scene.engine.play(channel, [scene.tone(620, 1.0)], loop=100))
    await asyncio.wait([playing], timeout=0.3)
    await asyncio.to_thread(phone.hang_up)
    with pytest.raises(EngineError) as caught:
        await ends(playing)
    assert caught.value.code == "gone"


async def test_a_cancelled_play_is_silent(scene: Scene) -> None:
    phone, channel = await scene.caller()
    playing = asyncio.create_task(scene.engine.play(channel, [scene.tone(620, 1.0)], loop=100))
    await asyncio.to_thread(scene.hears, phone, 620)
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    await asyncio.to_thread(_falls_silent, scene, phone, 620)


async def test_hold_music_goes_on_until_stopped(scene: Scene) -> None:
    phone, channel = await scene.caller()
    await scene.engine.hold_music(channel, scene.tone(780, 0.5))
    await asyncio.to_thread(scene.hears, phone, 780, 1.5)
    await scene.engine.stop(channel)
    await asyncio.to_thread(_falls_silent, scene, phone, 780)


async def test_an_answered_caller_hears_ringing(scene: Scene) -> None:
    phone, channel = await scene.caller()
    await scene.engine.ringback(channel)
    path = scene.folder / "ringing.wav"
    await asyncio.to_thread(phone.record, path)
    # two tones at once: each holds half of the power, so they are looked for by level
    await until(lambda: scene.loud(path) >= 1.0, "no ringing is heard")
    await scene.engine.stop(channel)


async def test_a_caller_not_answered_yet_hears_what_plays(scene: Scene) -> None:
    phone = await scene.phone("1001")
    channel = await scene.arrive(phone)
    async with _hearing(scene, phone) as path:
        await ends(scene.engine.play(channel, [scene.tone(620, 1.5)]))
    assert audio.heard(path, 620).lasted(1.0)
    assert channel not in scene.told.paths
    await scene.engine.answer(channel)
    await asyncio.to_thread(phone.wait_for, "answered", DEADLINE)


# --- his digits


async def test_digits_come_in_order(scene: Scene) -> None:
    phone, channel = await scene.caller()
    await asyncio.to_thread(phone.send_dtmf, "1230*#AD11")
    await until(lambda: len(scene.told.typed(channel)) >= 10, "digits are missing")
    assert scene.told.typed(channel) == "1230*#AD11"


async def test_a_digit_comes_while_a_prompt_plays(scene: Scene) -> None:
    async with Party("2000", scene.relay.sip) as party:
        channel = await scene.answered(party)
        playing = asyncio.create_task(scene.engine.play(channel, [scene.tone(620, 1.0)], loop=100))
        await party.hears(0.0)
        pressed = party.press("7")
        await until(lambda: scene.told.typed(channel) == "7", "the digit is missing")
        assert scene.told.digits[0][0] - pressed < 0.5
        assert not playing.done()
        await scene.engine.stop(channel)
        await ends(playing)


async def test_digits_by_info(scene: Scene) -> None:
    async with Party("2000", scene.relay.sip) as party:
        channel = await scene.answered(party)
        assert await party.inform("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n") == 200
        assert await party.inform("application/dtmf-relay", "Signal=#\r\nDuration=160\r\n") == 200
        if scene.engine.name == "freeswitch":
            # it takes the bare form for the number of an event, and says yes to what it does not understand
            assert await party.inform("application/dtmf", "10") == 200
            assert await party.inform("text/plain", "hello") == 200
        else:
            assert await party.inform("application/dtmf", "*") == 200
            assert await party.inform("application/dtmf", "x") == 400
            assert await party.inform("text/plain", "hello") == 415
        assert await party.inform("application/dtmf", "8\r\n") == 200
        assert await party.inform("", "") == 200
        await until(lambda: len(scene.told.typed(channel)) >= 4, "digits are missing")
        assert scene.told.typed(channel) == "5#*8"
        await party.hang_up()


@contextlib.asynccontextmanager
async def _hearing(scene: Scene, phone: Phone) -> AsyncIterator[Path]:
    """A recording of what the phone hears meanwhile, and of the moment after (its jitter buffer is a late one)."""
    path = scene.recording()
    await asyncio.to_thread(phone.record, path)
    yield path
    end = audio.read(path).seconds + 0.4
    await until(lambda: audio.read(path).seconds >= end, "the recording stands still")
    await asyncio.to_thread(phone.stop_recording)


def _falls_silent(scene: Scene, phone: Phone, hz: int) -> None:
    """From half a second on there is nothing of the tone."""
    path = scene.recording()
    phone.record(path)
    end = time.monotonic() + DEADLINE
    while audio.read(path).seconds < 1.2:
        assert time.monotonic() < end, "the recording stands still"
        time.sleep(0.05)
    phone.stop_recording()
    assert not audio.heard(path, hz, start=0.5).total


def _tones(path: Path, known: tuple[int, ...]) -> list[tuple[int, float]]:
    """The tones of a recording in their order, with the length of each, in steps of 0.1 s; a gap in one is left out."""
    recording = audio.read(path)
    found: list[tuple[int, float]] = []
    for number in range(int(recording.seconds / audio.BLOCK_SECONDS)):
        start = number * audio.BLOCK_SECONDS
        for hz in known:
            if not audio.heard_in(recording, hz, start=start, end=start + audio.BLOCK_SECONDS).total:
                continue
            if found and found[-1][0] == hz:
                found[-1] = hz, found[-1][1] + audio.BLOCK_SECONDS
            else:
                found.append((hz, audio.BLOCK_SECONDS))
    return found
